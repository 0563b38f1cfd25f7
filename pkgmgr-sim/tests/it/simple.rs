//! The simple index over HTTP.

use pkg_formats::psp::Digest;
use pkg_formats::python::simple::{JSON_TYPE, ProjectPage, RootPage};
use pkgmgr_sim::Config;

use crate::service::Service;
use crate::{Team, config, host};

const JSON: (&str, &str) = ("accept", JSON_TYPE);

#[tokio::test]
async fn projects_in_both_forms() {
    let team = Team::synced().await;
    let html = team.get("/pypi/latest/simple/").await;
    assert_eq!(html.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(html.header("vary"), "Accept, Accept-Encoding");
    assert_eq!(RootPage::from_html(&html.body).unwrap().projects, ["alpha-py", "beta"]);
    let json = team.get_with("/pypi/latest/simple/", &[JSON]).await;
    assert_eq!(json.header("content-type"), JSON_TYPE);
    assert_eq!(RootPage::from_json(&json.body).unwrap().projects, ["alpha-py", "beta"]);
    let old = team.get("/pypi/2024-01-03/simple/").await;
    assert_eq!(RootPage::from_html(&old.body).unwrap().projects, ["alpha-py"]);
    assert!(RootPage::from_html(&team.get("/pypi/2024-01-01/simple/").await.body).unwrap().projects.is_empty());
}

#[tokio::test]
async fn files_in_both_forms() {
    let team = Team::synced().await;
    let json = team.get_with("/pypi/latest/simple/alpha-py/", &[JSON]).await;
    let page = ProjectPage::from_json(&json.body).unwrap();
    assert_eq!((page.name.as_str(), page.versions.len()), ("alpha-py", 3));
    let yanked: Vec<Option<&str>> = page.files.iter().map(|f| f.yanked.as_deref()).collect();
    assert_eq!(yanked, [None, None, Some("broken <badly>")]);
    assert_eq!(page.files[0].upload_time.as_deref(), Some("2024-01-02T12:00:00.000000Z"));
    assert_eq!(page.files[0].requires_python.as_deref(), Some(">=3.8"));
    for written in [JSON_TYPE.to_owned(), JSON_TYPE.replace('+', "%2B")] {
        let asked = team.get(&format!("/pypi/latest/simple/alpha-py/?format={written}")).await;
        assert_eq!((asked.header("content-type"), &asked.body), (JSON_TYPE, &json.body), "{written}");
    }
    // pip 22.3 cannot stand an object under this key.
    assert!(!json.text().contains("\"dist-info-metadata\""));
    let html = team.get("/pypi/latest/simple/alpha-py/").await;
    let from_html = ProjectPage::from_html("alpha-py", &html.body).unwrap();
    for (a, b) in page.files.iter().zip(&from_html.files) {
        assert_eq!((&a.filename, &a.url, &a.hashes, &a.yanked), (&b.filename, &b.url, &b.hashes, &b.yanked));
        assert_eq!((&a.requires_python, &a.core_metadata), (&b.requires_python, &b.core_metadata));
    }
    // Before it was yanked.
    let before = team.get_with("/pypi/2024-01-13/simple/alpha-py/", &[JSON]).await;
    assert!(ProjectPage::from_json(&before.body).unwrap().files.iter().all(|f| f.yanked.is_none()));

    let base: url::Url = team.url("/pypi/latest/simple/alpha-py/").parse().unwrap();
    for file in &page.files {
        let url = base.join(&file.url).unwrap();
        let served = team.get(url.path()).await;
        assert_eq!(served.status, 200, "{url}");
        assert_eq!(Digest::of(&served.body).to_string(), file.hashes["sha256"]);
        assert_eq!(served.body.len() as u64, file.size.unwrap());
        assert_eq!(served.header("cache-control"), "public, max-age=31536000, immutable");
        let metadata = team.get(&format!("{}.metadata", url.path())).await;
        assert_eq!(metadata.body, pkg_formats::python::wheel::read_metadata(&served.body).unwrap());
    }
    let url = base.join(&page.files[1].url).unwrap();
    assert_eq!(team.get(&url.path().replace("/latest/", "/2024-01-05/")).await.status, 404, "not uploaded yet then");
    assert_eq!(team.get(&url.path().replace("alpha_py-2.0", "alpha_py-1.0")).await.status, 404, "another file's id");
}

#[tokio::test]
async fn ranges_of_files_as_lazy_clients_ask_for_them() {
    let team = Team::synced().await;
    let page = ProjectPage::from_html("alpha-py", &team.get("/pypi/latest/simple/alpha-py/").await.body).unwrap();
    let base: url::Url = team.url("/pypi/latest/simple/alpha-py/").parse().unwrap();
    let path = base.join(&page.files[0].url).unwrap().path().to_owned();
    let whole = team.get(&path).await.body;
    let size = whole.len();
    for fresh in [false, true] {
        // Whether it is here already makes no difference.
        let team = if fresh { &Team::synced().await } else { &team };
        let head = team.head(&path).await;
        assert_eq!((head.header("accept-ranges"), head.header("content-length")), ("bytes", size.to_string().as_str()));
        let part = team.get_with(&path, &[("range", "bytes=0-98")]).await;
        assert_eq!((part.status.as_u16(), part.body.as_slice()), (206, &whole[..99]));
        assert_eq!(part.header("content-range"), format!("bytes 0-98/{size}"));
        let end = team.get_with(&path, &[("range", "bytes=-100")]).await;
        assert_eq!((end.status.as_u16(), end.body.as_slice()), (206, &whole[size - 100..]));
        let beyond = team.get_with(&path, &[("range", "bytes=99999999-")]).await;
        assert_eq!((beyond.status.as_u16(), beyond.header("content-range")), (416, format!("bytes */{size}").as_str()));
        let etag = head.header("etag").to_owned();
        assert_eq!(team.get_with(&path, &[("if-none-match", &etag)]).await.status, 304);
    }
}

#[tokio::test]
async fn names_and_slashes() {
    let team = Team::synced().await;
    let moved = team.get("/pypi/latest/simple/alpha-py?x=1").await;
    assert_eq!(
        (moved.status.as_u16(), moved.header("location")),
        (301, team.url("/pypi/latest/simple/alpha-py/?x=1").as_str())
    );
    let renamed = team.get("/pypi/latest/simple/Alpha_Py/").await;
    assert_eq!(
        (renamed.status.as_u16(), renamed.header("location")),
        (308, team.url("/pypi/latest/simple/alpha-py/").as_str())
    );
    let proxied = team
        .get_with("/pypi/latest/simple", &[("x-forwarded-host", "p.example"), ("x-forwarded-prefix", "/rspm")])
        .await;
    assert_eq!(proxied.header("location"), "http://p.example/rspm/pypi/latest/simple/");
    for path in ["/pypi/latest/simple/nothing/", "/pypi/2024-01-01/simple/alpha-py/", "/cran/latest/simple/alpha-py/"] {
        let answer = team.get(path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("content-type")),
            (404, "text/plain; charset=utf-8"),
            "{path}"
        );
    }
    let odd = team.get("/pypi/latest/simple/%3Cscript%3E/").await;
    assert_eq!(odd.status, 404);
}

