use pkg_formats::archive::{Files, Kind, Limits, scan};
use pkg_formats::python::metadata::{self, Metadata};
use pkg_formats::python::sdist::SdistSpec;
use pkg_formats::python::wheel::{self, WheelName, WheelSpec};
use pkg_formats::python::{name, version};
use proptest::prelude::*;

use super::tools::sha256;

#[test]
fn names() {
    assert_eq!(name::normalize("Tiny_Pkg"), "tiny-pkg");
    assert_eq!(name::normalize("a.-_B__c"), "a-b-c");
    assert_eq!(name::file_form("Zope.Interface"), "zope_interface");
    assert!(["a", "A1", "zope.interface", "a-_.b"].into_iter().all(name::is_valid));
    assert!(!["", "-a", "a-", "a b", "ä", "a/b", "."].into_iter().any(name::is_valid));
}

#[test]
fn versions() {
    let parse = |text| version::parse(text).unwrap();
    assert_eq!(parse("1.0.0-RC.1").to_string(), "1.0.0rc1");
    assert!(version::parse_specifiers(">=3.8, !=3.9.*").unwrap().contains(&parse("3.10")));
    assert!(version::parse_specifiers("").unwrap().contains(&parse("0")));
    for bad in ["", "one", "1.0.x"] {
        assert!(version::parse(bad).is_err(), "{bad}");
    }
    assert!(version::parse(&"1.".repeat(10_000)).is_err());
    let all = ["1.0", "2.0a1", "1.0.post1", "0.9"].map(parse);
    assert_eq!(version::newest(&all).map(ToString::to_string).as_deref(), Some("1.0.post1"));
    assert_eq!(version::newest(&all[1..2]).map(ToString::to_string).as_deref(), Some("2.0a1"));
}

pub(crate) fn tiny() -> Metadata {
    Metadata {
        summary: Some("A tiny package".to_owned()),
        requires_python: Some(">=3.8".to_owned()),
        requires_dist: vec!["tiny-base>=1".to_owned(), "rich; extra == \"color\"".to_owned()],
        provides_extra: vec!["color".to_owned()],
        other: vec![("License".to_owned(), "MIT\nSecond line".to_owned())],
        description: "# Größe\n\nName: not a header\n".to_owned(),
        ..Metadata::new("Tiny.Pkg", "1.0.0-1")
    }
}

#[test]
fn metadata_is_golden() {
    let text = "Metadata-Version: 2.1\nName: Tiny.Pkg\nVersion: 1.0.0-1\nSummary: A tiny package\n\
                Requires-Python: >=3.8\nLicense: MIT\n        Second line\nRequires-Dist: tiny-base>=1\n\
                Requires-Dist: rich; extra == \"color\"\nProvides-Extra: color\n\n# Größe\n\nName: not a header\n";
    assert_eq!(tiny().to_string(), text);
    assert_eq!(Metadata::parse(text.as_bytes()).unwrap(), tiny());
}

#[test]
fn foreign_metadata_is_read() {
    let text =
        "metadata-version: 1.2\r\nNAME: a\r\nVersion: 1\r\nDescription: First\r\n        |Second\r\nX-Odd: y\r\n";
    let metadata = Metadata::parse(text.as_bytes()).unwrap();
    assert_eq!((metadata.name.as_str(), metadata.description.as_str()), ("a", "First\nSecond"));
    assert_eq!(metadata.other, [("X-Odd".to_owned(), "y".to_owned())]);
    for (bad, complaint) in [
        ("", "no `Metadata-Version`"),
        ("Metadata-Version: 2.1\nVersion: 1\n", "no `Name`"),
        ("Metadata-Version: 2.1\nno header\n", "line 2: `no header`"),
        (" continued: x\n", "line 1"),
    ] {
        let error = Metadata::parse(bad.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(complaint), "{error}");
    }
    assert_eq!(Metadata::parse(b"Name: \xff"), Err(metadata::Error::Encoding));
    assert!(matches!(Metadata::parse(&vec![b'x'; 17 << 20]), Err(metadata::Error::TooLarge(_))));
    assert!(matches!(Metadata::parse("A: b\n".repeat(20_001).as_bytes()), Err(metadata::Error::TooManyHeaders(_))));
    assert!(Metadata::new("../a", "1").check().is_err());
    assert!(Metadata::new("a", "one").check().is_err());
    assert!(Metadata { requires_python: Some("3".to_owned()), ..Metadata::new("a", "1") }.check().is_err());
}

