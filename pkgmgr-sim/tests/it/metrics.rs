//! Numbers for Prometheus and counts of downloads, against what was really asked for.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use crate::service::Service;
use crate::{Team, config, host};

const R_4_2: &str = "R (4.2.2 x86_64-pc-linux-gnu x86_64 linux-gnu)";

/// A team with a port for metrics.
struct Watched {
    team: Team,
    address: SocketAddr,
}

type Samples = HashMap<String, f64>;

impl Watched {
    async fn of(mut team: Team) -> Self {
        let address = team.running.also_answer("/metrics", [127, 0, 0, 1].into(), 0).await.unwrap();
        Self { team, address }
    }

    async fn ask(&self, path: &str) -> (StatusCode, String) {
        let url = format!("http://{}{path}", self.address);
        let answer = sim_kit::http_client::client(|builder| builder).get(url).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }

    async fn samples(&self) -> Samples {
        let (status, text) = self.ask("/metrics").await;
        assert_eq!(status, 200, "{text}");
        read(&text)
    }
}

/// The samples of a text, each of which must belong to a family that says what it is.
fn read(text: &str) -> Samples {
    let mut kinds = HashMap::new();
    let mut samples = Samples::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(kinds.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} is told twice");
        } else if !line.starts_with('#') {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let name = series.split('{').next().unwrap();
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
            let kind = kinds.get(name).or_else(|| kinds.get(base?)).unwrap_or_else(|| panic!("no TYPE before {line}"));
            assert!(!name.ends_with("_total") || kind == "counter", "{line}");
            let value = if value == "+Inf" { f64::INFINITY } else { value.parse().unwrap() };
            assert!(samples.insert(series.to_owned(), value).is_none(), "{series} comes twice");
        }
    }
    samples
}

/// How much more of a series there is in `after`.
fn more(before: &Samples, after: &Samples, series: &str) -> f64 {
    after.get(series).copied().unwrap_or_default() - before.get(series).copied().unwrap_or_default()
}

