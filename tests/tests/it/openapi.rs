//! Every operation that the OpenAPI documents of Package Manager and the control plane describe, asked with all kinds of good
//! and bad input: schemathesis finds no answer of the 5xx kind, and none that is not described. Connect's is asked by its own
//! tests.

use harness::environment::variables;
use serde_json::json;
use sim_kit::testing::schemathesis as schemathesis_arguments;
use tests::{Team, http, need_tool};

/// Runs schemathesis against the document at `url`, with at most `examples` random inputs an operation, the same ones every time.
async fn ask(team: &Team, url: &str, authorization: &str, examples: &str, which: &[&str]) {
    let Some(schemathesis) = need_tool("schemathesis") else { return };
    let header = format!("Authorization: {authorization}");
    let mut arguments = schemathesis_arguments(examples);
    arguments.extend([url, "--header", &header]);
    arguments.extend(which);
    let said = team.client(schemathesis, &arguments).await.well();
    assert!(said.contains("Test cases:"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn package_manager_answers_as_its_document_says() {
    let team = Team::start().await;
    let pkgmgr = &team.urls.package_manager;
    let token = variables(&team.urls, 1).into_iter().find(|(name, _)| *name == "PACKAGEMANAGER_TOKEN").unwrap().1;
    let post = async |path: &str, body| {
        let request = http().post(format!("{pkgmgr}/__api__/{path}")).bearer_auth(&token).json(&body);
        assert!(request.send().await.unwrap().status().is_success(), "{path}");
    };
    post("sources", json!({ "name": "team", "type": "local-python" })).await;
    post("blocklist/rules", json!({ "package_name": "nothing", "description": "For the tests" })).await;
    let (document, bearer) = (format!("{pkgmgr}/__api__/swagger/doc.json"), format!("Bearer {token}"));
    // First what only reads: the others delete what there is to read.
    ask(&team, &document, &bearer, "2", &["--include-method", "GET"]).await;
    // A server in maintenance answers 503, as it should.
    let away = ["--exclude-method", "GET", "--exclude-path", "/__api__/cluster/offline"];
    ask(&team, &document, &bearer, "2", &away).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_control_plane_answers_as_its_document_says() {
    let team = Team::start().await;
    // Connect adds its outbox and its identity provider.
    for server in [&team.urls.workbench, &team.urls.connect] {
        let document = format!("{server}/__sim__/v1/openapi.json");
        // The journal can be asked to wait for what never comes.
        ask(&team, &document, "Bearer none", "2", &["--exclude-path", "/__sim__/v1/journal"]).await;
    }
}
