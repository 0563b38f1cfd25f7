//! Sessions and their life.
//!
//! ```text
//! New Session → pending → launching → running ⇄ (shown as Idle when unused)
//!                                     running → suspending → suspended → pending … (RStudio only)
//!                                     running → finished (quit) | killed (force quit)
//!               any step that fails → failed
//! ```
//!
//! Names of states are those that the API of the real product reports; the home page has its own words for them.

use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::App;
use crate::auth::Identity;
use crate::error::Error;
use crate::scope::Scope;
use crate::store;

/// What a session is edited in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ide {
    RStudio,
    Positron,
    VsCode,
    JupyterLab,
    JupyterNotebook,
}

impl Ide {
    pub(crate) const ALL: [Self; 5] =
        [Self::RStudio, Self::Positron, Self::VsCode, Self::JupyterLab, Self::JupyterNotebook];

    /// The name that the API uses, case and all.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::RStudio => "RStudio",
            Self::Positron => "Positron",
            Self::VsCode => "VS Code",
            Self::JupyterLab => "JupyterLab",
            Self::JupyterNotebook => "Jupyter Notebook",
        }
    }

    /// The name on its tab.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::RStudio => "RStudio Pro",
            Self::Positron => "Positron Pro",
            other => other.name(),
        }
    }

    /// The reserved project id in addresses.
    pub(crate) fn project_id(self) -> &'static str {
        match self {
            Self::RStudio => "cfc78a31",
            Self::Positron => "6ae9dc1b",
            Self::VsCode => "3c9ab5a7",
            Self::JupyterLab => "21f2ed72",
            Self::JupyterNotebook => "2cb256d2",
        }
    }

    /// Whether sessions of this kind can be launched here. Of the others only the tab is shown, and what it says.
    pub(crate) fn is_available(self) -> bool {
        self == Self::RStudio
    }
}

impl FromStr for Ide {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|ide| ide.name() == text).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|ide| ide.name()).collect();
            format!("unknown workbench {text:?}; the names are {}", names.join(", "))
        })
    }
}

/// Where in its life a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Pending,
    Launching,
    Running,
    Suspending,
    Suspended,
    Finished,
    Failed,
    Killed,
}

impl State {
    const ALL: [Self; 8] = [
        Self::Pending,
        Self::Launching,
        Self::Running,
        Self::Suspending,
        Self::Suspended,
        Self::Finished,
        Self::Failed,
        Self::Killed,
    ];

    /// `activity_state`
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Launching => "launching",
            Self::Running => "running",
            Self::Suspending => "suspending",
            Self::Suspended => "suspended",
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Killed => "killed",
        }
    }

    pub(crate) fn has_ended(self) -> bool {
        matches!(self, Self::Finished | Self::Failed | Self::Killed)
    }

    /// On its way to another state.
    pub(crate) fn is_in_transit(self) -> bool {
        matches!(self, Self::Pending | Self::Launching | Self::Suspending)
    }
}

impl FromStr for State {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|state| state.name() == text).ok_or_else(|| format!("unknown state {text:?}"))
    }
}

/// A row of sessions; times are microseconds since 1970.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Session {
    /// Eight hex digits.
    pub(crate) id: String,
    pub(crate) user: String,
    pub(crate) ide: Ide,
    pub(crate) label: String,
    pub(crate) state: State,
    /// Why it failed, or what became of it.
    pub(crate) status_message: String,
    pub(crate) created: i64,
    pub(crate) last_used: i64,
    pub(crate) last_state_updated: i64,
    pub(crate) r_version: String,
    pub(crate) python_version: String,
    /// Below the home folder; empty for the home folder itself.
    pub(crate) working_directory: String,
    pub(crate) launch_parameters: Value,
    /// The address under which the browser that launched it knew this server.
    pub(crate) server_url: String,
}

impl Session {
    /// The word on the home page.
    pub(crate) fn status(&self, now: DateTime<Utc>, idle_after: std::time::Duration) -> &'static str {
        match self.state {
            State::Pending => "Pending",
            State::Launching => "Starting",
            State::Running => {
                let unused = now.timestamp_micros() - self.last_used;
                if u128::try_from(unused).is_ok_and(|unused| unused >= idle_after.as_micros()) {
                    "Idle"
                } else {
                    "Active"
                }
            }
            State::Suspending => "Suspending",
            State::Suspended => "Suspended",
            State::Finished => "Finished",
            State::Failed => "Failed",
            State::Killed => "Killed",
        }
    }

    /// Its scope; `uid` is its user's.
    pub(crate) fn scope(&self, uid: i64) -> Scope {
        Scope::new(uid, self.ide, &self.id)
    }
}

