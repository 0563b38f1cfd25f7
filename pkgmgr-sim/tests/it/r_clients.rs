//! R's own tools and BiocManager, unmodified.

use std::path::Path;
use std::process::Output;

use sim_kit::testing::need_tool;
use tokio::process::Command;

use crate::upstream::fed_by_ours;

/// Runs R code in a library of its own. None where R, or a package that it needs, is missing.
async fn r(needs: &[&str], library: &Path, code: &str) -> Option<String> {
    let rscript = need_tool("Rscript")?;
    for package in needs {
        let code = format!("quit(status = !requireNamespace('{package}', quietly = TRUE))");
        let there = Command::new(&rscript).args(["--vanilla", "-e", &code]).output().await.unwrap().status.success();
        if !there {
            need_tool(&format!("R package {package} (scripts/test --setup installs it)"))?;
        }
    }
    let script = library.join("script.R");
    let setup = format!(".libPaths(c('{}', .libPaths()))\noptions(warn = 1)\n", library.display());
    std::fs::write(&script, format!("{setup}{code}")).unwrap();
    let mut command = Command::new(&rscript);
    command.arg("--vanilla").arg(&script).env("HOME", library).env("LC_ALL", "C.UTF-8").kill_on_drop(true);
    let output: Output = command.output().await.unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    Some(said)
}

#[tokio::test]
async fn biocmanager() {
    let (team, _upstream) = fed_by_ours("2026-11-20T06:00:00Z", &["DESeq2", "jsonlite"]).await;
    team.sync().await;
    let folder = tempfile::tempdir().unwrap();
    let code = format!(
        "options(repos = c(CRAN = '{cran}'), BioC_mirror = '{bioc}', BIOCONDUCTOR_CONFIG_FILE = '{bioc}/config.yaml',\n\
                 BiocManager.check_repositories = FALSE)\n\
         version <- BiocManager::version()\ncat('version', format(version), '\\n')\n\
         print(BiocManager::repositories())\n\
         found <- BiocManager::available()\n\
         cat('available', all(c('DESeq2', 'BiocVersion', 'GenomeInfoDbData', 'jsonlite') %in% found), '\\n')\n\
         BiocManager::install(c('BiocVersion', 'BiocGenerics'), ask = FALSE, update = FALSE)\n\
         cat('installed', format(packageVersion('BiocVersion')), packageDescription('BiocGenerics')$Repository, '\\n')\n\
         cat(BiocGenerics::about_BiocGenerics(), '\\n')\n\
         valid <- BiocManager::valid(lib.loc = .libPaths()[1])\n\
         cat('valid', isTRUE(valid), '\\n')\n",
        cran = team.url("/cran/latest"),
        bioc = team.url("/bioconductor/latest"),
    );
    let Some(said) = r(&["BiocManager"], folder.path(), &code).await else { return };
    for expected in ["available TRUE", "synthetic contents made by teamsim", "valid TRUE"] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    if said.contains("version 3.16 ") {
        assert!(said.contains("installed 3.16.0 Bioconductor 3.16"), "{said}");
    }
    assert!(!said.contains("unable to access index"), "{said}");
}

#[tokio::test]
async fn r_reads_the_indexes_of_other_systems() {
    let (team, _upstream) = fed_by_ours("2026-11-20T06:00:00Z", &["jsonlite", "shiny"]).await;
    team.sync().await;
    let folder = tempfile::tempdir().unwrap();
    let code = format!(
        "for (folder in c('windows/contrib/4.4', 'macosx/sonoma-arm64/contrib/4.6')) {{\n\
           url <- paste0('{root}/bin/', folder)\n\
           found <- available.packages(contriburl = url, filters = list())\n\
           cat(folder, all(c('jsonlite', 'shiny') %in% rownames(found)), all(found[, 'Repository'] == url), '\\n')\n\
           type <- if (startsWith(folder, 'win')) 'win.binary' else 'mac.binary'\n\
           got <- download.packages('jsonlite', destdir = '{folder}', available = found, contriburl = url, type = type)\n\
           version <- found['jsonlite', 'Version']\n\
           inside <- if (startsWith(folder, 'win')) unzip(got[1, 2], list = TRUE)$Name else untar(got[1, 2], list = TRUE)\n\
           cat('holds', 'jsonlite/DESCRIPTION' %in% inside, '\\n')\n\
         }}\n",
        root = team.url("/cran/latest"),
        folder = folder.path().display(),
    );
    let Some(said) = r(&[], folder.path(), &code).await else { return };
    for expected in ["windows/contrib/4.4 TRUE TRUE", "macosx/sonoma-arm64/contrib/4.6 TRUE TRUE"] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    assert_eq!(said.matches("holds TRUE").count(), 2, "{said}");
}
