//! pip and uv install from Package Manager into fresh environments.

use sim_kit::testing::need_cached;
use tests::{Team, http, need_tool};

/// The version that a Python environment says a package has.
const VERSION: &str = "import importlib.metadata as m, sys; print(m.version(sys.argv[1]))";

async fn installed(team: &Team, python: &std::path::Path, package: &str) -> String {
    team.client(python, &["-c", VERSION, package]).await.well().trim().to_owned()
}

/// Versions on a simple index, oldest first, without yanked files.
async fn versions(index: &str, project: &str) -> Vec<String> {
    let accept = "application/vnd.pypi.simple.v1+json";
    let page: serde_json::Value =
        http().get(format!("{index}/{project}/")).header("accept", accept).send().await.unwrap().json().await.unwrap();
    let files =
        page["files"].as_array().unwrap().iter().filter(|file| file["yanked"] == false || file["yanked"].is_null());
    let names: Vec<&str> = files.filter_map(|file| file["filename"].as_str()).collect();
    let all = page["versions"].as_array().unwrap().iter().filter_map(|v| v.as_str());
    all.filter(|v| names.iter().any(|n| n.contains(&format!("-{v}-")) || n.ends_with(&format!("-{v}.tar.gz"))))
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn new_pip() {
    let Some(pip) = need_tool("pip") else { return };
    let team = Team::start().await;
    let Some(python) = team.venv("env").await else { return };
    let output = team.client(&pip, &["--python", &python.display().to_string(), "install", "flask"]).await.well();
    assert!(output.contains("Successfully installed") && output.contains("werkzeug"), "{output}");
    let _ = team.client(&python, &["-c", "import flask, werkzeug, jinja2"]).await.well();
    let index = team.urls.pypi();
    assert!(versions(&index, "flask").await.contains(&installed(&team, &python, "flask").await));

    let none = team
        .client(&pip, &["--python", &python.display().to_string(), "install", "no-such-package-here"])
        .await
        .failed();
    assert!(none.contains("(from versions: none)"), "{none}");
}

#[tokio::test]
async fn an_sdist_builds_without_any_other_index() {
    let Some(pip) = need_tool("pip") else { return };
    let team = Team::start().await;
    let Some(python) = team.venv("env").await else { return };
    let python = python.display().to_string();
    let _ =
        team.client(&pip, &["--python", &python, "install", "--no-binary", "flask", "--no-deps", "flask"]).await.well();
    let _ = team.client(&python, &["-c", "import flask"]).await.well();
}

#[tokio::test]
async fn old_pip() {
    let Some(pip) = need_cached("pip-22.3/bin/pip") else { return };
    let team = Team::start().await;
    let Some(python) = team.venv("env").await else { return };
    let output = team.client(&pip, &["--python", &python.display().to_string(), "install", "fastapi"]).await.well();
    assert!(output.contains("Successfully installed"), "{output}");
    let _ = team.client(&python, &["-c", "import fastapi, pydantic, starlette"]).await.well();
}

#[tokio::test]
async fn uv_and_a_dated_snapshot() {
    let Some(uv) = need_tool("uv") else { return };
    let team = Team::start().await;
    let Some(python) = team.venv("new").await else { return };
    let python = python.display().to_string();
    let _ = team.client(&uv, &["pip", "install", "--python", &python, "streamlit", "dash", "shiny"]).await.well();
    let _ = team.client(&python, &["-c", "import streamlit, dash, shiny, pandas, numpy"]).await.well();
    let new = installed(&team, std::path::Path::new(&python), "streamlit").await;

    let index = format!("{}/pypi/2024-01-02/simple", team.urls.package_manager);
    let Some(python) = team.venv("old").await else { return };
    let python = python.display().to_string();
    let arguments = ["pip", "install", "--python", &python, "--default-index", &index, "--no-deps", "streamlit"];
    let _ = team.client(&uv, &arguments).await.well();
    let old = installed(&team, std::path::Path::new(&python), "streamlit").await;
    assert_ne!(old, new);
    let then = versions(&index, "streamlit").await;
    assert!(then.contains(&old) && !then.contains(&new), "{old} then, {new} now; on the index then: {then:?}");
}
