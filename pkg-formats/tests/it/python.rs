use std::collections::BTreeMap;

use pkg_formats::archive::{Files, Limits, scan};
use pkg_formats::python::metadata::{self, Metadata};
use pkg_formats::python::requirements::{self, Kind, Unsupported};
use pkg_formats::python::sdist::SdistSpec;
use pkg_formats::python::simple::{CoreMetadata, Error, File, ProjectPage, RootPage};
use pkg_formats::python::wheel::{self, WheelName, WheelSpec};
use pkg_formats::python::{name, version};
use proptest::prelude::*;

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
    assert_eq!(bytes, wheel.zip().unwrap());
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
    assert_eq!(bytes, sdist.tar_gz().unwrap());
    let mut paths = Vec::new();
    scan(bytes.as_slice(), &Limits::default(), |entry, _| {
        paths.push(entry.path.clone());
        Ok(())
    })
    .unwrap();
    assert_eq!(
        paths,
        ["PKG-INFO", "backend.py", "pyproject.toml", "src/tiny_pkg/__init__.py", "src/tiny_pkg/data, odd.txt"]
            .map(|path| format!("tiny_pkg-1.0.0.post1/{path}"))
    );
}

fn page() -> ProjectPage {
    let hashes = BTreeMap::from([("sha256".to_owned(), "ab".repeat(32))]);
    ProjectPage {
        name: "tiny-pkg".to_owned(),
        versions: vec!["1.0".to_owned(), "1.1".to_owned()],
        files: vec![
            File {
                filename: "tiny_pkg-1.0-py3-none-any.whl".to_owned(),
                url: "../../packages/1/tiny_pkg-1.0-py3-none-any.whl".to_owned(),
                hashes: hashes.clone(),
                requires_python: Some(">=3.8,<4".to_owned()),
                size: Some(1234),
                upload_time: Some("2026-01-31T12:00:00.000000Z".to_owned()),
                yanked: None,
                core_metadata: CoreMetadata::sha256("cd".repeat(32)),
            },
            File {
                filename: "tiny_pkg-1.1.tar.gz".to_owned(),
                url: "https://packages.example.org/tiny_pkg-1.1.tar.gz?a=1&b=2".to_owned(),
                hashes,
                size: Some(5),
                yanked: Some("broken \"on\" <some> systems".to_owned()),
                ..File::default()
            },
        ],
        last_serial: Some(7),
        status: None,
    }
}

#[test]
fn project_pages_are_golden() {
    let (ab, cd) = ("ab".repeat(32), "cd".repeat(32));
    assert_eq!(
        page().to_html(),
        format!(
            "<!DOCTYPE html>\n<html>\n<head>\n<meta name=\"pypi:repository-version\" content=\"1.0\">\n\
             <title>Links for tiny-pkg</title>\n</head>\n<body>\n<h1>Links for tiny-pkg</h1>\n\
             <a href=\"../../packages/1/tiny_pkg-1.0-py3-none-any.whl#sha256={ab}\" \
             data-requires-python=\"&gt;=3.8,&lt;4\" data-dist-info-metadata=\"sha256={cd}\" \
             data-core-metadata=\"sha256={cd}\">tiny_pkg-1.0-py3-none-any.whl</a><br/>\n\
             <a href=\"https://packages.example.org/tiny_pkg-1.1.tar.gz?a=1&amp;b=2#sha256={ab}\" \
             data-yanked=\"broken &quot;on&quot; &lt;some&gt; systems\">tiny_pkg-1.1.tar.gz</a><br/>\n</body>\n</html>\n"
        )
    );
    let json: serde_json::Value = serde_json::from_str(&page().to_json()).unwrap();
    assert_eq!(
        json,
        serde_json::json!({
            "meta": {"api-version": "1.1", "_last-serial": 7}, "name": "tiny-pkg", "versions": ["1.0", "1.1"],
            "files": [
                {"filename": "tiny_pkg-1.0-py3-none-any.whl", "url": "../../packages/1/tiny_pkg-1.0-py3-none-any.whl",
                 "hashes": {"sha256": ab}, "requires-python": ">=3.8,<4", "size": 1234,
                 "upload-time": "2026-01-31T12:00:00.000000Z", "yanked": false,
                 "core-metadata": {"sha256": cd}, "data-dist-info-metadata": {"sha256": cd}},
                {"filename": "tiny_pkg-1.1.tar.gz",
                 "url": "https://packages.example.org/tiny_pkg-1.1.tar.gz?a=1&b=2", "hashes": {"sha256": ab},
                 "size": 5, "yanked": "broken \"on\" <some> systems",
                 "core-metadata": false, "data-dist-info-metadata": false}
            ]
        })
    );
}

