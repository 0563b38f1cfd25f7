use std::collections::BTreeMap;

use pkg_formats::python::simple::{CoreMetadata, Error, File, ProjectPage, RootPage};
use proptest::prelude::*;

use super::python::word;

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

/// Each of these takes minutes when a page is searched to its end again and again.
#[test]
fn pages_made_to_be_slow_are_read_in_time() {
    for unit in ["<a href=x>", "<a href='&", "&", "<", "<!--", "<a ", "<a x=\"", "<meta "] {
        let page = unit.repeat((1 << 20) / unit.len());
        let page = format!("<a href=\"{page}\">{page}");
        ProjectPage::from_html("a", page.as_bytes()).unwrap();
        ProjectPage::from_html("a", unit.repeat((1 << 20) / unit.len()).as_bytes()).unwrap();
    }
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

proptest! {
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
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "(<a |href=|data-|[<>=\"'&#;/! ]|meta|é|[a-z]){0,60}") {
        for bytes in [&bytes, text.as_bytes()] {
            let _ = ProjectPage::from_html("a", bytes);
            let _ = ProjectPage::from_json(bytes);
            let _ = RootPage::from_html(bytes);
            let _ = RootPage::from_json(bytes);
        }
    }
}

#[test]
fn a_serial_number_may_be_a_string_of_digits() {
    for (written, read) in [("7", Some(7)), ("\"7\"", Some(7)), ("\"x\"", None), ("null", None)] {
        let page =
            format!(r#"{{"meta": {{"api-version": "1.4", "_last-serial": {written}}}, "name": "a", "files": []}}"#);
        assert_eq!(ProjectPage::from_json(page.as_bytes()).unwrap().last_serial, read, "{written}");
    }
}
