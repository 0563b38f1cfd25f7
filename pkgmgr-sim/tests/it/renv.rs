//! renv, unmodified: projects are locked on one date and restored on another.

use std::path::Path;

use sim_kit::testing::{need_cached, need_tool};
use tokio::process::Command;

use crate::Team;

/// Runs R code in a project's folder, with nothing of this machine but R and renv. None where one of them is missing.
async fn in_project(folder: &Path, code: &str) -> Option<String> {
    let (rscript, renv) = (need_tool("Rscript")?, need_cached("renv")?);
    let project = folder.join("project");
    std::fs::create_dir_all(&project).unwrap();
    let code = format!(".libPaths('{}')\noptions(warn = 1)\n{code}", renv.display());
    std::fs::write(folder.join("run.R"), code).unwrap();
    let mut command = Command::new(rscript);
    command.args(["--vanilla", "../run.R"]).current_dir(&project).env("HOME", folder).env("LC_ALL", "C.UTF-8");
    command.env("RENV_PATHS_ROOT", folder.join("renv")).env("RENV_CONFIG_CONSENT", "true");
    command.env("R_LIBS_SITE", "/nowhere").env("RENV_PPM_PLATFORM", "noble").kill_on_drop(true);
    let output = command.output().await.unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    Some(said)
}

#[tokio::test]
async fn locks_on_a_date_and_restores_on_another() {
    let team = Team::synced().await;
    let folder = tempfile::tempdir().unwrap();
    let code = "tell <- function(what) cat(what, format(packageVersion('alpha', lib.loc = .libPaths()[1])), '\\n')\n\
         cat('this is R', R.version$major, R.version$minor, '\\n')\n\
         options(repos = c(CRAN = '{root}/2024-01-05'))\n\
         renv::init(bare = TRUE, restart = FALSE)\n\
         renv::install('alpha', prompt = FALSE)\n\
         tell('installed')\n\
         writeLines('library(alpha)', 'app.R')\n\
         renv::snapshot(prompt = FALSE)\n\
         invisible(file.copy('renv.lock', 'old.lock'))\n\
         options(repos = c(CRAN = '{root}/latest'))\n\
         renv::install('alpha', prompt = FALSE)\n\
         tell('updated')\n\
         renv::snapshot(prompt = FALSE)\n\
         unlink(file.path(Sys.getenv('RENV_PATHS_ROOT'), c('cache', 'source')), recursive = TRUE)\n\
         renv::restore(lockfile = 'old.lock', repos = getOption('repos'), prompt = FALSE)\n\
         tell('restored')\n\
         options(renv.config.ppm.url = '{root}/latest')\n\
         renv::checkout(date = '2024-01-15', restart = FALSE)\n\
         tell('checked out')\n";
    let code = code.replace("{root}", &team.url("/cran"));
    let Some(said) = in_project(folder.path(), &code).await else { return };
    for expected in ["installed 1.0", "updated 2.0", "restored 1.0", "checked out 2.0"] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    let lock = |name: &str| std::fs::read_to_string(folder.path().join("project").join(name)).unwrap();
    let (old, new) = (lock("old.lock"), lock("renv.lock"));
    assert!(old.contains("/cran/2024-01-05\"") && !old.contains("\"beta\""), "{old}");
    assert!(new.contains("/cran/latest\"") && new.contains("\"beta\""), "{new}");
    // What is stamped as Package Manager's is no package of an unknown origin.
    assert!(!old.contains("\"Source\": \"unknown\""), "{old}");

    // It found out by itself that there are binaries, and asked for them; also for what is no longer the current version.
    let asked = |path: &str| {
        let entries = team.running.world().journal().entries(0, 1000, |e| e.status == Some(200) && e.path == path);
        entries.iter().any(|e| e.user_agent.as_deref().is_some_and(|agent| agent.contains("R (")))
    };
    assert!(asked("/__api__/status"));
    assert!(asked("/cran/__linux__/noble/2024-01-05/src/contrib/alpha_1.0.tar.gz"));
    assert!(asked("/cran/__linux__/noble/latest/src/contrib/alpha_2.0.tar.gz"));
    assert!(asked("/cran/__linux__/noble/latest/src/contrib/Archive/alpha/alpha_1.0.tar.gz"));
    if said.contains("this is R 4 2.") {
        assert!(said.contains("installed binary") && !said.contains("built from source"), "{said}");
    }
}

#[tokio::test]
async fn finds_its_own_packages_by_their_names_and_versions() {
    let team = Team::synced().await;
    let folder = tempfile::tempdir().unwrap();
    let code = "options(repos = c(CRAN = '{root}'))\n\
         renv::init(bare = TRUE, restart = FALSE)\n\
         renv::install('alpha@1.0', prompt = FALSE)\n\
         cat('pinned', format(packageVersion('alpha', lib.loc = .libPaths()[1])), '\\n')\n\
         refused <- tryCatch(renv::install('alpha@9.9', prompt = FALSE), error = function(e) 'refused')\n\
         cat('a version that is none is', refused, '\\n')\n\
         renv::update(check = TRUE)\n";
    let Some(said) = in_project(folder.path(), &code.replace("{root}", &team.url("/cran/latest"))).await else {
        return;
    };
    for expected in ["pinned 1.0", "a version that is none is refused", "ver: 1.0 -> 2.0"] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
}
