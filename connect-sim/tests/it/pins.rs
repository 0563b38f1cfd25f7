//! pins for Python against a real socket: the suite that its authors run against real servers, with the settings and the
//! users that they give those, at several releases.

use std::path::Path;
use std::process::Output;

use base64::Engine as _;
use clap::Parser as _;
use connect_sim::ConnectArgs;
use futures_util::future::join_all;
use sim_kit::testing::{free_port, need_tool};

use super::site::{Site, newest_tools};

/// Routes that pins is seen to succeed with, and nothing else that is run here.
pub(crate) const PINS: &[&str] = &["POST /__api__/__login__"];

/// A command line of Connect.
#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    connect: ConnectArgs,
}

/// The address that a file in the suite was made with.
const ADDRESS: &str = "http://localhost:3939";

#[tokio::test(flavor = "multi_thread")]
async fn the_suite_of_its_authors_passes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.cache/pins-0.9.2");
    let Some(tools) = newest_tools() else { return };
    if !folder.join("complete").exists() {
        assert!(need_tool("suite of pins (scripts/test --setup fetches it)").is_none());
        return;
    }
    join_all(["2023.01.0", "2024.08.0", "2026.06.0"].map(|version| run(version, &folder, &tools))).await;
}

async fn run(version: &str, folder: &Path, tools: &Path) {
    let secret = base64::engine::general_purpose::STANDARD.encode([7_u8; 32]);
    let source = folder.join("source");
    let port = free_port();
    let line = [
        "connect".to_owned(),
        format!("--as={version}"),
        format!("--config={}", source.join("script/setup-rsconnect/rstudio-connect.gcfg").display()),
        "--set=Bootstrap.Enabled=true".to_owned(),
        format!("--set=Bootstrap.SecretKey={secret}"),
        format!("--set=Server.Address=http://127.0.0.1:{port}"),
    ];
    let setup = Line::parse_from(line).connect.setup(Vec::new()).unwrap();
    let site = Site::at(setup.config, tools.to_owned(), port).await;
    site.write("secret", &secret);
    let key = site.rsconnect(&["bootstrap", "-s", &site.running.url(), "-j", "secret", "--raw"]).await;
    let python = folder.join("env/bin/python");
    let python = python.to_str().unwrap();
    // It writes the keys of its users into its own tree.
    let mut copy = tokio::process::Command::new("cp");
    copy.arg("-r").arg(&source).arg(site.home.path().join("pins"));
    succeeds(version, &copy.output().await.unwrap());
    for arguments in [
        &["script/setup-rsconnect/dump_api_keys.py", "pins/tests/rsconnect_api_keys.json"][..],
        &["-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "fs_rsc", "pins"],
    ] {
        let mut command = site.command(python, arguments);
        command.env("CONNECT_SERVER", ADDRESS).env("http_proxy", site.running.url()).env("CONNECT_API_KEY", key.trim());
        command.env("PINS_ALLOW_RSC_SHORT_NAME", "1").env("PYTHONPATH", ".").env("XDG_CACHE_HOME", site.home.path());
        command.current_dir(site.home.path().join("pins"));
        succeeds(version, &command.output().await.unwrap());
    }
    site.proves(PINS);
    site.running.stop().await;
}

fn succeeds(version: &str, output: &Output) {
    let text = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes)).concat();
    assert!(output.status.success(), "{version}: {text}");
}
