use std::borrow::Cow;
use std::io::Read;

use pkg_formats::archive::{Compression, Files, Limits, tar_gz};
use pkg_formats::dcf::{self, Record};
use pkg_formats::r::binary::{BinarySpec, Built, package_rds};
use pkg_formats::r::deps::{self, Dependency, Op};
use pkg_formats::r::package::{Error, identity, read_description, rewrite_description};
use pkg_formats::r::rds::{self, Data, Value};
use pkg_formats::r::source::{SourceSpec, description};
use pkg_formats::r::{RVersion, index, is_package_name};
use proptest::prelude::*;

use super::tools::sha256;

fn version(text: &str) -> RVersion {
    text.parse().unwrap()
}

pub(crate) fn built() -> Built {
    Built { r: version("4.2.0"), platform: String::new(), time: "2026-01-01 00:00:00 UTC".to_owned(), os: "unix" }
}

#[test]
fn versions_order_as_in_r() {
    let ascending = ["0", "0.0.1", "0.9-12", "0.9.13", "1", "1.0", "1.0.0", "1.0.0.9000", "1.0-1", "1.2", "1.10", "2"];
    for (index, text) in ascending.iter().enumerate() {
        for (other_index, other) in ascending.iter().enumerate() {
            assert_eq!(version(text).cmp(&version(other)), index.cmp(&other_index), "{text} {other}");
        }
    }
    assert_eq!(version("1.2-3"), version("1.02.3"));
    assert_eq!((version("4.2.2").minor(), version("4").minor()), ("4.2".to_owned(), "4.0".to_owned()));
    assert_eq!(version("1.2-3").to_string(), "1.2-3");
    for bad in ["", "1.", ".1", "1..2", "a", "1.2a", "+1", "1 ", "99999999999999999999999"] {
        assert!(bad.parse::<RVersion>().is_err(), "{bad:?}");
    }
}

#[test]
fn names_of_packages() {
    assert!(["a", "R6", "data.table", "R"].into_iter().all(is_package_name));
    assert!(!["", "1a", ".a", "a.", "a-b", "a_b", "größe", "a/b"].into_iter().any(is_package_name));
}

