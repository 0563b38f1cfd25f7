//! Links that are cut, and mended again.

use serde_json::{Value, json};
use tests::{Team, http, need_tool};

async fn fault(server: &str, rule: Value) {
    let answer = http().post(format!("{server}/__sim__/v1/faults")).json(&rule).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
}

async fn mend(server: &str) {
    http().delete(format!("{server}/__sim__/v1/faults")).send().await.unwrap();
}

#[tokio::test]
async fn a_build_fails_while_connect_cannot_reach_package_manager() {
    let Some(rsconnect) = need_tool("rsconnect") else { return };
    let team = Team::start().await;
    let key = team.user("publisher").api_key;
    team.write("app/app.py", "def app(environ, start_response): ...\n");
    team.write("app/requirements.txt", "flask\n");
    let folder = team.path("app").display().to_string();
    let deploy = async || {
        let server = team.urls.connect.as_str();
        let arguments = [
            "deploy",
            "flask",
            "--server",
            server,
            "--api-key",
            &key,
            "--title",
            "App",
            "--entrypoint",
            "app:app",
            &folder,
        ];
        team.client(&rsconnect, &arguments).await
    };
    let cut =
        json!({"id": "cut", "match": {"direction": "out", "peer": "package-manager"}, "effect": {"kind": "reset"}});
    fault(&team.urls.connect, cut).await;
    let output = deploy().await.failed();
    assert!(output.contains("connection reset by peer"), "{output}");
    assert!(output.contains(&team.urls.pypi()), "the log names the URL that did not answer:\n{output}");
    mend(&team.urls.connect).await;
    let _ = deploy().await.well();
}

#[tokio::test]
async fn bytes_that_were_flipped_on_the_way_are_not_installed() {
    let Some(pip) = need_tool("pip") else { return };
    let team = Team::start().await;
    let Some(python) = team.venv("env").await else { return };
    let install = async || {
        team.client(&pip, &["--python", &python.display().to_string(), "install", "--retries", "0", "--no-deps", "six"])
            .await
    };
    let flip = json!({"match": {"path": "/psp/v1/blobs/**"}, "effect": {"kind": "corrupt", "at": 50}});
    fault(&team.urls.upstream, flip).await;
    let _ = install().await.failed();
    mend(&team.urls.upstream).await;
    let _ = install().await.well();
}
