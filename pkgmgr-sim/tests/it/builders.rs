//! Packages that are built from git repositories.

mod killed;
mod rows;
pub(crate) mod server;

use std::process::Stdio;
use std::time::Duration;

use pkgmgr_sim::Config;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sim_kit::testing::need_tool;
use sim_kit::{HostConfig, WorldConfig};
use tokio::process::Command;

use crate::service::Service;
use crate::{Team, config, host};
use server::{GitServer, git};

const DESCRIPTION: &str = "Package: own\nVersion: 1.0\nTitle: Ours\nDescription: Ours.\nLicense: MIT\nAuthors@R: \
                           person(\"A\", \"B\", email = \"a@example.org\", role = c(\"aut\", \"cre\"))\n";

const R: [(&str, &str); 4] = [
    ("DESCRIPTION", DESCRIPTION),
    ("NAMESPACE", "export(says)\n"),
    ("R/own.R", "says <- function() 'hello'\n"),
    ("tools/ignored~", ""),
];

/// A Package Manager with the source `git` of `kind` in the repo `built`.
async fn team_with(kind: &str, repo: &str, config: impl FnOnce(&mut Config)) -> Team {
    let service = Service::with_packages().await;
    let mut settings = crate::config(&service);
    config(&mut settings);
    let team = Team::with(service, settings, host()).await;
    prepare(&team, kind, repo).await;
    team
}

async fn prepare(team: &Team, kind: &str, repo: &str) {
    team.does("POST", "/__api__/repos", json!({"name": "built", "type": repo})).await;
    team.does("POST", "/__api__/sources", json!({"name": "git", "type": kind})).await;
    team.does("POST", "/__api__/repos/built/sources", json!({"source": "git"})).await;
}

const BUILDERS: &str = "/__api__/sources/git/git-builders";

async fn refused(team: &Team, body: Value, reason: &str) {
    let answer = team.admin("POST", BUILDERS, body.clone()).await;
    assert_eq!(answer.status, 400, "{body}: {}", answer.text());
    assert!(answer.json()["error"].as_str().unwrap().contains(reason), "{body}: {}", answer.text());
}

/// Five minutes go by, and what comes of that is done.
async fn poll(team: &Team) {
    let clock = team.running.world().clock().clone();
    clock.advance(Duration::from_secs(300)).await;
    let now = clock.now().format("%Y-%m-%dT%H:%M:%S").to_string();
    loop {
        let builders = team.does("GET", BUILDERS, Value::Null).await;
        let looked = builders.as_array().unwrap().iter().all(|one| one["last_poll"].as_str().unwrap() >= now.as_str());
        if looked && builds(team).await.iter().all(|build| build["completed"] != Value::Null) {
            return;
        }
        tokio::task::yield_now().await;
    }
}

async fn builds(team: &Team) -> Vec<Value> {
    team.does("GET", "/__api__/sources/git/git-builds", Value::Null).await.as_array().unwrap().clone()
}

async fn log_of(team: &Team, build: &Value) -> String {
    let path = format!("/__api__/transactions/{}/logs", build["transaction_id"]);
    let answer = team.admin("GET", &path, Value::Null).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "text/plain; charset=utf-8"));
    answer.text().to_owned()
}