#[test]
fn pages_claim_no_more_than_they_hold() {
    let api_version = |page: &ProjectPage| {
        let json: serde_json::Value = serde_json::from_str(&page.to_json()).unwrap();
        (json["meta"]["api-version"].as_str().unwrap().to_owned(), json.get("versions").is_some())
    };
    let mut page = page();
    page.status = Some("archived".to_owned());
    assert_eq!(api_version(&page), ("1.4".to_owned(), true));
    assert_eq!(ProjectPage::from_json(page.to_json().as_bytes()).unwrap(), page);
    page.files[0].size = None;
    assert_eq!(api_version(&page), ("1.0".to_owned(), false));
}

#[test]
fn foreign_pages_are_read() {
    let html = br#"<!doctype html><meta name='pypi:repository-version' content='1.3'/><!-- <a href="no">no</a> -->
        <abbr title="a">x</abbr><A class=x HREF = 'https://files.example.org/a%2Bb/Tiny_Pkg-1.0%2Blocal.tar.gz#md5=00&sha256=aa'
        data-requires-python="&gt;=3.8 &amp;&#38;&#x26;&nonsense;" data-yanked rel=internal>Tiny_Pkg-1.0+local.tar.gz</A>
        <a href="tiny_pkg-2.0-py3-none-any.whl" data-dist-info-metadata=true data-core-metadata="sha256=bb">
        tiny_pkg-2.0-py3-none-any.whl</a><a>no link</a><a href="/">up</a><a href=unclosed"#;
    let page = ProjectPage::from_html("Tiny.Pkg", html).unwrap();
    assert_eq!((page.name.as_str(), page.files.len()), ("tiny-pkg", 3));
    let [first, second, third] = page.files.as_slice() else { panic!("{page:?}") };
    assert_eq!(first.filename, "Tiny_Pkg-1.0+local.tar.gz");
    assert_eq!(first.url, "https://files.example.org/a%2Bb/Tiny_Pkg-1.0%2Blocal.tar.gz");
    assert_eq!(first.hashes["sha256"], "aa");
    assert_eq!(first.requires_python.as_deref(), Some(">=3.8 &&&&nonsense;"));
    assert_eq!(first.yanked.as_deref(), Some(""));
    assert_eq!(second.filename, "tiny_pkg-2.0-py3-none-any.whl");
    assert_eq!(second.core_metadata, CoreMetadata::sha256("bb"));
    assert_eq!(third.filename, "unclosed");

    let old = br#"{"meta": {"api-version": "1.0", "unknown": 1}, "name": "a", "files": [
        {"filename": "a-1.tar.gz", "url": "a-1.tar.gz", "hashes": {}, "yanked": true, "core-metadata": null,
         "data-dist-info-metadata": {"sha256": "cc"}, "gpg-sig": false}]}"#;
    let page = ProjectPage::from_json(old).unwrap();
    assert_eq!(page.files[0].yanked.as_deref(), Some(""));
    assert_eq!(page.files[0].core_metadata, CoreMetadata::sha256("cc"));
}

#[test]
fn unknown_protocols_are_refused() {
    let html = b"<meta name=\"pypi:repository-version\" content=\"2.0\">";
    assert_eq!(ProjectPage::from_html("a", html), Err(Error::Version("2.0".to_owned())));
    assert_eq!(ProjectPage::from_html("a", b"\xff"), Err(Error::Encoding));
    let json = br#"{"meta": {"api-version": "2.0"}, "name": "a", "files": []}"#;
    assert_eq!(ProjectPage::from_json(json), Err(Error::Version("2.0".to_owned())));
    assert!(matches!(ProjectPage::from_json(b"{}"), Err(Error::Json(_))));
    assert!(matches!(RootPage::from_json(b"<html>"), Err(Error::Json(_))));
}

#[test]
fn root_pages_round_trip() {
    let root = RootPage { projects: vec!["Tiny.Pkg".to_owned(), "other".to_owned()], last_serial: None };
    assert!(root.to_html().contains("<a href=\"tiny-pkg/\">Tiny.Pkg</a>"));
    assert_eq!(RootPage::from_html(root.to_html().as_bytes()).unwrap(), root);
    assert_eq!(RootPage::from_json(root.to_json().as_bytes()).unwrap(), root);
}

