//! Our answers beside those that real servers gave.
//!
//! The recordings are no part of the project; `CONNECT_RECORDINGS` names their folder. Members that ours has in addition
//! are fine, as are those that only other releases have.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::app::{TestApp, document_bundle, python_bundle};
use super::index::Index;

#[allow(clippy::disallowed_methods)] // the machine that runs the test
fn recordings() -> Option<PathBuf> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/recordings");
    let folder = std::env::var_os("CONNECT_RECORDINGS").map_or_else(beside, PathBuf::from);
    if !folder.is_dir() {
        let is_ci = std::env::var("CI").as_deref() == Ok("true");
        assert!(!is_ci, "there are no recordings at {}, and in CI every test must run", folder.display());
        eprintln!("NOT RUN: there are no recordings at {}", folder.display());
        return None;
    }
    Some(folder)
}

/// Members of the recording that ours lacks, or has with another type. Null fits everything.
fn differences(place: &str, recorded: &Value, ours: &Value, found: &mut BTreeSet<String>) {
    match (recorded, ours) {
        (Value::Null, _) | (_, Value::Null) => {}
        (Value::Object(recorded), Value::Object(ours)) => {
            for (name, value) in recorded {
                match ours.get(name) {
                    None => drop(found.insert(format!("{place}.{name} is missing"))),
                    Some(ours) => differences(&format!("{place}.{name}"), value, ours, found),
                }
            }
        }
        (Value::Array(recorded), Value::Array(ours)) => {
            if let (Some(recorded), Some(ours)) = (recorded.first(), ours.first()) {
                differences(&format!("{place}[]"), recorded, ours, found);
            }
        }
        _ if std::mem::discriminant(recorded) == std::mem::discriminant(ours) => {}
        _ => drop(found.insert(format!("{place} is of another type"))),
    }
}

