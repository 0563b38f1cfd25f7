//! CRAN-like endpoints over HTTP.

use pkg_formats::archive::Limits;
use pkg_formats::dcf;
use pkg_formats::r::package::read_description;
use pkg_formats::r::rds;

use crate::Team;

const R_4_2: &str = "R (4.2.2 x86_64-pc-linux-gnu x86_64 linux-gnu)";

#[tokio::test]
async fn three_forms_of_one_index() {
    let team = Team::synced().await;
    let plain = team.get("/cran/latest/src/contrib/PACKAGES").await;
    assert_eq!(
        plain.text(),
        "Package: alpha\nVersion: 2.0\nImports: beta\nLicense: MIT\nNeedsCompilation: no\n\n\
         Package: beta\nVersion: 0.1\nLicense: MIT\nNeedsCompilation: no\n"
    );
    assert_eq!(plain.header("content-type"), "text/plain; charset=utf-8");
    let gz = team.get_with("/cran/latest/src/contrib/PACKAGES.gz", &[("accept-encoding", "gzip")]).await;
    assert_eq!((gz.header("content-type"), gz.header("content-encoding")), ("application/x-gzip", ""));
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(gz.body.as_slice()), &mut text).unwrap();
    assert_eq!(text, plain.text());
    let gzipped = team.get("/cran/latest/src/contrib/PACKAGES.rds").await;
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(gzipped.body.as_slice()), &mut bytes).unwrap();
    assert_eq!(rds::read(&bytes).unwrap(), pkg_formats::r::index::matrix(&dcf::parse(plain.text()).unwrap()));
    for name in ["PACKAGES", "PACKAGES.gz", "PACKAGES.rds"] {
        let head = team.head(&format!("/cran/latest/src/contrib/{name}")).await;
        let get = team.get(&format!("/cran/latest/src/contrib/{name}")).await;
        assert!(head.body.is_empty());
        for header in ["etag", "content-length", "content-type", "cache-control", "x-repository-type", "accept-ranges"]
        {
            assert_eq!(head.header(header), get.header(header), "{name} {header}");
            assert_ne!(head.header(header), "", "{name} {header}");
        }
        let etag = get.header("etag");
        assert!(etag.starts_with('"') && etag.ends_with('"'));
        let again = team.get_with(&format!("/cran/latest/src/contrib/{name}"), &[("if-none-match", etag)]).await;
        assert_eq!((again.status.as_u16(), again.header("etag"), again.body.len()), (304, etag, 0));
    }
    assert_eq!(plain.header("cache-control"), "public, max-age=60");
    let dated = team.get("/cran/2024-01-15/src/contrib/PACKAGES").await;
    assert_eq!(dated.header("cache-control"), "public, max-age=31536000, immutable");
    assert_eq!(dated.header("etag"), plain.header("etag"));
}

#[tokio::test]
async fn packages_are_source_or_binary_by_what_the_client_says() {
    let team = Team::synced().await;
    let arm = "R (4.2.1 aarch64-unknown-linux-gnu aarch64 linux-gnu)";
    for (path, agent, kind, tag) in [
        ("/cran/latest/src/contrib/alpha_2.0.tar.gz", R_4_2, "source", ""),
        ("/cran/__linux__/jammy/latest/src/contrib/alpha_2.0.tar.gz", "libcurl/7.88.1", "source", ""),
        ("/cran/__linux__/jammy/latest/src/contrib/alpha_2.0.tar.gz", R_4_2, "binary", "4.2-jammy"),
        ("/cran/__linux__/noble/latest/src/contrib/alpha_2.0.tar.gz", arm, "binary", "4.2-noble-arm64"),
        ("/cran/__linux__/noble/latest/src/contrib/alpha_2.0.tar.gz", "R (4.4.1 a x86_64 b)", "source", ""),
        ("/cran/__linux__/jammy/latest/src/contrib/Archive/alpha/alpha_1.0.tar.gz", R_4_2, "binary", "4.2-jammy"),
        (
            "/cran/__linux__/jammy/latest/src/contrib/alpha_2.0.tar.gz?r_version=4.2&arch=x86_64",
            "rv",
            "binary",
            "4.2-jammy",
        ),
        ("/cran/__linux__/jammy/latest/src/contrib/alpha_2.0.tar.gz?r_version=4.4&arch=x86_64", R_4_2, "source", ""),
        ("/cran/__linux__/jammy/2024-01-05/src/contrib/alpha_1.0.tar.gz", R_4_2, "binary", "4.2-jammy"),
        ("/cran/latest/bin/linux/noble-x86_64/4.2/src/contrib/alpha_2.0.tar.gz", "curl", "binary", "4.2-noble"),
        ("/cran/latest/bin/linux/noble-aarch64/4.2/src/contrib/alpha_2.0.tar.gz", "curl", "binary", "4.2-noble-arm64"),
        ("/cran/latest/bin/linux/noble-x86_64/4.5/src/contrib/alpha_2.0.tar.gz", "curl", "source", ""),
        ("/cran/latest/bin/linux/4.2-noble/contrib/4.2/alpha_2.0.tar.gz", "curl", "binary", "4.2-noble"),
    ] {
        let answer = team.get_with(path, &[("user-agent", agent)]).await;
        assert_eq!(answer.status, 200, "{path}: {:?}", answer.body);
        let said = (answer.header("x-package-type"), answer.header("x-package-binary-tag"));
        assert_eq!(said, (kind, tag), "{path} {agent}");
        assert_eq!(answer.header("content-type"), "application/x-gzip");
        assert_eq!(answer.header("x-repository-type"), "RSPM");
        assert_eq!(
            answer.header("vary"),
            if path.contains("__linux__") && !path.contains('?') { "User-Agent" } else { "" }
        );
        let description = read_description(answer.body.as_slice(), &Limits::default()).unwrap();
        assert_eq!(description.get("Repository"), Some("RSPM"));
        assert_eq!(description.get("Built").is_some(), kind == "binary", "{path}");
        let digest = pkg_formats::psp::Digest::of(&answer.body).to_string();
        assert_eq!(answer.header("etag"), format!("\"{digest}\""));
    }
    let head = team.head("/cran/latest/src/contrib/alpha_2.0.tar.gz").await;
    let get = team.get("/cran/latest/src/contrib/alpha_2.0.tar.gz").await;
    assert_eq!(head.headers.get("content-length"), get.headers.get("content-length"));
    assert_eq!(head.header("x-package-type"), "source");
}

