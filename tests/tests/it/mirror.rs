//! A real index behind the package service: pip installs from Package Manager what is fetched when it asks.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use harness::stack::StackConfig;
use pkg_formats::archive::{File, Files};
use pkg_formats::python::metadata::Metadata;
use pkg_formats::python::wheel::WheelSpec;
use tests::{Team, http, need_tool};
use upstream_sim::Config;

/// Python's own web server over a folder, as a "real" index: HTML pages without digests or sizes.
struct Index {
    process: Child,
    url: String,
    _folder: tempfile::TempDir,
}

impl Drop for Index {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

async fn index() -> Option<Index> {
    let python = need_tool("python3")?;
    let folder = tempfile::tempdir().unwrap();
    let project = |name: &str, requires: &[&str]| {
        let mut metadata = Metadata::new(name, "1.5");
        metadata.requires_dist = requires.iter().map(|item| (*item).to_owned()).collect();
        let code = File::from("answer = 42\n");
        let wheel = WheelSpec::new(metadata, Files::from([(format!("{}/__init__.py", name.replace('-', "_")), code)]));
        let place = folder.path().join("simple").join(name);
        std::fs::create_dir_all(&place).unwrap();
        std::fs::write(place.join(wheel.file_name().unwrap()), wheel.zip().unwrap()).unwrap();
    };
    project("acme-measures", &["acme-base>=1"]);
    project("acme-base", &[]);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let process = Command::new(python)
        .args(["-m", "http.server", "--bind", "127.0.0.1", &port.to_string()])
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let index = Index { process, url: format!("http://127.0.0.1:{port}/simple"), _folder: folder };
    let until = Instant::now() + Duration::from_secs(60);
    while http().get(&index.url).send().await.is_err() {
        assert!(Instant::now() < until, "{} does not answer", index.url);
    }
    Some(index)
}

#[tokio::test]
async fn pip_installs_what_is_fetched_when_it_asks_and_a_recording_replays_it() {
    let (Some(pip), Some(index)) = (need_tool("pip"), index().await) else { return };
    let recording = tempfile::tempdir().unwrap();
    let mirroring =
        Config { mirror_pypi: Some(index.url.clone()), record: Some(recording.path().to_owned()), ..Config::only(&[]) };
    let replaying = Config { replay: Some(recording.path().to_owned()), ..Config::only(&[]) };
    let mut index = Some(index);
    for upstream in [mirroring, replaying] {
        let team = Team::with(StackConfig { upstream, ..StackConfig::default() }).await;
        let Some(python) = team.venv("env").await else { return };
        let flag = python.display().to_string();
        let output = team.client(&pip, &["--python", &flag, "install", "ACME_measures"]).await.well();
        assert!(output.contains("Successfully installed") && output.contains("acme_base-1.5"), "{output}");
        let _ = team
            .client(&python, &["-c", "import acme_base, acme_measures; assert acme_base.answer == 42"])
            .await
            .well();
        if let Some(index) = index.take() {
            let none = team.client(&pip, &["--python", &flag, "install", "no-such-project"]).await.failed();
            assert!(none.contains("(from versions: none)"), "{none}");
            // From here on there is no network.
            drop(index);
        }
    }
}

/// A script that installs `htmltools` from a repository and says what came.
fn r_install(library: &std::path::Path, repository: &str) -> String {
    format!(
        "lib <- '{}'; .libPaths(c(lib, .Library)); options(warn = 2); \
         install.packages('htmltools', lib = lib, repos = c(CRAN = '{repository}'), quiet = TRUE); \
         cat(sort(rownames(installed.packages(lib))), '\\n'); cat(htmltools::about_htmltools(), '\\n')",
        library.display()
    )
}

#[tokio::test]
async fn r_installs_what_is_mirrored_of_a_repository_and_a_recording_replays_it() {
    let Some(rscript) = need_tool("Rscript") else { return };
    // The real repository is that of another team.
    let real = Team::start().await;
    let recording = tempfile::tempdir().unwrap();
    let mirroring = Config {
        mirror_cran: Some(real.urls.cran()),
        mirror_cran_packages: vec!["htmltools".to_owned()],
        record: Some(recording.path().to_owned()),
        ..Config::only(&[])
    };
    let replaying = Config { replay: Some(recording.path().to_owned()), ..Config::only(&[]) };
    let mut real = Some(real);
    let mut said = Vec::new();
    for upstream in [mirroring, replaying] {
        let team = Team::with(StackConfig { upstream, ..StackConfig::default() }).await;
        let library = team.path("library");
        std::fs::create_dir(&library).unwrap();
        let code = r_install(&library, &team.urls.cran());
        let output =
            team.client_with(&rscript, &["--vanilla", "-e", &code], &[("R_LIBS_SITE", "/nowhere")]).await.well();
        assert!(output.contains("fastmap") && output.contains("htmltools"), "with what it needs: {output}");
        said.push(output.lines().last().unwrap().to_owned());
        // What is not mirrored is not there.
        let index = http().get(format!("{}/src/contrib/PACKAGES", team.urls.cran())).send().await.unwrap();
        let index = index.text().await.unwrap();
        assert!(index.contains("Package: htmltools\n") && !index.contains("Package: shiny\n"), "{index}");
        // From here on there is no network.
        drop(real.take());
    }
    assert_eq!(said[0], said[1]);
}

/// Needs a network. `cargo nextest run -p tests --run-ignored all mirror::six`
#[tokio::test]
#[ignore = "asks the index that this machine's pip is configured with"]
async fn six_from_the_index_of_this_machines_pip() {
    let Some(pip) = need_tool("pip") else { return };
    let upstream = Config { mirror_pypi: Some("auto".to_owned()), ..Config::only(&[]) };
    let team = Team::with(StackConfig { upstream, ..StackConfig::default() }).await;
    let Some(python) = team.venv("env").await else { return };
    let flag = python.display().to_string();
    let output = team.client(&pip, &["--python", &flag, "install", "six"]).await.well();
    assert!(output.contains("Successfully installed six-"), "{output}");
    let _ = team.client(&python, &["-c", "import six; assert six.moves.range(3)[2] == 2"]).await.well();
}