#[tokio::test]
async fn shapes_are_those_of_real_servers() {
    let Some(folder) = recordings() else { return };
    let index = Index::start().await;
    let app = TestApp::with(index.config()).await;
    let publisher = app.publisher();
    let guid = publisher.publish("recorded", python_bundle("python-api", "flask")).await;
    let viewer = app.viewer().get("/v1/user").await.ok()["guid"].clone();
    let body = json!({"principal_guid": viewer, "principal_type": "user", "role": "viewer"});
    publisher.post(&format!("/v1/content/{guid}/permissions"), &body).await.ok();
    publisher.put(&format!("/v1/content/{guid}/vanity"), &json!({"path": "/vanity/"})).await.ok();
    publisher.post("/v1/groups", &json!({"name": "group"})).await.ok();
    let category = app.admin().post("/v1/tags", &json!({"name": "c"})).await.ok();
    app.admin().post("/v1/tags", &json!({"name": "t", "parent_id": category["id"]})).await.ok();
    let document = publisher.publish("document", document_bundle()).await;
    publisher.page(&format!("/content/{document}/")).await;
    let config = json!({
        "auth_mode": "Confidential", "auth_type": "Viewer", "authorization_uri": "https://id.example/auth",
        "client_id": "c", "scopes": "email", "token_endpoint_auth_method": "client_secret_basic",
        "token_uri": "https://id.example/token", "use_pkce": true,
    });
    let integration = json!({"name": "i", "description": "d", "template": "custom", "config": config});
    let integration = app.admin().post("/v1/oauth/integrations", &integration).await.ok()["guid"].clone();
    let association = json!([{"oauth_integration_guid": integration}]);
    publisher.put(&format!("/v1/content/{guid}/oauth/integrations/associations"), &association).await;
    app.admin().page(&format!("/__oauth__/integrations/{}/login", integration.as_str().unwrap())).await;
    let image = json!({"name": "image", "cluster_name": "Kubernetes", "title": "t", "description": "d"});
    app.admin().post("/v1/environments", &image).await.ok();
    let variants = publisher.get(&format!("/applications/{document}/variants")).await.ok();
    let render = format!("/variants/{}/render", variants[0]["id"]);
    let started = publisher.post(&format!("/v1/content/{guid}/deploy"), &json!({})).await.ok();
    let task = started["task_id"].as_str().unwrap();
    publisher.finished(task).await;

    let sdk = "posit-sdk/v1/content/f2f37341-e21d-3d80-c698-a935ad614066";
    let old = "connectapi/2024.08.0/__api__/v1/content/8f37d6e0";
    let api = |release: &str, path: &str| format!("connectapi/{release}/__api__/{path}.json");
    let job = publisher.get(&format!("/v1/content/{guid}/jobs")).await.ok()[0]["key"].as_str().unwrap().to_owned();
    let viewer = viewer.as_str().unwrap();
    let integration = integration.as_str().unwrap();
    let pairs = [
        (format!("{sdk}.json"), format!("/v1/content/{guid}")),
        ("posit-sdk/v1/content.json".into(), "/v1/content?include=owner,tags".into()),
        (format!("{sdk}/bundles.json"), format!("/v1/content/{guid}/bundles")),
        (format!("{sdk}/bundles/101.json"), format!("/v1/content/{guid}/bundles/1")),
        (format!("{sdk}/permissions.json"), format!("/v1/content/{guid}/permissions")),
        (format!("{sdk}/jobs.json"), format!("/v1/content/{guid}/jobs")),
        (format!("{sdk}/packages.json"), format!("/v1/content/{guid}/packages")),
        (format!("{old}/jobs.json"), format!("/v1/content/{guid}/jobs")),
        (api("2025.01.0", "v1/content/8f37d6e0/jobs"), format!("/v1/content/{guid}/jobs")),
        (format!("{old}/jobs/QBZ5jkKfmf9iT9k8.json"), format!("/v1/content/{guid}/jobs/{job}")),
        (
            api("2024.08.0", "v1/content/8f37d6e0/jobs/mxPGVOMVk6f8dso2/log"),
            format!("/v1/content/{guid}/jobs/{job}/log"),
        ),
        (api("2024.08.0", "v1/content/951bf3ad/vanity"), format!("/v1/content/{guid}/vanity")),
        (api("2024.08.0", "v1/content/f2f37341-064d19"), format!("/v1/content/{guid}?include=owner,tags")),
        (api("2025.09.0", "v1/content/6632a162-064d19"), format!("/v1/content/{guid}?include=owner,tags")),
        (api("2024.08.0", "v1/users/20a79ce3"), format!("/v1/users/{viewer}")),
        (api("2025.04.0", "v1/groups-5ce38e"), "/v1/groups".into()),
        (api("2024.12.0", "v1/oauth/integrations/f8688548"), format!("/v1/oauth/integrations/{integration}")),
        (api("2024.09.0", "server_settings"), "/server_settings".into()),
        ("connectapi/2024.08.0/__api__/v1/vanities.json".into(), "/v1/vanities".into()),
        ("connectapi/2024.08.0/__ping__.json".into(), "/__ping__".into()),
        ("connectapi/2026.01.0/__api__/server_settings.json".into(), "/server_settings".into()),
        ("posit-sdk/v1/user.json".into(), "/v1/user".into()),
        ("posit-sdk/v1/users?page_number=1&page_size=500.jsonc".into(), "/v1/users".into()),
        ("posit-sdk/v1/groups.json".into(), "/v1/groups".into()),
        ("posit-sdk/v1/tags.json".into(), "/v1/tags".into()),
        ("posit-sdk/v1/packages.json".into(), "/v1/packages".into()),
        ("connectapi/2025.09.0/__api__/v1/search/content-d37a6d.json".into(), "/v1/search/content?q=recorded".into()),
        (
            "posit-sdk/applications/f2f37341-e21d-3d80-c698-a935ad614066/variants.json".into(),
            format!("/applications/{document}/variants"),
        ),
        ("posit-sdk/v1/system/caches/runtime.json".into(), "/v1/system/caches/runtime".into()),
        ("connectapi/2024.08.0/__api__/v1/system/caches/runtime.json".into(), "/v1/system/caches/runtime".into()),
        ("posit-sdk/v1/environments/25438b83-ea6d-4839-ae8e-53c52ac5f9ce.json".into(), "/v1/environments".into()),
        ("posit-sdk/v1/instrumentation/content/hits.json".into(), "/v1/instrumentation/content/hits".into()),
        (
            "connectapi/2025.04.0/__api__/v1/instrumentation/content/hits-c331ad.json".into(),
            "/v1/instrumentation/content/hits".into(),
        ),
        (
            "posit-sdk/v1/instrumentation/content/visits?limit=500.json".into(),
            "/v1/instrumentation/content/visits?limit=500".into(),
        ),
        (
            "posit-sdk/v1/instrumentation/shiny/usage?limit=500.json".into(),
            "/v1/instrumentation/shiny/usage?limit=500".into(),
        ),
        ("posit-sdk/v1/oauth/integrations.json".into(), "/v1/oauth/integrations".into()),
        ("connectapi/2025.07.0/__api__/v1/oauth/integrations.json".into(), "/v1/oauth/integrations".into()),
        ("posit-sdk/v1/oauth/sessions.json".into(), "/v1/oauth/sessions".into()),
        (
            format!("{}/oauth/integrations/associations.json", sdk.trim_end_matches(".json")),
            format!("/v1/content/{guid}/oauth/integrations/associations"),
        ),
        ("posit-sdk/v1/tasks/jXhOhdm5OOSkGhJw.json".into(), format!("/v1/tasks/{task}")),
    ];
    let mut found = BTreeSet::new();
    for (file, path) in &pairs {
        let text = std::fs::read_to_string(folder.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        let text: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        let recorded: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
        let mut ours = app.admin().get(path).await.ok();
        // The recording is of one, and ours of a list.
        if path == "/v1/environments" {
            ours = ours[0].take();
        }
        differences(path.split('?').next().unwrap(), &recorded, &ours, &mut found);
    }
    // Numbers of the older API, of a job that ran and of one job with its log.
    let legacy = "connectapi/2024.07.0/__api__/applications/8f37d6e0";
    for (file, path) in [
        (format!("{legacy}/jobs.json"), format!("/applications/{guid}/jobs")),
        (format!("{legacy}/job/QBZ5jkKfmf9iT9k8.json"), format!("/applications/{guid}/job/{job}")),
    ] {
        let recorded: Value = serde_json::from_str(&std::fs::read_to_string(folder.join(file)).unwrap()).unwrap();
        differences("/applications/{id}/jobs", &recorded, &publisher.get(&path).await.ok(), &mut found);
    }
    for file in
        ["posit-sdk/variants/6627/render.json", "connectapi/2024.08.0/__api__/variants/6644/render-38c41e-POST.json"]
    {
        let recorded: Value = serde_json::from_str(&std::fs::read_to_string(folder.join(file)).unwrap()).unwrap();
        differences("/variants/{id}/render", &recorded, &publisher.post(&render, &json!({})).await.ok(), &mut found);
    }
    let found: Vec<String> =
        found.into_iter().map(|text| text.replace(&guid, "{guid}").replace(task, "{id}")).collect();
    // Each of these differs for a reason; the list may only shrink.
    let known = [
        // The specification says string, and so does the server's own client.
        "/v1/content/{guid}/permissions[].id is of another type",
        // Numbers in servers of 2018, strings in later ones.
        "/v1/instrumentation/content/visits.results[].bundle_id is of another type",
        "/v1/instrumentation/content/visits.results[].rendering_id is of another type",
    ];
    assert_eq!(found, known);
}
