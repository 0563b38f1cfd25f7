//! rsconnect-python publishes to Connect, unmodified.

use serde_json::Value;
use tests::{Done, Team, need_tool};

const APP: &str =
    "from flask import Flask\n\napp = Flask(__name__)\n\n\n@app.get('/')\ndef hello():\n    return 'hello'\n";

async fn rsconnect(team: &Team, arguments: &[&str]) -> Option<Done> {
    let program = need_tool("rsconnect")?;
    // The server is named on the command line here; rsconnect takes either that or the environment.
    Some(team.client_with(program, arguments, &[("CONNECT_SERVER", ""), ("CONNECT_API_KEY", "")]).await)
}

async fn content(team: &Team, title: &str) -> Value {
    let (status, all) = team.connect("publisher", "v1/content").await;
    assert_eq!(status, 200);
    all.as_array()
        .unwrap()
        .iter()
        .find(|c| c["title"] == title)
        .unwrap_or_else(|| panic!("no {title:?} in {all}"))
        .clone()
}

#[tokio::test]
async fn add_a_server_and_deploy() {
    let team = Team::start().await;
    let key = team.user("publisher").api_key;
    let Some(added) =
        rsconnect(&team, &["add", "--name", "team", "--server", &team.urls.connect, "--api-key", &key]).await
    else {
        return;
    };
    let _ = added.well();
    let listed = rsconnect(&team, &["list"]).await.unwrap().well();
    assert!(listed.contains(&team.urls.connect), "{listed}");

    // A static page comes back byte for byte.
    let page = team.write("site/index.html", "<!doctype html><title>Numbers</title><p>42 &amp; more\n");
    let deployed =
        rsconnect(&team, &["deploy", "html", "-n", "team", "--title", "Numbers", &page.display().to_string()])
            .await
            .unwrap()
            .well();
    assert!(deployed.contains("Deployment completed successfully"), "{deployed}");
    let numbers = content(&team, "Numbers").await;
    assert_eq!((&numbers["app_mode"], numbers["bundle_id"].is_string()), (&Value::from("static"), true));
    let path = format!("/content/{}/", numbers["guid"].as_str().unwrap());
    let (status, body) = team.page("publisher", &path).await;
    assert_eq!((status, body.as_str()), (200, "<!doctype html><title>Numbers</title><p>42 &amp; more\n"));
    assert_eq!(team.page("viewer", &path).await.0, 403);

    // A Flask application: its requirements come from Package Manager, and the log says so.
    team.write("app/app.py", APP);
    team.write("app/requirements.txt", "flask>=2\n");
    let folder = team.path("app").display().to_string();
    let arguments = ["deploy", "flask", "-n", "team", "--title", "Hello app", "--entrypoint", "app:app", &folder];
    let deployed = rsconnect(&team, &arguments).await.unwrap().well();
    assert!(deployed.contains(&team.urls.pypi()), "the log names the index:\n{deployed}");
    assert!(deployed.contains("Collecting werkzeug"), "{deployed}");
    assert_eq!(content(&team, "Hello app").await["app_mode"], "python-api");

    // The same by its manifest; a second deployment goes to the same content.
    let _ = rsconnect(&team, &["write-manifest", "flask", "--overwrite", "--entrypoint", "app:app", &folder])
        .await
        .unwrap()
        .well();
    let manifest = format!("{folder}/manifest.json");
    for _ in 0..2 {
        let arguments = ["deploy", "manifest", "-n", "team", "--title", "By manifest", &manifest];
        let _ = rsconnect(&team, &arguments).await.unwrap().well();
    }
    let guid = content(&team, "By manifest").await["guid"].as_str().unwrap().to_owned();
    let (_, bundles) = team.connect("publisher", &format!("v1/content/{guid}/bundles")).await;
    assert_eq!(bundles.as_array().unwrap().len(), 2);

    // A requirement that does not exist fails the deployment with pip's words.
    team.write("bad/app.py", APP);
    team.write("bad/requirements.txt", "no-such-package-here\n");
    let folder = team.path("bad").display().to_string();
    let failed =
        rsconnect(&team, &["deploy", "flask", "-n", "team", "--title", "Bad", "--entrypoint", "app:app", &folder])
            .await;
    let failed = failed.unwrap().failed();
    assert!(failed.contains("No matching distribution found for no-such-package-here"), "{failed}");
}

#[tokio::test]
async fn a_wrong_key_and_a_viewer_are_refused() {
    let team = Team::start().await;
    let wrong = ["add", "--name", "x", "--server", &team.urls.connect, "--api-key", "0123456789abcdef0123456789abcdef"];
    let Some(refused) = rsconnect(&team, &wrong).await else { return };
    let refused = refused.failed();
    assert!(refused.contains("API key"), "{refused}");

    let page = team.write("index.html", "hello").display().to_string();
    let key = team.user("viewer").api_key;
    let arguments = ["deploy", "html", "--server", &team.urls.connect, "--api-key", &key, &page];
    let refused = rsconnect(&team, &arguments).await.unwrap().failed();
    assert!(refused.contains("permission"), "{refused}");
}
