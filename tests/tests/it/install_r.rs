//! R installs from Package Manager, from source and as Linux binaries.

use tests::{Team, need_tool};

async fn install(team: &Team, repository: &str, package: &str, options: &str) -> Option<String> {
    let rscript = need_tool("Rscript")?;
    let library = team.path(&format!("library-{}", repository.len()));
    std::fs::create_dir_all(&library).unwrap();
    let code = format!(
        "{options}; lib <- '{library}'; .libPaths(lib); install.packages('{package}', lib = lib, repos = c(CRAN = '{repository}')); \
         library('{package}', lib.loc = lib, character.only = TRUE); \
         cat('VERSION', as.character(packageVersion('{package}', lib.loc = lib)), '\\n')",
        library = library.display()
    );
    Some(team.client(rscript, &["--vanilla", "-e", &code]).await.well())
}

fn version(output: &str) -> &str {
    output.split("VERSION ").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap()
}

#[tokio::test]
async fn from_source() {
    let team = Team::start().await;
    let Some(output) = install(&team, &team.urls.cran(), "jsonlite", "").await else { return };
    assert!(output.contains("installing *source* package"), "{output}");
}

#[tokio::test]
async fn as_binaries_with_everything_a_package_needs() {
    let team = Team::start().await;
    let repository = format!("{}/cran/__linux__/bookworm/latest", team.urls.package_manager);
    let agent = "options(HTTPUserAgent = sprintf('R/%s R (%s)', getRversion(), paste(getRversion(), \
                 R.version['platform'], R.version['arch'], R.version['os'])))";
    let Some(output) = install(&team, &repository, "shiny", agent).await else { return };
    assert!(output.contains("installing *binary* package") && !output.contains("installing *source* package"), "{output}");
    assert!(output.contains("httpuv"), "{output}");
}

#[tokio::test]
async fn a_dated_snapshot_gives_the_older_version() {
    let team = Team::start().await;
    let Some(now) = install(&team, &team.urls.cran(), "glue", "").await else { return };
    let then = format!("{}/cran/2021-01-02", team.urls.package_manager);
    let Some(then) = install(&team, &then, "glue", "").await else { return };
    assert_ne!(version(&now), version(&then));
}
