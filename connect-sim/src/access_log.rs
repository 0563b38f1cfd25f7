//! The access log: a line a request, when its answer has been sent, as `Logging.AccessLog` and `Logging.AccessLogFormat` say.
//!
//! `COMMON` and `COMBINED` are the formats of that name of the Apache server. The members of `JSON` are not documented;
//! here they are `time`, `client`, `user`, `method`, `path`, `protocol`, `status`, `bytes`, `referer`, `user_agent` and
//! `duration_ms`.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::json;

/// Where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A file, which is appended to.
    File(PathBuf),
}

/// What a line looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Without referrer and program.
    Common,
    /// With them.
    Combined,
    /// One JSON object.
    Json,
}

/// How a log is set up.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where it goes.
    pub target: Target,
    /// What its lines look like.
    pub format: Format,
    /// Whether the client is who a proxy says it is, in `X-Forwarded-For`.
    pub forwarded: bool,
}

/// What a line tells.
#[derive(Debug, Clone)]
pub struct Line {
    /// When the request came, by the World's clock.
    pub time: DateTime<Utc>,
    /// Address of the client.
    pub client: Option<String>,
    /// Who it was.
    pub user: Option<String>,
    /// `GET`.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// `HTTP/1.1`.
    pub protocol: String,
    /// Status of the answer.
    pub status: u16,
    /// Bytes of its body that were sent.
    pub bytes: u64,
    /// `Referer`.
    pub referer: Option<String>,
    /// `User-Agent`.
    pub user_agent: Option<String>,
    /// Until the end of the answer, of machine time.
    pub duration: Duration,
}

impl Line {
    /// The line, without its end.
    #[must_use]
    pub fn text(&self, format: Format) -> String {
        if format == Format::Json {
            return json!({
                "time": self.time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true), "client": self.client,
                "user": self.user, "method": self.method, "path": self.path, "protocol": self.protocol,
                "status": self.status, "bytes": self.bytes, "referer": self.referer, "user_agent": self.user_agent,
                "duration_ms": self.duration.as_millis(),
            })
            .to_string();
        }
        let or_dash = |text: &Option<String>| text.as_deref().map_or_else(|| "-".to_owned(), quoted);
        let mut line = format!(
            "{} - {} [{}] \"{} {} {}\" {} {}",
            or_dash(&self.client),
            or_dash(&self.user),
            self.time.format("%d/%b/%Y:%H:%M:%S +0000"),
            quoted(&self.method),
            quoted(&self.path),
            self.protocol,
            self.status,
            self.bytes,
        );
        if format == Format::Combined {
            let _ = write!(line, " \"{}\" \"{}\"", or_dash(&self.referer), or_dash(&self.user_agent));
        }
        line
    }
}

/// A text in which nothing ends a field or a line.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for c in text.chars().take(8192) {
        match c {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(c);
            }
            c if c.is_control() => {
                let _ = write!(quoted, "\\x{:02x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted
}

/// A log that is open.
pub struct AccessLog {
    out: Mutex<Box<dyn Write + Send>>,
    /// How it is set up.
    pub settings: Settings,
}

impl AccessLog {
    /// Opens it.
    ///
    /// # Errors
    /// When its file cannot be written.
    pub fn open(settings: &Settings) -> anyhow::Result<Self> {
        let out: Box<dyn Write + Send> = match &settings.target {
            Target::Stdout => Box::new(std::io::stdout()),
            Target::Stderr => Box::new(std::io::stderr()),
            Target::File(path) => {
                let file = File::options().create(true).append(true).open(path);
                Box::new(file.map_err(|error| {
                    let path = path.display();
                    anyhow::anyhow!(
                        "the access log {path} cannot be written: {error}; choose another Logging.AccessLog"
                    )
                })?)
            }
        };
        Ok(Self { out: Mutex::new(out), settings: settings.clone() })
    }

    /// Writes a line, whole.
    pub fn write(&self, line: &Line) {
        let text = line.text(self.settings.format) + "\n";
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            tracing::warn!(%error, "a line of the access log was not written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_a_line() {
        let line = Line {
            time: "2026-01-02T03:04:05Z".parse().unwrap(),
            client: Some("127.0.0.1".to_owned()),
            user: Some("ann".to_owned()),
            method: "GET".to_owned(),
            path: "/content/x/?q=%22".to_owned(),
            protocol: "HTTP/1.1".to_owned(),
            status: 200,
            bytes: 12,
            referer: None,
            user_agent: Some("a\"b\\c\n\u{1b}".to_owned()),
            duration: Duration::from_millis(3),
        };
        let common = "127.0.0.1 - ann [02/Jan/2026:03:04:05 +0000] \"GET /content/x/?q=%22 HTTP/1.1\" 200 12";
        assert_eq!(line.text(Format::Common), common);
        assert_eq!(line.text(Format::Combined), format!("{common} \"-\" \"a\\\"b\\\\c\\x0a\\x1b\""));
        let json: serde_json::Value = serde_json::from_str(&line.text(Format::Json)).unwrap();
        assert_eq!(
            (&json["user"], &json["bytes"], &json["user_agent"]),
            (&json!("ann"), &json!(12), &json!("a\"b\\c\n\u{1b}"))
        );
    }
}