#[tokio::test]
async fn pages_are_compressed_for_those_who_ask() {
    let team = Team::synced().await;
    let path = "/pypi/latest/simple/alpha-py/";
    let plain = team.get(path).await;
    let zipped = team.get_with(path, &[("accept-encoding", "gzip, deflate")]).await;
    assert_eq!(zipped.header("content-encoding"), "gzip");
    assert_ne!(zipped.header("etag"), plain.header("etag"));
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(zipped.body.as_slice()), &mut text).unwrap();
    assert_eq!(text, plain.text());
    let again = team.get_with(path, &[("accept-encoding", "gzip"), ("if-none-match", zipped.header("etag"))]).await;
    assert_eq!((again.status.as_u16(), again.header("content-encoding")), (304, ""));
}

#[tokio::test]
async fn newer_features_can_be_turned_off() {
    let service = Service::with_packages().await;
    let config = Config { simple_json: false, simple_metadata: false, ..config(&service) };
    let team = Team::with(service, config, host()).await;
    team.sync().await;
    let page = team.get_with("/pypi/latest/simple/alpha-py/", &[JSON]).await;
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert!(!page.text().contains("metadata"), "{}", page.text());
    let file = &ProjectPage::from_html("alpha-py", &page.body).unwrap().files[0];
    let base: url::Url = team.url("/pypi/latest/simple/alpha-py/").parse().unwrap();
    let path = base.join(&file.url).unwrap().path().to_owned();
    assert_eq!(team.get(&path).await.status, 200);
    assert_eq!(team.get(&format!("{path}.metadata")).await.status, 404);
}