#[tokio::test]
async fn what_was_asked_for_is_counted() {
    let watched = Watched::of(Team::synced().await).await;
    let team = &watched.team;
    let before = watched.samples().await;
    for series in [
        "ppm_pkg_downloads_total",
        "ppm_binary_routing_binary",
        "ppm_binary_routing_fallback",
        "ppm_git_builds_failed_total",
        "ppm_repo_source_sync_duration_seconds_count{type=\"bioconductor\"}",
    ] {
        assert_eq!(before.get(series), Some(&0.0), "{series} is there from the start");
    }
    for kind in ["cran", "pypi"] {
        assert_eq!(before[&format!("ppm_repo_source_sync_duration_seconds_count{{type=\"{kind}\"}}")], 1.0);
    }
    assert_eq!(before["ppm_license_days_left"], f64::INFINITY);

    let file = "src/contrib/alpha_2.0.tar.gz";
    let mut bytes = 0;
    for (path, agent) in [
        ("/cran/latest/src/contrib/PACKAGES".to_owned(), "curl"),
        ("/cran/latest/src/contrib/PACKAGES".to_owned(), "curl"),
        (format!("/cran/latest/{file}"), R_4_2),
        (format!("/cran/__linux__/jammy/latest/{file}"), R_4_2),
        (format!("/cran/__linux__/jammy/latest/{file}"), "libcurl/7.88.1"),
        (format!("/cran/latest/bin/linux/noble-x86_64/4.2/{file}"), "curl"),
    ] {
        let answer = team.get_with(&path, &[("user-agent", agent)]).await;
        assert_eq!(answer.status, 200, "{path}");
        bytes += answer.body.len();
    }
    team.head(&format!("/cran/__linux__/jammy/latest/{file}")).await;
    team.get_with(&format!("/cran/__linux__/jammy/latest/{file}"), &[("range", "bytes=0-1")]).await;
    let missing = [team.get("/cran/latest/src/contrib/none_1.tar.gz").await, team.get("/nowhere").await];
    let odd = team.request("BREW", "/__ping__");
    assert_eq!(team.send(odd).await.status, 405);
    team.sync().await;

    let after = watched.samples().await;
    for (series, expected) in [
        ("ppm_http_requests_total{code=\"200\",method=\"GET\"}", 6.0),
        ("ppm_http_requests_total{code=\"206\",method=\"GET\"}", 1.0),
        ("ppm_http_requests_total{code=\"404\",method=\"GET\"}", 2.0),
        ("ppm_http_requests_total{code=\"200\",method=\"HEAD\"}", 1.0),
        ("ppm_http_requests_total{code=\"405\",method=\"other\"}", 1.0),
        ("ppm_http_requests_total{code=\"200\",method=\"POST\"}", 1.0),
        ("ppm_http_response_size_bytes_total{code=\"206\"}", 2.0),
        ("ppm_http_response_size_bytes_total{code=\"404\"}", missing.iter().map(|a| a.body.len() as f64).sum()),
        ("ppm_pkg_downloads_total", 4.0),
        ("ppm_binary_routing_distro{distro=\"jammy\"}", 2.0),
        ("ppm_binary_routing_distro{distro=\"noble\"}", 1.0),
        ("ppm_binary_routing_binary", 2.0),
        ("ppm_binary_routing_fallback", 1.0),
        ("ppm_repo_source_sync_duration_seconds_count{type=\"cran\"}", 1.0),
    ] {
        assert_eq!(more(&before, &after, series), expected, "{series}");
    }
    let sent = more(&before, &after, "ppm_http_response_size_bytes_total{code=\"200\"}");
    assert!(
        sent > bytes as f64 && sent < bytes as f64 + 1000.0,
        "{sent}: the files, and the answer of the synchronisation"
    );

    let gauge = |name: &str| {
        let mut found = after.iter().filter(|(series, _)| series.starts_with(&format!("{name}{{path=")));
        *found.next().unwrap().1
    };
    assert!(gauge("ppm_storage_used") > bytes as f64, "the database and the files");
    assert!(gauge("ppm_storage_size") >= gauge("ppm_storage_free") && gauge("ppm_storage_free") > 0.0);
    // The last answer is over when the server has seen that it is.
    let over = tokio::time::timeout(Duration::from_secs(20), async {
        while watched.samples().await["ppm_http_requests_inflight"] != 0.0 {}
    });
    over.await.unwrap();
    let world = team.running.world();
    assert!(
        world.journal().entries(0, 10_000, |entry| entry.path.contains("/metrics")).is_empty(),
        "they would fill it"
    );
}

#[tokio::test]
async fn the_port_has_metrics_only_and_the_main_one_when_told() {
    let service = Service::with_packages().await;
    let watched = Watched::of(Team::with(service.clone(), config(&service), host()).await).await;
    for path in ["/", "/__api__/status", "/__sim__/v1/health", "/metrics/x", "/cran/latest/src/contrib/PACKAGES"] {
        assert_eq!(watched.ask(path).await.0, 404, "{path}");
    }
    assert_eq!(watched.team.get("/metrics").await.status, 404);
    assert_eq!(watched.team.get("/__api__/status").await.json()["metrics_enabled"], true);
    // Whoever makes an authenticated repository of this name does not hide them.
    watched.team.does("POST", "/__api__/repos", json!({ "name": "metrics", "authenticated": true })).await;
    assert_eq!(watched.ask("/metrics").await.0, 200);
    watched.team.running.reset().await.unwrap();
    assert_eq!(watched.samples().await["ppm_http_requests_inflight"], 0.0, "the port shows the World that is there");

    let mut both = config(&service);
    both.metrics.on_main_port = true;
    let team = Team::with(service.clone(), both, host()).await;
    let answer = team.get("/metrics").await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "text/plain; version=0.0.4"));
    assert!(answer.text().contains("ppm_build_info{version=\""));

    let mut off = config(&service);
    (off.metrics.on_main_port, off.metrics.enabled) = (true, false);
    let watched = Watched::of(Team::with(service.clone(), off, host()).await).await;
    assert_eq!(
        (watched.ask("/metrics").await.0, watched.team.get("/metrics").await.status.as_u16()),
        (StatusCode::NOT_FOUND, 404)
    );
    let usage = watched.team.get("/__api__/metrics/packages").await;
    assert_eq!(usage.status, 404);
    assert!(usage.json()["error"].as_str().unwrap().contains("Metrics.Enabled"));
    assert_eq!(watched.team.get("/__api__/status").await.json()["metrics_enabled"], false);
}