#[tokio::test]
async fn commits_are_built_as_they_come() {
    let Some(server) = GitServer::start(None).await else { return };
    let team = team_with("git", "R", |_| {}).await;
    let first = server.commit("own", 7, &R);
    let made = team.does("POST", BUILDERS, json!({"url": server.address("own")})).await;
    assert_eq!(
        (&made["name"], &made["build_trigger"], &made["clone_depth"]),
        (&json!("own"), &json!("commits"), &json!(1))
    );
    let build = &made["builds"][0];
    assert_eq!((&build["status"], &build["version"]), (&json!("succeeded"), &json!("1.0.20240115.7")), "{made}");
    assert_eq!(build["commit_sha"], first.as_str());
    let log = log_of(&team, build).await;
    assert!(log.contains("simulated") && log.contains(&first) && log.contains("own_1.0.20240115.7.tar.gz"), "{log}");
    let shown = team.does("GET", "/__api__/repos/built/packages/own", Value::Null).await;
    assert_eq!(shown["remote_sha"], first.as_str(), "{shown}");
    let before = format!("/built/{}/src/contrib/PACKAGES", build["transaction_id"]);

    poll(&team).await;
    assert_eq!(builds(&team).await.len(), 1, "nothing has changed");
    let second = server.commit("own", 90, &[("R/own.R", "says <- function() 'again'\n")]);
    poll(&team).await;
    let index = team.text("/built/latest/src/contrib/PACKAGES").await;
    assert!(index.contains("Version: 1.0.20240115.90\n"), "{index}");
    assert!(team.text(&before).await.contains("Version: 1.0.20240115.7\n"), "a state of the past stays");
    assert_eq!(team.get("/built/latest/src/contrib/Archive/own/own_1.0.20240115.7.tar.gz").await.status, 200);
    // A commit of the same second comes after the other, and one that a tag names has the version of its author.
    server.commit("own", 90, &[("R/own.R", "says <- function() 'at once'\n")]);
    poll(&team).await;
    assert!(team.text("/built/latest/src/contrib/PACKAGES").await.contains("Version: 1.0.20240115.91\n"));
    server.commit("own", 95, &[("DESCRIPTION", &DESCRIPTION.replace("1.0", "1.1"))]);
    server.tag("own", "v1.1");
    poll(&team).await;
    assert!(team.text("/built/latest/src/contrib/PACKAGES").await.contains("Version: 1.1\n"));

    // What was built can be built again, and is not there twice.
    let path = format!("{BUILDERS}/own/rerun");
    let again = team.does("POST", &path, json!({"commit_sha": second})).await;
    assert_eq!(
        (&again[0]["status"], &again[0]["version"]),
        (&json!("succeeded"), &json!("1.0.20240115.90")),
        "{again}"
    );
    assert!(team.text("/built/latest/src/contrib/PACKAGES").await.contains("Version: 1.1\n"));
    let known = team.does("GET", "/__api__/sources/git/git-builds?name=own&_limit=2&_page=2", Value::Null).await;
    assert_eq!(known.as_array().unwrap().len(), 2);
    let nothing = team.does("POST", &format!("{BUILDERS}/own/run"), Value::Null).await;
    assert_eq!(nothing, json!([]));
    let log = team.does("GET", "/__api__/sources/git/transactions", Value::Null).await;
    assert_eq!((&log[0]["action"], &log[0]["result"]), (&json!("Git build"), &json!(0)), "{}", log[0]);

    team.does("DELETE", &format!("{BUILDERS}/own"), Value::Null).await;
    assert_eq!(team.does("GET", BUILDERS, Value::Null).await, json!([]));
    assert!(team.text("/built/latest/src/contrib/PACKAGES").await.contains("Version: 1.1\n"), "what was built stays");
    team.does("DELETE", "/__api__/sources/git/packages/own?which=all", Value::Null).await;
    assert_eq!(team.text("/built/latest/src/contrib/PACKAGES").await, "");
}

