//! A real browser walks through, in both runtimes.

use std::path::{Path, PathBuf};

use sim_kit::testing::need_tool;
use workbench_sim::{Config, Runtime};

use crate::server::{Around, start, with_around};

/// The Python that has playwright: the one beside its command.
fn python() -> Option<PathBuf> {
    Some(need_tool("playwright")?.with_file_name("python3"))
}

async fn walk(runtime: Runtime) {
    let (Some(python), Some(chromium)) = (python(), need_tool("chromium")) else { return };
    let (_, around) = Around::start(false).await;
    // Encrypted form and throttle as they come.
    let config = Config { throttle: Config::default().throttle, ..with_around(runtime, &around) };
    let workbench = start(config).await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/walk.py");
    let output = tokio::process::Command::new(python)
        .arg(script)
        .args([&workbench.url(), "publisher", "publisher-password"])
        .env("CHROMIUM", chromium)
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.ends_with("walked\n"), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_walks_through_the_scripted_runtime() {
    walk(Runtime::Simulated).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_walks_through_the_process_runtime() {
    if need_tool("R").is_some() {
        walk(Runtime::Process).await;
    }
}
