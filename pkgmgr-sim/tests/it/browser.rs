//! A real browser walks through the web interface.

use std::path::{Path, PathBuf};

use sim_kit::testing::need_tool;

use super::Team;
use super::service::Service;

/// The Python that has playwright: the one beside its command.
fn python() -> Option<PathBuf> {
    Some(need_tool("playwright")?.with_file_name("python3"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_walks_through_the_web_interface() {
    let (Some(python), Some(chromium)) = (python(), need_tool("chromium")) else { return };
    let team = Team::synced().await;
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
    assert!(page.contains("feed-banner") && page.contains("is served on"), "{page}");
}
