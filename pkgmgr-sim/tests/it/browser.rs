//! A real browser walks through the web interface.

use std::path::{Path, PathBuf};

use sim_kit::testing::need_tool;

use serde_json::json;

use super::Team;
use super::builders::server::GitServer;
use super::service::Service;
use super::vulns::vulnerability;

/// Where each `data-automation` hook that browser tests of the real product look for is found. Names with a star begin so.
const HOOKS: [(&str, &[&str]); 6] = [
    ("home-title", &["/", "/client/", "/client/view/home"]),
    ("repository-selection-card", &["/", "/client/", "/client/view/home"]),
    ("search-input-home-package-search", &["/", "/client/", "/client/view/home"]),
    ("search-input-package-search", &["/client/view/repos/cran/packages", "/client/view/repos/pypi/packages"]),
    (
        "package-link-*",
        &["/client/view/repos/cran/packages", "/client/view/repos/pypi/packages", "/client/view/home?search=alp"],
    ),
    ("package-title", &["/client/view/repos/cran/packages/alpha", "/client/view/repos/pypi/packages/alpha-py"]),
];

/// A Package Manager with a vulnerability of `alpha`, and the builder `own` of the source `git`.
async fn team() -> Option<(Team, GitServer)> {
    let service = Service::with_packages().await;
    service.offer("vulns");
    service.document("vulns", "V-1", vulnerability("V-1", "CRAN", "alpha", "9", 5, 98), 5);
    service.publish_feed("vulns", 15);
    let team = Team::of(service).await;
    team.sync().await;
    let server = GitServer::start(None).await?;
    let description = "Package: own\nVersion: 1.0\nTitle: Ours\nDescription: Ours.\nLicense: MIT\n";
    server.commit("own", 7, &[("DESCRIPTION", description), ("NAMESPACE", ""), ("R/own.R", "")]);
    team.does("POST", "/__api__/sources", json!({"name": "git", "type": "git"})).await;
    let builder = json!({"name": "own", "url": server.address("own")});
    team.does("POST", "/__api__/sources/git/git-builders", builder).await;
    Some((team, server))
}

