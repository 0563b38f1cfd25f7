//! The program itself: killed without a warning it tells what it has told before, and goes on; R says what `auto` means.

use std::path::Path;
use std::process::Stdio;

use pkg_formats::psp::{self, Demand, Demanded, Digest, Head};
use sim_kit::http_client::client;
use sim_kit::testing::need_tool;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::import::{put, r_source, wheel};
use crate::mirror::{Index, wheel as mirrored};

/// The program, not yet ready.
fn start(folder: &Path, arguments: &[&str]) -> Child {
    command(folder, arguments).spawn().unwrap()
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_upstream-sim"));
    command.args(["--port", "0", "--freeze", "2026-11-24T12:00:00Z", "--only-packages", "six", "--data-dir"]);
    command.arg(folder).args(arguments).stdout(Stdio::piped()).kill_on_drop(true);
    command
}

/// The address of a program, once it answers.
async fn ready(child: &mut Child) -> String {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    loop {
        let line = lines.next_line().await.unwrap().expect("it becomes ready");
        if let Some(url) = line.strip_prefix("package service ready at ") {
            return url.trim_end_matches('/').to_owned();
        }
    }
}

async fn fetch(url: &str, path: &str) -> Vec<u8> {
    let answer = client(|builder| builder).get(format!("{url}{path}")).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{path}");
    answer.bytes().await.unwrap().into()
}

/// What the service tells of both feeds.
async fn told(url: &str) -> Vec<Vec<u8>> {
    let mut all = vec![fetch(url, psp::ROOT_PATH).await];
    for feed in ["cran", "pypi"] {
        all.push(fetch(url, &psp::head_path(feed)).await);
    }
    all
}

/// The number of the newest checkpoint of Python packages.
async fn head(url: &str) -> u64 {
    serde_json::from_slice::<Head>(&fetch(url, &psp::head_path("pypi")).await).unwrap().seq
}

#[tokio::test]
async fn an_import_that_is_killed_tells_the_same_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let (files, data) = (folder.path().join("files"), folder.path().join("data"));
    for i in 0..40 {
        put(&files, wheel(&format!("acme_{i}"), "1.0"));
        put(&files, r_source(&format!("acme{i}"), "1.0"));
    }
    let imports = ["--import", files.to_str().unwrap()];
    let (name, bytes) = wheel("acme_7", "1.0");
    let blob = psp::blob_path(&Digest::of(&bytes));
    let mut first = start(&data, &imports);
    let url = ready(&mut first).await;
    let before = told(&url).await;
    assert_eq!(fetch(&url, &blob).await, bytes, "{name}");
    first.kill().await.unwrap();
    for round in 0..4 {
        let mut child = start(&data, &imports);
        // While it reads, before it has told anything; while it is asked; and when it was just ready.
        if round > 0 {
            let url = ready(&mut child).await;
            let client = client(|builder| builder);
            let asked = (0..round).map(|_| client.get(format!("{url}{blob}")).send()).collect::<Vec<_>>();
            tokio::spawn(futures_util::future::join_all(asked));
        }
        child.kill().await.unwrap();
    }
    let mut last = start(&data, &imports);
    let url = ready(&mut last).await;
    assert_eq!(told(&url).await, before, "the same service, the same history, signed by the same key");
    assert_eq!(fetch(&url, &blob).await, bytes);
    last.kill().await.unwrap();
}

#[tokio::test]
async fn what_was_mirrored_for_somebody_outlives_a_kill() {
    let index = Index::default();
    for i in 0..6 {
        index.project(&format!("acme-{i}"), &["1.0"]);
    }
    let (site, serving) = index.start().await;
    let data = tempfile::tempdir().unwrap();
    let simple = format!("{site}/simple");
    let mirror = ["--mirror-pypi", simple.as_str()];
    let client = client(|builder| builder);
    let demand = |url: &str, name: String| {
        let request = client.post(format!("{url}{}", psp::demand_path("pypi"))).json(&Demand { names: vec![name] });
        async move { request.send().await?.json::<Demanded>().await }
    };
    // One is answered before each kill, the next is on its way.
    let mut heads: Vec<u64> = Vec::new();
    for i in [0, 2, 4] {
        let mut child = start(data.path(), &mirror);
        let url = ready(&mut child).await;
        let answered = demand(&url, format!("acme-{i}")).await.unwrap();
        assert_eq!(answered.found, [format!("acme-{i}")]);
        let bytes = mirrored(&format!("acme-{i}"), "1.0").zip().unwrap();
        assert_eq!(fetch(&url, &psp::blob_path(&Digest::of(&bytes))).await, bytes);
        heads.push(head(&url).await);
        let asked = index.asked().len();
        let on_its_way = tokio::spawn(demand(&url, format!("acme-{}", i + 1)));
        while index.asked().len() == asked && !on_its_way.is_finished() {
            tokio::task::yield_now().await;
        }
        child.kill().await.unwrap();
    }
    assert!(heads.is_sorted_by(|a, b| a < b), "no history is told twice: {heads:?}");
    serving.abort();
    let mut last = start(data.path(), &mirror);
    let url = ready(&mut last).await;
    assert!(head(&url).await >= *heads.last().unwrap(), "{heads:?}");
    for i in [0, 2, 4] {
        // Known and here, though the index is gone.
        assert_eq!(demand(&url, format!("acme-{i}")).await.unwrap().found, [format!("acme-{i}")]);
        let bytes = mirrored(&format!("acme-{i}"), "1.0").zip().unwrap();
        assert_eq!(fetch(&url, &psp::blob_path(&Digest::of(&bytes))).await, bytes);
    }
    last.kill().await.unwrap();
}

#[tokio::test]
async fn auto_is_the_repository_that_r_is_set_up_with() {
    let Some(_) = need_tool("Rscript") else { return };
    let index = Index::default();
    index.repository(&[("acme", "1.0", "base64"), ("base64", "2.0", "")]);
    let (site, _serving) = index.start().await;
    let folder = tempfile::tempdir().unwrap();
    let profile = folder.path().join("profile.R");
    std::fs::write(&profile, format!("options(repos = c(CRAN = '{site}/cran'))\n")).unwrap();
    let auto = ["--mirror-cran", "auto", "--mirror-cran-packages", "acme"];
    let mut child = command(&folder.path().join("data"), &auto).env("R_PROFILE_USER", &profile).spawn().unwrap();
    let url = ready(&mut child).await;
    let request = client(|builder| builder).post(format!("{url}{}", psp::demand_path("cran")));
    let names = vec!["acme".to_owned(), "base64".to_owned(), "none".to_owned()];
    let answer: Demanded = request.json(&Demand { names }).send().await.unwrap().json().await.unwrap();
    assert_eq!((answer.found, answer.missing), (vec!["acme".to_owned(), "base64".to_owned()], vec!["none".to_owned()]));
    assert!(index.asked().iter().any(|path| path.contains("/cran/src/contrib/PACKAGES")));
    child.kill().await.unwrap();

    // A repository that nobody has chosen is no address.
    std::fs::write(&profile, "options(repos = c(CRAN = '@CRAN@'))\n").unwrap();
    let mut command = command(&folder.path().join("other"), &auto);
    command.stdout(Stdio::null()).stderr(Stdio::piped()).env("R_PROFILE_USER", &profile);
    let output = command.spawn().unwrap().wait_with_output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("--mirror-cran") && said.contains("give a URL"), "{said}");
}
