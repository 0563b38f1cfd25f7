//! posit-sdk against a real socket, at several releases. It is found beside rsconnect-python, in one environment; what it
//! does is in `tests/clients/posit_sdk.py`.

use std::path::Path;

use base64::Engine as _;
use connect_sim::{Config, Version};
use futures_util::future::join_all;
use serde_json::{Value, json};
use sim_kit::testing::need_tool;

use super::git::{Remote, STATIC};
use super::index::Index;
use super::site::{Site, newest_tools};

/// Routes that posit-sdk is seen to succeed with.
pub(crate) const SDK: &[&str] = &[
    "DELETE /__api__/schedules/{id}",
    "DELETE /__api__/v1/content/{guid}",
    "DELETE /__api__/v1/content/{guid}/bundles/{id}",
    "DELETE /__api__/v1/content/{guid}/jobs/{key}",
    "DELETE /__api__/v1/content/{guid}/permissions/{id}",
    "DELETE /__api__/v1/content/{guid}/repository",
    "DELETE /__api__/v1/content/{guid}/tags/{tag_id}",
    "DELETE /__api__/v1/content/{guid}/vanity",
    "DELETE /__api__/v1/environments/{guid}",
    "DELETE /__api__/v1/groups/{guid}",
    "DELETE /__api__/v1/groups/{guid}/members/{user_guid}",
    "DELETE /__api__/v1/oauth/integrations/{guid}",
    "DELETE /__api__/v1/oauth/sessions/{guid}",
    "DELETE /__api__/v1/system/caches/runtime",
    "DELETE /__api__/v1/tags/{id}",
    "GET /__api__/applications/{id}/variants",
    "GET /__api__/v1/content/{guid}/bundles",
    "GET /__api__/v1/content/{guid}/bundles/{id}",
    "GET /__api__/v1/content/{guid}/environment",
    "GET /__api__/v1/content/{guid}/jobs",
    "GET /__api__/v1/content/{guid}/jobs/{key}",
    "GET /__api__/v1/content/{guid}/oauth/integrations/associations",
    "GET /__api__/v1/content/{guid}/packages",
    "GET /__api__/v1/content/{guid}/lockfile",
    "GET /__api__/v1/content/{guid}/permissions",
    "GET /__api__/v1/content/{guid}/permissions/{id}",
    "GET /__api__/v1/content/{guid}/tags",
    "GET /__api__/v1/content/{guid}/vanity",
    "GET /__api__/v1/environments",
    "GET /__api__/v1/environments/{guid}",
    "GET /__api__/v1/groups",
    "GET /__api__/v1/groups/{guid}",
    "GET /__api__/v1/groups/{guid}/members",
    "GET /__api__/v1/instrumentation/content/hits",
    "GET /__api__/v1/instrumentation/content/visits",
    "GET /__api__/v1/instrumentation/shiny/usage",
    "GET /__api__/v1/oauth/integrations",
    "GET /__api__/v1/oauth/integrations/{guid}",
    "GET /__api__/v1/oauth/integrations/{guid}/associations",
    "GET /__api__/v1/oauth/sessions",
    "GET /__api__/v1/oauth/sessions/{guid}",
    "GET /__api__/v1/packages",
    "GET /__api__/v1/system/caches/runtime",
    "GET /__api__/v1/tags",
    "GET /__api__/v1/tags/{id}",
    "GET /__api__/v1/tags/{id}/content",
    "GET /__api__/v1/users",
    "GET /__api__/v1/users/{guid}",
    "GET /__api__/v1/vanities",
    "GET /__api__/variants/{id}/schedules",
    "PATCH /__api__/v1/oauth/integrations/{guid}",
    "PATCH /__api__/v1/tags/{id}",
    "POST /__api__/schedules",
    "POST /__api__/schedules/{id}",
    "POST /__api__/v1/content/{guid}/permissions",
    "POST /__api__/v1/content/{guid}/tags",
    "POST /__api__/v1/environments",
    "POST /__api__/v1/groups",
    "POST /__api__/v1/groups/{guid}/members",
    "POST /__api__/v1/oauth/integrations",
    "POST /__api__/v1/oauth/integrations/credentials",
    "POST /__api__/v1/tags",
    "POST /__api__/v1/users",
    "POST /__api__/v1/users/{guid}/lock",
    "POST /__api__/variants/{id}/render",
    "POST /__api__/variants/{id}/sender",
    "PUT /__api__/v1/content/{guid}/environment",
    "PUT /__api__/v1/content/{guid}/oauth/integrations/associations",
    "PUT /__api__/v1/content/{guid}/permissions/{id}",
    "PUT /__api__/v1/content/{guid}/vanity",
    "PUT /__api__/v1/environments/{guid}",
    "PUT /__api__/v1/users/{guid}",
];

