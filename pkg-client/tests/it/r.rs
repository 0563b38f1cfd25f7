//! R packages: current and archived versions, order of installation, what cannot be had.

use pkg_client::r::{RVersion, Repository, Resolved, Wanted, resolve, user_agent};
use pkg_client::{Digest, Download, Error, Limits, download};
use pkg_formats::dcf::Record;
use pkg_formats::r::{deps, index};

use crate::served::{Reply, Served};

fn record(fields: &[(&str, &str)]) -> Record {
    fields.iter().copied().collect()
}

fn cran() -> Vec<Record> {
    vec![
        record(&[
            ("Package", "shiny"),
            ("Version", "1.8.0"),
            ("Depends", "R (>= 3.0.2), methods"),
            ("Imports", "utils, httpuv (>= 1.5.2), mime (>= 0.3), rlang (>= 0.4.10)"),
        ]),
        record(&[
            ("Package", "httpuv"),
            ("Version", "1.6.13"),
            ("Imports", "Rcpp (>= 1.0.7)"),
            ("LinkingTo", "Rcpp, later"),
        ]),
        record(&[("Package", "later"), ("Version", "1.3.2"), ("Imports", "Rcpp, rlang"), ("MD5sum", "0123")]),
        record(&[("Package", "mime"), ("Version", "0.12"), ("Imports", "tools")]),
        record(&[("Package", "rlang"), ("Version", "1.1.3"), ("Suggests", "nowhere")]),
        record(&[("Package", "Rcpp"), ("Version", "1.0.12")]),
        record(&[("Package", "modern"), ("Version", "2.0"), ("Depends", "R (>= 4.4)")]),
        record(&[("Package", "modern"), ("Version", "1.0"), ("Depends", "R (>= 3.5)"), ("Path", "4.2")]),
        record(&[("Package", "newest"), ("Version", "1.0"), ("Depends", "R (>= 99.0)")]),
        record(&[("Package", "winonly"), ("Version", "1.0"), ("OS_type", "windows")]),
        record(&[("Package", "broken"), ("Version", "1.0"), ("Imports", "gone")]),
        record(&[("Package", "loop.a"), ("Version", "1.0"), ("Imports", "loop.b")]),
        record(&[("Package", "loop.b"), ("Version", "1.0"), ("Imports", "loop.a")]),
    ]
}

async fn serve(records: &[Record]) -> Served {
    let served = Served::start().await;
    served.put("/cran/src/contrib/PACKAGES.gz", Reply::ok("application/gzip", index::packages_gz(records)));
    served
}

async fn open(served: &Served) -> Repository {
    Repository::open(&served.client(), &format!("{}/cran", served.url)).await.unwrap()
}

fn want(name: &str) -> Wanted {
    Wanted { name: name.to_owned(), ..Wanted::default() }
}

fn pin(name: &str, version: &str) -> Wanted {
    Wanted { version: Some(version.parse().unwrap()), ..want(name) }
}

fn with_r(r: &str, repository: Repository, wanted: &[Wanted]) -> Result<Vec<Resolved>, Error> {
    resolve(&[repository], &r.parse::<RVersion>().unwrap(), wanted)
}

fn lines(resolved: &[Resolved]) -> Vec<String> {
    resolved.iter().map(|package| format!("{} ({})", package.name, package.version)).collect()
}

#[tokio::test]
async fn what_a_package_needs_is_installed_before_it() {
    let served = serve(&cran()).await;
    let resolved = with_r("4.2.2", open(&served).await, &[want("shiny"), want("mime")]).unwrap();
    let expected =
        ["Rcpp (1.0.12)", "rlang (1.1.3)", "later (1.3.2)", "httpuv (1.6.13)", "mime (0.12)", "shiny (1.8.0)"];
    assert_eq!(lines(&resolved), expected);
    assert_eq!(resolved[5].needs, ["httpuv", "mime", "rlang"]);
    assert_eq!(resolved[5].url.as_str(), format!("{}/cran/src/contrib/shiny_1.8.0.tar.gz", served.url));
    assert_eq!(resolved[2].digest, Some(Digest::Md5("0123".into())));
    assert_eq!(served.asked(), ["/cran/src/contrib/PACKAGES.gz"]);
}

