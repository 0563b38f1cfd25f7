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
fn a_link_named_rspm_is_rspm() {
    let folder = tempfile::tempdir().unwrap();
    let rspm = folder.path().join("rspm");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_teamsim"), &rspm).unwrap();
    let script = format!(
        "PATH={}:$PATH && rspm create repo --name=ours && rspm -o json info --repo=ours",
        folder.path().display()
    );
    let output = teamsim(&["run", "--", "sh", "-c", &script]).output().unwrap();
    assert!(output.status.success() && text(&output).contains("\"name\": \"ours\""), "{}", text(&output));
    let run = |arguments: &[&str]| std::process::Command::new(&rspm).args(arguments).output().unwrap();
    let help = run(&["--help"]);
    assert!(text(&help).contains("Usage: rspm [OPTIONS] <COMMAND>"), "{}", text(&help));
    let wrong = run(&["--address", "http://127.0.0.1:9", "list", "repos"]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(text(&wrong).starts_with("rspm: http://127.0.0.1:9/ does not answer"), "{}", text(&wrong));
    assert!(text(&run(&["up"])).contains("unrecognized subcommand 'up'"), "the other roles go by the other name");
}

#[test]
fn package_managers_settings_go_by_flag_variable_and_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rstudio-pm.gcfg");
    std::fs::write(&file, "[CRAN]\nSyncSchedule = 0 4 * * *\n[PyPI]\nSyncSchedule = 0 5 * * *\nSyncMode = eager\n")
        .unwrap();
    let status = |flags: &[&str]| {
        let script = "curl -sf $PACKAGEMANAGER_ADDRESS/__api__/status";
        let config = ["run", "--pkgmgr-config", file.to_str().unwrap()];
        let mut command = teamsim(&[&config, flags, &["--", "sh", "-c", script]].concat());
        let output = command.env("PACKAGEMANAGER_PYPI_SYNCSCHEDULE", "0 6 * * *").output().unwrap();
        let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        ["cran", "pypi"].map(|name| {
            let all = status["sync"].as_array().unwrap();
            let source = all.iter().find(|source| source["source"] == name).unwrap();
            ["schedule", "mode", "state"].map(|member| source[member].as_str().unwrap().to_owned()).join(" ")
        })
    };
    assert_eq!(status(&["--pypi-sync-mode=lazy"]), ["0 4 * * * lazy synced", "0 6 * * * lazy synced"]);
    let flags = ["--pypi-sync-mode=lazy", "--pypi-sync-schedule=0 7 * * *", "--cran-sync-schedule="];
    assert_eq!(status(&flags), [" lazy never synced", "0 7 * * * lazy synced"]);
    let output = teamsim(&["run", "--pkgmgr-config", "/no/such.gcfg", "--", "true"]).output().unwrap();
    assert!(text(&output).starts_with("teamsim: cannot read the settings in /no/such.gcfg"), "{}", text(&output));
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
    let mut up = Up::spawn(&["--env-file", file.to_str().unwrap(), "--pkgmgr-metrics-port", "0"]);
    let told = up.ready();
    let metrics = told["package_manager_metrics"].as_str().unwrap();
    let numbers = http().get(metrics).send().await.unwrap().text().await.unwrap();
    assert!(numbers.contains("\nppm_repo_source_sync_duration_seconds_count{type=\"cran\"} 1\n"), "{numbers}");
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
