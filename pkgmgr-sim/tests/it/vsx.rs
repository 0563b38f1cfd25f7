//! Extensions of editors, asked for as editors do.

use std::io::{Cursor, Read as _};

use serde_json::{Value, json};
use sim_kit::Running;
use sim_kit::testing::need_cached;

use crate::Team;
use crate::upstream::fed_by_ours;

const EXTENSIONS: [&str; 7] = [
    "golang.Go",
    "ms-python.python",
    "ms-python.debugpy",
    "quarto.quarto",
    "rust-lang.rust-analyzer",
    "redhat.vscode-yaml",
    "teamsim.sample-gone",
];

async fn team() -> (Team, Running) {
    let (team, upstream) = fed_by_ours("2026-03-10T06:00:00Z", &EXTENSIONS).await;
    team.sync().await;
    (team, upstream)
}

/// What VS Code asks for when it installs or updates by names.
const BY_NAME: u32 = 0x3b6;

async fn ask(team: &Team, snapshot: &str, criteria: Value, flags: u32) -> Value {
    let query = json!({
        "filters": [{"criteria": criteria, "pageNumber": 1, "pageSize": 10, "sortBy": 0, "sortOrder": 0}],
        "assetTypes": [], "flags": flags,
    });
    let path = format!("/vsx/{snapshot}/vscode/gallery/extensionquery");
    let request = team.request("POST", &path).header("accept", "application/json;api-version=3.0-preview.1");
    let answer = team.send(request.json(&query)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["results"][0].clone()
}

fn named(name: &str) -> Value {
    json!([{"filterType": 8, "value": "Microsoft.VisualStudio.Code"}, {"filterType": 12, "value": "4096"}, {"filterType": 7, "value": name}])
}

fn searched(text: &str) -> Value {
    json!([{"filterType": 8, "value": "Microsoft.VisualStudio.Code"}, {"filterType": 12, "value": "4096"}, {"filterType": 10, "value": text}])
}

fn names(result: &Value) -> Vec<String> {
    let name = |one: &Value| {
        format!("{}.{}", one["publisher"]["publisherName"].as_str().unwrap(), one["extensionName"].as_str().unwrap())
    };
    result["extensions"].as_array().unwrap().iter().map(name).collect()
}

/// Below the server of `team`.
fn path<'a>(team: &Team, url: &'a Value) -> &'a str {
    url.as_str().unwrap().strip_prefix(team.running.url().trim_end_matches('/')).unwrap()
}

fn file_of(version: &Value, asset: &str) -> Value {
    let files = version["files"].as_array().unwrap();
    files.iter().find(|file| file["assetType"] == asset).unwrap()["source"].clone()
}

const VSIX: &str = "Microsoft.VisualStudio.Services.VSIXPackage";
const MANIFEST: &str = "Microsoft.VisualStudio.Code.Manifest";

#[tokio::test]
async fn an_editor_finds_and_installs_an_extension() {
    let (team, _upstream) = team().await;
    let repos = team.get("/__api__/repos").await.json();
    let repo = repos.as_array().unwrap().iter().find(|repo| repo["name"] == "vsx").unwrap();
    assert_eq!(repo["type"], "VSX");

    let found = ask(&team, "latest", searched("go team"), BY_NAME).await;
    assert_eq!(names(&found), ["golang.Go"]);
    assert_eq!(found["resultMetadata"][0]["metadataItems"][0], json!({"name": "TotalCount", "count": 1}));
    // Names in any case, as editors spell them.
    let found = ask(&team, "latest", named("GOLANG.go"), BY_NAME).await["extensions"][0].clone();
    assert_eq!(
        (&found["displayName"], &found["publisher"]["displayName"]),
        (&json!("Go"), &json!("Go Team at Google"))
    );
    assert_eq!(found["extensionId"].as_str().unwrap().len(), 36);
    let version = &found["versions"][0];
    assert_eq!(version["targetPlatform"], "universal");
    let properties = version["properties"].as_array().unwrap();
    assert!(properties.contains(&json!({"key": "Microsoft.VisualStudio.Code.Engine", "value": "^1.80.0"})));

    let manifest = file_of(version, MANIFEST);
    let manifest = team.get(path(&team, &manifest)).await;
    assert_eq!(manifest.header("content-type"), "application/json");
    let manifest = manifest.json();
    assert_eq!((&manifest["version"], &manifest["simulated"]), (&version["version"], &json!(true)));
    // Editors put the asset's name behind the address of the version.
    let at = path(&team, &version["assetUri"]);
    assert_eq!(team.get(&format!("{at}/{MANIFEST}?targetPlatform=universal")).await.json(), manifest);
    let number = version["version"].as_str().unwrap();
    let package = format!("/vsx/latest/vscode/gallery/publishers/golang/vsextensions/go/{number}/vspackage");
    let package = team.get(&package).await;
    assert_eq!(package.status, 200, "{}", package.text());
    let url = file_of(version, VSIX);
    assert_eq!(team.get(path(&team, &url)).await.body, package.body);
    let mut zip = zip::ZipArchive::new(Cursor::new(package.body)).unwrap();
    let mut inside = String::new();
    zip.by_name("extension/package.json").unwrap().read_to_string(&mut inside).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&inside).unwrap(), manifest);
    assert!(zip.by_name("extension.vsixmanifest").is_ok() && zip.by_name("[Content_Types].xml").is_ok());
    let unpacked = format!("/vsx/latest/vscode/unpkg/golang/Go/{number}/extension/package.json");
    assert_eq!(team.get(&unpacked).await.json(), manifest);
    let item = team.get("/vsx/latest/vscode/item?itemName=golang.go").await;
    assert_eq!(item.status, 303);
    assert!(item.header("location").ends_with("/client/view/repos/vsx/packages/golang.Go?snapshot=latest"));
    for path in ["golang/Go/latest", "vscode/Golang/go/latest"] {
        let latest = team.get(&format!("/vsx/latest/vscode/gallery/{path}")).await.json();
        assert_eq!(latest["versions"][0]["version"], number);
    }
    let counted = ask(&team, "latest", named("golang.Go"), BY_NAME).await;
    assert_eq!(counted["extensions"][0]["statistics"][0], json!({"statisticName": "install", "value": 2}));
}

