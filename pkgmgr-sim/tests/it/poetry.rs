//! Poetry locks and installs, from each form of the index.

use std::path::Path;

use pkg_formats::psp::Digest;
use pkgmgr_sim::Config;
use serde_json::json;
use sim_kit::testing::need_cached;
use tokio::process::Command;

use crate::service::Service;
use crate::{Team, config, host};

/// A project that wants `alpha-py`, in a folder of its own. None where there is no poetry.
struct Project {
    folder: tempfile::TempDir,
    poetry: std::path::PathBuf,
}

impl Project {
    fn new(index: &str) -> Option<Self> {
        let poetry = need_cached("poetry/bin/poetry")?;
        let this = Self { folder: tempfile::tempdir().unwrap(), poetry };
        this.index(index);
        Some(this)
    }

    fn index(&self, url: &str) {
        let project = format!(
            "[project]\nname = 'own'\nversion = '1.0'\nrequires-python = '>=3.9'\ndependencies = ['Alpha_Py>=1']\n\n\
             [tool.poetry]\npackage-mode = false\n\n\
             [[tool.poetry.source]]\nname = 'team'\nurl = '{url}/'\npriority = 'primary'\n"
        );
        std::fs::write(self.path().join("pyproject.toml"), project).unwrap();
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Whether it went well, and what it said.
    async fn poetry(&self, arguments: &[&str], token: &str) -> (bool, String) {
        let mut command = Command::new(&self.poetry);
        command.args(arguments).args(["--no-interaction", "--no-ansi"]).current_dir(self.path());
        command.env("HOME", self.path()).env("POETRY_VIRTUALENVS_IN_PROJECT", "true");
        command.env("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring");
        if !token.is_empty() {
            command.env("POETRY_HTTP_BASIC_TEAM_USERNAME", "__token__").env("POETRY_HTTP_BASIC_TEAM_PASSWORD", token);
        }
        let output = command.kill_on_drop(true).output().await.unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.success(), said)
    }

    /// As [`Project::poetry`], of what must go well.
    async fn does(&self, arguments: &[&str], token: &str) -> String {
        let (well, said) = self.poetry(arguments, token).await;
        assert!(well, "{arguments:?}: {said}");
        said
    }

    fn lock(&self) -> String {
        std::fs::read_to_string(self.path().join("poetry.lock")).unwrap()
    }

    /// What the installed module says of itself.
    async fn version_of(&self, module: &str) -> String {
        let python = self.path().join(".venv/bin/python");
        let code = format!("import {module}; print({module}.version)");
        let output = Command::new(python).args(["-c", &code]).output().await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

fn asked(team: &Team, what: impl Fn(&sim_kit::journal::Entry) -> bool) -> usize {
    team.running.world().journal().entries(0, 1000, what).len()
}

#[tokio::test]
async fn locks_with_hashes_and_moves_with_the_date() {
    let team = Team::synced().await;
    let Some(project) = Project::new(&team.url("/pypi/2024-01-05/simple")) else { return };
    project.does(&["install"], "").await;
    assert_eq!(project.version_of("alpha_py").await, "1.0");
    let lock = project.lock();
    assert!(lock.contains("name = \"alpha-py\"\nversion = \"1.0\"") && lock.contains("reference = \"team\""), "{lock}");
    project.index(&team.url("/pypi/latest/simple"));
    project.does(&["lock", "--regenerate"], "").await;
    let lock = project.lock();
    // 3.0 is yanked; 2.0 needs an sdist.
    assert!(lock.contains("version = \"2.0\"") && lock.contains("beta-0.1.tar.gz"), "{lock}");
    let page =
        team.get_with("/pypi/latest/simple/alpha-py/", &[("accept", "application/vnd.pypi.simple.v1+json")]).await;
    let files = page.json()["files"].as_array().unwrap().clone();
    let two = files.iter().find(|file| file["filename"].as_str().unwrap().contains("-2.0-")).unwrap().clone();
    assert!(lock.contains(&format!("sha256:{}", two["hashes"]["sha256"].as_str().unwrap())), "{lock}");
    project.does(&["sync"], "").await;
    assert_eq!((project.version_of("alpha_py").await, project.version_of("beta").await), ("2.0".into(), "0.1".into()));
    assert!(asked(&team, |e| e.path.ends_with(".metadata")) > 0, "the metadata beside the wheel is used");
    assert_eq!(asked(&team, |e| e.status == Some(206)), 0, "so no part of a wheel is asked for");
}

#[tokio::test]
async fn html_and_wheels_without_metadata_do_as_well() {
    let service = Service::with_packages().await;
    let config = Config { simple_json: false, simple_metadata: false, ..config(&service) };
    let team = Team::with(service, config, host()).await;
    team.sync().await;
    let Some(project) = Project::new(&team.url("/pypi/latest/simple")) else { return };
    project.does(&["install"], "").await;
    assert_eq!((project.version_of("alpha_py").await, project.version_of("beta").await), ("2.0".into(), "0.1".into()));
    assert!(asked(&team, |e| e.status == Some(206)) > 0, "it looks into the end of the wheel");
    assert_eq!(asked(&team, |e| e.path.ends_with(".metadata")), 0);
}

#[tokio::test]
async fn a_file_that_is_not_the_locked_one_is_refused() {
    let team = Team::synced().await;
    let Some(project) = Project::new(&team.url("/pypi/2024-01-05/simple")) else { return };
    project.does(&["lock"], "").await;
    let lock = project.lock();
    let hash = lock.split("sha256:").nth(1).unwrap()[..64].to_owned();
    let other = Digest::of(b"something else").to_string();
    std::fs::write(project.path().join("poetry.lock"), lock.replace(&hash, &other)).unwrap();
    let (well, said) = project.poetry(&["install"], "").await;
    assert!(!well && said.contains("did not match any known checksums"), "{said}");
}

#[tokio::test]
async fn private_repositories_take_a_token() {
    let team = Team::synced().await;
    team.does("POST", "/__api__/repos", json!({"name": "private", "type": "Python", "authenticated": true})).await;
    team.does("POST", "/__api__/repos/private/sources", json!({"source": "pypi"})).await;
    let read = json!({"scope": ["repos:read"], "repos": ["private"]});
    let token = team.does("POST", "/__api__/tokens", read).await["token"].as_str().unwrap().to_owned();
    let Some(project) = Project::new(&team.url("/private/latest/simple")) else { return };
    let (well, said) = project.poetry(&["install"], "").await;
    assert!(!well && said.contains("Authorization error"), "{said}");
    project.does(&["install"], &token).await;
    assert_eq!(project.version_of("alpha_py").await, "2.0");
}