/// The newest release, one that has nothing of what came with 2023.05 and later, and one between them.
#[tokio::test(flavor = "multi_thread")]
async fn posit_sdk_works_with_every_release() {
    let index = Index::start().await;
    let Some(tools) = newest_tools() else { return };
    let Some(remote) = Remote::start().await else { return };
    remote.commit("main", &[("site/manifest.json", STATIC), ("site/index.html", "backed")]);
    let newest = Config::default().version;
    let releases = ["2023.01.0".parse().unwrap(), "2024.08.0".parse().unwrap(), newest];
    let run = async |version: Version| {
        let site = Site::new(Config { version, ..index.config() }, tools.clone()).await;
        prepare(&site, &remote.url);
        let mut command = site.command("python", &[concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/posit_sdk.py")]);
        command.env("RELEASE", version.to_string()).env("NEWEST", newest.to_string());
        let output = command.output().await.unwrap();
        let text = format!("{version}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{text}");
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "all is well", "{text}");
        if version == newest {
            site.proves(SDK);
        }
        site.running.stop().await;
    };
    join_all(releases.map(run)).await;
}

/// The suite that the authors of posit-sdk run against real servers. It wants one whose only user is an administrator.
#[tokio::test(flavor = "multi_thread")]
async fn the_suite_of_its_authors_passes() {
    let index = Index::start().await;
    index.python(&[("flask", "3.0.3", &[])]);
    let Some(tools) = newest_tools() else { return };
    let suite = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.cache/posit_sdk-0.17.0/integration");
    if !suite.exists() {
        assert!(need_tool("suite of posit-sdk (scripts/test --setup fetches it)").is_none());
        return;
    }
    let run = async |version: &str| {
        let secret = [7_u8; 32];
        let version = version.parse().unwrap();
        let config = Config { version, bootstrap_secret: Some(secret.to_vec()), seed_users: false, ..index.config() };
        let site = Site::new(config, tools.clone()).await;
        site.write("secret", &base64::engine::general_purpose::STANDARD.encode(secret));
        let key = site.rsconnect(&["bootstrap", "-s", &site.running.url(), "-j", "secret", "--raw"]).await;
        let arguments = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"];
        let mut command = site.command("python", &arguments);
        command.env("CONNECT_API_KEY", key.trim()).env("PYTHONDONTWRITEBYTECODE", "1").current_dir(&suite);
        let output = command.output().await.unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains(" passed"), "{version}: {text}");
        site.running.stop().await;
    };
    join_all(["2023.01.0", "2024.05.0", "2024.08.0", "2026.01.0"].map(run)).await;
}

/// What is published.
fn prepare(site: &Site, repository: &str) {
    let manifest = |app_mode: &str, entrypoint: &str, more: Value| {
        let mut manifest = json!({"version": 1, "metadata": {"appmode": app_mode, "primary_html": entrypoint,
            "primary_rmd": entrypoint, "entrypoint": entrypoint}});
        manifest.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        manifest.to_string()
    };
    let python = json!({"python": {"version": "3.11.4", "package_manager":
        {"name": "pip", "version": "24.0", "package_file": "requirements.txt"}}});
    let quarto = json!({"quarto": {"version": "1.4.557", "engines": ["markdown"]}});
    for (path, text) in [
        ("bundle/index.html", "<p>sdk</p>"),
        ("bundle/manifest.json", &manifest("static", "index.html", json!({}))),
        ("api/app.py", ""),
        ("api/requirements.txt", "flask==3.0.0\n"),
        ("api/manifest.json", &manifest("python-api", "app:app", python)),
        ("document/doc.qmd", "# Document"),
        ("document/manifest.json", &manifest("quarto-static", "doc.qmd", quarto)),
        ("app/app.R", "shiny::shinyApp(ui, server)"),
        ("app/manifest.json", &manifest("shiny", "app.R", json!({"platform": "4.2.2", "packages": {}}))),
        ("repository", repository),
    ] {
        site.write(path, text);
    }
}
