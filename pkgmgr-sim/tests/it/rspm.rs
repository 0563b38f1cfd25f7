//! The administrator's command line against a running server.

mod kept;

use std::path::Path;

use clap::Parser;
use pkgmgr_sim::rspm::{self, Rspm};
use serde_json::{Value, json};

use crate::Team;
use crate::administration::{r_package, wheel};
use crate::builders::server::GitServer;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    rspm: Rspm,
}

/// What `rspm` with these words writes to standard output, or the reason why it fails.
pub(crate) async fn rspm(words: &[&str]) -> Result<String, String> {
    let line = Line::try_parse_from([&["rspm"], words].concat()).map_err(|error| error.to_string())?;
    rspm::run(line.rspm).await.map_err(|error| format!("{error:#}"))
}

struct Shell {
    team: Team,
    token: String,
}

impl Shell {
    async fn start() -> Self {
        let team = Team::synced().await;
        let token = team.token();
        Self { team, token }
    }

    async fn try_run(&self, words: &[&str]) -> Result<String, String> {
        let address = self.team.running.url();
        let fixed = ["--address", address.as_str(), "--token", self.token.as_str()];
        rspm(&[&fixed[..], words].concat()).await
    }

    async fn run(&self, words: &[&str]) -> String {
        self.try_run(words).await.unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    async fn json(&self, words: &[&str]) -> Value {
        serde_json::from_str(&self.run(&[&["-o", "json"], words].concat()).await).unwrap()
    }

    async fn fails(&self, words: &[&str], reason: &str) {
        let error = self.try_run(words).await.expect_err("it must fail");
        assert!(error.contains(reason), "{words:?}: {error}");
    }
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> String {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_repository_of_ones_own() {
    let shell = Shell::start().await;
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(shell.run(&["sync"]).await, "Synchronised CRAN.\n");
    shell.fails(&["sync", "--type=Bioconductor", "--version=3.22"], "versions of bioconductor").await;
    assert_eq!(shell.run(&["create", "repo", "--name=prod", "--description=Ours"]).await, "Repository prod created.\n");
    assert_eq!(shell.run(&["create", "source", "--name=team"]).await, "Source team created.\n");
    for source in ["cran", "team"] {
        shell.run(&["subscribe", "--repo=prod", &format!("--source={source}")]).await;
    }
    shell.run(&["reorder", "--repo=prod", "--sources=team,cran"]).await;
    assert_eq!(shell.json(&["info", "--repo=prod"]).await["sources"], json!(["team", "cran"]));
    let (a, b) = (
        write(folder.path(), "own_1.0.tar.gz", &r_package("own", "1.0", "")),
        write(folder.path(), "more_2.0.tar.gz", &r_package("more", "2.0", "")),
    );
    let added = shell.run(&["add", "--source=team", &format!("--path={a},{b}")]).await;
    assert_eq!(added, "Added own 1.0 to team.\nAdded more 2.0 to team.\n");
    let log = shell.team.get("/__api__/sources/team/transactions").await.json();
    assert_eq!((&log[0]["tag"], &log[0]["packages_added"]), (&json!("Add 2 files"), &json!(2)), "one transaction");
    let third = write(folder.path(), "third_1.0.tar.gz", &r_package("third", "1.0", ""));
    shell.fails(&["add", "--source=team", &format!("--path={third},{a}")], "there already").await;
    assert!(!shell.run(&["list", "packages", "--source=team"]).await.contains("third"), "all or none");
    shell.run(&["add", "--source=team", &format!("--path={a}"), "--replace"]).await;
    shell.fails(&["url", "create", "--repo=prod"], "--date").await;
    let pinned = shell.run(&["url", "create", "--repo=prod", "--snapshot=team:latest"]).await;
    let pinned = pinned.trim().strip_prefix(&shell.team.running.url()).unwrap().to_owned() + "/src/contrib/PACKAGES";
    let list = shell.run(&["list", "packages", "--source=team"]).await;
    assert_eq!(list, "NAME  VERSION\nmore  2.0\nown   1.0\n");
    shell.run(&["remove", "package", "--name=more@all", "--source=team", "--comment=too old"]).await;
    let log = shell.team.get("/__api__/sources/team/transactions").await.json();
    assert_eq!(log[0]["tag"], "Remove more all: too old");
    shell.run(&["archive", "--name=own", "--source=team"]).await;
    assert_eq!(shell.json(&["list", "packages", "--source=team"]).await, json!([]));
    assert!(shell.team.text(&pinned).await.contains("Package: own\n"), "a pinned address shows what it showed");
    assert!(!shell.team.text("/prod/latest/src/contrib/PACKAGES").await.contains("Package: own\n"));
    let repos = shell.json(&["list", "repos", "--source=team"]).await;
    assert_eq!((repos.as_array().unwrap().len(), &repos[0]["name"]), (1, &json!("prod")));
    let url = shell.run(&["url", "create", "--repo=prod", "--date=2024-01-05"]).await;
    assert_eq!(url, format!("{}/prod/4-2\n", shell.team.running.url()));
    assert!(!shell.team.text("/prod/4-2/src/contrib/PACKAGES").await.contains("Package: own\n"));
    let mixed = ["--snapshot=cran:2024-01-05", "--date=2024-01-14", "--lock"];
    let mixed = shell.json(&[&["url", "create", "--repo=prod"], &mixed[..]].concat()).await;
    assert_eq!((&mixed["id"], &mixed["locked"]), (&json!("4-3"), &json!(true)));
    assert!(shell.team.text("/prod/4-3/src/contrib/PACKAGES").await.contains("Package: alpha\nVersion: 1.0"));
    let long = shell.run(&["url", "create", "--repo=prod", "--no-alias", "--snapshot=cran:2024-01-05"]).await;
    let long = long.trim().rsplit('/').next().unwrap().to_owned();
    assert!(long.bytes().all(|b| b == b'-' || b.is_ascii_digit()), "{long}");
    let both = ["url", "create", "--repo=prod", "--no-alias", "--lock", "--date=2024-01-05"];
    assert_eq!(shell.json(&both).await["locked"], true);
    shell.fails(&["url", "create", "--repo=prod", "--snapshot=cran"], "source:date-or-transaction").await;
    shell.fails(&["url", "create", "--repo=prod", "--snapshot=cran:5,cran:6"], "twice").await;
    shell.fails(&["url", "delete", "--repo=prod", "--id=4-3"], "locked").await;
    shell.run(&["url", "delete", "--repo=prod", "--id=4-2"]).await;
    let left = shell.run(&["url", "list", "--repo=prod"]).await;
    assert!(left.contains("4-1 ") && left.contains("4-3 ") && !left.contains("4-2 "), "{left}");
    shell.fails(&["url", "create", "--repo=prod", "--date=2031-01-05"], "in the future").await;
    shell.run(&["edit", "repo", "--name=prod", "--new-name=live", "--authenticated"]).await;
    assert_eq!(shell.json(&["info", "--repo=live"]).await["auth"], true);
    shell.run(&["edit", "repo", "--name=live", "--authenticated=false"]).await;
    shell.run(&["unsubscribe", "--repo=live", "--source=team"]).await;
    shell.run(&["delete", "source", "--name=team"]).await;
    shell.run(&["delete", "repo", "--name=live"]).await;
    assert!(shell.run(&["list", "sources"]).await.contains("pypi"));
}

#[tokio::test]
async fn curated_sources_python_and_the_blocklist() {
    let shell = Shell::start().await;
    let folder = tempfile::tempdir().unwrap();
    shell.run(&["create", "source", "--name=chosen", "--type=curated-cran", "--snapshot=2024-01-12"]).await;
    let tried = shell.run(&["add", "--source=chosen", "--packages=alpha"]).await;
    assert!(
        tried.contains("added  alpha 2.0")
            && tried.contains("added  beta")
            && tried.contains("--snapshot=2024-01-11 --commit"),
        "{tried}"
    );
    assert_eq!(shell.json(&["list", "packages", "--source=chosen"]).await, json!([]));
    let csv = folder.path().join("changes.csv");
    let csv_out = format!("--csv-out={}", csv.display());
    let add = ["add", "--source=chosen", "--packages=alpha", "--commit"];
    shell.fails(&add, "--snapshot <SNAPSHOT>").await;
    assert_eq!(shell.json(&["list", "packages", "--source=chosen"]).await, json!([]));
    shell.run(&[&add[..], &["--snapshot=2024-01-12", &csv_out]].concat()).await;
    assert_eq!(std::fs::read_to_string(&csv).unwrap(), "change,name,version\nadded,alpha,2.0\nadded,beta,0.1\n");
    let alone = ["--type=curated-cran", "--include=none", "--no-archived", "--snapshot=2024-01-12"];
    shell.run(&[&["create", "source", "--name=alone"], &alone[..]].concat()).await;
    shell.run(&["add", "--source=alone", "--packages=alpha", "--snapshot=2024-01-12", "--commit"]).await;
    assert_eq!(shell.run(&["list", "packages", "--source=alone"]).await, "NAME   VERSION\nalpha  2.0\n");
    shell.run(&["create", "repo", "--name=alone"]).await;
    shell.run(&["subscribe", "--repo=alone", "--source=alone"]).await;
    let old = "/latest/src/contrib/Archive/alpha/alpha_1.0.tar.gz";
    assert_eq!(shell.team.get(&format!("/alone{old}")).await.status, 404, "it was made without archived versions");
    assert_eq!(shell.team.get(&format!("/cran{old}")).await.status, 200);
    shell.fails(&["create", "source", "--name=x", "--type=curated-cran", "--include=love"], "love").await;
    shell.fails(&["create", "source", "--name=x", "--no-archived"], "curated-cran").await;
    shell.fails(&["update", "--source=alone", "--snapshot=1"], "no state at transaction 1").await;
    let moved = shell.run(&["update", "--source=chosen", "--snapshot=2024-01-05", "--commit"]).await;
    assert_eq!(shell.json(&["info", "--source=chosen"]).await["snapshot"], "2024-01-04", "the last before");
    assert!(shell.json(&["info", "--source=cran"]).await.get("snapshot").is_none());
    assert!(moved.contains("updated  alpha 1.0") && moved.ends_with("Done.\n"), "{moved}");

    let listed = |text: &str| format!("--file-in={}", write(folder.path(), "packages.txt", text.as_bytes()));
    let all = shell.run(&["update", "--source=chosen", &listed("# ours\nbeta # alone\n\n"), "--commit"]).await;
    assert!(all.contains("removed  alpha 1.0") && all.ends_with("Done.\n"), "{all}");
    let held = shell.json(&["list", "packages", "--source=chosen"]).await;
    assert_eq!((held.as_array().unwrap().len(), &held[0]["name"]), (1, &json!("beta")));
    let brought = shell.run(&["update", "--source=chosen", &listed("alpha\n"), "--snapshot=2024-01-12"]).await;
    assert!(brought.contains("added  alpha 2.0") && !brought.contains("removed"), "it needs beta: {brought}");
    shell.fails(&["update", "--source=chosen", &listed("alpha\nbeta>=1.0\n")], "no package beta>=1.0").await;
    shell.fails(&["update", "--source=chosen", &listed("alpha\nbeta 1.0\n")], "line 2").await;
    shell.fails(&["update", "--source=chosen", &listed("none\n")], "no package none").await;
    shell.fails(&["update", "--source=chosen", &listed("alpha\n"), "--packages=beta"], "besides").await;

    shell.run(&["create", "source", "--name=pychosen", "--type=curated-pypi"]).await;
    let requirements = write(folder.path(), "requirements.txt", b"alpha-py<2\n");
    let update = format!("--file-in={requirements}");
    let done = shell.run(&["update", "--source=pychosen", &update, "--commit"]).await;
    assert!(done.contains("added  alpha-py 1.0"), "{done}");

    shell.run(&["create", "source", "--name=wheels", "--type=local-python"]).await;
    let (name, bytes) = wheel("own_thing", "1.0");
    let path = write(folder.path(), &name, &bytes);
    shell.run(&["add", "--source=wheels", &format!("--path={path}")]).await;
    shell.run(&["remove", "package", &format!("--name={name}"), "--source=wheels"]).await;
    assert_eq!(shell.json(&["list", "packages", "--source=wheels"]).await, json!([]));

    let rule = shell.json(&["create", "blocklist-rule", "--package-name=alpha", "--version=<2.0", "--repo=cran"]).await;
    let trial = |version: &str| format!("--version={version}");
    let test = ["test", "blocklist-rules", "--repo=cran", "--package-name=alpha"];
    assert_eq!(shell.run(&[&test[..], &[&trial("1.0")]].concat()).await, "alpha 1.0 is blocked by rule 1.\n");
    assert_eq!(shell.run(&[&test[..], &[&trial("2.0")]].concat()).await, "alpha 2.0 is not blocked.\n");
    shell.run(&["edit", "blocklist-rule", "--id=1", "--package-name=beta"]).await;
    assert_eq!(shell.run(&[&test[..], &[&trial("1.0")]].concat()).await, "alpha 1.0 is not blocked.\n");
    assert!(shell.run(&["list", "blocklist-rules"]).await.contains("beta"));
    shell.run(&["delete", "blocklist-rule", &format!("--id={}", rule["id"])]).await;
    assert_eq!(shell.json(&["list", "blocklist-rules"]).await, json!([]));
}

#[tokio::test]
async fn tokens_and_refusals() {
    let shell = Shell::start().await;
    let made =
        shell.run(&["create", "token", "--scope=sources:write", "--sources=*", "--expires=20d", "--quiet"]).await;
    assert_eq!(made.trim().split('.').count(), 3, "nothing but a JWT on standard output");
    let tokens = shell.json(&["list", "tokens"]).await;
    let mut ids = tokens.as_array().unwrap().iter().map(|token| token["id"].as_str().unwrap());
    let id = ids.find(|id| *id != "seeded-admin").unwrap().to_owned();
    let narrow = Shell { token: made.trim().to_owned(), ..shell };
    narrow.fails(&["create", "repo", "--name=x"], "another scope").await;
    narrow.fails(&["list", "tokens"], "another scope").await;
    let shell = Shell { token: narrow.team.token(), ..narrow };
    shell.run(&["delete", "token", &format!("--id={id}")]).await;
    let revoked = Shell { token: made.trim().to_owned(), ..shell };
    revoked.fails(&["list", "repos"], "revoked").await;
    let nobody = Shell { token: String::new(), ..revoked };
    nobody.fails(&["create", "repo", "--name=x"], "Set PACKAGEMANAGER_TOKEN").await;
    assert!(nobody.run(&["list", "repos"]).await.starts_with("ID  NAME          TYPE"));
    let shell = Shell { token: nobody.team.token(), ..nobody };
    shell.fails(&["info"], "--repo or --source").await;
    shell.fails(&["info", "--repo=a/../b"], "no repository \"a/../b\"").await;
    shell.fails(&["add", "--source=x"], "--path").await;
    shell.fails(&["add", "--source=x", "--path=/nothing/here.tar.gz"], "cannot read /nothing/here.tar.gz").await;
    shell.fails(&["remove", "package", "--source=x", "--name=y"], "y@all").await;
    shell.fails(&["subscribe", "--repo=cran"], "--source").await;
    shell.fails(&["sync", "--type=Bioconductor"], "no source").await;
    let line = ["rspm", "--address=http://127.0.0.1:9", "list", "repos"];
    let error = rspm::run(Line::try_parse_from(line).unwrap().rspm).await.expect_err("nobody is there").to_string();
    assert!(error.contains("does not answer"), "{error}");
}

#[tokio::test]
async fn git_builders_and_their_logs() {
    let Some(server) = GitServer::start(None).await else { return };
    let description = "Package: own\nVersion: 1.0\nTitle: T\nDescription: D.\nLicense: MIT\n";
    let sha = server.commit("own", 3, &[("DESCRIPTION", description), ("NAMESPACE", "")]);
    let shell = Shell::start().await;
    let folder = tempfile::tempdir().unwrap();
    shell.run(&["create", "source", "--name=git", "--type=git"]).await;
    let url = format!("--url={}", server.address("own"));
    let made = shell.run(&["create", "git-builder", "--source=git", &url]).await;
    let (first, second) = made.trim().split_once('\n').unwrap();
    assert_eq!(first, "Git builder own created.");
    assert!(second.starts_with(&format!("Built own 1.0.20240115.3 from {sha} in transaction ")), "{second}");
    let builds = shell.json(&["list", "git-builds", "--source=git", "--name=own", "--count=1"]).await;
    let transaction = format!("--transaction-id={}", builds[0]["transaction_id"]);
    assert!(shell.run(&["logs", &transaction]).await.contains("* building 'own_1.0.20240115.3.tar.gz'"));
    let file = folder.path().join("log");
    shell.run(&["logs", &transaction, "--file-out", file.to_str().unwrap()]).await;
    assert!(std::fs::read_to_string(file).unwrap().contains(&sha));
    shell.fails(&["logs", "--transaction-id=1"], "no git build").await;
    let named = ["--source=git", "--name=own"];
    assert_eq!(shell.run(&[&["run", "git-builder"], &named[..]].concat()).await, "There is nothing new to build.\n");
    assert!(shell.run(&[&["rerun", "git-builder"], &named[..]].concat()).await.starts_with("Built own"));
    let credential = ["import", "https-credential", "--name=ci", "--username=u", "--password=p"];
    assert_eq!(shell.run(&credential).await, "Git credential ci imported.\n");
    shell.fails(&credential, "taken").await;
    shell.run(&[&credential[..], &["--succeed-on-existing"]].concat()).await;
    shell.run(&[&["edit", "git-builder", "--new-branch=main", "--new-credential=ci"], &named[..]].concat()).await;
    let list = shell.run(&["list", "git-builders", "--source=git"]).await;
    assert!(list.contains("main") && list.contains("ci"), "{list}");
    shell.run(&[&["edit", "git-builder", "--remove-credential"], &named[..]].concat()).await;
    assert!(shell.run(&["list", "git-credentials"]).await.contains("https"));
    shell.run(&["delete", "git-credential", "--name=ci"]).await;
    shell.run(&[&["delete", "git-builder"], &named[..]].concat()).await;
    assert_eq!(shell.json(&["list", "git-builders", "--source=git"]).await, json!([]));
}

/// The commands and flags that the real product's documentation names. `online`, `offline` and `cluster` are not here: they talk to a
/// node over its socket.
const DOCUMENTED: &[(&str, &str)] = &[
    ("", "config output-format verbose address insecure-ssl-skip-verify"),
    ("create repo", "name description type authenticated"),
    ("edit repo", "name authenticated"),
    ("create source", "name type snapshot include no-archived version"),
    ("subscribe", "repo source"),
    ("unsubscribe", "repo source"),
    ("reorder", "repo sources"),
    ("list repos", "source"),
    ("list sources", ""),
    ("list packages", "source"),
    ("list requirements", "repo packages distribution release"),
    ("list git-builders", "source"),
    ("list git-builds", "source name"),
    ("list tokens", ""),
    ("list blocklist-rules", ""),
    ("info", "source repo"),
    ("add", "source path replace packages include-suggests csv-out snapshot commit file-in"),
    ("update", "source file-in snapshot commit csv-out"),
    ("remove package", "name source comment"),
    ("clear", "type confirm"),
    ("sync", "type version wait no-wait quiet"),
    ("url create", "repo date snapshot lock no-alias"),
    (
        "create git-builder",
        "url source name build-trigger branch sub-dir credential clone-depth recurse-submodules no-wait",
    ),
    ("edit git-builder", "new-url new-branch"),
    ("run git-builder", "source name"),
    ("rerun git-builder", "tag commit-sha"),
    ("logs", "transaction-id"),
    (
        "create blocklist-rule",
        "package-name version source repo bioconductor license license-types vulns min-severity block-unscored deleted-packages \
         exception priority description",
    ),
    ("edit blocklist-rule", "id package-name license-types"),
    ("delete blocklist-rule", "id"),
    ("test blocklist-rules", "repo package-name version bioc-version"),
    ("create bulk-blocklist-rules", "path fail-all"),
    ("create metadata", "package-name version source repo key value succeed-on-existing update-existing"),
    ("create bulk-metadata", "path csv-in fail-all show-example"),
    ("list metadata", ""),
    ("delete metadata", "id"),
    ("create token", "scope repos sources expires description user quiet"),
];

#[test]
fn every_documented_command_is_there_and_shows_an_example() {
    let mut whole = <Line as clap::CommandFactory>::command();
    whole.build();
    let mut missing = Vec::new();
    for (path, flags) in DOCUMENTED {
        let mut at = Some(&whole);
        for word in path.split_whitespace() {
            at = at.and_then(|command| command.find_subcommand(word));
        }
        let Some(command) = at else {
            missing.push((*path).to_owned());
            continue;
        };
        let has = |flag: &str| command.get_arguments().any(|argument| argument.get_long() == Some(flag));
        missing.extend(flags.split_whitespace().filter(|flag| !has(flag)).map(|flag| format!("{path} --{flag}")));
    }
    assert!(missing.is_empty(), "not there: {missing:#?}");
    for short in ['a', 'c', 'o', 'v'] {
        assert!(whole.get_arguments().any(|argument| argument.get_short() == Some(short)), "-{short}");
    }
    let (mut silent, mut todo) = (Vec::new(), vec![(String::new(), &whole)]);
    while let Some((path, command)) = todo.pop() {
        let inner: Vec<_> = command.get_subcommands().filter(|inner| inner.get_name() != "help").collect();
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        if !path.is_empty() && !help.contains("rspm ") {
            silent.push(path.clone());
        }
        todo.extend(inner.into_iter().map(|inner| (format!("{path} {}", inner.get_name()), inner)));
    }
    assert!(silent.is_empty(), "without an example: {silent:#?}");
}

#[tokio::test]
async fn rules_in_bulk_by_license_and_for_what_was_deleted() {
    let service = crate::service::Service::start().await;
    service.r("alpha", "2.0", 2, "");
    service.r("beta", "0.1", 3, "");
    // Gone since the 12th; the snapshot of the 11th still shows it.
    service.r("gone", "1.0", 3, "License: GPL-3\n");
    service.change_r("gone", |record| record.removed_at = Some(crate::service::noon(12)));
    service.r("copyleft", "1.0", 3, "License: LGPL-2.1 | GPL-2\n");
    service.publish(16);
    let team = Team::of(service).await;
    team.sync().await;
    let token = team.token();
    let shell = Shell { team, token };
    let folder = tempfile::tempdir().unwrap();
    let index = "/cran/latest/src/contrib/PACKAGES";
    let old = "/cran/2024-01-11/src/contrib/gone_1.0.tar.gz";
    assert_eq!(shell.team.get(old).await.status, 200);
    let past = shell.team.text("/cran/2024-01-11/src/contrib/PACKAGES").await;

    let bad = json!([{"package_name": "beta"}, {"license_types": ["nice"]}, {"license_types": ["strong-copyleft"]}]);
    let bad = write(folder.path(), "bad.json", bad.to_string().as_bytes());
    shell.fails(&["create", "bulk-blocklist-rules", "--path", &bad, "--fail-all"], "number 2: license_types").await;
    assert_eq!(shell.json(&["list", "blocklist-rules"]).await, json!([]));
    let told = shell.run(&["create", "bulk-blocklist-rules", "--path", &bad]).await;
    assert!(told.starts_with("2 blocklist rules created.\nRule 2 was not: license_types"), "{told}");
    let rules = shell.json(&["list", "blocklist-rules"]).await;
    assert_eq!((rules.as_array().unwrap().len(), &rules[1]["license_types"]), (2, &json!(["strong-copyleft"])));
    let now = shell.team.text(index).await;
    assert!(now.contains("Package: alpha\n") && !now.contains("copyleft") && !now.contains("beta\nV"), "{now}");
    let tried = ["test", "blocklist-rules", "--repo=cran", "--package-name=copyleft", "--version=1.0"];
    assert_eq!(shell.run(&tried).await, "copyleft 1.0 is blocked by rule 2.\n");
    let wanted = json!({"repo": "cran", "names": ["copyleft"]});
    let row = shell.team.admin("POST", "/__api__/filter/packages", wanted).await.json();
    assert_eq!((&row["license_types"], &row["blocked"]), (&json!(["weak-copyleft", "strong-copyleft"]), &json!(true)));

    for rule in ["1", "2"] {
        shell.run(&["delete", "blocklist-rule", "--id", rule]).await;
    }
    shell.run(&["create", "blocklist-rule", "--deleted-packages"]).await;
    assert_eq!(shell.team.get(old).await.status, 403, "gone is gone");
    assert_eq!(shell.team.text("/cran/2024-01-11/src/contrib/PACKAGES").await, past, "but it was shown");
    assert_eq!(shell.team.get("/cran/latest/src/contrib/alpha_2.0.tar.gz").await.status, 200);
    shell
        .fails(&["create", "blocklist-rule", "--bioconductor"], "source_type \"bioconductor\": no source is of it")
        .await;
    shell
        .fails(&["create", "source", "--name=x", "--type=bioconductor", "--version=3.99"], "no version \"3.99\"")
        .await;
}

#[tokio::test]
async fn requirements_and_releases_from_the_package_service() {
    let (team, _upstream) = crate::upstream::fed_by_ours("2025-10-20T06:00:00Z", &["curl", "jsonlite", "DESeq2"]).await;
    team.sync().await;
    let token = team.token();
    let shell = Shell { team, token };
    let words = ["list", "requirements", "--repo=cran", "--distribution=ubuntu", "--release=22.04"];
    let of = async |packages: &str| shell.run(&[&words[..], &["--packages", packages]].concat()).await;
    let named = of("curl,jsonlite").await;
    assert!(named.contains("curl  libcurl4-openssl-dev") && named.contains("apt-get install -y"), "{named}");
    assert!(of("*").await.contains("libcurl4-openssl-dev"));
    let there = ["create", "source", "--name=x", "--type=bioconductor", "--version=3.18"];
    shell.fails(&there, "bioc-3.18 is there already").await;
    let rule = ["create", "blocklist-rule", "--bioconductor", "--license-types=weak-copyleft"];
    shell.run(&rule).await;
    let tree = "/bioconductor/latest/packages/3.18/bioc/src/contrib/PACKAGES";
    assert!(!shell.team.text(tree).await.contains("Package: DESeq2\n"), "its license is the LGPL");
    let tried = ["test", "blocklist-rules", "--repo=bioconductor", "--package-name=BiocVersion", "--version=3.18.0"];
    let tried = shell.run(&[&tried[..], &["--bioc-version=3.18"]].concat()).await;
    assert!(tried.contains("is not blocked"), "{tried}");
}

#[tokio::test]
async fn a_server_in_maintenance_serves_no_repository() {
    let folder = tempfile::tempdir().unwrap();
    let service = crate::service::Service::with_packages().await;
    let world = sim_kit::WorldConfig { data_dir: Some(folder.path().to_owned()), ..crate::host().world };
    let lasting = sim_kit::HostConfig { world, ..crate::host() };
    let start = async || {
        let team = Team::with(service.clone(), crate::config(&service), lasting.clone()).await;
        let token = team.token();
        Shell { team, token }
    };
    let shell = start().await;
    shell.team.sync().await;
    let index = "/cran/latest/src/contrib/PACKAGES";
    let packages = shell.team.text(index).await;
    assert!(shell.run(&["offline"]).await.contains("rspm online"));
    let check = async |shell: &Shell| {
        for path in [index, "/cran/latest/src/contrib/PACKAGES.gz", "/pypi/latest/simple/", "/upload/pypi/x"] {
            let answer = shell.team.get(path).await;
            assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, "60"), "{path}");
            assert!(answer.text().contains("offline for maintenance"), "{path}: {}", answer.text());
        }
        for path in ["/__ping__", "/__api__/status", "/", "/client/style.css"] {
            assert_eq!(shell.team.get(path).await.status, 200, "{path}");
        }
        let nodes = shell.json(&["cluster"]).await;
        assert_eq!((nodes.as_array().unwrap().len(), &nodes[0]["state"]), (1, &json!("offline")), "{nodes}");
    };
    check(&shell).await;
    // It stays so until somebody ends it.
    shell.team.running.stop().await;
    let shell = start().await;
    check(&shell).await;
    assert_eq!(shell.json(&["online"]).await["state"], "online");
    assert_eq!(shell.team.text(index).await, packages);
    assert!(shell.run(&["cluster"]).await.contains("online"));
    let nobody = shell.team.send(shell.team.request("POST", "/__api__/cluster/offline")).await;
    assert_eq!(nobody.status, 401);
    for command in ["online", "offline", "cluster"] {
        let far = rspm(&["--address", "http://packages.example.org", command]).await.unwrap_err();
        assert!(far.contains("on the machine of the server"), "{far}");
        let help = rspm(&[command, "--help"]).await.unwrap_err();
        assert!(help.contains(&format!("Example:\n  rspm {command}")), "{help}");
    }
    for flag in ["-V", "--version"] {
        let told = rspm(&[flag]).await.unwrap_err();
        assert!(told.contains(pkgmgr_sim::VERSION), "{told}");
    }
}