/// The Python that has playwright: the one beside its command.
fn python() -> Option<PathBuf> {
    Some(need_tool("playwright")?.with_file_name("python3"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_walks_through_the_web_interface() {
    let (Some(python), Some(chromium)) = (python(), need_tool("chromium")) else { return };
    let Some((team, _server)) = team().await else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/walk.py");
    let output = tokio::process::Command::new(python)
        .arg(script)
        .args([team.running.url(), team.token()])
        .env("CHROMIUM", chromium)
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.ends_with("walked\n"), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn every_hook_of_the_real_product_is_where_tests_look_for_it() {
    let team = Team::synced().await;
    for (hook, pages) in HOOKS {
        let (name, end) = hook.strip_suffix('*').map_or((hook, "\""), |name| (name, ""));
        for page in pages {
            let text = team.text(page).await;
            assert!(text.contains(&format!("data-automation=\"{name}{end}")), "{hook} in {page}");
        }
    }
    // A hook names one thing of a page, but for those of lists.
    for page in HOOKS.iter().flat_map(|(_, pages)| *pages) {
        let text = team.text(page).await;
        let mut seen = std::collections::BTreeSet::new();
        for hook in text.split("data-automation=\"").skip(1).map(|rest| rest.split('"').next().unwrap()) {
            assert!(seen.insert(hook), "{hook} twice in {page}");
        }
    }
}

#[tokio::test]
async fn a_package_page_tells_how_severe_its_vulnerabilities_are() {
    let service = Service::with_packages().await;
    service.offer("vulns");
    let known = [("V-1", 98), ("V-2", 71), ("V-3", 40), ("V-4", 3)];
    for (id, tenths) in known {
        service.document("vulns", id, vulnerability(id, "CRAN", "alpha", "9", 5, tenths), 5);
    }
    let mut unscored = vulnerability("V-5", "CRAN", "alpha", "9", 5, 0);
    unscored["severity"] = json!([]);
    service.document("vulns", "V-5", unscored, 5);
    service.publish_feed("vulns", 15);
    let team = Team::of(service).await;
    team.sync().await;
    let page = team.text("/client/view/repos/cran/packages/alpha").await;
    let of = |id: &str| page.split("<p><strong>").find(|part| part.starts_with(&format!("{id}<"))).unwrap();
    for (id, told) in
        [("V-1", "critical 9.8"), ("V-2", "high 7.1"), ("V-3", "medium 4.0"), ("V-4", "low 0.3"), ("V-5", "unscored")]
    {
        assert!(of(id).contains(told), "{id}: {}", of(id));
    }
    for told in ["ALIAS-V-1", "published 2024-01-05", "fixed in 9", "CVSS:3.1", "invented"] {
        assert!(of("V-1").contains(told), "{told}: {}", of("V-1"));
    }
    let before = team.text("/client/view/repos/cran/packages/alpha?snapshot=2024-01-04").await;
    assert!(before.contains("critical 9.8"), "what is known now counts, whatever the snapshot: {before}");
    assert!(team.text("/client/view/repos/cran/packages/beta").await.contains("None is known"));
}

#[tokio::test]
async fn pages_are_sealed_and_answer_what_is_not_there() {
    let team = Team::synced().await;
    let home = team.get("/client/").await;
    assert_eq!((home.status.as_u16(), home.header("cache-control")), (200, "no-store"));
    assert!(home.header("content-security-policy").starts_with("default-src 'none'; style-src 'self'"));
    for path in ["/client/view/nowhere", "/client/view/repos/nobody", "/client/view/repos/cran/packages/nobody"] {
        let answer = team.get(path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(
            answer.text().contains("Not found") && answer.header("content-type").starts_with("text/html"),
            "{path}"
        );
    }
    for path in ["/client/view/admin/repos", "/client/view/admin/repos/cran", "/client/view/admin/tokens"] {
        let answer = team.get(path).await;
        assert_eq!(answer.status, 303, "{path}");
        assert!(answer.header("location").contains("/client/view/sign-in?next=admin"), "{path}");
    }
    let odd = "/client/view/repos/cran/setup?os=%3Cscript%3E&snapshot=%22%3E&month=99999-99&language=x&client=y";
    let answer = team.get(odd).await;
    assert_eq!(answer.status, 200);
    assert!(!answer.text().contains("<script>"), "{}", answer.text());
}

#[tokio::test]
async fn private_repositories_are_not_shown_to_strangers() {
    let team = Team::synced().await;
    team.does("PATCH", "/__api__/repos/cran", serde_json::json!({ "authenticated": true })).await;
    for path in
        ["/client/view/repos/cran/packages", "/client/view/repos/cran/packages/alpha", "/client/view/repos/cran/setup"]
    {
        assert_eq!(team.get(path).await.status, 303, "{path}");
    }
    let found = team.text("/client/view/home?search=alpha").await;
    assert!(found.contains("package-link-alpha-py") && !found.contains("package-link-alpha\""), "{found}");
    assert!(team.text("/client/view/activity?source=cran").await.contains("Nothing has happened"));
    assert!(team.text("/client/view/activity?source=pypi").await.contains("Sync"));
    let cookie = format!("a=b; package-manager-session={}", team.token());
    let seen = team.get_with("/client/view/repos/cran/packages", &[("cookie", &cookie)]).await;
    assert!(seen.text().contains("package-link-alpha"));
    // The API takes no cookie.
    assert_eq!(team.get_with("/__api__/tokens", &[("cookie", &cookie)]).await.status, 401);
}

#[tokio::test]
async fn a_feed_that_does_not_come_is_told_on_every_page() {
    let service = Service::with_packages().await;
    let team = Team::of(service).await;
    team.sync().await;
    assert!(!team.text("/").await.contains("feed-banner"));
    team.fault(serde_json::json!({ "match": { "direction": "out" }, "effect": { "kind": "reset" } }));
    team.refused().await;
    let page = team.text("/client/view/repos/pypi/packages").await;
    assert!(
        page.contains("feed-banner") && page.contains("Cran cannot be synchronised, the state of 2024-01-15 is served"),
        "{page}"
    );
    // A feed that nobody has looked at for days is told of too.
    team.running.world().faults().clear();
    team.sync().await;
    assert!(!team.text("/").await.contains("feed-banner"));
    team.running.world().clock().advance(std::time::Duration::from_secs(3 * 86_400)).await;
    assert!(team.text("/").await.contains("Cran was last synchronised on 2024-01-20"));
}
