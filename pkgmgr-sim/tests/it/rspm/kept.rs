//! What the command line has the server keep: metadata, and what packages were asked for with.

use serde_json::{Value, json};

use super::{Shell, write};
use crate::Team;
use crate::service::Service;

#[tokio::test]
async fn metadata_of_ones_own() {
    let shell = Shell::start().await;
    let folder = tempfile::tempdir().unwrap();
    let made = shell.run(&["create", "metadata", "--package-name=alpha", "--key=risk", "--value=low"]).await;
    assert_eq!(made, "Metadata 1: risk is low.\n");
    shell.fails(&["create", "metadata", "--package-name=alpha", "--key=risk", "--value=high"], "update_existing").await;
    let keep = ["--key=risk", "--value=high", "--succeed-on-existing"];
    shell.run(&[&["create", "metadata", "--package-name=alpha"], &keep[..]].concat()).await;
    let table = write(folder.path(), "m.csv", b"package_name,source,key,value\nbeta,,risk,none\n,cran,docs,\"a, b\"\n");
    assert_eq!(shell.run(&["create", "bulk-metadata", "--csv-in", &table]).await, "2 records of metadata created.\n");
    let example = shell.run(&["create", "bulk-metadata", "--show-example"]).await;
    let file = write(folder.path(), "m.json", example.replace("prod", "cran").as_bytes());
    shell.run(&["create", "bulk-metadata", "--path", &file, "--fail-all"]).await;
    let list = shell.run(&["list", "metadata"]).await;
    let lines: Vec<&str> = list.lines().collect();
    assert_eq!(lines[1].split_whitespace().collect::<Vec<_>>(), ["1", "alpha", "-", "-", "-", "risk", "low"]);
    assert_eq!(lines[3].split_whitespace().collect::<Vec<_>>(), ["3", "-", "-", "cran", "-", "docs", "a,", "b"]);
    assert_eq!(lines.len(), 6, "{list}");
    shell.run(&["delete", "metadata", "--id=1,3"]).await;
    shell.fails(&["delete", "metadata", "--id=1"], "no record").await;
    shell.run(&["delete", "metadata", "--id=all"]).await;
    assert_eq!(shell.json(&["list", "metadata"]).await, json!([]));
}

#[tokio::test]
async fn curated_sources_keep_to_versions() {
    let service = Service::with_packages().await;
    service.r("alpha", "3.0", 16, "Imports: gamma\nSuggests: delta\n");
    service.r("gamma", "1.0", 16, "");
    service.r("delta", "1.0", 3, "");
    service.publish(18);
    let team = Team::of(service).await;
    team.sync().await;
    let shell = Shell { token: team.token(), team };
    let folder = tempfile::tempdir().unwrap();
    let listed = |text: &str| format!("--file-in={}", write(folder.path(), "packages.txt", text.as_bytes()));
    let held = async || -> Vec<String> {
        let list = shell.json(&["list", "packages", "--source=chosen"]).await;
        let text = |one: &Value, member: &str| one[member].as_str().unwrap().to_owned();
        list.as_array().unwrap().iter().map(|one| format!("{} {}", text(one, "name"), text(one, "version"))).collect()
    };
    shell.run(&["create", "source", "--name=chosen", "--type=curated-cran", "--snapshot=2024-01-12"]).await;
    let tried = shell.run(&["update", "--source=chosen", &listed("alpha\n")]).await;
    assert!(tried.starts_with("Snapshot 2024-01-18\n") && tried.contains("alpha 3.0"), "{tried}");
    let update = ["update", "--source=chosen", "--commit"];
    shell.run(&[&update[..], &[&listed("alpha >= 1.0, < 3.0 [suggests] # not the new one\n")]].concat()).await;
    assert_eq!(held().await, ["alpha 2.0", "beta 0.1"], "2.0 needs beta and suggests nothing");
    shell.run(&["create", "repo", "--name=chosen"]).await;
    shell.run(&["subscribe", "--repo=chosen", "--source=chosen"]).await;
    assert!(shell.team.text("/chosen/latest/src/contrib/PACKAGES").await.contains("Package: alpha\nVersion: 2.0\n"));
    let tree = "/chosen/latest/src/contrib";
    for (path, status) in [("alpha_2.0", 200), ("Archive/alpha/alpha_1.0", 200), ("alpha_3.0", 404)] {
        assert_eq!(shell.team.get(&format!("{tree}/{path}.tar.gz")).await.status, status, "{path}");
    }

    shell.run(&[&update[..], &["--snapshot=2024-01-05"]].concat()).await;
    assert_eq!(held().await, ["alpha 1.0", "beta 0.1"]);
    shell.run(&update).await;
    assert_eq!(held().await, ["alpha 2.0", "beta 0.1"], "moved to the newest snapshot within the same bounds");
    shell.run(&["add", "--source=chosen", "--packages=gamma", "--snapshot=2024-01-18", "--commit"]).await;
    assert_eq!(held().await, ["alpha 2.0", "beta 0.1", "gamma 1.0"]);
    let more = write(folder.path(), "more.csv", b"beta,gamma\nalpha>=1.0,!=2.0,<3.0\n");
    shell.run(&["add", "--source=chosen", "--snapshot=2024-01-18", "--commit", &format!("--file-in={more}")]).await;
    assert_eq!(held().await, ["alpha 1.0", "beta 0.1", "gamma 1.0"]);
    shell.run(&[&update[..], &[&listed("alpha==3.0[suggests]\n")]].concat()).await;
    assert_eq!(held().await, ["alpha 3.0", "delta 1.0", "gamma 1.0"]);
    shell.fails(&[&update[..], &["--snapshot=2024-01-05", &listed("alpha>=2.0")]].concat(), "alpha>=2.0").await;
    shell.fails(&["update", "--source=chosen", "--packages=alpha==love"], "no requirement").await;

    shell.run(&["create", "source", "--name=pychosen", "--type=curated-pypi"]).await;
    shell.fails(&["update", "--source=pychosen"], "needs the requirements").await;
    let python = ["update", "--source=pychosen", "--commit"];
    shell.run(&[&python[..], &["--snapshot=2024-01-05", &listed("alpha-py<3\n")]].concat()).await;
    let moved = shell.run(&python).await;
    assert!(moved.contains("updated  alpha-py 2.0"), "{moved}");
}
