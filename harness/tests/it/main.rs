//! The `teamsim` command as people and CI start it.
#![allow(clippy::unwrap_used)]

mod command;
mod durability;

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use serde_json::Value;

/// The binary, with a catalogue of real names alone, unless flags say otherwise: an unoptimised build takes ten seconds for
/// the default one.
pub(crate) fn teamsim(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_teamsim"));
    command.args(arguments).stdin(Stdio::null());
    command.env("TEAMSIM_CRAN_PACKAGES", "400").env("TEAMSIM_PYPI_PACKAGES", "500");
    command
}

pub(crate) fn text(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes)).concat()
}

/// `teamsim up --json` on free ports; ended with SIGKILL when dropped.
pub(crate) struct Up {
    pub(crate) process: Child,
    stdout: BufReader<ChildStdout>,
}

impl Up {
    pub(crate) fn spawn(arguments: &[&str]) -> Self {
        let ports = ["--workbench-port", "0", "--connect-port", "0", "--pkgmgr-port", "0", "--upstream-port", "0"];
        let mut command = teamsim(&["up", "--json"]);
        let mut process =
            command.args(ports).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        Self { process, stdout }
    }

    /// What it prints when it is ready.
    pub(crate) fn ready(&mut self) -> Value {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        if line.is_empty() {
            let mut errors = String::new();
            self.process.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
            panic!("teamsim up ended: {errors}");
        }
        serde_json::from_str(&line).unwrap()
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub(crate) fn http() -> reqwest::Client {
    sim_kit::http_client::client(|builder| builder)
}
