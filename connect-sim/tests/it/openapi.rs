//! The OpenAPI document: every operation is asked with all kinds of good and bad input, and nothing is answered that the
//! document does not describe. What only reads is asked on a server of its own, as the others delete what there is to read.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};
use sim_kit::testing::{need_tool, schemathesis};

use super::app::{TestApp, python_bundle};
use super::hostile::targets;

/// Operations that read and have nothing to say on a fresh server.
const SILENT: &[&str] = &[
    // Nobody's OAuth client, session, failed job, documentation, mark.
    "/__api__/v1/oauth/clients/{client_id}",
    "/__api__/v1/oauth/sessions/{guid}",
    "/__api__/v1/system/documentation",
    "/__api__/v1/content/{guid}/bookmark",
    // Users come from no directory.
    "/__api__/v1/users/remote",
    "/__api__/v1/groups/remote",
    // Random text is no address of a repository.
    "/__api__/repo/account",
    "/__api__/repo/branches",
    "/__api__/repo/manifest-dirs",
];

/// One of everything, in the place of the parameters that name it.
async fn examples(app: &TestApp) -> Vec<(&'static str, &'static str, String)> {
    let (admin, publisher) = (app.admin(), app.publisher());
    let made = targets(app).await;
    let target = |name: &str| made.iter().find(|one| one.0 == name).unwrap().1.clone();
    let api = publisher.publish("api", python_bundle("python-api", "")).await;
    assert_eq!(publisher.get(&format!("/content/{api}/")).await.status, 200);
    publisher.put(&format!("/v1/content/{api}/vanity"), &json!({"path": "/vanity/api/"})).await.ok();
    publisher.post(&format!("/v1/content/{api}/tags"), &json!({"tag_id": target("{leaf}")})).await.ok();
    let place = json!({"repository": "https://git.example/a"});
    let grant = json!({"principal_guid": target("{user}"), "principal_type": "user", "role": "viewer"});
    let permission = publisher.post(&format!("/v1/content/{api}/permissions"), &grant).await.ok()["id"].clone();
    let first = async |path: &str, name: &str| match &admin.get(path).await.ok()[0][name] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let bundle = first(&format!("/v1/content/{api}/bundles"), "id").await;
    let job = first(&format!("/v1/content/{api}/jobs"), "key").await;
    let task = publisher.post(&format!("/v1/content/{api}/deploy"), &json!({})).await.json()["task_id"].clone();
    publisher.finished(task.as_str().unwrap()).await;
    publisher.put(&format!("/v1/content/{}/repository", target("{backed}")), &place).await.ok();
    admin.post("/v1/system/checks", &json!({})).await.ok();
    let check = first("/v1/system/checks", "id").await;
    let token = json!({"name": "target", "scopes": ["identity:manage"]});
    admin.post("/v1/system/service-tokens", &token).await.ok();
    let token = first("/v1/system/service-tokens", "guid").await;
    let me = target("{me}");
    let key = first(&format!("/v1/users/{me}/keys"), "id").await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    vec![
        ("/keys", "guid", me),
        ("/users/", "guid", target("{user}")),
        ("/groups/", "guid", target("{group}")),
        ("/environments/", "guid", target("{environment}")),
        ("/oauth/integrations/{guid}", "guid", target("{integration}")),
        ("/webhooks/", "guid", target("{webhook}")),
        ("/messages/", "guid", target("{message}")),
        ("/service-tokens/", "guid", token),
        ("/repository", "guid", target("{backed}")),
        ("/render", "guid", target("{document}")),
        ("/schedule/", "guid", target("{document}")),
        ("/subscriptions", "guid", target("{document}")),
        ("/email", "guid", target("{document}")),
        ("/content/", "guid", api.clone()),
        ("/keys/", "id", key),
        ("/permissions/", "id", text(&permission)),
        ("/tags/", "id", target("{leaf}")),
        ("/bundles/", "id", bundle),
        ("/tasks/", "id", text(&task)),
        ("/checks/", "id", check),
        ("/variants/", "id", target("{variant}")),
        ("/schedules/", "id", target("{schedule}")),
        ("/applications/{id}/variants", "id", target("{document}")),
        ("/applications/", "id", api),
        ("/jobs/", "key", job.clone()),
        ("/job/", "key", job),
        ("/templates/", "key", "github".to_owned()),
        ("/tags/", "tag_id", target("{leaf}")),
        ("", "user_guid", target("{user}")),
        ("", "path", "app.py".to_owned()),
        ("", "app_mode", "shiny".to_owned()),
    ]
}

/// The document, with examples of the parameters of paths.
async fn document(app: &TestApp) -> Value {
    let examples = examples(app).await;
    let mut document = app.admin().get("/openapi.json").await.ok();
    for (path, operations) in document["paths"].as_object_mut().unwrap() {
        for operation in operations.as_object_mut().unwrap().values_mut() {
            let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
            for parameter in parameters.into_iter().flatten() {
                let fits = |(part, name, _): &&(&str, &str, String)| path.contains(part) && parameter["name"] == *name;
                if parameter["in"] == "path"
                    && let Some((.., value)) = examples.iter().find(fits)
                {
                    parameter["example"] = json!(value);
                }
            }
        }
    }
    document
}

/// Asks the operations that `which` lets through: the server that was asked.
async fn ask(program: &Path, which: &[&str]) -> TestApp {
    let app = TestApp::new().await;
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("openapi.json");
    std::fs::write(&place, document(&app).await.to_string()).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = app.router.clone();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let mut command = tokio::process::Command::new(program);
    command.args(schemathesis("1")).arg(&place).args(["--url", &url, "--workers", "2"]).args(which);
    command.args(["--header", &format!("Authorization: Key {}", sim_kit::seed::users(1)[0].api_key)]);
    command.current_dir(folder.path()).env("HOME", folder.path()).kill_on_drop(true);
    let output = command.output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("Test cases:"), "{said}");
    app
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_answered_that_is_not_described() {
    let Some(program) = need_tool("schemathesis") else { return };
    let (read, _) =
        tokio::join!(ask(&program, &["--include-method", "GET"]), ask(&program, &["--exclude-method", "GET"]),);
    // A document whose examples are wrong would be a test of refusals.
    let good = read.world.journal().entries(0, usize::MAX, |entry| {
        entry.method == "GET" && entry.status.is_some_and(|status| (200..300).contains(&status))
    });
    let good: BTreeSet<String> =
        good.iter().filter_map(|entry| Some(entry.route.as_deref()?.replace("{*", "{"))).collect();
    let document = read.admin().get("/openapi.json").await.ok();
    let paths = document["paths"].as_object().unwrap().iter().filter(|(_, one)| one.get("get").is_some());
    let silent: BTreeSet<&str> = paths.map(|(path, _)| path.as_str()).filter(|path| !good.contains(*path)).collect();
    assert_eq!(silent, SILENT.iter().copied().collect());
}
