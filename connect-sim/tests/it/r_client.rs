//! R's rsconnect, as Debian packages it (0.8.29), against a real socket.

use std::path::PathBuf;
use std::process::Stdio;

use connect_sim::Config;
use connect_sim::version::{NEWEST, Version};
use sim_kit::seed;
use sim_kit::testing::need_tool;

use super::index::Index;
use super::site::Site;

/// The folder of R, when it has the packages that publish.
fn r() -> Option<PathBuf> {
    let program = need_tool("Rscript")?;
    let packages = "for (p in c('rsconnect', 'shiny', 'rmarkdown')) library(p, character.only = TRUE)";
    let found = std::process::Command::new(&program).args(["-e", packages]).stderr(Stdio::null()).status().unwrap();
    if !found.success() {
        let _ = need_tool("r-cran-rsconnect (scripts/test --setup installs it)");
        return None;
    }
    Some(program.parent().expect("a program is in a folder").to_owned())
}

/// What the installed library holds, for the repository to hold it as well: bundles ask for exactly these versions.
async fn installed(site: &Site) -> Vec<(String, String)> {
    let list = "write.table(installed.packages(priority = NULL)[, c('Package', 'Version')], row.names = FALSE,
        col.names = FALSE, quote = FALSE)";
    let output = site.run("Rscript", &["-e", list]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    let pairs = text.lines().filter_map(|line| line.split_once(' '));
    pairs.map(|(name, version)| (name.to_owned(), version.to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn rsconnect_for_r_publishes() {
    let Some(tools) = r() else { return };
    for release in [Version::new(2023, 1, 0), Version::new(2024, 8, 0), NEWEST] {
        let index = Index::start().await;
        let site = Site::new(Config { version: release, ..index.config() }, tools.clone()).await;
        let packages = installed(&site).await;
        assert!(packages.iter().any(|(name, _)| name == "shiny"));
        let packages: Vec<_> = packages.iter().map(|(name, version)| (name.as_str(), version.as_str(), "")).collect();
        index.r(&packages);
        site.write("app/app.R", "library(shiny)\nshinyApp(fluidPage('hello'), function(input, output) {})\n");
        site.write("doc/page.html", "<h1>a page from R</h1>");
        site.write("report/report.Rmd", "---\ntitle: Report\noutput: html_document\n---\n\nText.\n");
        site.write("publish.R", SCRIPT);
        let [_, publisher, _] = seed::users(1);
        let cran = format!("{}/cran", index.url);
        let arguments = ["publish.R", &site.running.url(), &cran, &site.key, &publisher.password];
        let output = site.run("Rscript", &arguments).await;
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && text.contains("all is well"), "{release}: {text}");
        assert!(text.contains("Installing shiny"), "{text}");
        site.proves(R);
        site.running.stop().await;
    }
}

/// Routes that it is seen to succeed with.
pub(crate) const R: &[&str] = &[
    "GET /__api__/applications",
    "GET /__api__/applications/{id}",
    "GET /__api__/applications/{id}/config",
    "GET /__api__/tasks/{id}",
    "GET /__api__/users/current",
    "POST /__api__/applications",
    "POST /__api__/applications/{id}/deploy",
    "POST /__api__/applications/{id}/upload",
    "POST /__api__/tokens",
];

const SCRIPT: &str = r#"
arguments <- commandArgs(trailingOnly = TRUE)
options(repos = c(CRAN = arguments[[2]]), rsconnect.launch.browser = FALSE)
library(rsconnect)
addConnectServer(arguments[[1]], name = "sim", quiet = TRUE)

# What a user does in the browser that is opened: sign in, and agree.
agree <- function(url) {
  browser <- curl::new_handle(followlocation = FALSE)
  ask <- function(url, form = NULL) {
    if (is.null(form)) curl::handle_setopt(browser, httpget = TRUE)
    else curl::handle_setopt(browser, post = TRUE, copypostfields = form)
    answer <- curl::curl_fetch_memory(url, browser)
    stopifnot(answer$status_code < 400)
    rawToChar(answer$content)
  }
  password <- utils::URLencode(arguments[[4]], reserved = TRUE)
  ask(paste0(arguments[[1]], "/__login__"), paste0("username=publisher&password=", password))
  xsrf <- sub('.*name="xsrf" value="([^"]*)".*', "\\1", ask(url))
  ask(url, paste0("xsrf=", utils::URLencode(xsrf, reserved = TRUE)))
}
connectUser(server = "sim", quiet = TRUE, launch.browser = agree)
stopifnot(accounts()$name == "publisher")

deployApp("app", appName = "r-app", appTitle = "From R", server = "sim", lint = FALSE)
deployApp("app", appName = "r-app", server = "sim", lint = FALSE, forceUpdate = TRUE)
deployDoc("doc/page.html", appName = "r-page", server = "sim")
deployDoc("report/report.Rmd", appName = "r-report", server = "sim")
found <- applications(server = "sim")
stopifnot(setequal(found$name, c("r-app", "r-page", "r-report")))

# The same with a key.
connectApiUser(account = "by-key", server = "sim", apiKey = arguments[[3]], quiet = TRUE)
deployApp("app", appName = "by-key", account = "by-key", server = "sim", lint = FALSE)

writeLines("library(nosuchpackage)", "app/helper.R")
failed <- try(deployApp("app", appName = "r-app", account = "publisher", server = "sim", lint = FALSE, forceUpdate = TRUE))
stopifnot(inherits(failed, "try-error"))
cat("all is well\n")
"#;
