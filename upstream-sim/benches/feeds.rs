//! How long the largest catalogue takes to its first signed head, and what it costs in memory and bytes.
//!
//! `cargo bench -p upstream-sim -- 25000 100000`: numbers of CRAN and PyPI packages (default: the usual 2,000 and 4,000).

use std::time::Instant;

use axum::Router;
use axum::body::{Body, Bytes};
use pkg_formats::psp::{self, Checkpoint, CheckpointPage};
use sim_kit::host::{HostConfig, in_process};
use tower::ServiceExt as _;
use upstream_sim::Config;

async fn fetch(router: &Router, path: &str) -> Bytes {
    let request = http::Request::get(path).body(Body::empty()).expect("a path of the protocol");
    let Ok(response) = router.clone().oneshot(request).await;
    assert!(response.status().is_success(), "{path}");
    axum::body::to_bytes(response.into_body(), usize::MAX).await.expect("a body in memory")
}

/// The most memory this process ever held, in MiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or_default() / 1024
}

#[tokio::main]
async fn main() {
    let sizes: Vec<u32> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let mut config = Config::default();
    if let [cran, pypi] = sizes[..] {
        (config.cran_packages, config.pypi_packages) = (cran, pypi);
    }
    println!("{} CRAN and {} PyPI packages", config.cran_packages, config.pypi_packages);
    let start = Instant::now();
    let product = upstream_sim::product(config);
    let (world, router) = in_process(&product, &HostConfig::default()).await.expect("a service without a port starts");
    fetch(&router, psp::ROOT_PATH).await;
    println!("{:8.3} s  root", start.elapsed().as_secs_f64());
    for feed in ["cran", "pypi"] {
        fetch(&router, &psp::head_path(feed)).await;
        println!("{:8.3} s  head of {feed}; peak memory {} MiB", start.elapsed().as_secs_f64(), peak());
    }
    for feed in ["cran", "pypi"] {
        let start = Instant::now();
        let page = CheckpointPage::parse(&fetch(&router, &psp::page_path(feed, 0)).await).expect("a page");
        let (mut records, mut plain, mut packed) = (0_u64, 0, 0);
        for item in &page.items {
            let document = fetch(&router, &psp::checkpoint_path(feed, item.seq)).await;
            let checkpoint: Checkpoint = serde_json::from_slice(&document).expect("a checkpoint");
            for object in &checkpoint.packs {
                let bytes = fetch(&router, &psp::blob_path(&object.digest)).await;
                let mut lines = object.open("pack", &bytes).expect("what was promised");
                while lines.next_line().expect("a whole pack").is_some() {
                    records += 1;
                }
                plain += object.plain_size;
                packed += object.size;
            }
        }
        println!(
            "{:8.3} s  {records} records of {feed} read back: {:.1} MB, {:.1} MB packed",
            start.elapsed().as_secs_f64(),
            plain as f64 / 1e6,
            packed as f64 / 1e6,
        );
    }
    let start = Instant::now();
    world.clock().advance(std::time::Duration::from_secs(86_400)).await;
    for feed in ["cran", "pypi"] {
        fetch(&router, &psp::head_path(feed)).await;
    }
    println!("{:8.3} s  one more day; peak memory {} MiB", start.elapsed().as_secs_f64(), peak());
}