#[tokio::test]
async fn queries_are_answered_as_they_ask() {
    let (team, _upstream) = team().await;
    let all = ask(&team, "latest", json!([]), 0).await;
    assert_eq!(names(&all).len(), 6, "one is gone: {all}");
    assert!(all["extensions"][0].get("versions").is_none() && all["extensions"][0].get("statistics").is_none());
    let of = async |criteria: Value| names(&ask(&team, "latest", criteria, 0).await);
    assert_eq!(of(json!([{"filterType": 5, "value": "notebooks"}])).await, ["quarto.quarto"]);
    assert_eq!(of(json!([{"filterType": 8, "value": "Microsoft.VisualStudio.Other"}])).await, Vec::<String>::new());
    let two = json!([{"filterType": 7, "value": "golang.go"}, {"filterType": 7, "value": "quarto.quarto"}, {"filterType": 99}]);
    assert_eq!(of(two).await, ["golang.Go", "quarto.quarto"]);
    let id = all["extensions"][2]["extensionId"].clone();
    assert_eq!(of(json!([{"filterType": 4, "value": id}])).await, [names(&all)[2].clone()]);

    // For each platform a version; whoever has another one gets none.
    let found = ask(&team, "latest", named("rust-lang.rust-analyzer"), 0x93).await;
    let versions = found["extensions"][0]["versions"].as_array().unwrap();
    let newest: Vec<&Value> = versions.iter().filter(|version| version["version"] == versions[0]["version"]).collect();
    let platforms: Vec<&str> = newest.iter().map(|version| version["targetPlatform"].as_str().unwrap()).collect();
    assert_eq!(platforms, ["darwin-arm64", "darwin-x64", "linux-arm64", "linux-x64", "win32-x64"]);
    let number = versions[0]["version"].as_str().unwrap();
    let package = |platform: &str| {
        format!(
            "/vsx/latest/vscode/gallery/publishers/rust-lang/vsextensions/rust-analyzer/{number}/vspackage?targetPlatform={platform}"
        )
    };
    let linux = team.get(&package("linux-x64")).await;
    assert_eq!(linux.status, 200);
    assert_ne!(linux.body, team.get(&package("win32-x64")).await.body);
    let none = team.get(&package("web")).await;
    assert!(none.status == 404 && none.text().contains("for web"), "{}", none.text());

    let page =
        json!({"filters": [{"criteria": [], "pageNumber": 2, "pageSize": 4, "sortBy": 2, "sortOrder": 1}], "flags": 0});
    let answer = team.send(team.request("POST", "/vsx/latest/vscode/gallery/extensionquery").json(&page)).await.json();
    assert_eq!(names(&answer["results"][0]), ["rust-lang.rust-analyzer", "redhat.vscode-yaml"]);
}

