//! Mail.
//!
//! Every mail is a row, written in one transaction with what it tells of; so a request never waits for a mail server, and
//! no mail is lost with one. Where no server is set up, that is all: mail is kept, for the dashboard and for
//! `/__sim__/v1/outbox`. Where one is (`SMTP.Host`), it is sent from there, and tried again on the World's clock until it
//! has left, the server has refused it for good, or [`MOST_ATTEMPTS`] tries have failed. A server that dies between a
//! mail's leaving and the note of it sends it again. `Server.EmailProvider` may also name a program in place of a server
//! ([`program`]).
//!
//! | route of the control plane | what |
//! |---|---|
//! | `GET /__sim__/v1/outbox` | the newest 1000 mails, newest first: `id`, `time`, `to`, `subject`, `body`, `state`, `attempts`, `error` |
//! | `DELETE /__sim__/v1/outbox` | none of them is there any more, sent or not |

pub mod program;

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use serde_json::{Value, json};
use sim_kit::journal::{Direction, Entry};
use sqlx::AnyConnection;

use crate::app::App;
use crate::error::Result;
use crate::store;
use crate::store::mail::Mail;
use crate::users::time;
use crate::watch;

/// How often it is tried to send a mail.
pub const MOST_ATTEMPTS: i64 = 8;
/// From the first try to the second, in microseconds; the time doubles with each.
const PAUSE: i64 = 60_000_000;
/// For how long a mail belongs to the server that sends it, in microseconds.
const LEASE: i64 = 300_000_000;
/// How long a mail server may take for one answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most that is told of mail at once.
const SHOWN: i64 = 1000;

/// When a connection to a mail server is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// Never.
    None,
    /// By STARTTLS, if the server offers it.
    Detect,
    /// By STARTTLS, or not at all.
    StartTls,
    /// From the first byte.
    Tls,
}

/// A mail server or a program, and what mail by it looks like.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The program that mail is given to, in place of a server.
    pub program: Option<PathBuf>,
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Name and password.
    pub credentials: Option<(String, String)>,
    /// Whether it is encrypted.
    pub encryption: Encryption,
    /// Certificates of authorities that are trusted beside those of the machine, in PEM.
    pub authority: Option<Vec<u8>>,
    /// Who sends.
    pub sender: Mailbox,
    /// What subjects begin with.
    pub subject_prefix: String,
    /// Where all mail goes, whoever it is for.
    pub redirect: Option<Address>,
}

impl Settings {
    /// How mail leaves, for people.
    #[must_use]
    pub fn by(&self) -> String {
        match &self.program {
            Some(program) => program.display().to_string(),
            None => format!("{}:{}", self.host, self.port),
        }
    }
}

/// Whether mail can be sent to an address. Nothing that could end a line of a mail's head is one.
#[must_use]
pub fn is_address(text: &str) -> bool {
    text.len() <= 254 && text.parse::<Address>().is_ok()
}

/// A text as a subject: one line.
fn subject(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect();
    plain.trim().to_owned()
}

/// Writes a mail. Call [`App::ring_for_mail`] when the transaction is committed.
///
/// # Errors
/// When the database fails.
pub async fn write(app: &App, db: &mut AnyConnection, to: &str, about: &str, body: &str) -> Result<()> {
    let (now, configured) = (app.now(), app.config().mail.is_some());
    let (state, error) = match (configured, is_address(to)) {
        (_, false) => ("failed", "not an address that mail can be sent to"),
        (true, true) => ("queued", ""),
        (false, true) => ("kept", ""),
    };
    let prefix = app.config().mail.as_ref().map_or("", |settings| settings.subject_prefix.as_str());
    let mail = Mail {
        id: 0,
        written: now,
        recipient: to.to_owned(),
        subject: subject(&format!("{prefix} {about}")),
        body: body.to_owned(),
        state: state.to_owned(),
        attempts: 0,
        next_try: now,
        error: error.to_owned(),
    };
    Ok(store::mail::insert(db, &mail).await?)
}

/// What a task's log says of a mail.
#[must_use]
pub fn told(app: &App, to: &str) -> String {
    match &app.config().mail {
        Some(settings) => format!("Sending a mail to {to} by {}", settings.by()),
        None => format!("Kept a mail to {to} (simulated)"),
    }
}

/// Sends mail for as long as the server runs, if there is a mail server.
pub fn start(app: &App) {
    if app.config().mail.is_some() {
        watch::start(app, App::mail_bell, |app| Box::pin(async move { deliver(&app).await }));
    }
}

/// Sends what is to be sent now; when the next mail is.
async fn deliver(app: &App) -> Result<Option<i64>> {
    let Some(settings) = &app.config().mail else { return Ok(None) };
    loop {
        let now = app.now();
        let mut tx = app.write().await?;
        let Some(mail) = store::mail::claim(&mut tx, now, now + LEASE).await? else { break };
        tx.commit().await?;
        let sent = send(settings, &mail).await;
        note(app, settings, &sent);
        let mut tx = app.write().await?;
        match sent {
            Ok(()) => store::mail::ended(&mut tx, mail.id, "sent", 0, "").await?,
            Err(failure) if failure.for_good || mail.attempts >= MOST_ATTEMPTS => {
                tracing::warn!(mail = mail.id, error = failure.text, "a mail could not be sent and is not tried again");
                store::mail::ended(&mut tx, mail.id, "failed", 0, &failure.text).await?;
            }
            Err(failure) => {
                let next = now + PAUSE * (1 << (mail.attempts - 1).clamp(0, 16));
                store::mail::ended(&mut tx, mail.id, "queued", next, &failure.text).await?;
                // A server that is not there is asked once a round, not once a mail.
                store::mail::put_off(&mut tx, app.now(), next).await?;
            }
        }
        tx.commit().await?;
    }
    Ok(store::mail::next_try(&mut *app.read().await?).await?)
}

