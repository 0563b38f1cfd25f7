use pkg_formats::python::requirements::{self, Kind, Unsupported};
use proptest::prelude::*;

use super::python::word;

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
        ("name[extra.", "`extra.` is not the name of an extra"),
        ("--nonsense x", "option is not known"),
        ("--index-urlx", "option is not known"),
        ("flask --hash=md5:00", "not a hash"),
        ("flask --hash=sha256:00", "not a hash"),
        ("flask --hash", "not a hash"),
        ("flask --global-option=x", "only `--hash`"),
        ("a ; python_version > ", "line 2"),
        ("a ; extra == 'x' ané os_name == 'nt'", "'é' is not allowed outside of quotes"),
        ("a @ https://host/it's ; extra == 'x' ané os_name == 'nt'", "a quote before the marker"),
    ] {
        let error = requirements::parse(format!("# first\n{bad}\n").as_bytes()).unwrap_err().to_string();
        assert!(error.contains(reason) && error.starts_with("line 2: "), "{error}");
    }
    let deep = format!("a ; {}python_version > '3'{}", "(".repeat(1000), ")".repeat(1000));
    assert!(requirements::parse(deep.as_bytes()).unwrap_err().to_string().contains("parentheses"));
    let pairs = |left: &str, right: &str, count| {
        let pair = |n| format!("({left} == 'a{n}' and {right} == 'b{n}')");
        format!("a ; {}", (0..count).map(pair).collect::<Vec<_>>().join(" or "))
    };
    for flood in [pairs("extra", "extra", 7), pairs("os_name", "sys_platform", 25)] {
        let error = requirements::parse(flood.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("too many comparisons"), "{error}");
    }
    for most in [pairs("extra", "extra", 6), pairs("os_name", "sys_platform", 24)] {
        assert_eq!(requirements::parse(most.as_bytes()).unwrap().len(), 1);
    }
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

proptest! {
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
        text in "([a-z0-9]{1,3}|[\\[\\]();@#=<>~! ,.'\"\\\\-]|python_version|extra|://|--hash|-r|\n|é| and | or |extra == 'x'){0,30}",
    ) {
        let _ = (requirements::parse(&bytes), requirements::parse(text.as_bytes()));
        let _ = requirements::parse_requirement(&text);
    }
}