#[tokio::test]
async fn dates_rules_and_the_api() {
    let (team, _upstream) = team().await;
    let then = ask(&team, "2024-06-01", named("golang.Go"), BY_NAME).await;
    let now = ask(&team, "latest", named("golang.Go"), BY_NAME).await;
    let (then, now) = (&then["extensions"][0]["versions"][0], &now["extensions"][0]["versions"][0]);
    assert_ne!(then["version"], now["version"]);
    assert!(then["lastUpdated"].as_str().unwrap() < "2024-06-01");
    assert!(then["assetUri"].as_str().unwrap().contains("/vsx/2024-06-01/vscode/asset/golang/Go/"));
    let number = now["version"].as_str().unwrap();
    let package = |snapshot: &str, version: &str| {
        format!("/vsx/{snapshot}/vscode/gallery/publishers/golang/vsextensions/Go/{version}/vspackage")
    };
    assert_eq!(team.get(&package("2024-06-01", number)).await.status, 404, "it had not come yet");
    assert_eq!(team.get(&package("latest", then["version"].as_str().unwrap())).await.status, 200);
    for (date, is_there) in [("2025-05-30", true), ("2025-06-02", false)] {
        let gone = ask(&team, date, named("teamsim.sample-gone"), 0).await;
        assert_eq!(!names(&gone).is_empty(), is_there, "{date}");
    }

    let packages = team.get("/__api__/repos/vsx/packages?name_like=python").await.json();
    let names: Vec<&str> = packages.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["ms-python.debugpy", "ms-python.python"]);
    let shown = team.get("/__api__/repos/vsx/packages/golang.Go").await.json();
    assert_eq!((&shown["version"], &shown["title"]), (&json!(number), &json!("Go")));
    let before = then["version"].as_str().unwrap();
    let old = team.get(&format!("/__api__/repos/vsx/packages/golang.Go?version={before}")).await.json();
    assert_eq!(old["version"], before);
    let releases = team.get("/__api__/sources/vsx/packages/golang.Go/releases").await.json();
    assert_eq!(releases.as_array().unwrap().last().unwrap()["version"], number);
    let wanted = json!({"repo": "vsx", "names": ["golang.Go"]});
    let row = team.admin("POST", "/__api__/filter/packages", wanted).await.json();
    assert_eq!((&row["name"], &row["blocked"]), (&json!("golang.Go"), &json!(false)));
    assert_eq!(row["dependencies"], json!({"imports": [], "suggests": []}));
    let wanted = json!({"repo": "vsx", "names": ["ms-python.python"]});
    let row = team.admin("POST", "/__api__/filter/packages", wanted).await.json();
    let needed = json!([{"name": "ms-python.debugpy", "operator": "", "version": ""}]);
    assert_eq!(row["dependencies"], json!({"imports": needed, "suggests": []}));
    for page in ["packages", "packages/golang.Go", "setup", "activity"] {
        let page = team.get(&format!("/client/view/repos/vsx/{page}")).await;
        assert_eq!(page.status, 200, "{}", page.text());
    }
    let refused = team.admin("POST", "/__api__/repos/cran/sources", json!({"source": "vsx"})).await;
    assert!(refused.status == 400 && refused.text().contains("VSX"), "{}", refused.text());

    team.does("POST", "/__api__/blocklist/rules", json!({"package_name": "golang.Go", "version": number})).await;
    let blocked = ask(&team, "latest", named("golang.Go"), BY_NAME).await;
    assert_ne!(blocked["extensions"][0]["versions"][0]["version"], number);
    assert_eq!(team.get(&package("latest", number)).await.status, 403);
    let mine = json!({"name": "editors", "type": "vsx"});
    assert_eq!(team.does("POST", "/__api__/repos", mine).await["type"], "VSX");
    team.does("POST", "/__api__/repos/editors/sources", json!({"source": "vsx"})).await;
    assert_eq!(team.get("/editors/latest/vscode/gallery/quarto/quarto/latest").await.status, 200);
}

