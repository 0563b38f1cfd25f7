use pkg_formats::dcf::{Error, Limits, Record, parse, parse_one, parse_within, write};
use proptest::prelude::*;

#[test]
fn reads_what_r_reads() {
    let text = "\u{feff}Package: a\nVersion:1.0\nTitle:  Two   words \t\nDepends:\n  R (>= 3.5),\n\tmethods\n\
                Description: First line\n  second line.\n  .\n  After an empty line.\nEmpty:\n \t\n\n\nPackage: b\r\n\
                Note: x\r\n y\r\n";
    let records = parse(text).unwrap();
    assert_eq!(records.len(), 2);
    let get = |name| records[0].get(name);
    assert_eq!(get("Version"), Some("1.0"));
    assert_eq!(get("Title"), Some("Two   words"));
    assert_eq!(get("Depends"), Some("R (>= 3.5),\nmethods"));
    assert_eq!(get("Description"), Some("First line\nsecond line.\n\nAfter an empty line."));
    assert_eq!((get("Empty"), get("package")), (Some(""), None));
    assert_eq!(records[1].get("Note"), Some("x\ny"));
}

#[test]
fn a_later_field_counts_and_records_are_edited_in_place() {
    let mut record = parse_one("A: 1\nB: 2\nA: 3\n  4\n").unwrap();
    assert_eq!(record.iter().collect::<Vec<_>>(), [("A", "3\n4"), ("B", "2")]);
    record.set("A", "5");
    record.set("C", "6");
    assert_eq!(record.remove("B").as_deref(), Some("2"));
    assert_eq!(write(&[record]), "A: 5\nC: 6\n");
}

#[test]
fn writes_rs_continuation_lines() {
    let record: Record =
        [("Package", "a"), ("Depends", "\nR,\nmethods"), ("Text", "x\n\ny\r\nz"), ("None", "")].into_iter().collect();
    assert_eq!(
        write(&[record.clone(), record]),
        "Package: a\nDepends:\n        R,\n        methods\nText: x\n        .\n        y\n        z\nNone:\n\n\
         Package: a\nDepends:\n        R,\n        methods\nText: x\n        .\n        y\n        z\nNone:\n"
    );
}

#[test]
fn errors_name_the_line() {
    let message = |text: &str| parse(text).unwrap_err().to_string();
    assert!(message("A: 1\n\nno colon here\n").starts_with("line 3: `no colon here`"));
    assert!(message("  continued: nothing\n").starts_with("line 1:"));
    assert!(message("A: 1\n\n  continued\n").starts_with("line 3:"));
    assert!(message(": no name\n").starts_with("line 1:"));
    assert_eq!(parse_one(""), Err(Error::NotOne { found: 0 }));
    assert_eq!(parse_one("A: 1\n\nA: 2\n"), Err(Error::NotOne { found: 2 }));
}

#[test]
fn limits_hold() {
    let text = "A: 1\nB: 2\n\nA: 3\n";
    let within = |bytes, records, fields| parse_within(text, &Limits { bytes, records, fields });
    assert_eq!(within(16, 2, 2).unwrap().len(), 2);
    assert!(matches!(within(15, 2, 2), Err(Error::TooMuch { limit: 15, .. })));
    assert!(matches!(within(16, 1, 2), Err(Error::TooMuch { line: 4, limit: 1, .. })));
    assert!(matches!(within(16, 2, 1), Err(Error::TooMuch { line: 2, limit: 1, .. })));
}

/// Records in the form that reading gives: lines trimmed, no empty ones at the ends, no lone `.`, which stands for an
/// empty line.
pub(crate) fn records() -> impl Strategy<Value = Vec<Record>> {
    let line = "[a-zA-Zé中(>=,:#)]([ -~é]{0,20}[a-z.,])?";
    let value = prop::collection::vec(prop_oneof![4 => line, 1 => Just(String::new())], 1..4)
        .prop_map(|lines| lines.join("\n").trim_matches('\n').to_owned());
    let record = prop::collection::vec(("[A-Z][A-Za-z_/]{0,12}", value), 1..6)
        .prop_map(|fields| fields.into_iter().collect::<Record>());
    prop::collection::vec(record, 0..5)
}

proptest! {
    #[test]
    fn round_trips(records in records()) {
        let text = write(&records);
        prop_assert_eq!(&parse(&text).unwrap(), &records);
        prop_assert_eq!(write(&parse(&text).unwrap()), text);
    }

    #[test]
    fn arbitrary_text_never_panics(text in any::<String>(), like in "([A-Za-z:. \t\r\n#-]|é){0,200}") {
        let _ = parse(&text);
        if let Ok(records) = parse(&like) {
            // What was read can be written and read again.
            prop_assert_eq!(parse(&write(&records)).unwrap(), records);
        }
    }
}
