//! Unmodified clients install from here: pip, uv, R; curl for the finer points of HTTP.

use std::path::{Path, PathBuf};
use std::process::Output;

use pkg_formats::archive::Files;
use pkg_formats::python::metadata::Metadata;
use pkg_formats::python::sdist::SdistSpec;
use pkg_formats::python::wheel::WheelSpec;
use pkg_formats::r::source::{SourceSpec, description};
use serde_json::{Value, json};
use sim_kit::testing::{need_cached, need_tool};
use tokio::process::Command;

use crate::Team;

async fn run(program: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(program);
    // Nothing of the machine's own settings.
    command.args(arguments).env_remove("PIP_INDEX_URL").env("PIP_CONFIG_FILE", "/dev/null").env("UV_NO_CONFIG", "1");
    command.env("PIP_DISABLE_PIP_VERSION_CHECK", "1").env("NO_COLOR", "1").kill_on_drop(true).output().await.unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A fresh environment without pip.
async fn environment(folder: &Path) -> Option<PathBuf> {
    let python = need_tool("python3")?;
    let target = folder.join("venv");
    let output = run(&python, &["-m", "venv", "--without-pip", target.to_str().unwrap()]).await;
    assert!(output.status.success(), "{}", said(&output));
    Some(target.join("bin/python"))
}

async fn version_of(python: &Path, module: &str) -> String {
    let output = run(python, &["-c", &format!("import {module}; print({module}.version)")]).await;
    assert!(output.status.success(), "{}", said(&output));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

async fn pip_installs(pip: PathBuf) {
    let team = Team::synced().await;
    let folder = tempfile::tempdir().unwrap();
    let Some(python) = environment(folder.path()).await else { return };
    let install = async |snapshot: &str, what: &[&str]| {
        let index = team.url(&format!("/pypi/{snapshot}/simple"));
        let target = python.to_str().unwrap();
        let fixed = ["--python", target, "install", "--no-cache-dir", "--index-url", index.as_str()];
        run(&pip, &[&fixed[..], what].concat()).await
    };
    // 3.0 is yanked; 2.0 needs an sdist, which builds itself.
    let output = install("latest", &["Alpha_Py"]).await;
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(version_of(&python, "alpha_py").await, "2.0");
    assert_eq!(version_of(&python, "beta").await, "0.1");
    let output = install("2024-01-05", &["--force-reinstall", "alpha-py"]).await;
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(version_of(&python, "alpha_py").await, "1.0");
    let output = install("latest", &["alpha-py==3.0"]).await;
    assert!(output.status.success() && said(&output).contains("broken <badly>"), "{}", said(&output));
    let output = install("latest", &["nothing-of-this-name"]).await;
    assert!(!output.status.success() && said(&output).contains("from versions: none"), "{}", said(&output));
}

#[tokio::test]
async fn new_pip() {
    let Some(pip) = need_tool("pip") else { return };
    pip_installs(pip).await;
}

#[tokio::test]
async fn old_pip() {
    let Some(pip) = need_cached("pip-22.3/bin/pip") else { return };
    // It knows no --python, so it installs into a folder.
    let team = Team::synced().await;
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().to_str().unwrap();
    let index = team.url("/pypi/latest/simple");
    let output = run(&pip, &["install", "--no-cache-dir", "--index-url", &index, "--target", target, "alpha-py"]).await;
    assert!(output.status.success(), "{}", said(&output));
    assert!(folder.path().join("alpha_py-2.0.dist-info/METADATA").exists());
    assert!(folder.path().join("beta.py").exists());
}

#[tokio::test]
async fn uv() {
    let Some(uv) = need_tool("uv") else { return };
    let team = Team::synced().await;
    let folder = tempfile::tempdir().unwrap();
    let Some(python) = environment(folder.path()).await else { return };
    let cache = folder.path().join("cache");
    let install = async |snapshot: &str, what: &[&str]| {
        let index = team.url(&format!("/pypi/{snapshot}/simple"));
        let fixed = [
            "pip",
            "install",
            "--python",
            python.to_str().unwrap(),
            "--cache-dir",
            cache.to_str().unwrap(),
            "--default-index",
            index.as_str(),
        ];
        run(&uv, &[&fixed[..], what].concat()).await
    };
    let output = install("latest", &["alpha-py"]).await;
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(
        (version_of(&python, "alpha_py").await, version_of(&python, "beta").await),
        ("2.0".into(), "0.1".into())
    );
    let output = install("2024-01-05", &["--reinstall", "alpha-py"]).await;
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(version_of(&python, "alpha_py").await, "1.0");
    let output = install("latest", &["--reinstall", "--exclude-newer", "2024-01-09T00:00:00Z", "alpha-py"]).await;
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(version_of(&python, "alpha_py").await, "1.0", "upload times are told");
    let metadata = team.running.world().journal().entries(0, 1000, |e| e.path.ends_with(".metadata")).len();
    assert!(metadata > 0, "the metadata beside the wheel was used");
}

#[tokio::test]
async fn r() {
    let Some(rscript) = need_tool("Rscript") else { return };
    let team = Team::synced().await;
    let folder = tempfile::tempdir().unwrap();
    let install = async |repo: &str, agent: &str, method: &str| {
        let library = folder.path().join(format!("library-{}-{}-{method}", repo.len(), agent.len()));
        std::fs::create_dir_all(&library).unwrap();
        let code = format!(
            "{agent}\noptions(repos = c(CRAN = '{}'), download.file.method = '{method}'); \
             install.packages('alpha', lib = '{lib}', quiet = FALSE); \
             d <- packageDescription('alpha', lib.loc = '{lib}'); \
             cat('installed', d$Version, d$Repository, '\\n'); \
             .libPaths(c('{lib}', .libPaths())); cat('it says', alpha::version(), '\\n')",
            team.url(repo),
            lib = library.display(),
        );
        let output = run(&rscript, &["--vanilla", "-e", &code]).await;
        assert!(output.status.success(), "{}", said(&output));
        said(&output)
    };
    let agent = "options(HTTPUserAgent = sprintf('R/%s R (%s)', getRversion(), \
                 paste(getRversion(), R.version$platform, R.version$arch, R.version$os)))";
    let source = install("/cran/latest", "", "libcurl").await;
    assert!(source.contains("installed 2.0 RSPM") && source.contains("it says 2.0"), "{source}");
    assert!(source.contains("installing *source* package"), "{source}");
    let dated = install("/cran/2024-01-05", "", "libcurl").await;
    assert!(dated.contains("it says 1.0"), "{dated}");
    // Without the option R does not say what it is, so it gets source; with it, the binary if there is one for this R.
    let silent = install("/cran/__linux__/bookworm/latest", "", "libcurl").await;
    assert!(silent.contains("installing *source* package"), "{silent}");
    let outspoken = install("/cran/__linux__/bookworm/latest", agent, "libcurl").await;
    let minor = run(&rscript, &["--vanilla", "-e", "cat(R.version$major, R.version$minor, sep = '.')"]).await;
    let expected = if String::from_utf8_lossy(&minor.stdout).starts_with("4.2") { "binary" } else { "source" };
    assert!(outspoken.contains(&format!("installing *{expected}* package")), "{outspoken}");
    assert!(outspoken.contains("installed 2.0 RSPM") && outspoken.contains("it says 2.0"), "{outspoken}");
    // The platform in the path needs no option.
    if expected == "binary" {
        let explicit = install("/cran/latest/bin/linux/bookworm-x86_64/4.2", "NULL", "libcurl").await;
        assert!(explicit.contains("installing *binary* package"), "{explicit}");
    }
    // The dependency came along.
    assert!(outspoken.contains("beta"), "{outspoken}");
}

#[tokio::test]
async fn curl() {
    let Some(curl) = need_tool("curl") else { return };
    let team = Team::synced().await;
    let folder = tempfile::tempdir().unwrap();
    let etags = folder.path().join("etag");
    let etags = etags.to_str().unwrap();
    let (index, package) =
        (team.url("/cran/latest/src/contrib/PACKAGES"), team.url("/cran/latest/src/contrib/alpha_2.0.tar.gz"));
    let status = ["-s", "-o", "/dev/null", "-w", "%{http_code} %{size_download}"];
    let ask = async |arguments: &[&str]| {
        let output = run(&curl, arguments).await;
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let head = ask(&["-sI", &package]).await.to_lowercase();
    assert!(head.starts_with("http/1.1 200") && head.contains("x-package-type: source"), "{head}");
    assert_eq!(ask(&[&status[..], &["-r", "0-9", &package]].concat()).await, "206 10");
    assert_eq!(ask(&[&status[..], &["-r", "-7", &index]].concat()).await, "206 7");
    let full = ask(&[&status[..], &["--etag-save", etags, &index]].concat()).await;
    assert!(full.starts_with("200 "), "{full}");
    assert_eq!(ask(&[&status[..], &["--etag-compare", etags, &index]].concat()).await, "304 0");
    // The snapshot of the 15th has been what it is since that day began.
    assert!(ask(&[&status[..], &["-z", "14 Jan 2024 23:59:59 GMT", &index]].concat()).await.starts_with("200 "));
    assert_eq!(ask(&[&status[..], &["-z", "15 Jan 2024 00:00:00 GMT", &index]].concat()).await, "304 0");
    assert_eq!(ask(&[&status[..], &["-z", "12 Jan 2024 00:00:00 GMT", &package]].concat()).await, "304 0");
    let plain = ask(&["-s", &team.url("/pypi/latest/simple/alpha-py/")]).await;
    let unpacked = ask(&["-s", "--compressed", &team.url("/pypi/latest/simple/alpha-py/")]).await;
    assert_eq!(plain, unpacked);
    let posted = ask(&[&status[..], &["-X", "POST", &index]].concat()).await;
    assert!(posted.starts_with("405 "), "{posted}");
}

#[tokio::test]
async fn curl_takes_the_token_from_a_netrc_file() {
    let Some(curl) = need_tool("curl") else { return };
    let team = Team::synced().await;
    for (name, kind, source) in [("private", "R", "cran"), ("pyprivate", "Python", "pypi")] {
        team.does("POST", "/__api__/repos", json!({"name": name, "type": kind, "authenticated": true})).await;
        team.does("POST", &format!("/__api__/repos/{name}/sources"), json!({"source": source})).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let token = async |repo: &str| {
        let read = json!({"scope": ["repos:read"], "repos": [repo]});
        team.does("POST", "/__api__/tokens", read).await["token"].as_str().unwrap().to_owned()
    };
    let netrc = |name: &str, token: &str| {
        let home = folder.path().join(name);
        std::fs::create_dir(&home).unwrap();
        std::fs::write(home.join(".netrc"), format!("machine 127.0.0.1 login __token__ password {token}\n")).unwrap();
        home
    };
    let (right, other) = (netrc("right", &token("private").await), netrc("other", &token("pyprivate").await));
    let wrong = netrc("wrong", "nonsense");
    let ask = async |home: &Path, arguments: &[&str]| {
        let mut command = Command::new(&curl);
        command.args(["-n", "-s"]).args(arguments).env("HOME", home).kill_on_drop(true);
        said(&command.output().await.unwrap())
    };
    let status = ["-o", "/dev/null", "-w", "%{http_code} %{size_download}"];
    let package = "/private/latest/src/contrib/alpha_2.0.tar.gz";
    for path in ["/private/latest/src/contrib/PACKAGES", package, "/__api__/repos/private/packages/alpha"] {
        let url = team.url(path);
        let head = ask(folder.path(), &["-I", &url]).await.to_lowercase();
        assert!(head.starts_with("http/1.1 401") && head.contains("www-authenticate: basic realm="), "{head}");
        assert!(ask(&wrong, &[&status[..], &[&url]].concat()).await.starts_with("401 "), "{path}");
        assert!(ask(&other, &[&status[..], &[&url]].concat()).await.starts_with("403 "), "{path}");
        assert!(ask(&right, &[&status[..], &[&url]].concat()).await.starts_with("200 "), "{path}");
    }
    let package = team.url(package);
    assert!(ask(&right, &["-I", &package]).await.to_lowercase().contains("x-package-type: source"));
    assert_eq!(ask(&right, &[&status[..], &["-r", "5-9", &package]].concat()).await, "206 5");
    let etag = folder.path().join("etag");
    let etag = etag.to_str().unwrap();
    assert!(ask(&right, &[&status[..], &["--etag-save", etag, &package]].concat()).await.starts_with("200 "));
    assert_eq!(ask(&right, &[&status[..], &["--etag-compare", etag, &package]].concat()).await, "304 0");
    assert!(ask(&wrong, &[&status[..], &["--etag-compare", etag, &package]].concat()).await.starts_with("401 "));
    assert_eq!(ask(&right, &[&status[..], &["-z", "12 Jan 2024 00:00:00 GMT", &package]].concat()).await, "304 0");
}

#[tokio::test]
async fn twine_uploads_what_pip_then_installs() {
    let (Some(twine), Some(pip)) = (need_tool("twine"), need_tool("pip")) else { return };
    let team = Team::synced().await;
    team.does("POST", "/__api__/sources", json!({"name": "wheels", "type": "local-python"})).await;
    let repo = json!({"name": "private", "type": "Python", "authenticated": true});
    team.does("POST", "/__api__/repos", repo).await;
    team.does("POST", "/__api__/repos/private/sources", json!({"source": "wheels"})).await;
    let folder = tempfile::tempdir().unwrap();
    let Some(python) = environment(folder.path()).await else { return };
    let mut metadata = Metadata::new("Own_Thing", "1.0");
    metadata.description = "Ours.".to_owned();
    let files = Files::from([("own_thing.py".to_owned(), "version = '1.0'\n".into())]);
    let wheel = WheelSpec::new(metadata.clone(), files.clone());
    let sdist = SdistSpec { metadata, files };
    let wheel_path = folder.path().join(wheel.file_name().unwrap());
    let sdist_path = folder.path().join(sdist.file_name().unwrap());
    std::fs::write(&wheel_path, wheel.zip().unwrap()).unwrap();
    std::fs::write(&sdist_path, sdist.tar_gz().unwrap()).unwrap();
    let token = async |draft: Value| team.does("POST", "/__api__/tokens", draft).await["token"].clone();
    let write = token(json!({"scope": ["sources:write"], "sources": ["wheels"]})).await;
    let read = token(json!({"scope": ["repos:read"], "repos": ["private"]})).await;
    let url = team.url("/upload/pypi/wheels");
    let upload = async |password: &Value, path: &Path| {
        let password = password.as_str().unwrap();
        let fixed = ["upload", "--non-interactive", "--repository-url", &url, "-u", "__token__", "-p", password];
        run(&twine, &[&fixed[..], &[path.to_str().unwrap()]].concat()).await
    };
    let output = upload(&read, &wheel_path).await;
    assert!(!output.status.success() && said(&output).contains("403"), "{}", said(&output));
    for path in [&wheel_path, &sdist_path] {
        let output = upload(&write, path).await;
        assert!(output.status.success(), "{}", said(&output));
    }
    let output = upload(&write, &wheel_path).await;
    assert!(!output.status.success() && said(&output).contains("409"), "{}", said(&output));

    let install = async |index: String| {
        let target = python.to_str().unwrap();
        run(&pip, &["--python", target, "install", "--no-input", "--no-cache-dir", "--index-url", &index, "own-thing"])
            .await
    };
    let index = team.url("/private/latest/simple");
    let output = install(index.clone()).await;
    assert!(!output.status.success(), "{}", said(&output));
    let output = install(index.replace("://", &format!("://__token__:{}@", read.as_str().unwrap()))).await;
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(version_of(&python, "own_thing").await, "1.0");
}

#[tokio::test]
async fn r_installs_from_an_authenticated_repo() {
    let Some(rscript) = need_tool("Rscript") else { return };
    let team = Team::synced().await;
    team.does("POST", "/__api__/sources", json!({"name": "team"})).await;
    team.does("POST", "/__api__/repos", json!({"name": "private", "authenticated": true})).await;
    team.does("POST", "/__api__/repos/private/sources", json!({"source": "team"})).await;
    let files = [("NAMESPACE", "export(version)\n"), ("R/own.R", "version <- function() '1.5'\n")];
    let files = files.map(|(path, text)| (path.to_owned(), text.into())).into();
    let package = SourceSpec { description: description("own", "1.5", "Ours"), files };
    assert_eq!(team.add("team", "", package.tar_gz().unwrap()).await.status, 201);
    let read = json!({"scope": ["repos:read"], "repos": ["private"]});
    let token = team.does("POST", "/__api__/tokens", read).await["token"].as_str().unwrap().to_owned();
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().to_str().unwrap();
    std::fs::write(folder.path().join(".netrc"), format!("machine 127.0.0.1 login __token__ password {token}\n"))
        .unwrap();
    let install = async |url: &str, method: &str| {
        let code = format!(
            "options(repos = c(CRAN = '{url}'), download.file.method = '{method}', download.file.extra = '-n -f -s'); \
             install.packages('own', lib = '{library}'); .libPaths('{library}'); cat('it says', own::version()); \
             remove.packages('own', lib = '{library}')"
        );
        let mut command = Command::new(&rscript);
        command.args(["--vanilla", "-e", &code]).env("HOME", folder.path()).kill_on_drop(true).output().await.unwrap()
    };
    let url = team.url("/private/latest");
    let output = install(&url, "libcurl").await;
    assert!(!output.status.success() && said(&output).contains("cannot open URL"), "{}", said(&output));
    // Only the curl program reads the netrc file. In the address a token must be short: R names a file after it.
    let short = url.replace("://", &format!("://__token__:{}@", team.token()));
    for (url, method) in [(&url, "curl"), (&short, "libcurl")] {
        let output = install(url, method).await;
        assert!(output.status.success() && said(&output).contains("it says 1.5"), "{method}: {}", said(&output));
    }
}

#[tokio::test]
async fn uv_takes_the_token_from_a_netrc_file() {
    let Some(uv) = need_tool("uv") else { return };
    let team = Team::synced().await;
    team.does("POST", "/__api__/repos", json!({"name": "private", "type": "Python", "authenticated": true})).await;
    team.does("POST", "/__api__/repos/private/sources", json!({"source": "pypi"})).await;
    let read = json!({"scope": ["repos:read"], "repos": ["private"]});
    let token = team.does("POST", "/__api__/tokens", read).await["token"].as_str().unwrap().to_owned();
    let folder = tempfile::tempdir().unwrap();
    let Some(python) = environment(folder.path()).await else { return };
    let netrc = folder.path().join("netrc");
    std::fs::write(&netrc, format!("machine 127.0.0.1 login __token__ password {token}\n")).unwrap();
    let index = team.url("/private/latest/simple");
    let install = async |netrc: &Path| {
        let mut command = Command::new(&uv);
        command.args(["pip", "install", "--no-cache", "--python"]).arg(&python);
        command.args(["--default-index", &index, "alpha-py"]).env("NETRC", netrc).env("UV_NO_CONFIG", "1");
        command.kill_on_drop(true).output().await.unwrap()
    };
    let output = install(&folder.path().join("none")).await;
    assert!(!output.status.success(), "{}", said(&output));
    let output = install(&netrc).await;
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(version_of(&python, "alpha_py").await, "2.0");
}