#[tokio::test]
async fn usage_is_counted_by_package_and_day() {
    let team = Team::synced().await;
    let usage = async |query: &str| team.get(&format!("/__api__/metrics/packages{query}")).await;
    assert_eq!(usage("").await.json(), json!([]));
    team.get("/cran/latest/src/contrib/beta_0.1.tar.gz").await;
    // Asked for often enough that the whole answer is kept.
    for _ in 0..6 {
        team.get("/cran/2024-01-05/src/contrib/alpha_1.0.tar.gz").await;
    }
    team.running.world().clock().advance(Duration::from_secs(86_400)).await;
    for _ in 0..2 {
        team.get("/cran/latest/src/contrib/alpha_2.0.tar.gz").await;
    }
    let page = team.text("/pypi/latest/simple/beta/").await;
    let file = page.split("href=\"").nth(1).unwrap().split(['"', '#']).next().unwrap().to_owned();
    let file = url::Url::parse(&team.url("/pypi/latest/simple/beta/")).unwrap().join(&file).unwrap();
    assert_eq!(team.get(file.path()).await.status, 200);
    let row = |name: &str, source: &str, downloads: i64| json!({ "name": name, "source": source, "source_type": source, "downloads": downloads });
    let all = usage("").await;
    assert_eq!(all.json(), json!([row("alpha", "cran", 8), row("beta", "cran", 1), row("beta", "pypi", 1)]));
    assert_eq!(all.header("x-total-count"), "3");
    assert_eq!(usage("?_days=1").await.json(), json!([row("alpha", "cran", 2), row("beta", "pypi", 1)]));
    assert_eq!(usage("?_sourceType=r&_days=7").await.json(), json!([row("alpha", "cran", 8), row("beta", "cran", 1)]));
    assert_eq!(usage("?_sourceType=Python").await.json(), json!([row("beta", "pypi", 1)]));
    assert_eq!(usage("?_sourceType=bioconductor").await.json(), json!([]));
    assert_eq!(usage("?_limit=1&_page=2").await.json(), json!([row("beta", "cran", 1)]));
    for (query, reason) in [
        ("?_sourceType=perl", "r, python or bioconductor"),
        ("?_days=0", "from 1 to 3650"),
        ("?_days=99999999999999999999", "from 1 to 3650"),
        ("?_days=a", "from 1 to 3650"),
        ("?_limit=0", "_limit"),
    ] {
        let answer = usage(query).await;
        assert_eq!(answer.status, 400, "{query}");
        assert!(answer.json()["error"].as_str().unwrap().contains(reason), "{query}: {}", answer.text());
    }
    // What only authenticated repositories show is told to those who may see it.
    team.does("PATCH", "/__api__/repos/cran", json!({ "authenticated": true })).await;
    assert_eq!(usage("").await.json(), json!([row("beta", "pypi", 1)]));
    assert_eq!(usage("").await.header("x-total-count"), "1");
    let all = team.does("GET", "/__api__/metrics/packages", Value::Null).await;
    assert_eq!(all.as_array().unwrap().len(), 3);
}