#[tokio::test]
async fn tags_are_built_by_their_versions() {
    let Some(server) = GitServer::start(None).await else { return };
    let team = team_with("git", "R", |_| {}).await;
    for (second, version) in [(1, "0.9"), (2, "0.10")] {
        server.commit("own", second, &[("DESCRIPTION", &DESCRIPTION.replace("1.0", version))]);
        server.tag("own", &format!("v{version}"));
    }
    let made = team.does("POST", BUILDERS, json!({"url": server.address("own"), "build_trigger": "tags"})).await;
    assert_eq!((&made["builds"][0]["tag"], &made["builds"][0]["version"]), (&json!("v0.10"), &json!("0.10")), "{made}");
    assert_eq!(builds(&team).await.len(), 1, "of the tags that are there only the newest");
    server.commit("own", 3, &[("DESCRIPTION", &DESCRIPTION.replace("1.0", "0.11"))]);
    poll(&team).await;
    assert_eq!(builds(&team).await.len(), 1, "a commit alone is nothing");
    server.tag("own", "v0.11");
    server.commit("own", 4, &[("R/a.R", "")]);
    server.tag("own", "v0.12");
    poll(&team).await;
    let all = builds(&team).await;
    let tags: Vec<_> =
        all.iter().map(|build| (build["tag"].as_str().unwrap(), build["status"].as_str().unwrap())).collect();
    assert_eq!(tags, [("v0.12", "failed"), ("v0.11", "succeeded"), ("v0.10", "succeeded")]);
    assert!(all[0]["error"].as_str().unwrap().contains("give the package a new version"), "{}", all[0]);
    assert!(log_of(&team, &all[0]).await.contains("ERROR: this version was built from commit"));
    let log = team.does("GET", "/__api__/sources/git/transactions", Value::Null).await;
    assert_eq!(
        (&log[0]["id"], &log[0]["result"]),
        (&all[0]["transaction_id"], &json!(1)),
        "a failure is a transaction too"
    );
    let old = team.does("POST", &format!("{BUILDERS}/own/rerun"), json!({"tag": "v0.9"})).await;
    assert_eq!(old[0]["version"], "0.9", "{old}");
    assert!(team.text("/built/latest/src/contrib/PACKAGES").await.contains("Version: 0.11\n"));
    refused_rerun(&team, json!({"tag": "v7"}), "no tag").await;
    refused_rerun(&team, json!({"commit_sha": "--upload-pack=x"}), "not the full name of a commit").await;
    refused_rerun(&team, json!({"commit_sha": "a".repeat(40), "tag": "v0.9"}), "either").await;
    let gone = team.does("POST", &format!("{BUILDERS}/own/rerun"), json!({"commit_sha": "a".repeat(40)})).await;
    assert!(gone[0]["error"].as_str().unwrap().contains("has no commit"), "{gone}");
}

async fn refused_rerun(team: &Team, body: Value, reason: &str) {
    let answer = team.admin("POST", &format!("{BUILDERS}/own/rerun"), body).await;
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains(reason), "{}", answer.text());
}

