//! The ledger of how sure we are of every route: `docs/FIDELITY.md`.
//!
//! It is what the running servers say at `/__sim__/v1/fidelity`. Labels only go up: one that is lower than it ever was in
//! the history of the file fails the test, whatever the file says now.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::Command;

use serde_json::Value;
use sim_kit::testing::{generated, need_tool};
use tests::{Team, workspace};

/// From the lowest to the highest.
const LABELS: [&str; 4] = ["unimplemented", "inferred", "documented", "client-proven"];

const HEAD: &str = "\
# Fidelity

Every route of every server, and how sure we are that it behaves as the real product's:

| label | meaning |
|---|---|
| `client-proven` | a test drives an unmodified real client through it |
| `documented` | built from documentation, recordings or client code |
| `inferred` | built from inference; the real behaviour is not known |
| `unimplemented` | known to exist, not built |

The same list is served by each server at `/__sim__/v1/fidelity`. This file is generated; a label may only go up. After a
change of a table of routes, bring it up to date with

```sh
cargo nextest run -p tests fidelity::
```
";

/// Product, route, label.
type Ledger = BTreeMap<(String, String), usize>;

fn rank(label: &str) -> usize {
    LABELS.iter().position(|known| *known == label).unwrap_or_else(|| panic!("`{label}` is no label"))
}

/// What a ledger says.
fn read(text: &str) -> Ledger {
    let mut product = String::new();
    let mut ledger = Ledger::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("## ") {
            product = name.to_owned();
        } else if let Some((route, rest)) = line.strip_prefix("| `").and_then(|line| line.split_once("` | "))
            && let Some(label) = rest.split(" |").next().filter(|label| LABELS.contains(label))
        {
            ledger.insert((product.clone(), route.to_owned()), rank(label));
        }
    }
    ledger
}

/// What git remembers of the ledger: the highest label of each route.
fn remembered() -> Ledger {
    let mut highest = Ledger::new();
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).current_dir(workspace("")).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let log = git(&["log", "-n", "50", "--format=%H", "--", "docs/FIDELITY.md"]).unwrap_or_default();
    for commit in log.lines() {
        for (route, label) in read(&git(&["show", &format!("{commit}:docs/FIDELITY.md")]).unwrap_or_default()) {
            let best = highest.entry(route).or_insert(label);
            *best = label.max(*best);
        }
    }
    highest
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_is_what_the_servers_say_and_only_rises() {
    let Some(_) = need_tool("git") else { return };
    let team = Team::start().await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut text = HEAD.to_owned();
    for (name, url) in [
        ("Workbench", &team.urls.workbench),
        ("Connect", &team.urls.connect),
        ("Package Manager", &team.urls.package_manager),
        ("Package service", &team.urls.upstream),
    ] {
        let address = format!("{}/__sim__/v1/fidelity", url.trim_end_matches('/'));
        let said: Value =
            serde_json::from_str(&client.get(address).send().await.unwrap().text().await.unwrap()).unwrap();
        let routes = said["routes"].as_array().unwrap();
        let of = |label: &str| routes.iter().filter(|route| route["fidelity"] == label).count();
        let counts: Vec<String> =
            LABELS.iter().rev().filter(|label| of(label) > 0).map(|label| format!("{} {label}", of(label))).collect();
        writeln!(text, "\n## {name}\n\n{} routes: {}.\n", routes.len(), counts.join(", ")).unwrap();
        text += "| route | label | since |\n|---|---|---|\n";
        for route in routes {
            let word = |field: &str| route[field].as_str().unwrap_or_default();
            let (method, path) = (word("method"), word("path"));
            writeln!(text, "| `{method} {path}` | {} | {} |", word("fidelity"), word("since")).unwrap();
        }
    }
    let now = read(&text);
    let fallen: Vec<String> = remembered()
        .iter()
        .filter_map(|(route, best)| {
            let label = now.get(route).filter(|label| *label < best)?;
            Some(format!("{} {}: {}, was {}", route.0, route.1, LABELS[*label], LABELS[*best]))
        })
        .collect();
    assert!(fallen.is_empty(), "labels may only go up:\n{}", fallen.join("\n"));
    generated(&workspace("docs/FIDELITY.md"), &text);
}

#[test]
fn a_ledger_is_read_as_it_is_written() {
    let text =
        format!("{HEAD}\n## Connect\n\n| `GET /a` | inferred |  |\n| `POST /b/{{c}}` | client-proven | 2024.01.0 |\n");
    let read: Vec<((String, String), usize)> = read(&text).into_iter().collect();
    let route = |text: &str| ("Connect".to_owned(), text.to_owned());
    assert_eq!(read, [(route("GET /a"), 1), (route("POST /b/{c}"), 3)]);
}