#[test]
fn dependency_fields() {
    let list = deps::parse("\nR (>= 3.5.0), methods,, Rcpp (>=1.0.0) ,\n  foo.bar(<2),x ( != 1.0-2 )").unwrap();
    assert_eq!(deps::write(&list), "R (>= 3.5.0), methods, Rcpp (>= 1.0.0), foo.bar (< 2), x (!= 1.0-2)");
    assert_eq!(list[2].requirement, Some((Op::AtLeast, version("1.0.0"))));
    assert!(deps::parse(" ").unwrap().is_empty());
    for (bad, reason) in [
        ("a (>= 1", "closed"),
        ("a (1.0)", "operator"),
        ("a (>= x)", "version"),
        ("a b", "name"),
        ("(>= 1)", "name"),
        ("a (>= 1) (< 2)", "version"),
    ] {
        let error = deps::parse(bad).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn requirements_accept_versions() {
    for (entry, below, same, above) in [
        ("a (>= 1.2)", false, true, true),
        ("a (> 1.2)", false, false, true),
        ("a (<= 1.2)", true, true, false),
        ("a (< 1.2)", true, false, false),
        ("a (== 1.2)", false, true, false),
        ("a (!= 1.2)", true, false, true),
        ("a", true, true, true),
    ] {
        let dependency: Dependency = entry.parse().unwrap();
        let accepts = ["1.1.9", "1.2", "1.2.1"].map(|text| dependency.accepts(&version(text)));
        assert_eq!(accepts, [below, same, above], "{entry}");
    }
}

/// The one-row index, byte by byte.
const GOLDEN_MATRIX: &str = "580a00000002000402020002030000000210000000020004000900000001610004000900000003312e300000\
    04020000000100040009000000036469\
    6d0000000d0000000200000001000000020000040200000001000400090000000864696d6e616d65730000001300000002000000fe0000001000\
    00000200040009000000075061636b616765000400090000000756657273696f6e000000fe";

/// `Meta/package.rds` of package `a` 1.0 without dependencies.
const GOLDEN_PACKAGE: &str = "580a00000002000402020002030000000213000000020000021000000003000400090000000161000400090000000331\
    2e3000040009000000285220342e322e303b203b20323032362d30312d30312030303a30303a3030205554433b20756e\
    6978000004020000000100040009000000056e616d6573000000100000000300040009000000075061636b6167650004\
    00090000000756657273696f6e00040009000000054275696c74000000fe000002130000000400000313000000010000\
    000d0000000300000004000000020000000000000402000000010004000900000005636c617373000000100000000300\
    04000900000010525f73797374656d5f76657273696f6e000400090000000f7061636b6167655f76657273696f6e0004\
    00090000000f6e756d657269635f76657273696f6e000000fe0000001000000001000400090000000000000010000000\
    010004000900000017323032362d30312d30312030303a30303a30302055544300000010000000010004000900000004\
    756e6978000004020000000100040009000000056e616d65730000001000000004000400090000000152000400090000\
    0008506c6174666f726d00040009000000044461746500040009000000064f5374797065000000fe0000040200000001\
    00040009000000056e616d65730000001000000002000400090000000b4445534352495054494f4e0004000900000005\
    4275696c7400000402000000010004000900000005636c617373000000100000000100040009000000137061636b6167\
    654465736372697074696f6e32000000fe";

#[test]
fn the_index_matrix_is_golden() {
    let records = [[("Package", "a"), ("Version", "1.0")].into_iter().collect::<Record>()];
    assert_eq!(hex::encode(index::matrix(&records).to_bytes()), GOLDEN_MATRIX);
}

#[test]
fn package_metadata_is_golden() {
    let golden = rds::read(&hex::decode(GOLDEN_PACKAGE).unwrap()).unwrap();
    let description: Record =
        [("Package", "a"), ("Version", "1.0"), ("Built", built().field().as_str())].into_iter().collect();
    let built = built();
    let ours = package_rds(&description, &built).unwrap();
    assert_eq!(ours.element("DESCRIPTION"), golden.element("DESCRIPTION"));
    assert_eq!(ours.element("Built"), golden.element("Built"));
    assert_eq!(ours.attribute("class"), golden.attribute("class"));
}

#[test]
fn index_records_hold_the_fields_that_clients_need() {
    let text = "Version: 1.0\nPackage: a\nTitle: Not in the index\nImports: b,\n    c (>= 1.0)\nNeedsCompilation: no\n";
    let record = index::record(&dcf::parse_one(text).unwrap());
    let fields: Vec<_> = record.iter().collect();
    let expected = [("Package", "a"), ("Version", "1.0"), ("Imports", "b, c (>= 1.0)"), ("NeedsCompilation", "no")];
    assert_eq!(fields, expected);

    let records = [record, Record::from_iter([("Package", "b"), ("Path", "older")])];
    let gz = index::packages_gz(&records);
    let mut unpacked = String::new();
    flate2::read::GzDecoder::new(gz.as_slice()).read_to_string(&mut unpacked).unwrap();
    assert_eq!(unpacked, index::packages(&records));
    assert_eq!(dcf::parse(&unpacked).unwrap(), records);
    assert_eq!(gz, index::packages_gz(&records));

    let matrix = index::matrix(&records);
    let columns = matrix.attribute("dimnames").unwrap();
    let Data::List(names) = &columns.data else { panic!("{columns:?}") };
    assert_eq!(names[1], Value::strings(["Package", "Version", "Imports", "NeedsCompilation", "Path"]));
    assert_eq!(matrix.as_strings().unwrap()[2..4], [Some("1.0".into()), None]);
}

fn spec() -> SourceSpec {
    SourceSpec {
        description: description("tinyr", "0.1-2", "A Tiny Package"),
        files: Files::from([
            ("NAMESPACE".to_owned(), "export(answer)\n".into()),
            ("R/answer.R".to_owned(), "answer <- function() 42\n".into()),
        ]),
    }
}

#[test]
fn source_packages_are_read_back_and_restamped() {
    let mut spec = spec();
    assert_eq!(spec.file_name().unwrap(), "tinyr_0.1-2.tar.gz");
    let bytes = spec.tar_gz().unwrap();
    assert_eq!(sha256(&bytes), "8b2d87e6eccacf37914dca86eef63f9e088765d65ee9aa78421c3234585367a9");
    assert_eq!(read_description(bytes.as_slice(), &Limits::default()).unwrap(), spec.description);

    let stamp = |record: &mut Record| record.set("Repository", "RSPM");
    let stamped = rewrite_description(bytes.as_slice(), &Limits::default(), stamp).unwrap().unwrap();
    stamp(&mut spec.description);
    assert_eq!(read_description(stamped.as_slice(), &Limits::default()).unwrap(), spec.description);
    // A second stamp changes nothing.
    assert_eq!(rewrite_description(stamped.as_slice(), &Limits::default(), stamp).unwrap(), None);
}

#[test]
fn built_fields_round_trip() {
    assert_eq!(built().field().parse(), Ok(built()));
    for bad in ["", "R 4.2.0; ; now", "4.2.0; ; now; unix", "R x; ; now; unix", "R 4.2.0; ; now; beos"] {
        assert!(bad.parse::<Built>().is_err(), "{bad}");
    }
}

#[test]
fn bad_packages_are_refused() {
    let read = |files: &[(&str, &[u8])]| {
        let files = files.iter().map(|(path, bytes)| ((*path).to_owned(), bytes.to_vec().into())).collect();
        read_description(tar_gz(&files, Compression::Deflate).unwrap().as_slice(), &Limits::default())
    };
    assert!(matches!(read(&[("DESCRIPTION", b"Package: a\n")]), Err(Error::NoDescription)));
    assert!(matches!(read(&[("a/b/DESCRIPTION", b"Package: a\n")]), Err(Error::NoDescription)));
    let two: [(&str, &[u8]); 2] = [("a/DESCRIPTION", b"A: 1\n"), ("b/DESCRIPTION", b"A: 1\n")];
    assert!(matches!(read(&two), Err(Error::SeveralPackages)));
    assert!(matches!(read(&[("a/DESCRIPTION", b"oops\n")]), Err(Error::Dcf(_))));
    assert!(matches!(read(&[("a/DESCRIPTION", b"Title: \xe9\n")]), Err(Error::Encoding)));
    let latin1 = read(&[("a/DESCRIPTION", b"Title: \xe9\nEncoding: latin1\n")]).unwrap();
    assert_eq!(latin1.get("Title"), Some("é"));
    let large = [b"A: ".to_vec(), vec![b'x'; 1 << 20]].concat();
    assert!(matches!(read(&[("a/DESCRIPTION", &large)]), Err(Error::DescriptionTooLarge)));

    let complaint = |fields: &[(&str, &str)]| {
        let record: Record = fields.iter().copied().collect();
        identity(&record).unwrap_err().to_string()
    };
    assert_eq!(complaint(&[]), "DESCRIPTION has no field `Package`");
    assert_eq!(complaint(&[("Package", "a")]), "DESCRIPTION has no field `Version`");
    assert!(complaint(&[("Package", "../a"), ("Version", "1")]).contains("`../a` is not a package name"));
    assert!(complaint(&[("Package", "a"), ("Version", "1")]).contains("at least two numbers"));
    assert!(complaint(&[("Package", "a"), ("Version", "x")]).contains("`x` is not an R version"));
}

#[test]
fn binary_packages_hold_an_installed_tree() {
    let mut description = spec().description;
    description.set("Imports", "methods, nonsense (");
    let mut binary = BinarySpec {
        description,
        namespace: "export(answer)\n".to_owned(),
        code: "answer <- function() 42\n".to_owned(),
        files: Files::new(),
        built: built(),
    };
    assert!(matches!(binary.tar_gz(), Err(Error::BadDependency(_))));
    binary.description.set("Imports", "methods");
    let bytes = binary.tar_gz().unwrap();
    assert_eq!(sha256(&bytes), "afdaeff5309697d0a6453ff4936d674098d8a7d03efe3d56e22448ca0e623e0e");
    assert_eq!(sha256(&binary.zip().unwrap()), "0b9c0ed0d6ce1cfee9870f7bf8a8b6a066d2e60fc40418996ecc6c7e2ddbe02e");
    let record = read_description(bytes.as_slice(), &Limits::default()).unwrap();
    assert_eq!(record.get("Built"), Some("R 4.2.0; ; 2026-01-01 00:00:00 UTC; unix"));
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(binary.zip().unwrap())).unwrap();
    for path in ["tinyr/DESCRIPTION", "tinyr/Meta/package.rds", "tinyr/NAMESPACE", "tinyr/R/tinyr"] {
        assert!(archive.by_name(path).is_ok(), "{path}");
    }
}

#[test]
fn damaged_rds_is_refused() {
    let bytes = hex::decode(GOLDEN_PACKAGE).unwrap();
    for length in 0..bytes.len() {
        assert!(rds::read(&bytes[..length]).is_err(), "cut at {length}");
    }
    // A vector that claims more elements than there are bytes; lists without an end.
    let header = hex::decode("580a000000020004020200020300").unwrap();
    let claim = [header.as_slice(), &[0, 0, 0, 19, 0x7f, 0xff, 0xff, 0xff]].concat();
    assert_eq!(rds::read(&claim), Err(rds::Error::Truncated));
    let nested = [header.as_slice(), &[0, 0, 0, 19, 0, 0, 0, 1].repeat(10_000)].concat();
    assert_eq!(rds::read(&nested), Err(rds::Error::Corrupt("nested too deep")));
    assert_eq!(rds::read(&[header.as_slice(), &[0, 0, 0, 238]].concat()), Err(rds::Error::Unsupported(238)));
}

fn value() -> impl Strategy<Value = Value<'static>> {
    let text = "[ -~é中]{0,10}";
    let leaf = prop_oneof![
        Just(Data::Null),
        prop::collection::vec(any::<Option<bool>>(), 0..4).prop_map(Data::Logical),
        prop::collection::vec(prop::option::of(-1000..1000), 0..4).prop_map(Data::Integer),
        prop::collection::vec(-1e300..1e300, 0..4).prop_map(Data::Real),
        prop::collection::vec(prop::option::of(text.prop_map(Cow::Owned)), 0..4).prop_map(Data::Strings),
    ];
    leaf.prop_map(Value::from).prop_recursive(3, 16, 4, |inner| {
        let list = prop::collection::vec(inner.clone(), 0..4).prop_map(|list| Value::from(Data::List(list)));
        (list, prop::collection::vec(("[a-z]{1,8}", inner), 0..3)).prop_map(|(list, attributes)| {
            attributes.into_iter().fold(list, |list, (name, value)| list.with(name, value))
        })
    })
}