#[tokio::test]
async fn folders_branches_submodules_and_credentials() {
    // ci:secret
    let Some(server) = GitServer::start(Some("Y2k6c2VjcmV0")).await else { return };
    let team = team_with("git", "R", |_| {}).await;
    server.commit("part", 1, &[("code.R", "says <- function() 'part'\n")]);
    let below = R.map(|(path, text)| (format!("pkg/own/{path}"), text));
    let below: Vec<(&str, &str)> = below.iter().map(|(path, text)| (path.as_str(), *text)).collect();
    server.commit("own", 2, &below);
    let part = server.bare("part");
    let allowed = [
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "--quiet",
        "add",
        part.to_str().unwrap(),
        "pkg/own/inst/part",
    ];
    server.git("own", &allowed);
    server.git("own", &["config", "--file", ".gitmodules", "submodule.pkg/own/inst/part.url", "../part.git"]);
    server.git("own", &["add", ".gitmodules"]);
    server.git("own", &["checkout", "--quiet", "-b", "stable"]);
    server.commit_index("own", 3);
    server.git("own", &["checkout", "--quiet", "main"]);

    let url = server.address("own");
    refused(&team, json!({"url": url}), "git:").await;
    refused(&team, json!({"url": url, "credential": "ci"}), "no git credential").await;
    let credential = json!({"name": "ci", "username": "ci", "password": "secret"});
    let shown = team.does("POST", "/__api__/git-credentials", credential.clone()).await;
    assert!(!shown.to_string().contains("secret"));
    assert_eq!(team.admin("POST", "/__api__/git-credentials", credential).await.status, 409);
    refused(&team, json!({"url": url, "credential": "ci"}), "--sub-dir").await;
    refused(&team, json!({"url": url, "credential": "ci", "branch": "none"}), "no branch").await;
    refused(&team, json!({"url": url, "credential": "ci", "sub_dir": "nowhere"}), "nothing in nowhere").await;
    let mut body = json!({"url": url, "credential": "ci", "branch": "stable", "sub_dir": "/pkg/own/"});
    let made = team.does("POST", BUILDERS, body.clone()).await;
    assert_eq!(made["builds"][0]["status"], "succeeded", "{made}");
    let log = log_of(&team, &made["builds"][0]).await;
    assert!(log.contains("pkg/own/inst/part is a submodule and is left out"), "{log}");
    assert!(!log.contains("secret") && !log.contains("Y2k6c2VjcmV0"), "{log}");
    assert_eq!(team.admin("POST", BUILDERS, body.clone()).await.status, 409, "the name is taken");
    body["recurse_submodules"] = 1.into();
    body["name"] = "with-parts".into();
    team.does("DELETE", "/__api__/sources/git/packages/own?which=all", Value::Null).await;
    let made = team.does("POST", BUILDERS, body).await;
    let build = &made["builds"][0];
    assert_eq!(build["status"], "succeeded", "{made}");
    let file = team.get(&format!("/built/latest/src/contrib/own_{}.tar.gz", build["version"].as_str().unwrap())).await;
    let mut paths = Vec::new();
    pkg_formats::archive::scan(file.body.as_slice(), &pkg_formats::archive::Limits::default(), |entry, _| {
        paths.push(entry.path.clone());
        Ok(())
    })
    .unwrap();
    assert!(paths.contains(&"own/inst/part/code.R".to_owned()), "{paths:?}");

    let edit = |body: Value| team.does("PATCH", "/__api__/sources/git/git-builders/own", body);
    let edited = edit(json!({"credential": ""})).await;
    assert_eq!(edited["credential"], Value::Null);
    poll(&team).await;
    let listed = team.does("GET", BUILDERS, Value::Null).await;
    let own = listed.as_array().unwrap().iter().find(|builder| builder["name"] == "own").unwrap();
    assert!(own["error"].as_str().unwrap().starts_with("git: "), "{own}");
    let edited = edit(json!({"credential": "ci", "branch": "main"})).await;
    assert_eq!(edited["branch"], "main");
    let all = loop {
        let all = builds(&team).await;
        if all.len() == 3 && all[0]["completed"] != Value::Null {
            break all;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!((&all[0]["name"], &all[0]["version"]), (&json!("own"), &json!("1.0.20240115.2")), "{}", all[0]);
}

#[tokio::test]
async fn what_would_lead_out_is_refused() {
    let Some(server) = GitServer::start(None).await else { return };
    let allowed = tempfile::tempdir().unwrap();
    let folder = allowed.path().to_owned();
    let team = team_with("git", "R", |config| config.git.command.folders = vec![folder.clone()]).await;
    server.commit("own", 1, &R);
    let marker = allowed.path().join("marker");
    let touch = format!("touch${{IFS}}{}", marker.display());
    for url in [
        format!("ext::sh -c {touch}"),
        format!("--upload-pack={touch}"),
        format!("ssh://-oProxyCommand={touch}/x"),
        format!("file://{}", server.bare("own").display()),
        server.bare("own").display().to_string(),
        "git@git.example.org:team/own.git".to_owned(),
        server.address("own").replace("://", "://user:secret@"),
    ] {
        refused(&team, json!({"url": url, "name": "x"}), "cannot be read as a git repository").await;
    }
    let url = server.address("own");
    for (member, value) in [
        ("branch", json!("--upload-pack=x")),
        ("branch", json!("a..b")),
        ("branch", json!("a:refs/x")),
        ("sub_dir", json!("../..")),
        ("sub_dir", json!(".git")),
        ("build_trigger", json!("always")),
        ("clone_depth", json!(-1)),
        ("recurse_submodules", json!(99)),
        ("name", json!("a/b")),
        ("nonsense", json!(1)),
    ] {
        let mut body = json!({"url": url, "name": "x"});
        body[member] = value;
        let member = member.split('_').next().unwrap();
        refused(&team, body, if member == "sub" { "folder" } else { member }).await;
    }
    refused(&team, json!({"url": format!("{}/nothing.git", server.url), "name": "x"}), "git:").await;
    assert_eq!(team.admin("POST", "/__api__/sources/cran/git-builders", json!({"url": url})).await.status, 400);
    let nobody = team.send(team.request("POST", BUILDERS).json(&json!({"url": url}))).await;
    assert_eq!(nobody.status, 401);

    // Inside an allowed folder all is well, also for a repository with hooks and links.
    server.git("own", &["config", "core.symlinks", "true"]);
    std::os::unix::fs::symlink("/etc/passwd", allowed.path().join("link")).unwrap();
    let evil = allowed.path().join("evil.git");
    git(allowed.path(), &["clone", "--quiet", "--bare", server.bare("own").to_str().unwrap(), evil.to_str().unwrap()]);
    for hook in ["post-checkout", "reference-transaction", "pre-receive", "post-update"] {
        let hook = evil.join("hooks").join(hook);
        std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
        std::fs::write(&hook, format!("#!/bin/sh\ntouch {}\n", marker.display())).unwrap();
        std::os::unix::fs::symlink(&hook, hook.with_extension("link")).unwrap();
        std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    git(&evil, &["config", "core.fsmonitor", &format!("touch {}", marker.display())]);
    git(&evil, &["config", "uploadpack.packObjectsHook", &format!("touch {}", marker.display())]);
    let made = team.does("POST", BUILDERS, json!({"url": evil.to_str().unwrap()})).await;
    assert_eq!(made["builds"][0]["status"], "succeeded", "{made}");
    assert!(!marker.exists(), "nothing of a repository is run");
}

#[tokio::test]
async fn nothing_of_a_tree_lands_elsewhere() {
    let Some(server) = GitServer::start(None).await else { return };
    let team = team_with("git", "R", |_| {}).await;
    server.commit("own", 1, &R);
    for (link, target) in
        [("R/outside.R", "/etc/passwd"), ("R/up.R", "../../../etc/passwd"), ("R/inside.R", "../R/own.R")]
    {
        let path = server.bare("own").join("../../work/own").join(link);
        std::os::unix::fs::symlink(target, path).unwrap();
    }
    server.commit("own", 2, &[]);
    let made = team.does("POST", BUILDERS, json!({"url": server.address("own")})).await;
    let build = &made["builds"][0];
    assert_eq!(build["status"], "succeeded", "{made}");
    let log = log_of(&team, build).await;
    assert!(log.contains("R/outside.R is a link to \"/etc/passwd\"") && log.contains("R/up.R is a link"), "{log}");
    let file = team.get(&format!("/built/latest/src/contrib/own_{}.tar.gz", build["version"].as_str().unwrap())).await;
    let mut files = std::collections::BTreeMap::new();
    pkg_formats::archive::scan(file.body.as_slice(), &pkg_formats::archive::Limits::default(), |entry, data| {
        let mut text = String::new();
        std::io::Read::read_to_string(data, &mut text)?;
        files.insert(entry.path.clone(), text);
        Ok(())
    })
    .unwrap();
    assert_eq!(files["own/R/inside.R"], files["own/R/own.R"]);
    assert!(!files.contains_key("own/R/outside.R") && !files.contains_key("own/R/up.R"));

    // A submodule in a folder of the server, and a tree whose entries climb.
    server.git("own", &["update-index", "--add", "--cacheinfo", &format!("160000,{},part", "a".repeat(40))]);
    let modules = "[submodule \"part\"]\n\tpath = part\n\turl = file:///etc\n";
    server.commit("own", 3, &[(".gitmodules", modules)]);
    server.git("own", &["update-index", "--add", "--cacheinfo", &format!("160000,{},part", "a".repeat(40))]);
    server.commit_index("own", 4);
    let edit = json!({"recurse_submodules": 2});
    team.does("PATCH", &format!("{BUILDERS}/own"), edit).await;
    let ran = team.does("POST", &format!("{BUILDERS}/own/run"), Value::Null).await;
    assert!(ran[0]["error"].as_str().unwrap().contains("submodule part"), "{ran}");
    let blob = server.git("own", &["hash-object", "-w", "DESCRIPTION"]).trim().to_owned();
    let raw = |entries: &[(&str, &str, &str)]| {
        let mut tree = Vec::new();
        for (mode, name, object) in entries {
            tree.extend_from_slice(format!("{mode} {name}\0").as_bytes());
            tree.extend((0..40).step_by(2).map(|at| u8::from_str_radix(&object[at..at + 2], 16).unwrap()));
        }
        let path = server.bare("own").join("../tree");
        std::fs::write(&path, tree).unwrap();
        server.git("own", &["hash-object", "-w", "-t", "tree", "--literally", path.to_str().unwrap()]).trim().to_owned()
    };
    let tree = raw(&[("40000", "..", &raw(&[("100644", "evil", &blob)])), ("100644", "DESCRIPTION", &blob)]);
    let commit = server.git("own", &["commit-tree", "-m", "x", &tree]).trim().to_owned();
    server.git("own", &["update-ref", "refs/heads/main", &commit]);
    server.publish("own");
    let ran = team.does("POST", &format!("{BUILDERS}/own/run"), Value::Null).await;
    assert!(ran[0]["error"].as_str().unwrap().contains("could not be unpacked"), "{ran}");
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_limits_hold() {
    let Some(server) = GitServer::start(None).await else { return };
    let team = team_with("git", "R", |config| config.metrics.on_main_port = true).await;
    server.commit("own", 1, &R);
    team.does("POST", BUILDERS, json!({"url": server.address("own")})).await;
    server.commit("own", 2, &[("NEWS", "")]);
    // The look itself needs requests, so it is the build that meets the refusals.
    team.does("POST", &format!("{BUILDERS}/own/run"), json!({"no_wait": false})).await;
    server.refuse(2);
    let again = team.does("POST", &format!("{BUILDERS}/own/rerun"), Value::Null).await;
    assert_eq!(again[0]["status"], "succeeded", "{again}");
    assert!(log_of(&team, &again[0]).await.contains("trying again (2 of 3)"));
    server.refuse(1000);
    let failed = team.does("POST", &format!("{BUILDERS}/own/rerun"), Value::Null).await;
    assert_eq!(failed[0]["status"], "failed", "{failed}");
    let told = team.get("/metrics").await;
    assert!(told.text().contains("\nppm_git_builds_failed_total 1\n"), "{}", told.text());
    server.refuse(0);
    // A package that is wrong is not tried again.
    server.commit("own", 3, &[("DESCRIPTION", "Package: own\nVersion: one\n")]);
    let wrong = team.does("POST", &format!("{BUILDERS}/own/run"), Value::Null).await;
    assert!(wrong[0]["error"].as_str().unwrap().contains("DESCRIPTION"), "{wrong}");
    assert!(!log_of(&team, &wrong[0]).await.contains("trying again"));

    // Small to fetch, large to unpack; and large to fetch.
    let dense = |n: usize| (0..5000).map(|at| hex::encode(Sha256::digest(format!("{n} {at}")))).collect::<String>();
    let repeated = |_: usize| "x".repeat(300_000);
    let kinds =
        [(1_000_000, "too large", [0, 1, 2, 3, 4].map(repeated)), (100_000, "larger than", [0, 1, 2, 3, 4].map(dense))];
    for (number, (limit, reason, texts)) in kinds.into_iter().enumerate() {
        let small = team_with("git", "R", |config| config.git.command.bytes = limit).await;
        let names = [0, 1, 2, 3, 4].map(|n| format!("data/{n}"));
        let files: Vec<(&str, &str)> = names.iter().zip(&texts).map(|(n, text)| (n.as_str(), text.as_str())).collect();
        let name = format!("large-{number}");
        server.commit(&name, 1, &[&R[..], &files[..]].concat());
        refused(&small, json!({"url": server.address(&name)}), reason).await;
    }
    let few = team_with("git", "R", |config| config.git.files = 2).await;
    refused(&few, json!({"url": server.address("own")}), "too many files").await;
    let hasty = team_with("git", "R", |config| config.git.command.time = Duration::from_millis(300)).await;
    server.hang(true);
    refused(&hasty, json!({"url": server.address("own")}), "took longer").await;
}

#[tokio::test]
async fn a_cut_link_stops_builds_and_nothing_else() {
    let Some(server) = GitServer::start(None).await else { return };
    let folder = tempfile::tempdir().unwrap();
    let allowed = folder.path().to_owned();
    let team = team_with("git", "R", |config| config.git.command.folders = vec![allowed]).await;
    server.commit("own", 1, &R);
    team.does("POST", BUILDERS, json!({"url": server.address("own")})).await;
    let asked = team.running.world().journal().entries(0, 1000, |entry| entry.peer.as_deref() == Some("git"));
    assert!(asked.iter().any(|entry| entry.path.starts_with(&server.address("own")) && entry.status == Some(200)));
    let local = folder.path().join("own.git");
    git(folder.path(), &["clone", "--quiet", "--bare", server.bare("own").to_str().unwrap(), local.to_str().unwrap()]);
    server.commit("own", 2, &[("NEWS", "")]);

    let rule = json!({"id": "cable", "match": {"direction": "out", "peer": "git"}, "effect": {"kind": "reset"}});
    team.fault(rule);
    poll(&team).await;
    let listed = team.does("GET", BUILDERS, Value::Null).await;
    assert!(listed[0]["error"].as_str().unwrap().contains("cut by fault rule cable"), "{listed}");
    for url in [server.address("own"), local.display().to_string()] {
        refused(&team, json!({"url": url, "name": "more"}), "cut by fault rule cable").await;
    }
    let rerun = team.does("POST", &format!("{BUILDERS}/own/rerun"), Value::Null).await;
    assert!(rerun[0]["error"].as_str().unwrap().contains("cut by fault rule cable"), "{rerun}");
    assert!(log_of(&team, &rerun[0]).await.contains("trying again (3 of 3)"));
    assert!(team.text("/built/latest/src/contrib/PACKAGES").await.contains("Version: 1.0.20240115.1\n"));
    assert_eq!(team.get("/built/latest/src/contrib/own_1.0.20240115.1.tar.gz").await.status, 200);

    // An answer that breaks off is told as such.
    let spoilt = json!({"id": "cable", "match": {"direction": "out", "peer": "git", "path": "/own.git/info/refs"},
                        "effect": {"kind": "truncate", "bytes": 5}});
    team.fault(spoilt);
    refused(&team, json!({"url": server.address("own"), "name": "more"}), "broke off").await;
    team.running.world().faults().clear();
    let ran = team.does("POST", &format!("{BUILDERS}/own/run"), Value::Null).await;
    assert_eq!(ran[0]["version"], "1.0.20240115.2", "{ran}");
}

#[tokio::test]
async fn a_build_outlives_the_server_that_began_it() {
    let Some(server) = GitServer::start(None).await else { return };
    let folder = tempfile::tempdir().unwrap();
    let service = Service::with_packages().await;
    let world = WorldConfig { data_dir: Some(folder.path().to_owned()), ..host().world };
    let lasting = HostConfig { world, ..host() };
    let team = Team::with(service.clone(), config(&service), lasting.clone()).await;
    prepare(&team, "git", "R").await;
    server.commit("own", 1, &R);
    team.does("POST", BUILDERS, json!({"url": server.address("own")})).await;
    server.commit("own", 2, &[("NEWS", "")]);
    team.does("POST", &format!("{BUILDERS}/own/run"), json!({"no_wait": true})).await;
    let all = loop {
        let all = builds(&team).await;
        if all[0]["completed"] != Value::Null {
            break all;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(all.len(), 2);
    server.hang(true);
    let asked = server.asked();
    let rerun = team.does("POST", &format!("{BUILDERS}/own/rerun"), json!({"no_wait": true})).await;
    while builds(&team).await[0]["status"] != "running" || server.asked() == asked {
        tokio::task::yield_now().await;
    }
    team.running.stop().await;
    server.hang(false);
    let team = Team::with(service.clone(), config(&service), lasting).await;
    let all = loop {
        let all = builds(&team).await;
        if all[0]["completed"] != Value::Null {
            break all;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!((&all[0]["id"], &all[0]["attempts"]), (&rerun[0]["id"], &json!(2)), "{}", all[0]);
    assert_eq!(all[0]["status"], "succeeded");
    assert!(team.text("/built/latest/src/contrib/PACKAGES").await.contains("Version: 1.0.20240115.2\n"));
}

#[tokio::test]
async fn r_installs_what_was_built() {
    let Some(server) = GitServer::start(None).await else { return };
    let Some(rscript) = need_tool("Rscript") else { return };
    let team = team_with("git", "R", |_| {}).await;
    server.commit("own", 1, &R);
    team.does("POST", BUILDERS, json!({"url": server.address("own")})).await;
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().to_str().unwrap();
    let url = team.url("/built/latest");
    let code = format!(
        "install.packages('own', lib = '{library}', repos = '{url}'); .libPaths('{library}'); \
         cat('it says', own::says(), as.character(packageVersion('own')))"
    );
    let mut command = Command::new(&rscript);
    command.args(["--vanilla", "-e", &code]).stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("it says hello 1.0.20240115.1"), "{said}");
}

/// A build backend that needs nothing.
const BACKEND: &str = r#"
import tomllib, zipfile, pathlib
def get_requires_for_build_wheel(config_settings=None): return []
def build_wheel(directory, config_settings=None, metadata_directory=None):
    project = tomllib.loads(pathlib.Path("pyproject.toml").read_text())["project"]
    stem = f"own_thing-{project['version']}"
    with zipfile.ZipFile(f"{directory}/{stem}-py3-none-any.whl", "w") as z:
        z.write("own_thing.py")
        z.writestr(f"{stem}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: own-thing\nVersion: {project['version']}\n")
        z.writestr(f"{stem}.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        z.writestr(f"{stem}.dist-info/RECORD", "")
    return f"{stem}-py3-none-any.whl"
"#;

#[tokio::test]
async fn pip_installs_what_was_built() {
    let Some(server) = GitServer::start(None).await else { return };
    let Some(pip) = need_tool("pip") else { return };
    let team = team_with("git-python", "Python", |_| {}).await;
    let pyproject = "[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n\n[project]\n\
                     name = \"own-thing\"\nversion = \"1.0\"\nrequires-python = \">=3.8\"\n";
    let files = [("pyproject.toml", pyproject), ("own_thing.py", "version = '1'\n"), ("backend.py", BACKEND)];
    let sha = server.commit("thing", 1, &files);
    refused(&team, json!({"url": server.address("thing")}), "needs a name").await;
    let made = team.does("POST", BUILDERS, json!({"url": server.address("thing"), "name": "thing"})).await;
    assert_eq!(made["builds"][0]["version"], "1.0+20240115.1", "{made}");
    let shown = team.does("GET", "/__api__/repos/built/packages/own-thing", Value::Null).await;
    assert_eq!(shown["remote_sha"], sha.as_str(), "{shown}");
    let folder = tempfile::tempdir().unwrap();
    let index = team.url("/built/latest/simple");
    let mut command = Command::new(pip);
    command.args(["install", "--no-cache-dir", "--index-url", &index, "--target", folder.path().to_str().unwrap()]);
    command.arg("own-thing").env("PIP_CONFIG_FILE", "/dev/null").env("PIP_DISABLE_PIP_VERSION_CHECK", "1");
    let output = command.kill_on_drop(true).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(folder.path().join("own_thing-1.0+20240115.1.dist-info/METADATA").exists());
}