#[tokio::test]
async fn what_there_is_not() {
    let team = Team::synced().await;
    for path in [
        "/cran/latest/src/contrib/alpha_1.0.tar.gz",
        "/cran/latest/src/contrib/alpha_9.tar.gz",
        "/cran/latest/src/contrib/gamma_1.0.tar.gz",
        "/cran/latest/src/contrib/alpha.tar.gz",
        "/cran/latest/src/contrib/Archive/alpha/beta_0.1.tar.gz",
        "/cran/latest/src/contrib/Archive/alpha/",
        "/cran/latest/src/contrib/Meta/other.rds",
        "/cran/2024-01-05/src/contrib/Archive/alpha/alpha_2.0.tar.gz",
        "/cran/__linux__/plan9/latest/src/contrib/PACKAGES",
        "/cran/latest/bin/linux/noble-riscv64/4.4/src/contrib/PACKAGES",
        "/cran/latest/bin/linux/noble/4.4/src/contrib/PACKAGES",
        "/cran/latest/bin/linux/noble-x86_64/x/src/contrib/PACKAGES",
        "/cran/latest/bin/linux/4.2-noble/contrib/4.4/PACKAGES",
        "/pypi/latest/src/contrib/PACKAGES",
        "/cran/latest/src/contrib/../../../etc/passwd",
        "/cran/latest/src/contrib/%2e%2e%2fPACKAGES",
        "/cran/latest/",
        "/cran/",
        "/x/__api__/status",
    ] {
        let answer = team.get(path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8", "{path}");
    }
}

#[tokio::test]
async fn archived_versions_and_the_day_after() {
    let team = Team::synced().await;
    for path in ["Archive/alpha/alpha_1.0.tar.gz", "archive/alpha/alpha_1.0.tar.gz", "Archive/alpha/alpha_2.0.tar.gz"] {
        assert_eq!(team.get(&format!("/cran/latest/src/contrib/{path}")).await.status, 200, "{path}");
    }
    // A client holds yesterday's index.
    team.service.r("alpha", "3.0", 16, "");
    team.service.publish(17);
    team.sync().await;
    assert_eq!(team.get("/cran/latest/src/contrib/alpha_3.0.tar.gz").await.status, 200);
    assert_eq!(team.get("/cran/latest/src/contrib/alpha_2.0.tar.gz").await.status, 200);
    assert_eq!(team.get("/cran/2024-01-17/src/contrib/alpha_2.0.tar.gz").await.status, 404);
    team.service.publish(19);
    team.sync().await;
    assert_eq!(team.get("/cran/latest/src/contrib/alpha_2.0.tar.gz").await.status, 404);
}

#[tokio::test]
async fn the_index_for_pak_has_only_what_has_a_binary() {
    let team = Team::synced().await;
    let with = team.text("/cran/latest/bin/linux/4.2-jammy/contrib/4.2/PACKAGES").await;
    assert_eq!(dcf::parse(&with).unwrap().len(), 2);
    assert_eq!(team.text("/cran/latest/bin/linux/4.4-jammy/contrib/4.4/PACKAGES").await, "");
}

#[tokio::test]
async fn double_slashes_count_as_one() {
    let team = Team::synced().await;
    let plain = team.text("/cran/latest/src/contrib/PACKAGES").await;
    assert_eq!(team.text("//cran//latest/src//contrib///PACKAGES").await, plain);
    assert_eq!(team.text("/cran/__linux__/jammy/latest//src/contrib/PACKAGES").await, plain);
}