proptest! {
    #[test]
    fn rds_round_trips(value in value()) {
        prop_assert_eq!(rds::read(&value.to_bytes()).unwrap(), value);
    }

    #[test]
    fn arbitrary_rds_never_panics(
        bytes in prop::collection::vec(prop_oneof![Just(0u8), any::<u8>()], 0..200),
        value in value(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let header = hex::decode("580a000000020004020200020300").unwrap();
        let _ = rds::read(&[header, bytes].concat());
        let mut damaged = value.to_bytes();
        for (at, byte) in damage {
            let at = at.index(damaged.len());
            damaged[at] = byte;
        }
        let _ = rds::read(&damaged);
    }

    #[test]
    fn index_matrices_hold_every_field(records in super::dcf::records()) {
        let bytes = index::packages_rds(&records);
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(bytes.as_slice()).read_to_end(&mut unpacked).unwrap();
        let matrix = rds::read(&unpacked).unwrap();
        let Some(Value { data: Data::List(names), .. }) = matrix.attribute("dimnames") else { panic!("no dimnames") };
        let columns = names[1].as_strings().unwrap();
        let cells = matrix.as_strings().unwrap();
        prop_assert_eq!(cells.len(), columns.len() * records.len());
        for (column, name) in columns.iter().enumerate() {
            for (row, record) in records.iter().enumerate() {
                let cell = cells[column * records.len() + row].as_deref();
                prop_assert_eq!(cell, record.get(name.as_deref().unwrap()));
            }
        }
    }

    #[test]
    fn versions_round_trip_and_order(a in "[0-9]{1,4}([.-][0-9]{1,4}){0,4}", b in "[0-9]{1,4}([.-][0-9]{1,4}){0,4}") {
        let (first, second) = (version(&a), version(&b));
        prop_assert_eq!(first.to_string(), a);
        prop_assert_eq!(first.cmp(&second).reverse(), second.cmp(&first));
        prop_assert_eq!(first == second, first.parts() == second.parts());
    }

    #[test]
    fn dependency_lists_round_trip(
        list in prop::collection::vec(("[a-zA-Z]([a-zA-Z0-9.]{0,8}[a-zA-Z0-9])?", prop::option::of((0usize..6, "[0-9]{1,3}([.-][0-9]{1,3}){0,3}"))), 0..6)
    ) {
        let ops = [Op::AtLeast, Op::Above, Op::AtMost, Op::Below, Op::Equal, Op::NotEqual];
        let requirement = |(op, text): (usize, String)| (ops[op], version(&text));
        let list: Vec<Dependency> = list
            .into_iter()
            .map(|(name, required)| Dependency { name, requirement: required.map(requirement) })
            .collect();
        prop_assert_eq!(deps::parse(&deps::write(&list)).unwrap(), list);
    }

    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,40}", like in "[a-z(),.<>=! 0-9-]{0,40}") {
        let _ = (text.parse::<RVersion>(), deps::parse(&text), deps::parse(&like));
    }

    #[test]
    fn source_packages_round_trip(title in "[ -~é]{1,60}", code in "\\PC{0,200}") {
        let mut spec = spec();
        spec.description.set("Title", title.trim());
        spec.files.insert("R/more.R".to_owned(), code.into());
        let read = read_description(spec.tar_gz().unwrap().as_slice(), &Limits::default()).unwrap();
        prop_assert_eq!(read, spec.description);
    }

    #[test]
    fn arbitrary_packages_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let files = Files::from([("a/DESCRIPTION".to_owned(), bytes.into())]);
        let archive = tar_gz(&files, Compression::Stored).unwrap();
        let _ = read_description(archive.as_slice(), &Limits::default());
    }
}
