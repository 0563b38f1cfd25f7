//! VIP, the suite by which administrators verify that a real team works, unmodified.

use std::path::Path;

use harness::stack::StackConfig;
use tests::{Team, need_tool};

/// Look at what deployed code answers. Connect's runtime is simulated, and says so where they look.
const RUN_CODE: &str = "not (test_deploy_quarto or test_deploy_plumber or test_deploy_shiny or test_deploy_dash \
    or test_deploy_rmarkdown or test_deploy_jupyter or test_deploy_fastapi)";

/// What it has for Connect and Package Manager. The tests of what is not told to it (mail, data sources, runtimes) it skips.
const CATEGORIES: &str = "connect or package_manager or prerequisites or security or config_hygiene";

#[tokio::test(flavor = "multi_thread")]
async fn a_team_is_verified() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.cache/vip-2026.10.3");
    if !folder.join("complete").exists() {
        assert!(need_tool("VIP (scripts/test --setup installs it)").is_none());
        return;
    }
    let folder = folder.canonicalize().unwrap();
    let team = Team::with(StackConfig::default()).await;
    let admin = team.user("admin");
    let version = connect_sim::Config::default().version;
    team.write(
        "vip.toml",
        format!(
            "[connect]\nurl = \"{}\"\nversion = \"{version}\"\n[package_manager]\nurl = \"{}\"\n[workbench]\nenabled = false\n\
             [auth]\nprovider = \"password\"\n",
            team.urls.connect, team.urls.package_manager
        ),
    );
    let browsers = folder.join("browsers").display().to_string();
    let environment = [
        ("PLAYWRIGHT_BROWSERS_PATH", browsers.as_str()),
        ("VIP_TEST_USERNAME", admin.username),
        ("VIP_TEST_PASSWORD", &admin.password),
        ("VIP_CONNECT_API_KEY", &admin.api_key),
    ];
    let arguments = [
        "verify",
        "--categories",
        CATEGORIES,
        "--filter",
        RUN_CODE,
        "--allow-unproven",
        "--",
        "-p",
        "no:cacheprovider",
    ];
    let output = team.client_with(folder.join("env/bin/vip"), &arguments, &environment).await.well();
    let passed = output.split(" passed").next().and_then(|text| text.rsplit(' ').next()?.parse::<u32>().ok());
    assert!(passed.is_some_and(|passed| passed >= 40), "{output}");
}