pub(crate) fn tiny_files() -> Files {
    Files::from([
        ("tiny_pkg/__init__.py".to_owned(), "def main():\n    print('tiny says hello')\n".into()),
        ("tiny_pkg/data, odd.txt".to_owned(), "x".into()),
    ])
}

#[test]
fn wheels_are_golden() {
    let mut wheel = WheelSpec::new(tiny(), tiny_files());
    wheel.console_scripts = vec![("tiny".to_owned(), "tiny_pkg:main".to_owned())];
    assert_eq!(wheel.file_name().unwrap(), "tiny_pkg-1.0.0.post1-py3-none-any.whl");
    let bytes = wheel.zip().unwrap();
    assert_eq!(sha256(&bytes), "3635d20e9f422b41b0c02eb47f5e61b1832bde8ebe1c1e8835c64e2d5881a92e");
    assert_eq!(wheel::read_metadata(&bytes).unwrap(), wheel.metadata_text().into_bytes());

    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
    let record = std::io::read_to_string(archive.by_name("tiny_pkg-1.0.0.post1.dist-info/RECORD").unwrap()).unwrap();
    let mut lines: Vec<_> = record.lines().collect();
    assert_eq!(lines.pop(), Some("tiny_pkg-1.0.0.post1.dist-info/RECORD,,"));
    assert_eq!(lines[1], "\"tiny_pkg/data, odd.txt\",sha256=LXEWQrcmsEQBYnyp-6wy9chTD7GQPMTbAiWHF5IaSIE,1");
    assert_eq!(lines.len(), 5);
}

#[test]
fn names_of_wheels() {
    let wheel: WheelName =
        "NumPy-1.26.4-1build-cp311.cp312-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64.whl".parse().unwrap();
    assert_eq!((wheel.name.as_str(), wheel.build.as_deref()), ("numpy", Some("1build")));
    assert_eq!(wheel.python, ["cp311", "cp312"]);
    assert_eq!(wheel.platform, ["manylinux_2_17_x86_64", "manylinux2014_x86_64"]);
    let pure: WheelName = "tiny_pkg-1.0+local.1-py3-none-any.whl".parse().unwrap();
    assert_eq!((pure.name.as_str(), pure.version.to_string().as_str()), ("tiny-pkg", "1.0+local.1"));
    for bad in [
        "a-1.0-py3-none-any.zip",
        "a-1.0-py3-none.whl",
        "a-1.0-x-py3-none-any.whl",
        "a-one-py3-none-any.whl",
        "-1.0-py3-none-any.whl",
        "a-1.0-py3--any.whl",
        "a-1.0-1-2-py3-none-any.whl",
        "../a-1.0-py3-none-any.whl",
        "a-1.0-py3-none-any/x.whl",
    ] {
        assert!(bad.parse::<WheelName>().is_err(), "{bad}");
    }
}

#[test]
fn bad_wheels_are_refused() {
    use pkg_formats::archive::{File, zip};
    assert!(matches!(wheel::read_metadata(b"not a zip"), Err(wheel::Error::Zip(_))));
    let file = File::from("x");
    let none = zip([("a/METADATA", &file)]).unwrap();
    assert!(matches!(wheel::read_metadata(&none), Err(wheel::Error::NoMetadata(0))));
    let two = zip([("a.dist-info/METADATA", &file), ("b.dist-info/METADATA", &file)]).unwrap();
    assert!(matches!(wheel::read_metadata(&two), Err(wheel::Error::NoMetadata(2))));
    let good = WheelSpec::new(tiny(), tiny_files()).zip().unwrap();
    for length in 0..good.len() {
        assert!(wheel::read_metadata(&good[..length]).is_err(), "cut at {length}");
    }
    // A bomb: much metadata in few bytes.
    let mut writer = ::zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    writer.start_file("a.dist-info/METADATA", ::zip::write::SimpleFileOptions::default()).unwrap();
    std::io::Write::write_all(&mut writer, &vec![b'x'; 17 << 20]).unwrap();
    let bomb = writer.finish().unwrap().into_inner();
    assert!(bomb.len() < 100_000);
    assert!(matches!(wheel::read_metadata(&bomb), Err(wheel::Error::Metadata(metadata::Error::TooLarge(_)))));
    let unsafe_path = WheelSpec::new(tiny(), Files::from([("../x".to_owned(), file)]));
    assert!(matches!(unsafe_path.zip(), Err(wheel::Error::Archive(_))));
}

