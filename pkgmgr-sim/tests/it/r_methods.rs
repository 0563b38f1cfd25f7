//! R installs by each of its download methods, saying what it is or not: from CRAN as binaries for Linux, where it says so, and
//! from Bioconductor.

use sim_kit::testing::need_tool;
use tokio::process::Command;

use crate::Team;
use crate::service::Service;

/// By each way to download: from CRAN a package and what it needs, from Bioconductor another.
const CODE: &str = r#"
options(warn = 2)
named <- sprintf("R/%s R (%s)", getRversion(), paste(getRversion(), R.version$platform, R.version$arch, R.version$os))
header <- paste0("--header ", shQuote(paste("User-Agent:", named)))
silent <- getOption("HTTPUserAgent")
cat("this is R", R.version$major, R.version$minor, "\n")
for (way in list(
    list("libcurl", silent, NULL), list("libcurl", named, NULL),
    list("curl", silent, "-f -s"), list("curl", silent, paste("-f -s", header)),
    list("wget", silent, "-q"), list("wget", silent, paste("-q", header))
)) {
    options(download.file.method = way[[1]], HTTPUserAgent = way[[2]], download.file.extra = way[[3]])
    lib <- tempfile("library-")
    dir.create(lib)
    install.packages("alpha", lib = lib, repos = c(CRAN = "{root}/cran/__linux__/bookworm/latest"), quiet = TRUE)
    bioc <- "{root}/bioconductor/latest/packages/3.18/"
    install.packages("genes", lib = lib, repos = paste0(bioc, c("bioc", "workflows")), quiet = TRUE)
    found <- installed.packages(lib)
    # What R built itself is in a database of its own.
    built <- file.exists(file.path(lib, "alpha", "R", "alpha.rdb"))
    cat(way[[1]], if (identical(way[[2]], named) || grepl("R \\(", way[[3]] %||% "")) "named" else "silent",
        if (built) "source" else "binary", paste0(rownames(found), "=", found[, "Version"]), "\n")
}
"#;

#[tokio::test]
async fn each_method_with_and_without_a_name() {
    let (Some(rscript), Some(_), Some(_)) = (need_tool("Rscript"), need_tool("curl"), need_tool("wget")) else {
        return;
    };
    let service = Service::with_packages().await;
    service.offer("bioc-3.18");
    service.bioc("bioc-3.18", "bioc", "genes", "1.2.0", 3);
    service.publish_feed("bioc-3.18", 15);
    let team = Team::of(service).await;
    team.sync().await;
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("script.R");
    // R 4.2 has no such operator.
    let code = format!("`%||%` <- function(x, y) if (is.null(x)) y else x\n{}", CODE.replace("{root}", &team.url("")));
    std::fs::write(&script, code).unwrap();
    let mut command = Command::new(rscript);
    command.arg("--vanilla").arg(&script).env("HOME", folder.path()).env("LC_ALL", "C.UTF-8").kill_on_drop(true);
    let output = command.output().await.unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    let named = if said.contains("this is R 4 2.") { "binary" } else { "source" };
    for method in ["libcurl", "curl", "wget"] {
        for (manner, kind) in [("silent", "source"), ("named", named)] {
            let expected = format!("{method} {manner} {kind} alpha=2.0 beta=0.1 genes=1.2.0");
            assert!(said.contains(&expected), "{expected}: {said}");
        }
    }
    for agent in ["libcurl/", "curl/", "Wget/", "R/"] {
        let by = |e: &sim_kit::journal::Entry| e.user_agent.as_deref().is_some_and(|told| told.starts_with(agent));
        assert!(!team.running.world().journal().entries(0, 1000, by).is_empty(), "{agent}");
    }
}