#[tokio::test]
async fn pinned_versions_come_from_the_archive_unless_current() {
    let served = serve(&cran()).await;
    let wanted = [pin("shiny", "1.7.5"), pin("httpuv", "1.6.13")];
    let resolved = with_r("4.2.2", open(&served).await, &wanted).unwrap();
    let url = |name: &str| resolved.iter().find(|r| r.name == name).unwrap();
    let archived = format!("{}/cran/src/contrib/Archive/shiny/shiny_1.7.5.tar.gz", served.url);
    assert_eq!((url("shiny").url.as_str(), url("shiny").archived), (archived.as_str(), true));
    assert!(!url("httpuv").archived);
    assert_eq!(resolved.len(), 6, "the needs of the current version stand in for unknown ones");

    let known = Wanted { needs: deps::parse("R (>= 3.0), mime").unwrap(), ..pin("shiny", "1.7.5") };
    assert_eq!(lines(&with_r("4.2.2", open(&served).await, &[known]).unwrap()), ["mime (0.12)", "shiny (1.7.5)"]);

    let files: Vec<_> = resolved.iter().map(Download::from).collect();
    let shiny = files.iter().filter(|file| file.package == "shiny").cloned().collect::<Vec<_>>();
    let error = download(&served.client(), &shiny, |_| {}).await.unwrap_err();
    let expected = format!("shiny 1.7.5 cannot be downloaded: {archived} was not found (404)");
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn what_cannot_be_had_is_named() {
    let served = serve(&cran()).await;
    for (wanted, expected) in [
        (want("nope"), format!("Error: package 'nope' is not available in {}/cran", served.url)),
        (want("broken"), format!("Error: package 'gone' is not available in {}/cran (needed by 'broken')", served.url)),
        (want("winonly"), format!("Error: package 'winonly' is not available in {}/cran", served.url)),
        (want("newest"), "Error: this is R 4.2.2, package 'newest' 1.0 requires R >= 99.0".to_owned()),
        (pin("modern", "2.0"), "Error: this is R 4.2.2, package 'modern' 2.0 requires R >= 4.4".to_owned()),
    ] {
        let error = with_r("4.2.2", open(&served).await, &[wanted]).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    let error = with_r("4.2.2", open(&served).await, &[want("shiny"), pin("httpuv", "1.5.0")]).unwrap_err();
    assert_eq!(error.to_string(), "Error: package 'httpuv' 1.5.0 is to be installed, but 'shiny' requires >= 1.5.2");
}

#[tokio::test]
async fn the_newest_version_that_suits_this_r() {
    let served = serve(&cran()).await;
    let old = with_r("4.2.2", open(&served).await, &[want("modern")]).unwrap();
    assert_eq!(lines(&old), ["modern (1.0)"]);
    assert!(old[0].url.path().ends_with("/src/contrib/4.2/modern_1.0.tar.gz"));
    assert_eq!(lines(&with_r("4.4.1", open(&served).await, &[want("modern")]).unwrap()), ["modern (2.0)"]);
    let both = with_r("4.4.1", open(&served).await, &[want("loop.a")]).unwrap();
    assert_eq!(lines(&both), ["loop.b (1.0)", "loop.a (1.0)"], "a cycle has an end");
}

#[tokio::test]
async fn of_several_repositories_the_highest_version() {
    let served = serve(&[record(&[("Package", "a"), ("Version", "1.0")])]).await;
    let records = [record(&[("Package", "a"), ("Version", "1.1")]), record(&[("Package", "b"), ("Version", "1.0")])];
    served.put("/local/src/contrib/PACKAGES.gz", Reply::ok("application/gzip", index::packages_gz(&records)));
    let local = Repository::open(&served.client(), &format!("{}/local/", served.url)).await.unwrap();
    let repositories = [open(&served).await, local];
    let resolved = resolve(&repositories, &"4.2.2".parse().unwrap(), &[want("a"), want("b")]).unwrap();
    assert!(resolved.iter().all(|package| package.url.path().starts_with("/local/")), "{resolved:?}");
}

#[tokio::test]
async fn falls_back_to_the_plain_index_and_refuses_a_bad_one() {
    let served = Served::start().await;
    let path = format!("{}/cran", served.url);
    let error = Repository::open(&served.client(), &path).await.unwrap_err();
    assert!(matches!(&error, Error::NotFound { url, .. } if url.path() == "/cran/src/contrib/PACKAGES"), "{error}");
    served.put("/cran/src/contrib/PACKAGES", Reply::ok("text/plain", index::packages(&cran())));
    assert_eq!(open(&served).await.len(), 11);
    let bomb = pkg_formats::archive::gzip(&vec![b' '; 1 << 20], pkg_formats::archive::Compression::Deflate);
    for body in [b"not gzip".to_vec(), bomb, index::packages_gz(&[record(&[("Package", "../x"), ("Version", "1")])])] {
        served.put("/cran/src/contrib/PACKAGES.gz", Reply::ok("application/gzip", body));
        let client = served.client_within("R", Limits { page: 10_000, ..Limits::default() });
        let error = Repository::open(&client, &path).await.unwrap_err();
        assert!(matches!(error, Error::Unreadable { .. } | Error::TooLarge { .. }), "{error}");
    }
    let outside = record(&[("Package", "a"), ("Version", "1"), ("File", "http://127.0.0.1:9/a.tar.gz")]);
    served.put("/cran/src/contrib/PACKAGES.gz", Reply::ok("application/gzip", index::packages_gz(&[])));
    served.put("/cran/src/contrib/PACKAGES.gz", Reply::ok("application/gzip", gz(&outside)));
    let error = with_r("4.2.2", open(&served).await, &[want("a")]).unwrap_err();
    assert!(matches!(error, Error::Unreadable { .. }), "{error}");
}

fn gz(record: &Record) -> Vec<u8> {
    let text = pkg_formats::dcf::write(std::slice::from_ref(record));
    pkg_formats::archive::gzip(text.as_bytes(), pkg_formats::archive::Compression::Deflate)
}

#[tokio::test]
async fn the_user_agent_and_md5_are_those_of_the_caller_and_the_index() {
    let mut records = cran();
    records[5].set("MD5sum", "900150983cd24fb0d6963f7d28e17f72");
    let served = serve(&records).await;
    served.put("/cran/src/contrib/Rcpp_1.0.12.tar.gz", Reply::ok("application/gzip", "abc"));
    let agent = user_agent(&"4.4.2".parse().unwrap(), "x86_64");
    assert_eq!(agent, "R (4.4.2 x86_64-pc-linux-gnu x86_64 linux-gnu)");
    let client = served.client_within(&agent, Limits::default());
    let repository = Repository::open(&client, &format!("{}/cran", served.url)).await.unwrap();
    let files: Vec<_> = with_r("4.4.2", repository, &[want("Rcpp")]).unwrap().iter().map(Download::from).collect();
    download(&client, &files, |_| {}).await.unwrap();
    assert!(served.shelf.lock().unwrap().asked.iter().all(|(_, sent)| *sent == agent));
    served.change("/cran/src/contrib/Rcpp_1.0.12.tar.gz", |reply| reply.body = b"abd".to_vec());
    let error = download(&client, &files, |_| {}).await.unwrap_err();
    assert!(matches!(error, Error::HashMismatch { algorithm: "md5", .. }), "{error}");
}