#[test]
fn requirements_files_are_read() {
    let digest = "0a".repeat(32);
    let text = format!(
        "\u{feff}# comment\n\nflask==3.0.0  # pinned\nRequests [security, socks] >= 2.8.1, == 2.8.* ; python_version > '3.8'\n\
         numpy == 1.26.4 \\\n    --hash=sha256:{digest} \\\n    --hash sha256:{}\nurl#not-a-comment\n",
        digest.to_uppercase()
    );
    let error = requirements::parse(text.as_bytes()).unwrap_err().to_string();
    assert!(error.starts_with("line 8: `url#not-a-comment` is not a valid requirement: "), "{error}");

    let items = requirements::parse(text.replace("url#not-a-comment", "").as_bytes()).unwrap();
    let shown: Vec<_> = items
        .iter()
        .map(|item| match &item.kind {
            Kind::Requirement { requirement, hashes } => (item.line, requirement.to_string(), hashes.len()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        shown,
        [
            (3, "flask==3.0.0".to_owned(), 0),
            (4, "requests[security,socks]==2.8.*,>=2.8.1 ; python_full_version >= '3.9'".to_owned(), 0),
            (5, "numpy==1.26.4".to_owned(), 2),
        ]
    );
    let Kind::Requirement { hashes, .. } = &items[2].kind else { panic!("{items:?}") };
    assert_eq!((hashes[1].algorithm.as_str(), &hashes[1].digest), ("sha256", &digest));
}

#[test]
fn wide_requirements_files_are_read() {
    let wide = |unit: fn(u16) -> [u8; 2]| "\u{feff}flask\r\ndash\r\n".encode_utf16().flat_map(unit).collect::<Vec<_>>();
    let (little, big) = (wide(u16::to_le_bytes), wide(u16::to_be_bytes));
    assert_eq!(requirements::parse(&little).unwrap(), requirements::parse(b"flask\ndash").unwrap());
    assert_eq!(requirements::parse(&big).unwrap().len(), 2);
    assert_eq!(requirements::parse(&little[..little.len() - 1]), Err(requirements::Error::Encoding));
}

#[test]
fn what_is_not_acted_upon_is_reported() {
    let text = "-r other.txt\n--requirement=other.txt\n-cconstraints.txt\n-e .\n--editable git+https://h/x\n\
                https://h/a-1.0.whl\ngit+https://h/x@main#egg=x\na @ https://h/a-1.0.whl\n./local\n../up.whl\n\
                dir/a-1.0.tar.gz\na-1.0-py3-none-any.whl\n";
    let items = requirements::parse(text.as_bytes()).unwrap();
    use Unsupported::{Constraint, Editable, Include, Path, Url};
    let expected = [Include, Include, Constraint, Editable, Editable, Url, Url, Url, Path, Path, Path, Path];
    let found: Vec<_> = items
        .iter()
        .map(|item| match &item.kind {
            Kind::Unsupported { what, text: line } => (*what, line.as_str()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(found, expected.into_iter().zip(text.lines()).collect::<Vec<_>>());

    let text = "-i https://i/simple\n--extra-index-url=https://e/simple\n--pre\n--no-binary :all:\n-f links\n";
    let options: Vec<_> = requirements::parse(text.as_bytes())
        .unwrap()
        .into_iter()
        .map(|item| match item.kind {
            Kind::Option { name, value } => (name, value),
            other => panic!("{other:?}"),
        })
        .collect();
    let option = |name, value: &str| (name, value.to_owned());
    assert_eq!(
        options,
        [
            option("--index-url", "https://i/simple"),
            option("--extra-index-url", "https://e/simple"),
            option("--pre", ""),
            option("--no-binary", ":all:"),
            option("--find-links", "links"),
        ]
    );
}

#[test]
fn bad_requirements_name_the_line() {
    for (bad, reason) in [
        ("flask==", "line 2"),
        ("flask == one", "line 2"),
        ("two words", "line 2"),
        ("name- > 1", "`name-` is not a project name"),
        ("name[extra., b]", "`extra.` is not the name of an extra"),
        ("--nonsense x", "option is not known"),
        ("--index-urlx", "option is not known"),
        ("flask --hash=md5:00", "not a hash"),
        ("flask --hash=sha256:00", "not a hash"),
        ("flask --hash", "not a hash"),
        ("flask --global-option=x", "only `--hash`"),
        ("a ; python_version > ", "line 2"),
    ] {
        let error = requirements::parse(format!("# first\n{bad}\n").as_bytes()).unwrap_err().to_string();
        assert!(error.contains(reason) && error.starts_with("line 2: "), "{error}");
    }
    let deep = format!("a ; {}python_version > '3'{}", "(".repeat(1000), ")".repeat(1000));
    assert!(requirements::parse(deep.as_bytes()).unwrap_err().to_string().contains("parentheses"));
    let long = format!("a ; {}", "python_version > '3' or ".repeat(1000));
    assert!(requirements::parse(long.as_bytes()).unwrap_err().to_string().contains("longer"));
    assert_eq!(requirements::parse(b"\xff"), Err(requirements::Error::Encoding));
    assert!(matches!(requirements::parse(&vec![b'#'; 5 << 20]), Err(requirements::Error::TooLarge(_))));
    assert!(matches!(requirements::parse("a\n".repeat(20_001).as_bytes()), Err(requirements::Error::TooMany(_))));
}

#[test]
fn environment_variables_are_never_substituted() {
    let items = requirements::parse(b"a @ https://${PATH}/a.whl\n--index-url https://${HOME}/simple\n").unwrap();
    let shown = format!("{items:?}");
    assert!(shown.contains("${PATH}") && shown.contains("${HOME}"), "{shown}");
}

fn digests() -> impl Strategy<Value = BTreeMap<String, String>> {
    prop::option::of("[0-9a-f]{8}").prop_map(|hex| hex.into_iter().map(|hex| ("sha256".to_owned(), hex)).collect())
}

fn file() -> impl Strategy<Value = File> {
    let text = "[ -~é]{0,12}";
    let core_metadata = prop_oneof![
        Just(CoreMetadata::Absent),
        Just(CoreMetadata::Available),
        "[0-9a-f]{8}".prop_map(CoreMetadata::sha256),
    ];
    let rest =
        (prop::option::of(text), any::<Option<u64>>(), prop::option::of("[0-9TZ:-]{20}"), prop::option::of(text));
    ("[a-z0-9_.+&<-]{1,12}", "[a-z0-9/:.&=\"']{0,12}", digests(), rest, core_metadata).prop_map(
        |(filename, url, hashes, (requires_python, size, upload_time, yanked), core_metadata)| File {
            url: format!("{url}/{}", filename.replace('&', "%26")),
            filename,
            hashes,
            requires_python,
            size,
            upload_time,
            yanked,
            core_metadata,
        },
    )
}

fn word() -> impl Strategy<Value = String> {
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
    fn pages_round_trip(files in prop::collection::vec(file(), 0..4), versions in prop::collection::vec(word(), 0..3), last_serial in any::<Option<u64>>()) {
        let mut page = ProjectPage { name: "tiny-pkg".to_owned(), versions, files, last_serial, status: None };
        if page.files.iter().any(|file| file.size.is_none()) {
            page.versions.clear();
        }
        let from_json = ProjectPage::from_json(page.to_json().as_bytes()).unwrap();
        prop_assert_eq!(&from_json, &page);

        // HTML has no place for these.
        page.versions.clear();
        page.last_serial = None;
        for file in &mut page.files {
            (file.size, file.upload_time) = (None, None);
        }
        prop_assert_eq!(ProjectPage::from_html("tiny-pkg", page.to_html().as_bytes()).unwrap(), page);
    }

    #[test]
    fn requirements_round_trip(names in prop::collection::vec(word(), 0..5), number in "[0-9]{1,3}([.][0-9]{1,3}){0,2}") {
        let text: String = names.iter().map(|name| format!("{name} >= {number}\n")).collect();
        let items = requirements::parse(text.as_bytes()).unwrap();
        let written: String = items.iter().map(|item| match &item.kind {
            Kind::Requirement { requirement, .. } => format!("{requirement}\n"),
            other => panic!("{other:?}"),
        }).collect();
        let mut again = requirements::parse(written.as_bytes()).unwrap();
        again.iter_mut().zip(&items).for_each(|(again, item)| again.line = item.line);
        prop_assert_eq!(again, items);
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        text in "(<a |href=|data-|[<>=\"'&#;/! ]|meta|é|[a-z]){0,60}",
        requirement in "([a-z0-9]{1,3}|[\\[\\]();@#=<>~! ,.'\"\\\\-]|python_version|extra|://|--hash|-r|\n|é){0,30}",
    ) {
        for bytes in [&bytes, text.as_bytes(), requirement.as_bytes()] {
            let _ = Metadata::parse(bytes);
            let _ = wheel::read_metadata(bytes);
            let _ = ProjectPage::from_html("a", bytes);
            let _ = ProjectPage::from_json(bytes);
            let _ = RootPage::from_html(bytes);
            let _ = RootPage::from_json(bytes);
            let _ = requirements::parse(bytes);
        }
        let _ = (requirement.parse::<WheelName>(), version::parse(&requirement), version::parse_specifiers(&requirement));
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
