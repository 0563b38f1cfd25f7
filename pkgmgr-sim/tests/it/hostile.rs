//! Whatever stands in a path, a query or a body of whatever route: a refusal that says why, never a failure of the server, and
//! never a page with 200 in place of a file.

use std::collections::BTreeSet;

use axum::body::Body;
use http::StatusCode;
use serde_json::{Value, json};
use sim_kit::testing::Postgres;

use crate::builders::server::GitServer;

mod rows;
mod server;

use rows::{BAD_SNAPSHOTS, Row, Sent, rows};
use server::Server;

/// Parts of a path that name nothing.
const PARTS: [&str; 12] = [
    "nowhere",
    "-1",
    "99999999999999999999",
    "%C3%A9%F0%9F%98%80%E2%80%AE",
    "%00",
    "a%00b",
    "%ff",
    "..%2f..%2fetc%2fpasswd",
    "%27%20OR%201=1%20--",
    "%25%7B%7B7*7%7D%7D",
    "2024-02-31",
    "a%0d%0aX:%20b",
];

impl Server {
    /// Everything that is wrong with one row.
    async fn walk(&self, row: &Row) -> Vec<String> {
        let Row { route, method, right, .. } = row;
        let mut wrong = Vec::new();
        let mut note =
            |what: &str, problem: Option<String>| wrong.extend(problem.map(|p| format!("{route}: {what}: {p}")));
        let body = |row: &Row| match &row.sent {
            Sent::Nothing | Sent::Form(_) => (String::new(), Vec::new()),
            Sent::Json(Value::Null, _) => (String::new(), Vec::new()),
            Sent::Json(value, _) => ("application/json".to_owned(), self.fresh(&value.to_string()).into_bytes()),
            Sent::Bytes(kind, bytes) => (kind.clone(), bytes.clone()),
        };
        let send = async |path: &str| match &row.sent {
            Sent::Form(fields) => self.form(path, fields).await,
            _ => {
                let (kind, bytes) = body(row);
                self.send(method, path, &kind, bytes).await
            }
        };
        let long = "x".repeat(5000);
        let parts = PARTS.iter().copied().chain([long.as_str()]);
        for part in parts.filter(|part| self.sends(part)) {
            for (name, path) in row.with_other_parts(part) {
                let answer = send(&path).await;
                let may_be = row.any.contains(&name) && !part.contains("%00");
                note(&path, if may_be { answer.as_answer() } else { answer.as_refusal(&path) });
            }
        }
        if row.pattern.contains("{snapshot}") && !row.any.contains(&"snapshot") {
            for snapshot in BAD_SNAPSHOTS {
                let others = row.with_other_parts(snapshot);
                let (_, path) = others.iter().find(|(name, _)| *name == "snapshot").unwrap();
                note(path, send(path).await.as_refusal(path));
            }
        }
        for (name, takes) in row.query {
            for value in takes.wrong().iter().filter(|value| self.sends(value)) {
                let path = row.with_other_value(name, Some(value));
                note(&path, send(&path).await.as_refusal(&path));
            }
            let path = row.with_other_value(name, Some("%00"));
            note(&path, send(&path).await.as_refusal(&path));
            for value in ["%ff", "%F0%9F%98%80%E2%80%AE", "%27%20OR%201=1%20--", "..%2f..", "", &long] {
                if !self.sends(value) {
                    continue;
                }
                let path = row.with_other_value(name, Some(value));
                note(&path, send(&path).await.as_answer());
                let twice = format!("{path}&{name}={value}");
                note(&twice, send(&twice).await.as_answer());
            }
            let path = row.with_other_value(name, None);
            note(&path, send(&path).await.as_answer());
        }
        match &row.sent {
            Sent::Nothing => {}
            Sent::Form(fields) => {
                for (at, (name, _)) in fields.iter().enumerate() {
                    for value in ["", "none", "\u{0}", "\u{202e}\u{feff}\u{1F600}", "' OR 1=1 --", "../..", "-1", &long]
                    {
                        if !self.sends(value) {
                            continue;
                        }
                        let mut other = fields.clone();
                        other[at].1 = value.to_owned();
                        note(&format!("{name} = {value:.20?}"), self.form(right, &other).await.as_answer());
                    }
                }
                let strange = self.send("POST", right, "application/x-www-form-urlencoded", "%ff=%00&a&&=").await;
                note("a strange form", strange.as_answer());
                note("no form", self.send("POST", right, "text/plain", "x").await.as_refusal(right));
            }
            Sent::Bytes(kind, bytes) => {
                let cut = &bytes[..bytes.len() / 2];
                let garbage: [&[u8]; 6] =
                    [b"", b"\xff\xfe\x00", b"\x1f\x8b\x08\x00junk", b"PK\x03\x04", b"{}", b"x: \x00\n"];
                for other in garbage {
                    note(&format!("{other:?}"), self.send(method, right, kind, other.to_vec()).await.as_refusal(right));
                }
                note("half of it", self.send(method, right, kind, cut.to_vec()).await.as_answer());
                note("of no type", self.send(method, right, "text/x", bytes.clone()).await.as_answer());
            }
            Sent::Json(Value::Null, _) => {}
            Sent::Json(whole, fields) => {
                let bodies: [&[u8]; 6] = [b"\xff", b"{", b"[]", b"null", b"1", b"{\"no-such-field\": 1}"];
                // Clients of this one send fields that older servers do not know.
                let known = !route.ends_with("/filter/packages") && !route.ends_with("/extensionquery");
                for bytes in &bodies[..if known { 6 } else { 5 }] {
                    let what = String::from_utf8_lossy(bytes);
                    note(&what, self.send(method, right, "application/json", bytes.to_vec()).await.as_refusal(right));
                }
                for (field, takes, required) in fields {
                    let send = async |value: Option<Value>| {
                        let mut body = whole.clone();
                        match value {
                            Some(value) => body[field] = value,
                            None => drop(body.as_object_mut().unwrap().remove(*field)),
                        }
                        self.json(method, right, &body).await
                    };
                    for value in takes.wrong().into_iter().filter(|value| self.sends(&value.to_string())) {
                        let answer = send(Some(value.clone())).await;
                        let what: String = format!("{field} = {value}").chars().take(60).collect();
                        let told = String::from_utf8_lossy(&answer.body).into_owned();
                        let error = serde_json::from_slice::<Value>(&answer.body).unwrap_or_default();
                        let error = error["error"].as_str().unwrap_or(&told);
                        let text = value.to_string();
                        let mut words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| word.len() > 3);
                        let quoted = value.as_str().map_or(String::new(), |text| format!("{text:?}"));
                        let mut named = error.contains(field) || words.any(|word| error.contains(word));
                        named |= !quoted.is_empty() && error.contains(&quoted);
                        note(&what, answer.as_refusal(right));
                        note(&what, (!named).then(|| format!("the answer does not name it: {told}")));
                        note(&what, (told.len() > 6000).then(|| format!("the answer has {} bytes", told.len())));
                    }
                    if *required {
                        note(&format!("without {field}"), send(None).await.as_refusal(right));
                        note(&format!("{field} = null"), send(Some(Value::Null)).await.as_refusal(right));
                    }
                    for value in
                        [Value::Null, json!("\u{202e}\u{feff}\u{1F600}é\r\n"), json!("' OR 1=1 --"), json!("../..")]
                    {
                        note(&format!("{field} = {value}"), send(Some(value)).await.as_answer());
                    }
                }
            }
        }
        let unknown = self.send("TRACE", right, "", Body::empty()).await;
        note("TRACE", (unknown.status != StatusCode::METHOD_NOT_ALLOWED).then(|| unknown.status.to_string()));
        // Nothing of all that has taken away what is there.
        if !row.only_wrong {
            let answer = send(right).await;
            let good = answer.status.is_success() || answer.status.is_redirection();
            note("what is right", (!good).then(|| format!("{} {}", answer.status, answer.text())));
            let page = right.starts_with("/client")
                || right.starts_with("/__docs__")
                || *right == "/"
                || right.ends_with("index.html");
            let html = answer.status.is_success() && answer.kind().starts_with("text/html");
            note("what is right", (html && !page && !right.contains("/simple/")).then(|| "is HTML".to_owned()));
        }
        wrong
    }
}

