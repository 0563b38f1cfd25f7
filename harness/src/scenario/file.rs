//! The format of scenario files.
//!
//! ```toml
//! name = "Look around"
//!
//! [[step]]
//! name = "the viewer opens the report"     # shown; what the step does when left out
//! do = "content.open"                      # one of the actions below
//! content = "report"
//! user = "viewer"
//! expect = "Quarterly"
//! ```

use std::path::Path;

use anyhow::Context as _;
use serde::Deserialize;

/// A scenario file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Shown as the title.
    pub name: String,
    /// What it is about, for people.
    #[serde(default)]
    pub description: String,
    /// What happens, in order.
    #[serde(default, rename = "step")]
    pub steps: Vec<Step>,
}

/// One step.
#[derive(Debug, Deserialize)]
pub struct Step {
    /// What the report calls it.
    pub name: Option<String>,
    /// What happens.
    #[serde(flatten)]
    pub action: Action,
}

impl Step {
    /// What the report calls it.
    #[must_use]
    pub fn title(&self) -> String {
        self.name.clone().unwrap_or_else(|| format!("{:?}", self.action))
    }
}

/// One of the team's servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Server {
    /// Workbench.
    Workbench,
    /// Connect.
    Connect,
    /// Package Manager.
    PackageManager,
}

/// What a step does.
#[derive(Debug, Deserialize)]
#[serde(tag = "do")]
pub enum Action {
    /// Signs `user` in to Workbench with the form of its login page.
    #[serde(rename = "workbench.sign_in")]
    SignIn {
        /// `admin`, `publisher` or `viewer`.
        user: String,
    },
    /// Starts a session and waits until it is active.
    #[serde(rename = "workbench.session")]
    Session {
        /// `RStudio`, `VS Code` …
        #[serde(default = "rstudio")]
        ide: String,
        /// Its name on the home page.
        session: String,
    },
    /// Types a command into the terminal of the session and waits for its end.
    #[serde(rename = "session.run")]
    Run {
        /// The command line.
        command: String,
        /// Text the output must hold.
        expect: Option<String>,
        /// Text the output must not hold.
        reject: Option<String>,
        /// Seconds it may take.
        #[serde(default = "two_minutes")]
        timeout: u64,
    },
    /// Ends the session.
    #[serde(rename = "workbench.quit")]
    Quit {},
    /// Waits until the newest deployment of a content item is done, and expects it to have gone well.
    #[serde(rename = "connect.wait")]
    Wait {
        /// The item's name or title.
        content: String,
        /// Seconds it may take.
        #[serde(default = "two_minutes")]
        timeout: u64,
    },
    /// Changes who may open a content item.
    #[serde(rename = "connect.access")]
    Access {
        /// The item's name or title.
        content: String,
        /// `all`, `logged_in` or `acl`.
        access: String,
    },
    /// Opens a content item as a browser of `user` does.
    #[serde(rename = "content.open")]
    Open {
        /// The item's name or title.
        content: String,
        /// `admin`, `publisher` or `viewer`; nobody when left out.
        user: Option<String>,
        /// Text the page must hold.
        expect: Option<String>,
        /// The status it must have.
        #[serde(default = "ok")]
        status: u16,
    },
    /// Expects an entry in a server's journal.
    #[serde(rename = "journal.expect")]
    Journal {
        /// Whose journal.
        on: Server,
        /// `in` or `out`.
        direction: Option<sim_kit::journal::Direction>,
        /// For `out`: who was asked.
        peer: Option<String>,
        /// Part of the path.
        path: Option<String>,
        /// Part of the client's user agent.
        user_agent: Option<String>,
        /// Entries from before this scenario count too.
        #[serde(default)]
        ever: bool,
    },
    /// Puts a fault rule in force.
    #[serde(rename = "fault.add")]
    Fault {
        /// Where.
        on: Server,
        /// As for `POST /__sim__/v1/faults`.
        rule: serde_json::Value,
    },
    /// Takes all fault rules away.
    #[serde(rename = "fault.clear")]
    ClearFaults {
        /// Where.
        on: Server,
    },
}

fn rstudio() -> String {
    "RStudio".to_owned()
}

fn two_minutes() -> u64 {
    120
}

fn ok() -> u16 {
    200
}

/// Reads a scenario file.
///
/// # Errors
/// When it cannot be read or does not say what it should; the message has the line.
pub fn read(path: &Path) -> anyhow::Result<Scenario> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read the scenario {}", path.display()))?;
    let scenario: Scenario = toml::from_str(&text).with_context(|| format!("in {}", path.display()))?;
    anyhow::ensure!(!scenario.steps.is_empty(), "{} has no [[step]]", path.display());
    Ok(scenario)
}
