//! The same questions to the real uv, on the same index.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use pkg_client::Error;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::random::some_worlds;
use crate::served::{Release, Served, release};

/// Whether uv is there. In CI it has to be.
#[allow(clippy::disallowed_methods)] // CI tells about itself in no other way
fn have_uv() -> bool {
    let found =
        std::process::Command::new("uv").arg("--version").stdout(Stdio::null()).status().is_ok_and(|s| s.success());
    assert!(found || std::env::var("CI").is_err(), "uv is not on the PATH: install it with `pip install uv`");
    if !found {
        println!("did not run: uv is not on the PATH; install it with `pip install uv`");
    }
    found
}

/// What `uv pip compile` chooses, sorted, or its complaint.
async fn uv(served: &Served, requirements: &str, cache: &Path) -> Result<Vec<String>, String> {
    let index = format!("{}/simple", served.url);
    let mut child = Command::new("uv")
        .args(["pip", "compile", "-", "--index-url", &index, "--cache-dir"])
        .arg(cache)
        .args(["--no-python-downloads", "--python-version", "3.11", "--python-platform", "x86_64-unknown-linux-gnu"])
        .args(["--no-header", "--no-annotate", "--no-config", "--refresh", "--quiet"])
        .args(["--color", "never"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(requirements.as_bytes()).await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(30), child.wait_with_output()).await;
    let output = ended.expect("uv answers within half a minute").unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let mut lines: Vec<String> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    lines.retain(|line| !line.starts_with('#') && !line.trim().is_empty());
    // Extras are part of what was asked, not of what was chosen.
    for line in &mut lines {
        if let (Some(open), Some(close)) = (line.find('['), line.find(']')) {
            line.replace_range(open..=close, "");
        }
    }
    lines.sort();
    lines.dedup();
    Ok(lines)
}

async fn ours(served: &Served, requirements: &str) -> Result<Vec<String>, Error> {
    let resolution = served.resolve(requirements).await?;
    let mut lines: Vec<_> = resolution.packages.iter().map(|p| format!("{}=={}", p.name, p.version)).collect();
    lines.sort();
    Ok(lines)
}

fn universe() -> Vec<Release> {
    vec![
        release("app", "2.0", &["web>=2", "db[async]>=1; python_version >= '3.8'", "winapi; sys_platform == 'win32'"]),
        release("app", "1.0", &["web<2"]),
        release("web", "2.1", &["tmpl>=3", "sec"]),
        release("web", "2.0", &["tmpl>=3,<4"]),
        release("web", "1.9", &["tmpl"]),
        release("tmpl", "3.1", &["mark"]),
        release("tmpl", "2.0", &["mark<2"]),
        release("mark", "2.0", &[]),
        release("mark", "1.0", &[]),
        Release { yanked: true, ..release("sec", "1.1", &[]) },
        release("sec", "1.0", &[]),
        release("db", "1.4", &["driver; extra == 'async'", "pool[fast]; extra == 'all'"]),
        release("pool", "1.0", &["driver==1.0; extra == 'fast'"]),
        release("driver", "1.1", &[]),
        release("driver", "1.0", &[]),
        release("old", "1.0", &["mark<2", "tmpl>=3"]),
        release("clash", "1.0", &["mark>=2"]),
        Release { python: Some(">=3.12".into()), ..release("fresh", "2.0", &[]) },
        Release { python: Some(">=3.9".into()), ..release("fresh", "1.0", &[]) },
        release("pre", "2.0rc1", &[]),
        release("pre", "1.0", &[]),
        release("early", "0.1b2", &[]),
        release("early", "0.1b1", &[]),
        release("deep", "1.0", &["missing>=1"]),
        release("local", "1.0+cpu", &[]),
        Release { tag: "cp312-cp312-manylinux_2_17_x86_64".into(), ..release("native", "2.0", &[]) },
        Release { tag: "cp311-cp311-manylinux_2_17_x86_64".into(), ..release("native", "1.0", &[]) },
        Release { bare: true, ..release("bare", "1.0", &["mark"]) },
        Release { sdist: true, ..release("source", "1.0", &["bare"]) },
        release("post", "1.0.post1", &[]),
        release("post", "1.0", &[]),
    ]
}

#[tokio::test]
async fn chooses_what_uv_chooses() {
    if !have_uv() {
        return;
    }
    let served = Served::with(&universe()).await;
    let cache = tempfile::tempdir().unwrap();
    for requirements in [
        "app",
        "app<2",
        "app\nmark<2",
        "web~=2.0\ntmpl!=3.1",
        "db[all]",
        "db[async,all]>=1",
        "pool[fast]\ndriver>=1.1",
        "sec",
        "sec==1.1",
        "old",
        "old\nclash",
        "web\nweb<2",
        "fresh",
        "fresh>=2",
        "pre",
        "pre>=2.0rc1",
        "early",
        "deep",
        "missing",
        "local==1.0",
        "native",
        "source",
        "post>1.0",
        "post==1.0.*",
        "mark>=3",
        "winapi; sys_platform == 'win32'\nMARK",
    ] {
        match (ours(&served, requirements).await, uv(&served, requirements, cache.path()).await) {
            (Ok(ours), Ok(uv)) => assert_eq!(ours, uv, "{requirements}"),
            (Err(Error::Conflict(_) | Error::NoMatchingDistribution(_)), Err(uv)) => {
                assert!(uv.contains("No solution found"), "{requirements}: {uv}");
            }
            (ours, uv) => panic!("{requirements}: {ours:?}, but uv: {uv:?}"),
        }
    }
}

#[tokio::test]
async fn finds_solutions_where_uv_does() {
    if !have_uv() {
        return;
    }
    let served = Served::start().await;
    let cache = tempfile::tempdir().unwrap();
    for (n, world) in some_worlds(25).into_iter().enumerate() {
        served.publish(&world.releases());
        let requirements = world.requirements();
        let ours = served.resolve(&requirements).await;
        world.judge(&ours);
        // uv keeps what it once read of a file of this name.
        let uv = uv(&served, &requirements, &cache.path().join(n.to_string())).await;
        assert_eq!(ours.is_ok(), uv.is_ok(), "{requirements}\n{ours:?}\n{uv:?}\n{world:#?}");
    }
}