#[test]
fn sdists_carry_their_backend() {
    let sdist = SdistSpec { metadata: tiny(), files: tiny_files() };
    assert_eq!(sdist.file_name().unwrap(), "tiny_pkg-1.0.0.post1.tar.gz");
    let bytes = sdist.tar_gz().unwrap();
    assert_eq!(sha256(&bytes), "8df2b1a766aa3d4ee3efd25d8cbc4acfa9a0d472b9ac5e8f1a3ab6ca891e75d5");
    let mut paths = Vec::new();
    scan(bytes.as_slice(), &Limits::default(), |entry, _| {
        if entry.kind == Kind::File {
            paths.push(entry.path.clone());
        }
        Ok(())
    })
    .unwrap();
    assert_eq!(
        paths,
        ["PKG-INFO", "backend.py", "pyproject.toml", "src/tiny_pkg/__init__.py", "src/tiny_pkg/data, odd.txt"]
            .map(|path| format!("tiny_pkg-1.0.0.post1/{path}"))
    );
}

pub(crate) fn word() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9]([a-zA-Z0-9._-]{0,8}[a-zA-Z0-9])?"
}

proptest! {
    #[test]
    fn names_normalize_once(name in word()) {
        let normal = name::normalize(&name);
        prop_assert!(name::is_valid(&name) && name::is_valid(&normal));
        prop_assert_eq!(&name::normalize(&normal), &normal);
        prop_assert_eq!(name::normalize(&name::file_form(&name)), normal);
    }

    #[test]
    fn metadata_round_trips(
        name in word(),
        optional in (prop::option::of("[!-~é]([ -~]{0,20}[!-~])?"), prop::option::of("[!-~]{1,8}")),
        lists in (prop::collection::vec("[a-z]{1,8}", 0..3), prop::collection::vec("[a-z]{1,8}", 0..3)),
        other in prop::collection::vec(("X-[A-Za-z]{1,8}", "[!-~]{1,4}(\n[!-~é]{1,8}){0,2}"), 0..3),
        description in "[ -~é\n]{0,60}",
    ) {
        let metadata = Metadata {
            summary: optional.0,
            requires_python: optional.1,
            requires_dist: lists.0,
            provides_extra: lists.1,
            other,
            description,
            ..Metadata::new(name, "1.0")
        };
        prop_assert_eq!(Metadata::parse(metadata.to_string().as_bytes()).unwrap(), metadata);
    }

    #[test]
    fn wheels_round_trip(name in word(), number in "[0-9]{1,3}([.][0-9]{1,3}){0,2}", content in prop::collection::vec(any::<u8>(), 0..200)) {
        let files = Files::from([("module.py".to_owned(), content.into())]);
        let wheel = WheelSpec::new(Metadata::new(name.clone(), number.clone()), files);
        prop_assert_eq!(wheel::read_metadata(&wheel.zip().unwrap()).unwrap(), wheel.metadata_text().into_bytes());
        let parsed: WheelName = wheel.file_name().unwrap().parse().unwrap();
        prop_assert_eq!(parsed.name, name::normalize(&name));
        prop_assert_eq!(parsed.version, version::parse(&number).unwrap());
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "([A-Za-z0-9: .!+*=<>~\n|-]|é){0,60}") {
        for bytes in [&bytes, text.as_bytes()] {
            let _ = Metadata::parse(bytes);
            let _ = wheel::read_metadata(bytes);
        }
        let _ = (text.parse::<WheelName>(), version::parse(&text), version::parse_specifiers(&text));
    }

    #[test]
    fn damaged_wheels_never_panic(damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut wheel = WheelSpec::new(tiny(), tiny_files()).zip().unwrap();
        for (at, byte) in damage {
            let at = at.index(wheel.len());
            wheel[at] = byte;
        }
        let _ = wheel::read_metadata(&wheel);
    }
}