async fn every_route_is_walked(database_url: Option<String>) {
    let Some(git) = GitServer::start(None).await else { return };
    let mut server = Server::start(database_url).await;
    let targets = server.prepare(&git).await;
    let rows = rows(&targets);
    let routes = pkgmgr_sim::routes::table();
    let known: BTreeSet<String> =
        routes.routes().iter().map(|route| format!("{} {}", route.method, route.path)).collect();
    let listed: BTreeSet<String> = rows.iter().map(|row| row.route.clone()).collect();
    let missing: Vec<&String> = known.difference(&listed).collect();
    let stray: Vec<&String> = listed.difference(&known).collect();
    assert!(
        missing.is_empty() && stray.is_empty(),
        "routes without a row: {missing:#?}; rows without a route: {stray:#?}"
    );
    let mut wrong = Vec::new();
    for row in &rows {
        wrong.extend(server.walk(row).await);
    }
    let short: Vec<String> = wrong.iter().map(|line| line.chars().take(400).collect()).collect();
    assert!(short.is_empty(), "{} are wrong:\n{}", short.len(), short.join("\n"));
}

#[tokio::test]
async fn every_part_of_every_request_is_checked() {
    every_route_is_walked(None).await;
}

#[tokio::test]
async fn on_postgres_too() {
    let Some(postgres) = Postgres::start() else { return };
    every_route_is_walked(Some(postgres.database().await)).await;
}