#[tokio::test]
async fn a_registry_describes_extensions() {
    let (team, _upstream) = team().await;
    let api = "/vsx/latest/api";
    let publisher = team.get(&format!("{api}/MS-python")).await.json();
    assert_eq!(publisher["name"], "ms-python");
    let names: Vec<&String> = publisher["extensions"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["debugpy", "python"]);
    let go = team.get(path(&team, &json!(team.url(&format!("{api}/golang/go"))))).await.json();
    assert_eq!(
        (&go["namespace"], &go["name"], &go["targetPlatform"]),
        (&json!("golang"), &json!("Go"), &json!("universal"))
    );
    assert_eq!((&go["versionAlias"], &go["engines"]["vscode"]), (&json!(["latest"]), &json!("^1.80.0")));
    let number = go["version"].as_str().unwrap();
    let download = go["files"]["download"].as_str().unwrap();
    assert!(download.ends_with(&format!("/golang.Go-{number}.vsix")), "{download}");
    let package = format!("/vsx/latest/vscode/gallery/publishers/golang/vsextensions/Go/{number}/vspackage");
    assert_eq!(team.get(path(&team, &go["files"]["download"])).await.body, team.get(&package).await.body);
    assert_eq!(team.get(path(&team, &go["files"]["manifest"])).await.json()["version"], number);
    for (version, url) in go["allVersions"].as_object().unwrap() {
        let one = team.get(path(&team, url)).await.json();
        assert_eq!(one["version"], if version == "latest" { number } else { version });
    }
    assert_eq!(
        team.get(path(&team, &go["namespaceUrl"])).await.json()["extensions"]["Go"],
        format!("{}/golang/Go", team.url(api))
    );
    let linux = team.get(&format!("{api}/rust-lang/rust-analyzer/linux-x64")).await.json();
    assert_eq!(linux["targetPlatform"], "linux-x64");
    assert_eq!(linux["downloads"].as_object().unwrap().len(), 5, "{linux}");
    let package = team.get(path(&team, &linux["files"]["download"])).await;
    assert_eq!(package.status, 200);
    assert_ne!(package.body, team.get(path(&team, &linux["downloads"]["win32-x64"])).await.body);
    let then = team.get("/vsx/2024-06-01/api/golang/Go").await.json();
    assert_ne!(then["version"], number);
    for (path, text) in [
        ("nobody", "Namespace not found: nobody"),
        ("golang/none", "Extension not found: golang.none"),
        ("golang/Go/0.0.0", "Extension not found: golang.Go 0.0.0"),
        ("rust-lang/rust-analyzer/web", "(web)"),
        ("golang/Go/1/2/3/4", "nothing at"),
    ] {
        let missing = team.get(&format!("{api}/{path}")).await;
        assert_eq!(missing.status, 404, "{path}");
        assert!(missing.json()["error"].as_str().unwrap().contains(text), "{path}: {}", missing.text());
    }
    assert_eq!(team.get("/cran/latest/api/golang/Go").await.status, 404, "that is no repository of extensions");
    team.does("POST", "/__api__/blocklist/rules", json!({"package_name": "golang.Go", "version": number})).await;
    assert_ne!(team.get(&format!("{api}/golang/Go")).await.json()["version"], number);
}

/// The registry's own client, which asks by the name of the publisher and the extension.
#[tokio::test]
async fn ovsx_downloads_extensions() {
    let Some(ovsx) = need_cached("ovsx/node_modules/.bin/ovsx") else { return };
    let (team, _upstream) = team().await;
    let folder = tempfile::tempdir().unwrap();
    let get = async |snapshot: &str, arguments: &[&str]| {
        let registry = team.url(&format!("/vsx/{snapshot}"));
        let mut command = tokio::process::Command::new(&ovsx);
        command.args(["get", "--registryUrl", &registry]).args(arguments).current_dir(folder.path());
        command.env("HOME", folder.path()).env_remove("OVSX_REGISTRY_URL").kill_on_drop(true).output().await.unwrap()
    };
    let version = async |snapshot: &str, arguments: &[&str]| {
        let done = get(snapshot, arguments).await;
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
        let about: Value = serde_json::from_slice(&done.stdout).unwrap();
        about["version"].as_str().unwrap().to_owned()
    };
    let newest = version("latest", &["golang.Go", "--metadata"]).await;
    let then = version("2024-06-01", &["golang.Go", "--metadata"]).await;
    assert_ne!(newest, then);
    assert_eq!(version("latest", &["golang.Go", "--metadata", "--versionRange", &then]).await, then);
    assert!(get("latest", &["golang.Go", "--output", "go.vsix"]).await.status.success());
    let package = format!("/vsx/latest/vscode/gallery/publishers/golang/vsextensions/Go/{newest}/vspackage");
    assert_eq!(std::fs::read(folder.path().join("go.vsix")).unwrap(), team.get(&package).await.body);
    let target = ["rust-lang.rust-analyzer", "--target", "linux-x64", "--output", "analyzer.vsix"];
    assert!(get("latest", &target).await.status.success());
    let about = team.get("/vsx/latest/api/rust-lang/rust-analyzer/linux-x64").await.json();
    let package = team.get(path(&team, &about["files"]["download"])).await.body;
    assert_eq!(std::fs::read(folder.path().join("analyzer.vsix")).unwrap(), package);
    let missing = get("latest", &["golang.none"]).await;
    let said = String::from_utf8_lossy(&missing.stderr).into_owned();
    assert!(!missing.status.success() && said.contains("Extension not found: golang.none"), "{said}");
}
