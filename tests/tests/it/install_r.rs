//! R installs from Package Manager, from source and as Linux binaries.

use tests::{Team, http, need_tool};

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
    let Some(output) = install(&team, &team.urls.cran(), "jsonlite", "options(warn = 1)").await else { return };
    assert!(output.contains("installing *source* package"), "{output}");
}

#[tokio::test]
async fn as_binaries_with_everything_a_package_needs() {
    let team = Team::start().await;
    let repository = format!("{}/cran/__linux__/bookworm/latest", team.urls.package_manager);
    let agent = "options(HTTPUserAgent = sprintf('R/%s R (%s)', getRversion(), paste(getRversion(), \
                 R.version['platform'], R.version['arch'], R.version['os'])))";
    let Some(output) = install(&team, &repository, "htmltools", agent).await else { return };
    assert!(
        output.contains("installing *binary* package") && !output.contains("installing *source* package"),
        "{output}"
    );
    assert!(output.contains("fastmap"), "{output}");
}

/// Name and version of the packages in an index that need no other package.
async fn leaves(repository: &str) -> Vec<(String, String)> {
    let index = http().get(format!("{repository}/src/contrib/PACKAGES")).send().await.unwrap().text().await.unwrap();
    let field = |record: &str, name: &str| {
        record.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).map(str::to_owned)
    };
    let records = index.split("\n\n").filter(|r| field(r, "Imports").is_none() && field(r, "LinkingTo").is_none());
    records.filter_map(|r| Some((field(r, "Package")?, field(r, "Version")?))).collect()
}

#[tokio::test]
async fn a_dated_snapshot_gives_the_older_version() {
    let team = Team::start().await;
    let new = leaves(&team.urls.cran()).await;
    let mut found = None;
    for year in (2019..=2025).rev() {
        let then = format!("{}/cran/{year}-01-02", team.urls.package_manager);
        let moved = |(name, version): &(String, String)| new.iter().any(|(n, v)| n == name && v != version);
        found = found.or(leaves(&then).await.into_iter().find(moved).map(|(name, old)| (then, name, old)));
    }
    let (then, name, old) = found.expect("some package has had a release since 2019");
    let Some(output) = install(&team, &team.urls.cran(), &name, "options(warn = 1)").await else { return };
    assert_ne!(version(&output), old);
    let output = install(&team, &then, &name, "options(warn = 1)").await.unwrap();
    assert_eq!(version(&output), old);
}
