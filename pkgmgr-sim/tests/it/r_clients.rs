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

#[tokio::test]
async fn remotes_installs_older_versions_and_asks_for_system_requirements() {
    let (team, _upstream) = fed_by_ours("2026-11-20T06:00:00Z", &["jsonlite", "curl"]).await;
    team.sync().await;
    let lists = "current <- readRDS(gzcon(url('{root}/src/contrib/Meta/current.rds', 'rb')))\n\
                 archive <- readRDS(gzcon(url('{root}/src/contrib/Meta/archive.rds', 'rb')))\n\
                 found <- available.packages(contriburl = '{root}/src/contrib', filters = list())\n\
                 files <- paste0(found[, 'Package'], '_', found[, 'Version'], '.tar.gz')\n\
                 cat('current', setequal(rownames(current), files), all(current$size > 0), '\\n')\n\
                 cat('times', !is.unsorted(archive$jsonlite$mtime), class(archive$jsonlite$mtime), '\\n')\n\
                 older <- sub('.*_(.*)[.]tar[.]gz', '\\\\1', rownames(archive$jsonlite)[1])\n\
                 options(repos = c(CRAN = '{root}'))\n\
                 remotes::install_version('jsonlite', older, upgrade = 'never', quiet = TRUE)\n\
                 cat('older', packageVersion('jsonlite', lib.loc = .libPaths()[1]) == older, \
                     older != found['jsonlite', 'Version'], '\\n')\n\
                 Sys.setenv(RSPM_ROOT = '{server}')\n\
                 print(remotes::system_requirements('ubuntu-20.04', package = c('curl', 'jsonlite')))\n\
                 dir.create('{folder}/own')\n\
                 writeLines(c('Package: own', 'Version: 1.0', 'Imports: curl', 'SystemRequirements: libxml2'), \
                     '{folder}/own/DESCRIPTION')\n\
                 print(remotes::system_requirements('centos-8', path = '{folder}/own'))\n\
                 no <- tryCatch(remotes::system_requirements('ubuntu-20.04', package = 'none'), error = conditionMessage)\n\
                 cat('refused:', no, '\\n')\n";
    let folder = tempfile::tempdir().unwrap();
    let code = lists
        .replace("{root}", &team.url("/cran/latest"))
        .replace("{server}", &team.url(""))
        .replace("{folder}", &folder.path().display().to_string());
    let Some(said) = r(&["remotes"], folder.path(), &code).await else { return };
    for expected in [
        "current TRUE TRUE",
        "times TRUE POSIXct POSIXt",
        "older TRUE TRUE",
        "apt-get install -y libcurl4-openssl-dev",
        "dnf install -y libxml2-devel",
        "dnf install -y libcurl-devel",
        "refused: there is no package",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
}
