//! The access log and the metrics, by real requests.

use std::collections::BTreeMap;
use std::path::Path;

use connect_sim::access_log::{Format, Settings, Target};
use connect_sim::config::Listen;
use connect_sim::{Config, metrics, product};
use serde_json::{Value, json};
use sim_kit::{Host, HostConfig, Running, seed};

struct Server {
    running: Running,
    client: reqwest::Client,
}

impl Server {
    async fn start(config: Config) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let running = Host::start(product(config), HostConfig::default()).await.unwrap();
        Self { running, client: reqwest::Client::builder().no_proxy().build().unwrap() }
    }

    /// Asks as the seeded publisher, and reads all of the answer.
    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
        let request = self.client.get(format!("{}{path}", self.running.url()));
        let mut request = request.header("authorization", format!("Key {}", seed::users(1)[1].api_key));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }
}

/// The lines of a log once there are `count`.
async fn lines(file: &Path, count: usize) -> Vec<String> {
    loop {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        if text.ends_with('\n') && text.lines().count() >= count {
            return text.lines().map(str::to_owned).collect();
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_logged_in_the_format_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    for format in [Format::Common, Format::Combined, Format::Json] {
        let file = folder.path().join(format!("{format:?}.log"));
        let settings = Settings { target: Target::File(file.clone()), format, forwarded: true };
        let server = Server::start(Config { access_log: Some(settings), ..Config::default() }).await;
        let browser = [
            ("user-agent", "Browser \"1\""),
            ("referer", "http://x.example/"),
            ("x-forwarded-for", "192.0.2.7, 10.0.0.1"),
        ];
        let (_, me) = server.get("/__api__/v1/user?a=b", &browser).await;
        assert_eq!(server.get("/nothing%0a", &[]).await.0, 404);
        let logged = lines(&file, 2).await;
        let bytes = me.len();
        match format {
            Format::Json => {
                let line: Value = serde_json::from_str(&logged[0]).unwrap();
                assert_eq!((&line["client"], &line["user"]), (&json!("192.0.2.7"), &json!("publisher")));
                assert_eq!((&line["path"], &line["status"]), (&json!("/__api__/v1/user?a=b"), &json!(200)));
                assert_eq!((&line["bytes"], &line["user_agent"]), (&json!(bytes), &json!("Browser \"1\"")));
            }
            _ => {
                let (start, rest) = logged[0].split_once(" [").unwrap();
                assert_eq!(start, "192.0.2.7 - publisher");
                let rest = rest.split_once("] ").unwrap().1;
                let common = format!("\"GET /__api__/v1/user?a=b HTTP/1.1\" 200 {bytes}");
                let more = if format == Format::Combined { " \"http://x.example/\" \"Browser \\\"1\\\"\"" } else { "" };
                assert_eq!(rest, format!("{common}{more}"));
                assert!(logged[1].starts_with("127.0.0.1 - publisher ["), "{}", logged[1]);
                assert!(logged[1].contains("\"GET /nothing%0a HTTP/1.1\" 404 "), "{}", logged[1]);
            }
        }
        server.running.stop().await;
    }
}

#[tokio::test]
async fn a_log_that_cannot_be_written_ends_the_start() {
    let settings =
        Settings { target: Target::File("/none/such/access.log".into()), format: Format::Common, forwarded: false };
    let config = Config { access_log: Some(settings), ..Config::default() };
    let refused = Host::start(product(config), HostConfig::default()).await.err().unwrap().to_string();
    assert!(
        refused.contains("/none/such/access.log cannot be written") && refused.contains("Logging.AccessLog"),
        "{refused}"
    );
}

/// The series and their values.
async fn scrape(url: &str) -> BTreeMap<String, f64> {
    let answer = reqwest::Client::builder().no_proxy().build().unwrap().get(url).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{url}");
    assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("text/plain; version=0.0.4"));
    let text = answer.text().await.unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_finds_what_was_done_at_a_port_of_its_own() {
    let mut server = Server::start(Config::default()).await;
    let any = Some(Some(Listen { address: None, port: 0 }));
    let address = metrics::serve(&mut server.running, any, [127, 0, 0, 1].into()).await.unwrap().unwrap();
    let url = format!("http://{address}{}", metrics::PATH);
    let fresh = scrape(&url).await;
    for series in [
        "connect_http_request_count{code=\"200\",method=\"GET\",route=\"/__ping__\"}",
        "connect_http_request_duration_seconds_count{route=\"/__ping__\"}",
        "connect_http_request_inflight_gauge",
        "connect_http_response_size_bytes_sum",
        "connect_users_active{window=\"24h\"}",
        "connect_users_active{window=\"7d\"}",
        "connect_users_active{window=\"30d\"}",
        "connect_content_hits_total",
        "connect_content_app_sessions_current",
        "connect_jobs_queue_total_jobs_in_queue",
        "connect_jobs_queue_oldest_job_age_seconds",
    ] {
        assert_eq!(fresh.get(series), Some(&0.0), "{series}: {fresh:?}");
    }
    let built = fresh.keys().find(|name| name.starts_with("connect_build_info{")).unwrap();
    assert!(built.contains(&format!("version=\"{}\"", Config::default().version)), "{built}");

    let (_, list) = server.get("/__api__/v1/content", &[]).await;
    server.get("/__api__/v1/content/00000000-0000-4000-8000-000000000000", &[]).await;
    let (_, nothing) = server.get("/nowhere", &[]).await;
    let counted = |route: &str, code: u16| {
        format!("connect_http_request_count{{code=\"{code}\",method=\"GET\",route=\"{route}\"}}")
    };
    let last = counted("unmatched", 404);
    let now = loop {
        // The end of an answer is counted when the last of it was sent.
        let now = scrape(&url).await;
        if now.contains_key(&last) {
            break now;
        }
    };
    assert_eq!(now.get(&counted("/__api__/v1/content", 200)), Some(&1.0), "{now:?}");
    assert_eq!(now.get(&counted("/__api__/v1/content/{guid}", 404)), Some(&1.0), "{now:?}");
    assert_eq!(now["connect_http_request_duration_seconds_count{route=\"/__api__/v1/content\"}"], 1.0);
    assert!(now["connect_http_response_size_bytes_sum"] >= (list.len() + nothing.len()) as f64, "{now:?}");
    assert_eq!(now["connect_users_active{window=\"24h\"}"], 1.0);
    assert!(
        !now.keys().any(|name| name.contains("none-such") || name.contains("nowhere")),
        "paths are no labels: {now:?}"
    );

    // Nothing else is answered there, and nothing of it at the port of everything else.
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    assert_eq!(client.get(format!("http://{address}/__api__/v1/user")).send().await.unwrap().status(), 404);
    assert_eq!(server.get("/metrics", &[]).await.0, 404);
    server.running.stop().await;
    let both = Server::start(Config { metrics_on_main_port: true, ..Config::default() }).await;
    assert!(scrape(&format!("{}/metrics", both.running.url())).await.contains_key("connect_content_hits_total"));
    both.running.stop().await;
}