/// What a new session shall be.
#[derive(Debug, Clone, Default)]
pub(crate) struct Launch {
    pub(crate) label: Option<String>,
    pub(crate) r_version: Option<String>,
    pub(crate) python_version: Option<String>,
    pub(crate) working_directory: Option<String>,
    pub(crate) launch_parameters: Value,
    pub(crate) server_url: String,
}

/// Longest name of a session.
const LONGEST_LABEL: usize = 200;

fn checked_label(label: &str) -> Result<String, Error> {
    let label = label.trim();
    if label.is_empty() || label.chars().count() > LONGEST_LABEL || label.chars().any(char::is_control) {
        return Err(Error::Bad(format!(
            "a session name has 1 to {LONGEST_LABEL} characters and no control characters"
        )));
    }
    Ok(label.to_owned())
}

fn chosen(wanted: Option<String>, offered: &[String], what: &str) -> Result<String, Error> {
    match wanted.filter(|wanted| !wanted.is_empty()) {
        None => Ok(offered.first().cloned().unwrap_or_default()),
        Some(wanted) if offered.contains(&wanted) => Ok(wanted),
        Some(wanted) => {
            Err(Error::Bad(format!("there is no {what} {wanted:?} on this server; it has {}", offered.join(", "))))
        }
    }
}

/// Starts a session of `user`. It is Pending when this returns, and Active without anybody's doing soon after.
pub(crate) async fn launch(app: &App, user: &str, ide: Ide, wanted: Launch) -> Result<Session, Error> {
    if !ide.is_available() {
        return Err(Error::Bad(format!("{} is not installed on this server; RStudio is", ide.title())));
    }
    let label = match wanted.label.filter(|label| !label.trim().is_empty()) {
        Some(label) => checked_label(&label)?,
        None => format!("{} Session", ide.title()),
    };
    let working_directory = wanted.working_directory.unwrap_or_default();
    if !crate::environment::is_inside(&working_directory) {
        return Err(Error::Bad(format!("working_directory {working_directory:?} is not below the home folder")));
    }
    let now = app.now().timestamp_micros();
    let session = Session {
        id: app.world().ids().hex("session", 8),
        user: user.to_owned(),
        ide,
        label,
        state: State::Pending,
        status_message: String::new(),
        created: now,
        last_used: now,
        last_state_updated: now,
        r_version: chosen(wanted.r_version, &app.config().r_versions(), "R version")?,
        python_version: chosen(wanted.python_version, &app.config().python_versions(), "Python version")?,
        working_directory,
        launch_parameters: wanted.launch_parameters,
        server_url: wanted.server_url,
    };
    let limit = app.config().session_limit;
    if !store::sessions::add(app.world().db(), &session, i64::from(limit)).await? {
        return Err(Error::SessionLimit(limit));
    }
    bring_up(app, &session.id);
    Ok(session)
}

/// Takes a pending session to running in the background: half of the configured time as Pending, half as Starting.
fn bring_up(app: &App, id: &str) {
    let (app_, id) = (app.clone(), id.to_owned());
    app.world().spawn(async move {
        let app = app_;
        let half = app.config().launch_delay / 2;
        for (from, to) in [(State::Pending, State::Launching), (State::Launching, State::Running)] {
            let firing = if half.is_zero() { None } else { Some(app.world().clock().sleep(half).await) };
            let moved = if to == State::Running {
                match prepare(&app, &id).await {
                    Ok(()) => step(&app, &id, &[from], to, "").await,
                    Err(error) => step(&app, &id, &[from], State::Failed, &error.to_string()).await.map(|_| false),
                }
            } else {
                step(&app, &id, &[from], to, "").await
            };
            drop(firing);
            match moved {
                Ok(true) => {}
                // Quit meanwhile, or failed.
                Ok(false) => return,
                Err(error) => {
                    tracing::error!(session = id, %error, "cannot bring up a session");
                    return;
                }
            }
        }
    });
}

async fn step(app: &App, id: &str, from: &[State], to: State, message: &str) -> Result<bool, Error> {
    let now = app.now().timestamp_micros();
    let moved = store::sessions::move_to(app.world().db(), id, from, to, message, now).await?;
    if moved {
        tracing::info!(session = id, state = to.name(), "session");
        app.sessions_changed();
    }
    Ok(moved)
}

/// Makes what a session needs before anybody opens it. The fault effect `session.start` makes it fail, with its value as
/// the reason.
async fn prepare(app: &App, id: &str) -> Result<(), Error> {
    if let Some(why) = app.world().faults().domain("session.start") {
        return Err(Error::Conflict(why.as_str().unwrap_or("The job could not be started.").to_owned()));
    }
    let session = find(app, id).await?;
    let user = store::users::find(app.world().db(), &session.user).await?;
    let user = user.ok_or_else(|| Error::NotFound(format!("no user {:?}", session.user)))?;
    crate::environment::prepare(app, &session, &user)?;
    Ok(())
}