/// Why a mail did not leave.
struct Failure {
    text: String,
    /// Whether it is of no use to try again.
    for_good: bool,
}

/// Journals a try.
fn note(app: &App, settings: &Settings, sent: &std::result::Result<(), Failure>) {
    let peer = if settings.program.is_some() { "sendmail" } else { "smtp" };
    let url = format!("{peer}://{}", settings.by());
    let mut entry = Entry::new(Direction::Out, app.world().clock().now(), "MAIL", &url);
    entry.peer = Some(peer.to_owned());
    match sent {
        Ok(()) => entry.status = Some(250),
        Err(failure) => entry.error = Some(failure.text.clone()),
    }
    app.world().journal().record(entry);
}

async fn send(settings: &Settings, mail: &Mail) -> std::result::Result<(), Failure> {
    let bad = |error: &dyn std::error::Error| Failure { text: error.to_string(), for_good: true };
    let to = match &settings.redirect {
        Some(address) => address.clone(),
        None => mail.recipient.parse().map_err(|error| bad(&error as &lettre::address::AddressError))?,
    };
    let written = Duration::from_micros(u64::try_from(mail.written).unwrap_or(0));
    let message = Message::builder()
        .from(settings.sender.clone())
        .to(Mailbox::new(None, to))
        .subject(&mail.subject)
        .date(SystemTime::UNIX_EPOCH + written)
        // The same for every try, so that a mail which left twice can be known.
        .message_id(Some(format!("<{}.{}@{}>", mail.id, mail.written, settings.sender.email.domain())))
        .header(ContentType::TEXT_PLAIN)
        .body(mail.body.clone())
        .map_err(|error| bad(&error))?;
    if let Some(program) = &settings.program {
        return program::send(program, &message.formatted()).await.map_err(|text| Failure { text, for_good: false });
    }
    let transport = transport(settings).map_err(|error| bad(&error))?;
    match transport.send(message).await {
        Ok(_) => Ok(()),
        Err(error) => {
            let reason = std::error::Error::source(&error).map_or_else(String::new, |source| format!(": {source}"));
            Err(Failure { text: format!("{error}{reason}"), for_good: error.is_permanent() || error.is_client() })
        }
    }
}

fn transport(
    settings: &Settings,
) -> std::result::Result<AsyncSmtpTransport<Tokio1Executor>, lettre::transport::smtp::Error> {
    let parameters = || {
        let mut builder = TlsParameters::builder(settings.host.clone());
        if let Some(pem) = &settings.authority {
            builder = builder.add_root_certificate(Certificate::from_pem(pem)?);
        }
        builder.build_rustls()
    };
    let tls = match settings.encryption {
        Encryption::None => Tls::None,
        Encryption::Detect => Tls::Opportunistic(parameters()?),
        Encryption::StartTls => Tls::Required(parameters()?),
        Encryption::Tls => Tls::Wrapper(parameters()?),
    };
    let builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&settings.host);
    let builder = builder.port(settings.port).tls(tls).timeout(Some(PATIENCE));
    Ok(match settings.credentials.clone() {
        Some((user, password)) => builder.credentials(Credentials::new(user, password)),
        None => builder,
    }
    .build())
}

/// A mail as JSON.
#[must_use]
pub fn shown(mail: &Mail) -> Value {
    json!({
        "id": mail.id, "time": time(mail.written), "to": mail.recipient, "subject": mail.subject, "body": mail.body,
        "state": mail.state, "attempts": mail.attempts, "error": mail.error,
    })
}

/// `GET /__sim__/v1/outbox`
///
/// # Errors
/// When the database fails.
pub async fn outbox(State(app): State<App>) -> Result<Json<Value>> {
    let (mails, total) = store::mail::newest(&mut *app.read().await?, SHOWN).await?;
    Ok(Json(json!({"mails": mails.iter().map(shown).collect::<Vec<_>>(), "total": total})))
}

/// `DELETE /__sim__/v1/outbox`
///
/// # Errors
/// When the database fails.
pub async fn clear(State(app): State<App>) -> Result<StatusCode> {
    let mut tx = app.write().await?;
    store::mail::clear(&mut tx).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_ends_a_line_of_the_head() {
        assert!(is_address("a.b+c@example.com"));
        for bad in ["", "a", "a@", "@b", "a@b\r\nBcc: c@d", "a@b\nX: y", "a b@c", "a@b c", "a@b@c", "a\0@b", "<a@b>"] {
            assert!(!is_address(bad), "{bad:?}");
        }
        assert_eq!(subject(" Hello\r\nBcc: a@b\u{0} "), "Hello  Bcc: a@b");
        assert_eq!(subject(&"ä".repeat(999)).chars().count(), 200);
    }
}
