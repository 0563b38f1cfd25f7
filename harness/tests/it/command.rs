//! Flags, exit codes, one-line errors.

use std::net::TcpListener;

use super::{Up, http, teamsim, text};

#[test]
fn run_sets_the_environment_and_gives_the_exit_code() {
    let script = "curl -sf $CONNECT_SERVER/__ping__ && curl -sf $PIP_INDEX_URL/flask/ >/dev/null && \
                  curl -sf -H \"Authorization: Key $TEAMSIM_VIEWER_API_KEY\" $CONNECT_SERVER/__api__/v1/user && \
                  grep -q \"$TEAMSIM_CRAN_URL\" $R_PROFILE_USER && exit 7";
    let output = teamsim(&["run", "--", "sh", "-c", script]).output().unwrap();
    assert_eq!(output.status.code(), Some(7), "{}", text(&output));
    assert!(text(&output).contains("\"username\":\"viewer\""), "{}", text(&output));
}

#[test]
fn rspm_administers_the_team_around_it() {
    let teamsim_path = env!("CARGO_BIN_EXE_teamsim");
    let script = format!(
        "{teamsim_path} rspm create source --name=mine --type=local-python && \
         {teamsim_path} rspm create repo --name=ours --type=python && \
         {teamsim_path} rspm subscribe --repo=ours --source=mine && {teamsim_path} rspm list repos"
    );
    let output = teamsim(&["run", "--", "sh", "-c", &script]).output().unwrap();
    assert!(output.status.success() && text(&output).contains("ours"), "{}", text(&output));
    let script = format!("PACKAGEMANAGER_TOKEN=wrong {teamsim_path} rspm create repo --name=x");
    let refused = teamsim(&["run", "--", "sh", "-c", &script]).output().unwrap();
    assert!(!refused.status.success(), "{}", text(&refused));
}

#[test]
fn a_command_that_is_not_there_is_named() {
    let output = teamsim(&["run", "--", "no-such-command-here"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).starts_with("teamsim: cannot run no-such-command-here"), "{}", text(&output));
}

#[test]
fn what_is_wrong_is_said_in_one_line() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let free = ["--workbench-port=0", "--pkgmgr-port=0", "--upstream-port=0"];
    for (arguments, expected) in [
        (
            vec!["--connect-port", &port],
            format!("port {port} is in use; stop what listens there, or choose another port"),
        ),
        (
            vec!["--connect-port=0", "--data-dir", "/proc/nowhere"],
            "cannot use the data folder /proc/nowhere".to_owned(),
        ),
        (vec!["--connect-port=0", "--as", "connect=tomorrow"], "--as connect=tomorrow".to_owned()),
        (vec!["--connect-port=0", "--as", "word=1"], "give connect=VERSION or workbench=VERSION".to_owned()),
        (vec!["--connect-port=0", "--bind", "0.0.0.0"], "listening beyond loopback needs --control-token".to_owned()),
    ] {
        let output = teamsim(&["up"]).args(free).args(&arguments).output().unwrap();
        let said = text(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.starts_with("teamsim: ") && said.contains(&expected), "{said}");
        assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    }
    let unknown = teamsim(&["up", "--conect-port", "1"]).output().unwrap();
    assert!(text(&unknown).contains("a similar argument exists: '--connect-port'"), "{}", text(&unknown));
}

#[tokio::test]
async fn up_is_ready_when_it_prints_and_stops_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("team.env");
    let mut up = Up::spawn(&["--env-file", file.to_str().unwrap()]);
    let told = up.ready();
    for (server, path) in [
        ("workbench", "/health-check"),
        ("connect", "/__ping__"),
        ("package_manager", "/pypi/latest/simple/flask/"),
        ("package_manager", "/cran/latest/src/contrib/PACKAGES.gz"),
        ("upstream", "/__sim__/v1/health"),
    ] {
        let url = format!("{}{path}", told["urls"][server].as_str().unwrap());
        assert_eq!(http().get(&url).send().await.unwrap().status(), 200, "{url}");
    }
    let variables = std::fs::read_to_string(file).unwrap();
    assert!(variables.contains(&format!("CONNECT_SERVER={}\n", told["urls"]["connect"].as_str().unwrap())));
    let id = up.process.id().to_string();
    assert!(std::process::Command::new("kill").arg(id).status().unwrap().success());
    assert_eq!(up.process.wait().unwrap().code(), Some(0));
}

#[tokio::test]
async fn health_tells_by_its_exit_code() {
    let mut up = Up::spawn(&[]);
    let connect = up.ready()["urls"]["connect"].as_str().unwrap().to_owned();
    assert!(teamsim(&["health", &format!("{connect}/__ping__")]).status().unwrap().success());
    assert!(!teamsim(&["health", &format!("{connect}/nothing/here")]).output().unwrap().status.success());
    up.kill();
    assert!(!teamsim(&["health", &format!("{connect}/__ping__")]).output().unwrap().status.success());
}