/// The session `id`.
pub(crate) async fn find(app: &App, id: &str) -> Result<Session, Error> {
    let session = store::sessions::find(app.world().db(), id).await?;
    session.ok_or_else(|| Error::NotFound(format!("no session {id:?}")))
}

/// The session `id`, if `identity` may act on it: its owner and administrators may.
pub(crate) async fn find_own(app: &App, identity: &Identity, id: &str) -> Result<Session, Error> {
    let session = find(app, id).await;
    match session {
        Ok(session) if session.user == identity.user.name || identity.user.is_admin => Ok(session),
        // Others do not learn which sessions there are.
        Ok(_) => Err(Error::NotFound(format!("no session {id:?}"))),
        Err(error) => Err(error),
    }
}

/// Ends a session: its processes get a moment to end by themselves, or with `force` none.
pub(crate) async fn quit(app: &App, session: &Session, force: bool) -> Result<(), Error> {
    let (to, message) = if force { (State::Killed, "Force quit by the user.") } else { (State::Finished, "") };
    let from = State::ALL.map(|state| (state, matches!(state, State::Finished | State::Killed)));
    let from: Vec<State> = from.into_iter().filter(|(_, over)| !over).map(|(state, _)| state).collect();
    step(app, &session.id, &from, to, message).await?;
    app.terminals().end(&session.id, force).await;
    Ok(())
}

/// Suspends an RStudio session: its processes end, its files stay.
pub(crate) async fn suspend(app: &App, session: &Session) -> Result<(), Error> {
    if session.ide != Ide::RStudio {
        return Err(Error::Conflict(format!("{} sessions cannot be suspended", session.ide.title())));
    }
    if !step(app, &session.id, &[State::Running], State::Suspending, "").await? {
        return Err(Error::Conflict(format!("the session {:?} is not running", session.label)));
    }
    app.terminals().end(&session.id, false).await;
    step(app, &session.id, &[State::Suspending], State::Suspended, "").await?;
    Ok(())
}

/// Starts a suspended session again, or one that has ended and whose address somebody still has.
pub(crate) async fn resume(app: &App, session: &Session) -> Result<(), Error> {
    let from = [State::Suspended, State::Finished, State::Failed, State::Killed];
    if step(app, &session.id, &from, State::Pending, "").await? {
        touch(app, session).await?;
        bring_up(app, &session.id);
    }
    Ok(())
}

/// Gives it another name.
pub(crate) async fn rename(app: &App, session: &Session, label: &str) -> Result<(), Error> {
    store::sessions::rename(app.world().db(), &session.id, &checked_label(label)?).await?;
    app.sessions_changed();
    Ok(())
}

/// Notes that it was used. Rows are written at most every ten seconds of the World's time.
pub(crate) async fn touch(app: &App, session: &Session) -> Result<(), Error> {
    let now = app.now();
    let known = DateTime::from_timestamp_micros(session.last_used).unwrap_or_default();
    if now - known >= TimeDelta::seconds(10) {
        store::sessions::touch(app.world().db(), &session.id, now.timestamp_micros()).await?;
    }
    Ok(())
}

/// What becomes of the sessions of a server that stopped: launches go on; scripted consoles hold nothing but files, so
/// they go on too; processes are gone, so their sessions are suspended, which is what can be resumed.
pub(crate) async fn recover(app: &App) -> Result<(), Error> {
    let has_processes = app.config().shell().is_some();
    for session in store::sessions::open(app.world().db(), None).await? {
        match session.state {
            State::Pending | State::Launching => {
                step(app, &session.id, &[session.state], State::Pending, "").await?;
                bring_up(app, &session.id);
            }
            State::Suspending => {
                step(app, &session.id, &[session.state], State::Suspended, "").await?;
            }
            State::Running if has_processes => {
                let message = "The server stopped and the session's processes ended with it.";
                step(app, &session.id, &[session.state], State::Suspended, message).await?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// A session as the API tells it.
pub(crate) fn to_json(app: &App, session: &Session, uid: i64) -> Value {
    let scope = session.scope(uid);
    let time = |micros: i64| DateTime::from_timestamp_micros(micros).unwrap_or_default().to_rfc3339();
    json!({
        "id": session.id,
        "url": format!("{}/s/{scope}/", app.root()),
        "project_id": scope.project,
        "label": session.label,
        "display_name": session.label,
        "activity_state": session.state.name(),
        "status": session.status(app.now(), app.config().idle_after),
        "status_message": session.status_message,
        "running": session.state == State::Running,
        "workbench": session.ide.name(),
        "username": session.user,
        "user": session.user,
        "created": time(session.created),
        "last_used": time(session.last_used),
        "last_state_updated": time(session.last_state_updated),
        "r_version": session.r_version,
        "python_version": session.python_version,
        "working_directory": session.working_directory,
        "project": "",
        "launch_parameters": session.launch_parameters,
    })
}
