//! Whatever stands in a path, a query or a body of whatever route: a refusal that says why, never a failure of the server, and
//! never a page with 200 in place of a file.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::Router;
use axum::body::Body;
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, SET_COOKIE};
use http::{HeaderMap, Request, StatusCode};
use pkgmgr_sim::product;
use serde_json::{Value, json};
use sim_kit::host::in_process;
use sim_kit::testing::Postgres;
use sim_kit::{Host, HostConfig, Running, World, WorldConfig};
use tower::ServiceExt as _;

use crate::administration::{r_package, wheel};
use crate::builders::server::GitServer;

/// A key whose other half is lost.
const BOOTSTRAP: &str = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAktEnGzH59QkK7zQAM/nzixrdbSbPaOu8+AayWMmpouEVXmCqFBg9TfOqyqyHO9qrwuX2TEyFMq4dO48cvFNQeVmN9/9M6QctzcnPnQ7xOhkfbSFT/8PqdkYmjRvG9+rvQS+rpmn3wtsEOz25wBpBbkKhtX1YIj8zTCmJCjhDsXQ5srRmwn9nyfUYiZ0XCzrPS8HQmu+3of39QfsdwxFQFTcJo5SnL9aU60KJckuJQy277Gpuw/qmK+KJ1RPmYhDTfa6anJOdjQF1UK2ugV9LZtj2jqx/Lg95kUcft7pze2ck+Lh/5mZlkPN/SOWfrd2875eTgWWhnlajJx6SyqYYrQIDAQAB";

/// What a parameter of a query takes.
#[derive(Debug, Clone, Copy)]
enum Query {
    /// A number from 1.
    Count,
    /// One of a few words, or the name of something that is there.
    Word,
    /// A boolean.
    Flag,
    /// `latest`, a date, a transaction or a created URL.
    Snapshot,
    /// Anything.
    Text,
}

const BAD_SNAPSHOTS: [&str; 9] = [
    "2024-02-31",
    "1900-01-01",
    "2999-01-01",
    "20240101",
    "-1",
    "999999999",
    "99999999999999999999",
    "LATEST",
    "1-2-3",
];

impl Query {
    /// Values that are refused.
    fn wrong(self) -> &'static [&'static str] {
        match self {
            Self::Count => &["0", "-1", "1.5", "x", "", "10000001", "99999999999999999999", "1e3"],
            Self::Word => &["no-such-word"],
            Self::Flag => &["maybe", "2"],
            Self::Snapshot => &BAD_SNAPSHOTS,
            Self::Text => &[],
        }
    }
}

/// What a field of a body takes.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// Text of at most so many characters.
    Text(usize),
    /// The name of a new thing.
    Name,
    /// One of a few words, or the name of something that is there.
    Word,
    /// A boolean.
    Flag,
    /// A whole number.
    Whole,
    /// A whole number from 0.
    Count,
    /// A word, or a number, that says how bad something is.
    Severity,
    /// Names or words in a list.
    Words,
    /// A date.
    Day,
    /// An object.
    Object,
    /// Objects in a list.
    List,
    /// Blocklist rules in a list, none of which may be wrong.
    Drafts,
}

impl Kind {
    /// Values that are none of it. All are refused.
    fn wrong(self) -> Vec<Value> {
        let long = |n: usize| json!("x".repeat(n));
        let mut wrong = vec![json!({"a": [null]}), json!("\u{0}"), json!(1.5), json!([[]])];
        wrong.extend(match self {
            Self::Text(most) => vec![json!(1), json!(true), long(most + 1)],
            Self::Name => {
                vec![json!(1), json!(""), json!("a/b"), json!("12"), json!("latest"), json!("\u{202e}é"), long(100_000)]
            }
            Self::Word => vec![json!(1), json!("no-such-word"), json!("\u{202e}\u{feff}\u{1F600}"), json!("../..%00")],
            Self::Flag => vec![json!("true"), json!(1), json!([])],
            Self::Whole => vec![json!("x"), json!(true), json!(1e300), json!("1")],
            Self::Count => vec![json!("x"), json!(true), json!(1e300), json!("1"), json!(-1), json!(i64::MIN)],
            Self::Severity => {
                return vec![json!({"a": [null]}), json!("\u{0}"), json!("nasty"), json!(true), json!(-1)];
            }
            Self::Words => {
                vec![json!(1), json!("x"), json!([1]), json!(["\u{0}"]), json!(["no-such-word"]), json!([null])]
            }
            Self::Day => {
                let mut days: Vec<Value> = BAD_SNAPSHOTS.iter().map(|day| json!(day)).collect();
                days.extend([json!(1), json!(true), json!("")]);
                days
            }
            Self::Drafts => vec![
                json!(1),
                json!([]),
                json!([1]),
                json!([{}]),
                json!([{"package_name": 1}]),
                json!([{"license_types": ["nice"]}]),
            ],
            Self::List => vec![
                json!(1),
                json!("x"),
                json!([1]),
                json!([{"criteria": 1}]),
                json!([{"criteria": [{}]}]),
                json!([{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}]),
            ],
            Self::Object => vec![json!(1), json!("x"), json!({"no-such": "latest"}), json!({"cran": 1})],
        });
        wrong
    }
}

/// A field: its name, what it takes, whether it must be there.
type Field = (&'static str, Kind, bool);

#[derive(Debug, Clone)]
enum Sent {
    Nothing,
    /// One that is right, and its fields.
    Json(Value, Vec<Field>),
    /// A form of a page: one that is right. Its fields take anything.
    Form(Vec<(&'static str, String)>),
    /// Bytes of a type: ones that are right. Others are refused.
    Bytes(String, Vec<u8>),
}

/// A route with a request that is right.
#[derive(Debug)]
struct Row {
    route: String,
    method: &'static str,
    /// As the table of routes writes it.
    pattern: &'static str,
    right: String,
    query: &'static [(&'static str, Query)],
    sent: Sent,
    /// Parts of the path that may be anything.
    any: &'static [&'static str],
    /// Not sent as it is: it takes away what other rows need.
    only_wrong: bool,
}

fn row(method: &'static str, pattern: &'static str, right: impl Into<String>, sent: Sent) -> Row {
    let right = right.into();
    Row { route: format!("{method} {pattern}"), method, pattern, right, query: &[], sent, any: &[], only_wrong: false }
}

fn get(pattern: &'static str, right: impl Into<String>, query: &'static [(&'static str, Query)]) -> Row {
    Row { query, ..row("GET", pattern, right, Sent::Nothing) }
}

/// One that takes anything in some parts of its path.
fn lenient(pattern: &'static str, right: &str, any: &'static [&'static str]) -> Row {
    Row { any, ..get(pattern, right, &[]) }
}

fn json_body(method: &'static str, pattern: &'static str, right: &str, body: Value, fields: &[Field]) -> Row {
    row(method, pattern, right, Sent::Json(body, fields.to_vec()))
}

fn form(pattern: &'static str, right: &str, fields: &[(&'static str, &str)]) -> Row {
    row("POST", pattern, right, Sent::Form(fields.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()))
}

const LIST: [(&str, Query); 3] = [("_limit", Query::Count), ("_page", Query::Count), ("_order", Query::Word)];
const PACKAGES: [(&str, Query); 7] = [
    ("_limit", Query::Count),
    ("_page", Query::Count),
    ("_order", Query::Word),
    ("_sort", Query::Word),
    ("snapshot", Query::Snapshot),
    ("name", Query::Text),
    ("name_like", Query::Text),
];
const OF_SOURCE: [(&str, Query); 6] = [PACKAGES[0], PACKAGES[1], PACKAGES[2], PACKAGES[3], PACKAGES[5], PACKAGES[6]];
const OF_RELEASE: [(&str, Query); 2] = [("bioc_version", Query::Word), ("snapshot", Query::Snapshot)];
const SYSREQS: [(&str, Query); 5] = [
    ("all", Query::Flag),
    ("distribution", Query::Word),
    ("release", Query::Word),
    ("snapshot", Query::Snapshot),
    ("suggests", Query::Flag),
];
const ON_UBUNTU: &str = "distribution=ubuntu&release=22.04";

/// Things that rows are about.
struct Targets {
    /// A file of the project `flask`, below its repository.
    file: String,
    token: String,
    vulnerability: String,
    /// The address of a git repository.
    git: String,
    /// The number of a source.
    renamed: String,
    bundle: Vec<u8>,
}

/// A row for each route at least. Those that delete come last, and are right once.
#[rustfmt::skip] // a row a line
fn rows(targets: &Targets) -> Vec<Row> {
    use Kind::{Count, Day, Flag, Name, Object, Severity, Text, Whole, Word, Words};
    let own = r_package("new", "1.0", "New");
    let draft = [("name", Name, false), ("type", Word, false), ("description", Text(4096), false), ("authenticated", Flag, false), ("hidden", Flag, false)];
    let repo_draft = [[("name", Name, true)].as_slice(), &draft[1..]].concat();
    let rule = [("priority", Whole, false), ("package_name", Text(256), false), ("version", Text(256), false), ("source", Word, false), ("repo", Word, false), ("license", Text(256), false), ("license_types", Words, false), ("deleted_packages", Flag, false), ("source_type", Word, false), ("source_name", Word, false), ("exception", Flag, false), ("description", Text(4096), false), ("vulns", Flag, false), ("min_severity", Severity, false), ("block_unscored", Flag, false)];
    let builder = [("url", Text(2048), false), ("branch", Text(255), false), ("sub_dir", Text(1024), false), ("credential", Word, false), ("clone_depth", Count, false), ("recurse_submodules", Count, false)];
    let new_builder = [[("name", Name, false), ("build_trigger", Word, false), ("no_wait", Flag, false)].as_slice(), &builder].concat();
    let again = [("tag", Text(255), false), ("commit_sha", Word, false), ("no_wait", Flag, false)];
    let (sheet, wheel_bytes) = wheel("fresh", "1.0");
    let boundary = "------------------------5c1f0a";
    let mut upload = Vec::new();
    for (name, value) in [(":action", "file_upload"), ("protocol_version", "1"), ("name", "fresh"), ("version", "1.0")] {
        upload.extend(format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").bytes());
    }
    upload.extend(format!("--{boundary}\r\nContent-Disposition: form-data; name=\"content\"; filename=\"{sheet}\"\r\n\r\n").bytes());
    upload.extend(wheel_bytes);
    upload.extend(format!("\r\n--{boundary}--\r\n").bytes());
    let octets = || "application/octet-stream".to_owned();
    vec![
        get("/", "/", &[]),
        get("/client", "/client", &[]),
        get("/client/", "/client/", &[]),
        get("/client/style.css", "/client/style.css", &[]),
        get("/client/script.js", "/client/script.js", &[]),
        get("/client/view/home", "/client/view/home?search=x", &[("search", Query::Text)]),
        get("/client/view/repos/{repo}", "/client/view/repos/cran", &[]),
        get("/client/view/repos/{repo}/overview", "/client/view/repos/cran/overview", &[]),
        get("/client/view/repos/{repo}/setup", "/client/view/repos/cran/setup?os=linux&distro=jammy&r=4.4&snapshot=latest&month=2025-01", &[("os", Query::Text), ("distro", Query::Text), ("r", Query::Text), ("snapshot", Query::Text), ("month", Query::Text)]),
        get("/client/view/repos/{repo}/activity", "/client/view/repos/cran/activity?page=1", &[("page", Query::Text)]),
        get("/client/view/repos/{repo}/packages", "/client/view/repos/cran/packages?search=x&page=1", &[("search", Query::Text), ("page", Query::Text), ("bioc_version", Query::Text)]),
        get("/client/view/repos/{repo}/packages/{name}", "/client/view/repos/cran/packages/jsonlite", &[("version", Query::Text), ("bioc_version", Query::Text)]),
        get("/client/view/repos/{repo}/packages/{name}/overview", "/client/view/repos/cran/packages/jsonlite/overview", &[]),
        get("/client/view/activity", "/client/view/activity?page=1", &[("page", Query::Text)]),
        get("/client/view/sign-in", "/client/view/sign-in?next=home", &[("next", Query::Text)]),
        form("/client/sign-in", "/client/sign-in", &[("token", "{token}"), ("next", "home")]),
        get("/client/view/sign-out", "/client/view/sign-out", &[]),
        form("/client/sign-out", "/client/sign-out", &[]),
        get("/client/view/admin", "/client/view/admin", &[]),
        get("/client/view/admin/{area}", "/client/view/admin/sync?done=x", &[("done", Query::Text)]),
        get("/client/view/admin/{area}", "/client/view/admin/blocklist", &[]),
        get("/client/view/admin/repos/{repo}", "/client/view/admin/repos/cran?done=x", &[("done", Query::Text)]),
        get("/client/view/admin/sources/{source}", "/client/view/admin/sources/git?done=x", &[("done", Query::Text)]),
        Row { only_wrong: true, ..get("/client/view/admin/sources/{source}/builds/{transaction}", "/client/view/admin/sources/git/builds/99999", &[]) },
        Row { only_wrong: true, ..form("/client/admin/sources/{source}", "/client/admin/sources/git", &[("do", "create"), ("name", "own"), ("url", "file:///none"), ("build_trigger", "tags"), ("branch", ""), ("sub_dir", ""), ("credential", "")]) },
        Row { only_wrong: true, ..form("/client/admin/sources/{source}", "/client/admin/sources/git", &[("do", "rerun"), ("builder", "built"), ("tag", "none"), ("commit_sha", "")]) },
        form("/client/admin/{area}", "/client/admin/repos", &[("do", "create"), ("name", "{unique}"), ("type", "R"), ("description", "d")]),
        form("/client/admin/{area}", "/client/admin/sources", &[("do", "create"), ("name", "{unique}"), ("type", "local"), ("snapshot", "")]),
        form("/client/admin/{area}", "/client/admin/sync", &[("do", "sync"), ("source", "cran")]),
        form("/client/admin/{area}", "/client/admin/tokens", &[("do", "create"), ("scope", "global:admin"), ("repos", ""), ("sources", ""), ("expires", "never"), ("user", ""), ("description", "")]),
        Row { only_wrong: true, ..form("/client/admin/{area}", "/client/admin/tokens", &[("do", "revoke"), ("id", "none")]) },
        form("/client/admin/{area}", "/client/admin/blocklist", &[("do", "create"), ("package_name", "none"), ("version", ""), ("repo", "cran"), ("license", ""), ("priority", "1"), ("description", ""), ("exception", ""), ("vulns", "true"), ("min_severity", "high"), ("block_unscored", "")]),
        Row { only_wrong: true, ..form("/client/admin/{area}", "/client/admin/blocklist", &[("do", "delete"), ("id", "1000")]) },
        form("/client/admin/repos/{repo}", "/client/admin/repos/spare", &[("do", "edit"), ("name", ""), ("description", "d"), ("authenticated", ""), ("hidden", "")]),
        form("/client/admin/repos/{repo}", "/client/admin/repos/cran", &[("do", "up"), ("source", "cran")]),
        form("/client/admin/repos/{repo}", "/client/admin/repos/cran", &[("do", "create-url"), ("date", "2025-01-31"), ("at-cran", ""), ("lock", "")]),
        Row { only_wrong: true, ..form("/client/admin/repos/{repo}", "/client/admin/repos/cran", &[("do", "delete-url"), ("id", "1-99")]) },
        Row { only_wrong: true, ..get("/client/view/{*rest}", "/client/view/none", &[]) },
        get("/client/view/device", "/client/view/device", &[]),
        Row { only_wrong: true, ..form("/client/device", "/client/device", &[("user_code", "BCDF-GHJK"), ("do", "deny")]) },
        form("/__api__/device", "/__api__/device", &[("code_challenge_method", "S256"), ("code_challenge", "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU")]),
        Row { only_wrong: true, ..form("/__api__/device_access", "/__api__/device_access", &[("device_code", "x"), ("code_verifier", "x")]) },
        Row {
            only_wrong: true,
            ..form("/__api__/token", "/__api__/token", &[
                ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
                ("subject_token", "x"),
                ("subject_token_type", "urn:ietf:params:oauth:token-type:id_token"),
            ])
        },
        Row { only_wrong: true, ..json_body("POST", "/__api__/bootstrap", "/__api__/bootstrap", json!({"assertion": "x"}), &[("assertion", Text(1 << 20), true), ("expires", Word, false)]) },
        get("/__ping__", "/__ping__", &[]),
        get("/metrics", "/metrics", &[]),
        get("/__api__/status", "/__api__/status", &[]),
        get("/__api__/swagger/", "/__api__/swagger/", &[]),
        get("/__api__/swagger/index.html", "/__api__/swagger/index.html", &[]),
        get("/__api__/swagger/doc.json", "/__api__/swagger/doc.json", &[]),
        get("/__api__/repos", "/__api__/repos", &[]),
        get("/__api__/repos/{repo}", "/__api__/repos/cran", &[]),
        get("/__api__/repos/{repo}/sources", "/__api__/repos/cran/sources", &[]),
        get("/__api__/repos/{repo}/first-transaction", "/__api__/repos/cran/first-transaction", &[]),
        get("/__api__/repos/{repo}/transaction-dates", "/__api__/repos/cran/transaction-dates?_limit=5", &LIST),
        get("/__api__/repos/{repo}/packages", "/__api__/repos/cran/packages?_limit=5&_page=1", &PACKAGES),
        get("/__api__/repos/{repo}/packages", "/__api__/repos/pypi/packages?_limit=5", &PACKAGES),
        get("/__api__/repos/{repo}/packages", "/__api__/repos/bioconductor/packages?bioc_version=3.18", &OF_RELEASE),
        get("/__api__/repos/{repo}/packages/{name}", "/__api__/repos/cran/packages/jsonlite", &[("version", Query::Word), ("snapshot", Query::Snapshot)]),
        get("/__api__/repos/{repo}/packages/{name}", "/__api__/repos/pypi/packages/flask", &[("version", Query::Word), ("snapshot", Query::Snapshot)]),
        get("/__api__/repos/{repo}/packages/{name}", "/__api__/repos/bioconductor/packages/DESeq2", &OF_RELEASE),
        get("/__api__/repos/{repo}/packages/{name}/sysreqs", format!("/__api__/repos/cran/packages/curl/sysreqs?{ON_UBUNTU}"), &SYSREQS),
        get("/__api__/repos/{repo}/sysreqs", format!("/__api__/repos/cran/sysreqs?all=true&{ON_UBUNTU}"), &SYSREQS),
        get("/__api__/repos/{repo}/sysreqs", format!("/__api__/repos/cran/sysreqs?pkgname=curl&{ON_UBUNTU}"), &[("pkgname", Query::Word)]),
        Row { query: &SYSREQS, ..row("POST", "/__api__/repos/{repo}/sysreqs", format!("/__api__/repos/cran/sysreqs?{ON_UBUNTU}"), Sent::Bytes("text/plain".to_owned(), b"Package: x\nImports: sf\n".to_vec())) },
        get("/__api__/repos/{repo}/vulns", "/__api__/repos/cran/vulns", &[("snapshot", Query::Snapshot)]),
        get("/__api__/vulns/{key}", format!("/__api__/vulns/{}", targets.vulnerability), &[]),
        get("/__api__/sources/{source}/vulns", "/__api__/sources/cran/vulns", &[]),
        get("/__api__/repos/{repo}/binaries", "/__api__/repos/cran/binaries", &[("snapshot", Query::Snapshot)]),
        get("/__api__/sources", "/__api__/sources", &[]),
        get("/__api__/sources/{source}", "/__api__/sources/cran", &[]),
        get("/__api__/sources/{source}/packages", "/__api__/sources/cran/packages?_limit=5", &OF_SOURCE),
        get("/__api__/sources/{source}/transactions", "/__api__/sources/cran/transactions?_limit=5", &LIST),
        get("/__api__/sources/{source}/packages/{name}/releases", "/__api__/sources/pypi/packages/flask/releases", &[]),
        get("/__api__/repos/{repo}/urls", "/__api__/repos/cran/urls", &[]),
        json_body("POST", "/__api__/repos/{repo}/urls", "/__api__/repos/cran/urls", json!({}), &[("date", Day, false), ("snapshots", Object, false), ("lock", Flag, false), ("no_alias", Flag, false)]),
        get("/__api__/sync", "/__api__/sync", &[]),
        json_body("POST", "/__api__/sync", "/__api__/sync", json!({"source": "cran"}), &[("source", Word, false), ("no_wait", Flag, false)]),
        json_body("POST", "/__api__/sync", "/__api__/sync", json!({"type": "bioconductor"}), &[("type", Word, false), ("version", Word, false)]),
        get("/__api__/alerts", "/__api__/alerts", &[]),
        get("/__api__/metrics/packages", "/__api__/metrics/packages", &[("_sourceType", Query::Word), ("_days", Query::Count), LIST[0], LIST[1]]),
        get("/__api__/sync/export", "/__api__/sync/export?type=bioconductor&version=3.18&files=false", &[("type", Query::Word), ("version", Query::Word), ("files", Query::Flag)]),
        row("POST", "/__api__/sync/import", "/__api__/sync/import", Sent::Bytes(octets(), targets.bundle.clone())),
        json_body("POST", "/__api__/repos", "/__api__/repos", json!({"name": "{unique}"}), &repo_draft),
        json_body("PATCH", "/__api__/repos/{repo}", "/__api__/repos/spare", json!({"hidden": true}), &draft),
        json_body("POST", "/__api__/repos/{repo}/sources", "/__api__/repos/spare/sources", json!({"source": "spare"}), &[("source", Word, true)]),
        json_body("PUT", "/__api__/repos/{repo}/sources", "/__api__/repos/pypi/sources", json!({"sources": ["pypi"]}), &[("sources", Words, true)]),
        json_body("POST", "/__api__/sources", "/__api__/sources", json!({"name": "{unique}"}), &[("name", Name, true), ("type", Word, false), ("no_archived", Flag, false)]),
        json_body("POST", "/__api__/sources", "/__api__/sources", json!({"name": "{unique}", "type": "curated-cran", "snapshot": "2025-01-31"}), &[("snapshot", Day, false), ("include", Words, false)]),
        json_body("PATCH", "/__api__/sources/{source}", &format!("/__api__/sources/{}", targets.renamed), json!({"name": "{unique}"}), &[("name", Name, true), ("type", Word, false), ("snapshot", Day, false)]),
        Row { query: &[("sha256", Query::Word), ("md5", Query::Word), ("replace", Query::Flag), ("filename", Query::Word)], ..row("POST", "/__api__/sources/{source}/packages", "/__api__/sources/team/packages?replace=true", Sent::Bytes(octets(), own)) },
        json_body("POST", "/__api__/sources/{source}/packages/{name}/archive", "/__api__/sources/team/packages/old/archive", Value::Null, &[]),
        json_body("POST", "/__api__/sources/{source}/packages/{name}/yank", "/__api__/sources/pyteam/packages/old/yank", json!({"which": "1.0", "reason": "broken"}), &[("which", Word, true), ("reason", Text(4096), false)]),
        json_body("POST", "/__api__/sources/{source}/update", "/__api__/sources/curated/update", json!({"packages": ["sf"]}), &[("snapshot", Day, false), ("packages", Words, false), ("remove", Words, false), ("only", Flag, false), ("include", Words, false), ("include_suggests", Flag, false), ("commit", Flag, false), ("requirements", Word, false)]),
        json_body("POST", "/__api__/sources/{source}/update", "/__api__/sources/pycurated/update", json!({"requirements": "flask\n"}), &[("requirements", Word, true)]),
        get("/__api__/sources/{source}/git-builders", "/__api__/sources/git/git-builders", &[]),
        json_body("POST", "/__api__/sources/{source}/git-builders", "/__api__/sources/git/git-builders", json!({"name": "{unique}", "url": targets.git, "no_wait": true}), &new_builder),
        json_body("PATCH", "/__api__/sources/{source}/git-builders/{name}", "/__api__/sources/git/git-builders/built", json!({"branch": "main"}), &builder),
        json_body("POST", "/__api__/sources/{source}/git-builders/{name}/run", "/__api__/sources/git/git-builders/built/run", json!({"no_wait": true}), &again[2..]),
        Row { only_wrong: true, ..json_body("POST", "/__api__/sources/{source}/git-builders/{name}/rerun", "/__api__/sources/git/git-builders/built/rerun", json!({"tag": "v1", "no_wait": true}), &[again[0], again[2]]) },
        Row { only_wrong: true, ..json_body("POST", "/__api__/sources/{source}/git-builders/{name}/rerun", "/__api__/sources/git/git-builders/built/rerun", json!({"commit_sha": "0", "no_wait": true}), &again[1..2]) },
        get("/__api__/sources/{source}/git-builds", "/__api__/sources/git/git-builds?name=built", &[("name", Query::Word), ("_limit", Query::Count), ("_page", Query::Count)]),
        Row { only_wrong: true, ..get("/__api__/transactions/{id}/logs", "/__api__/transactions/1/logs", &[]) },
        get("/__api__/git-credentials", "/__api__/git-credentials", &[]),
        json_body("POST", "/__api__/git-credentials", "/__api__/git-credentials", json!({"name": "{unique}", "username": "ci", "password": "secret"}), &[("name", Name, true), ("username", Text(4096), true), ("password", Text(4096), true)]),
        json_body("POST", "/__api__/filter/packages", "/__api__/filter/packages", json!({"repo": "cran", "names": ["sf", "jsonlite==1.0"]}), &[("repo", Word, true), ("snapshot", Day, false), ("vulns", Flag, false), ("omit_dependencies", Flag, false), ("omit_downloads", Flag, false), ("omit_package_details", Flag, false)]),
        get("/__api__/blocklist/rules", "/__api__/blocklist/rules", &[]),
        json_body("POST", "/__api__/blocklist/rules", "/__api__/blocklist/rules", json!({"package_name": "none", "vulns": true, "min_severity": "high"}), &rule),
        json_body("POST", "/__api__/blocklist/rules/bulk", "/__api__/blocklist/rules/bulk", json!({"rules": [{"package_name": "none"}], "fail_all": true}), &[("rules", Kind::Drafts, true), ("fail_all", Flag, false)]),
        json_body("PUT", "/__api__/blocklist/rules/{id}", "/__api__/blocklist/rules/1", json!({"package_name": "none"}), &rule[..13]),
        get("/__api__/blocklist/test", "/__api__/blocklist/test?repo=cran&package_name=sf&version=1.0", &[("repo", Query::Word), ("package_name", Query::Text), ("version", Query::Text)]),
        get("/__api__/tokens", "/__api__/tokens", &[]),
        json_body("POST", "/__api__/tokens", "/__api__/tokens", json!({"scope": ["repos:read"], "repos": ["cran"]}), &[("scope", Words, true), ("repos", Words, true), ("expires", Day, false), ("description", Text(500), false), ("user", Text(500), false)]),
        row("POST", "/upload/pypi/{source}", "/upload/pypi/pyteam", Sent::Bytes(format!("multipart/form-data; boundary={boundary}"), upload)),
        get("/{repo}/{snapshot}/src/contrib/{*file}", "/cran/latest/src/contrib/PACKAGES", &[]),
        get("/{repo}/{snapshot}/src/contrib/{*file}", "/cran/2025-01-31/src/contrib/PACKAGES.rds", &[]),
        Row { query: &[("r_version", Query::Text), ("arch", Query::Text)], ..get("/{repo}/__linux__/{distro}/{snapshot}/src/contrib/{*file}", "/cran/__linux__/jammy/latest/src/contrib/PACKAGES.gz?r_version=4.4&arch=x86_64", &[]) },
        get("/{repo}/{snapshot}/bin/linux/{platform}/{rver}/src/contrib/{*file}", "/cran/latest/bin/linux/jammy-x86_64/4.4/src/contrib/PACKAGES", &[]),
        get("/{repo}/{snapshot}/bin/linux/{platform}/contrib/{rver}/{*file}", "/cran/latest/bin/linux/4.4-jammy/contrib/4.4/PACKAGES.gz", &[]),
        get("/{repo}/{snapshot}/bin/windows/contrib/{rver}/{*file}", "/cran/latest/bin/windows/contrib/4.4/PACKAGES", &[]),
        get("/{repo}/{snapshot}/bin/macosx/contrib/{rver}/{*file}", "/cran/latest/bin/macosx/contrib/4.2/PACKAGES", &[]),
        get("/{repo}/{snapshot}/bin/macosx/{flavor}/contrib/{rver}/{*file}", "/cran/latest/bin/macosx/big-sur-arm64/contrib/4.4/PACKAGES", &[]),
        get("/{repo}/config.yaml", "/bioconductor/config.yaml", &[]),
        get("/{repo}/{snapshot}/config.yaml", "/bioconductor/latest/config.yaml", &[]),
        get("/{repo}/__linux__/{distro}/{snapshot}/config.yaml", "/bioconductor/__linux__/jammy/latest/config.yaml", &[]),
        get("/{repo}/packages/{release}/{component}/{*path}", "/bioconductor/packages/3.18/bioc/src/contrib/PACKAGES", &[]),
        get("/{repo}/{snapshot}/packages/{release}/{component}/{*path}", "/bioconductor/latest/packages/3.18/bioc/src/contrib/PACKAGES", &[]),
        get("/{repo}/__linux__/{distro}/{snapshot}/packages/{release}/{component}/{*path}", "/bioconductor/__linux__/jammy/latest/packages/3.18/workflows/src/contrib/PACKAGES", &[]),
        lenient("/{repo}/{snapshot}/simple", "/pypi/latest/simple", &["repo", "snapshot"]),
        get("/{repo}/{snapshot}/simple/", "/pypi/2025-01-31/simple/?format=text/html", &[("format", Query::Text)]),
        lenient("/{repo}/{snapshot}/simple/{project}", "/pypi/latest/simple/flask", &["repo", "snapshot", "project"]),
        Row { query: &[("format", Query::Text)], ..lenient("/{repo}/{snapshot}/simple/{project}/", "/pypi/latest/simple/flask/?format=text/html", &["project"]) },
        json_body("POST", "/{repo}/{snapshot}/vscode/gallery/extensionquery", "/vsx/latest/vscode/gallery/extensionquery", json!({"filters": [], "flags": 914}), &[("flags", Count, false), ("filters", Kind::List, false)]),
        get("/{repo}/{snapshot}/vscode/gallery/{publisher}/{name}/latest", "/vsx/latest/vscode/gallery/golang/Go/latest", &[]),
        get("/{repo}/{snapshot}/vscode/gallery/vscode/{publisher}/{name}/latest", "/vsx/latest/vscode/gallery/vscode/golang/Go/latest", &[]),
        get("/{repo}/{snapshot}/vscode/gallery/publishers/{publisher}/vsextensions/{name}/{version}/vspackage", "/vsx/latest/vscode/gallery/publishers/golang/vsextensions/Go/latest/vspackage", &[("targetPlatform", Query::Text)]),
        get("/{repo}/{snapshot}/vscode/asset/{publisher}/{name}/{version}/{asset}", "/vsx/latest/vscode/asset/golang/Go/latest/Microsoft.VisualStudio.Code.Manifest", &[("targetPlatform", Query::Text)]),
        get("/{repo}/{snapshot}/vscode/unpkg/{publisher}/{name}/{version}/{*path}", "/vsx/latest/vscode/unpkg/golang/Go/latest/extension/package.json", &[]),
        get("/{repo}/{snapshot}/vscode/item", "/vsx/latest/vscode/item?itemName=golang.Go", &[("itemName", Query::Word)]),
        get("/__api__/repos/{repo}/packages", "/__api__/repos/vsx/packages?_limit=5", &PACKAGES),
        get("/__api__/repos/{repo}/packages/{name}", "/__api__/repos/vsx/packages/golang.Go", &[("version", Query::Word), ("snapshot", Query::Snapshot)]),
        get("/client/view/repos/{repo}/packages/{name}", "/client/view/repos/vsx/packages/golang.Go", &[("version", Query::Text)]),
        get("/client/view/repos/{repo}/setup", "/client/view/repos/vsx/setup", &[]),
        get("/__api__/sources/{source}/packages/{name}/releases", "/__api__/sources/vsx/packages/golang.Go/releases", &[]),
        get("/{repo}/{snapshot}/packages/{id}/{filename}", format!("/pypi/latest/{}", targets.file), &[]),

        row("DELETE", "/__api__/sources/{source}/packages/{name}", "/__api__/sources/team/packages/old?which=all", Sent::Nothing).with(&[("which", Query::Word)]),
        row("DELETE", "/__api__/sources/{source}/git-builders/{name}", "/__api__/sources/git/git-builders/built", Sent::Nothing),
        row("DELETE", "/__api__/git-credentials/{name}", "/__api__/git-credentials/ci", Sent::Nothing),
        row("DELETE", "/__api__/blocklist/rules/{id}", "/__api__/blocklist/rules/1", Sent::Nothing),
        row("DELETE", "/__api__/tokens/{id}", format!("/__api__/tokens/{}", targets.token), Sent::Nothing),
        row("DELETE", "/__api__/repos/{repo}/urls/{id}", "/__api__/repos/cran/urls/1-1", Sent::Nothing),
        row("DELETE", "/__api__/repos/{repo}/sources/{source}", "/__api__/repos/spare/sources/spare", Sent::Nothing),
        row("DELETE", "/__api__/sources/{source}", "/__api__/sources/spare", Sent::Nothing),
        row("DELETE", "/__api__/repos/{repo}", "/__api__/repos/spare", Sent::Nothing),
        json_body("POST", "/__api__/sync/clear", "/__api__/sync/clear", json!({"type": "bioconductor", "version": "3.16", "confirm": true}), &[("type", Word, true), ("version", Word, false), ("confirm", Flag, true)]),
    ]
}

impl Row {
    fn with(self, query: &'static [(&'static str, Query)]) -> Self {
        Self { query, ..self }
    }

    /// The right path with something else in the parts that are named, as they are written in a URL. Gives the name of each.
    fn with_other_parts(&self, other: &str) -> Vec<(&'static str, String)> {
        let path = self.right.split('?').next().unwrap();
        let query = self.right.strip_prefix(path).unwrap();
        let (patterns, parts): (Vec<_>, Vec<_>) = (self.pattern.split('/').collect(), path.split('/').collect());
        let mut found = Vec::new();
        for (at, pattern) in patterns.iter().enumerate() {
            let Some(name) = pattern.strip_prefix('{').and_then(|name| name.strip_suffix('}')) else { continue };
            let mut path = parts[..at].to_vec();
            path.push(other);
            if !name.starts_with('*') {
                path.extend(&parts[at + 1..]);
            }
            found.push((name, format!("{}{query}", path.join("/"))));
        }
        found
    }

    /// The right path with another value of a parameter; without a value, without the parameter.
    fn with_other_value(&self, name: &str, value: Option<&str>) -> String {
        let (path, query) = self.right.split_once('?').unwrap_or((&self.right, ""));
        let given = |pair: &&str| pair.split('=').next() != Some(name) && !pair.is_empty();
        let mut pairs: Vec<String> = query.split('&').filter(given).map(str::to_owned).collect();
        pairs.extend(value.map(|value| format!("{name}={value}")));
        format!("{path}?{}", pairs.join("&"))
    }
}

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

struct Server {
    router: Router,
    token: String,
    cookie: String,
    xsrf: String,
    made: AtomicU32,
    /// What a database may stumble over, and nothing else.
    only_texts: bool,
    _kept: (World, Running),
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).chars().take(300).collect()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    fn kind(&self) -> &str {
        self.headers.get(CONTENT_TYPE).map_or("", |kind| kind.to_str().unwrap())
    }

    /// What is wrong with a refusal; nothing if it is one, of the shape that its path has.
    fn as_refusal(&self, path: &str) -> Option<String> {
        if !self.status.is_client_error() {
            return Some(format!("{} {}", self.status, self.text()));
        }
        if path.starts_with("/__api__/") {
            let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
            let whole =
                body["code"] == self.status.as_u16() && body["error"].as_str().is_some_and(|text| !text.is_empty());
            return (!whole).then(|| format!("{} is not in the API's shape: {}", self.status, self.text()));
        }
        let html = self.kind().starts_with("text/html");
        let page = path.starts_with("/client");
        (!page && (html || self.body.is_empty()))
            .then(|| format!("{} as {}: {}", self.status, self.kind(), self.text()))
    }

    /// What is wrong with an answer to what may be taken.
    fn as_answer(&self) -> Option<String> {
        self.status.is_server_error().then(|| format!("{} {}", self.status, self.text()))
    }
}

impl Server {
    async fn start(database_url: Option<String>) -> Self {
        let frozen_at = Some("2025-10-20T06:00:00Z".parse().unwrap());
        let host =
            || HostConfig { world: WorldConfig { frozen_at, ..WorldConfig::default() }, ..HostConfig::default() };
        let packages = ["DESeq2", "jsonlite", "flask", "curl", "sf", "golang.Go"];
        let feed = Host::start(upstream_sim::product(upstream_sim::Config::only(&packages)), host()).await.unwrap();
        let metrics = pkgmgr_sim::metrics::Settings { on_main_port: true, ..pkgmgr_sim::metrics::Settings::default() };
        let config = pkgmgr_sim::Config {
            sync: false,
            metrics,
            bootstrap: BOOTSTRAP.parse().ok(),
            ..pkgmgr_sim::Config::new(feed.url().parse().unwrap())
        };
        let only_texts = database_url.is_some();
        let world = WorldConfig { database_url, ..host().world };
        let (world, router) = in_process(&product(config), &HostConfig { world, ..host() }).await.unwrap();
        let token = pkgmgr_sim::admin_token(world.ids().seed());
        Self {
            router,
            token,
            cookie: String::new(),
            xsrf: String::new(),
            made: AtomicU32::new(0),
            only_texts,
            _kept: (world, feed),
        }
    }

    async fn send(&self, method: &str, path: &str, kind: &str, body: impl Into<Body>) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        request = request.header(AUTHORIZATION, format!("Bearer {}", self.token)).header(COOKIE, &self.cookie);
        if !kind.is_empty() {
            request = request.header(CONTENT_TYPE, kind);
        }
        let request = request.body(body.into()).unwrap_or_else(|error| panic!("{path}: {error}"));
        let (parts, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        // What breaks off is no answer.
        let body =
            axum::body::to_bytes(body, usize::MAX).await.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        Answer { status: parts.status, headers: parts.headers, body: body.to_vec() }
    }

    /// With names that are not taken.
    fn fresh(&self, text: &str) -> String {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        text.replace("{unique}", &format!("made-{number}"))
    }

    async fn json(&self, method: &str, path: &str, body: &Value) -> Answer {
        match body {
            Value::Null => self.send(method, path, "", Body::empty()).await,
            body => self.send(method, path, "application/json", self.fresh(&body.to_string())).await,
        }
    }

    async fn form(&self, path: &str, fields: &[(&'static str, String)]) -> Answer {
        let mut text = url::form_urlencoded::Serializer::new(String::new());
        text.append_pair("xsrf", &self.xsrf);
        text.extend_pairs(
            fields.iter().map(|(name, value)| (*name, self.fresh(value).replace("{token}", &self.token))),
        );
        self.send("POST", path, "application/x-www-form-urlencoded", text.finish()).await
    }

    async fn does(&self, method: &str, path: &str, body: Value) -> Answer {
        let answer = self.json(method, path, &body).await;
        assert!(answer.status.is_success(), "{method} {path}: {}", answer.text());
        answer
    }

    /// One of everything that a path or a body names.
    async fn prepare(&mut self, git: &GitServer) -> Targets {
        self.does("POST", "/__api__/sync", Value::Null).await;
        git.commit("built", 7, &[("DESCRIPTION", "Package: built\nVersion: 1.0\n"), ("NAMESPACE", "")]);
        let git = git.address("built");
        for (name, kind) in [("team", "local"), ("pyteam", "local-python"), ("git", "git"), ("spare", "local")] {
            self.does("POST", "/__api__/sources", json!({"name": name, "type": kind})).await;
        }
        for (name, kind) in [("curated", "curated-cran"), ("pycurated", "curated-pypi")] {
            let draft = json!({"name": name, "type": kind, "snapshot": "2025-01-31"});
            self.does("POST", "/__api__/sources", draft).await;
        }
        self.does("POST", "/__api__/repos", json!({"name": "spare"})).await;
        let renamed = self.does("POST", "/__api__/sources", json!({"name": "renamed"})).await.json()["id"].to_string();
        self.does("POST", "/__api__/sources/git/git-builders", json!({"name": "built", "url": git})).await;
        let credential = json!({"name": "ci", "username": "ci", "password": "secret"});
        self.does("POST", "/__api__/git-credentials", credential).await;
        let add = async |path: &str, bytes: Vec<u8>| {
            let answer = self.send("POST", path, "application/octet-stream", bytes).await;
            assert_eq!(answer.status, 201, "{}", answer.text());
        };
        add("/__api__/sources/team/packages", r_package("old", "1.0", "Old")).await;
        let (name, bytes) = wheel("old", "1.0");
        add(&format!("/__api__/sources/pyteam/packages?filename={name}"), bytes).await;
        self.does("POST", "/__api__/blocklist/rules", json!({"package_name": "none"})).await;
        let token = json!({"scope": ["repos:read"], "repos": ["cran"]});
        let token = self.does("POST", "/__api__/tokens", token).await.json()["id"].as_str().unwrap().to_owned();
        let page = self.does("GET", "/pypi/latest/simple/flask/", Value::Null).await;
        let page = String::from_utf8(page.body).unwrap();
        let file = page.split("href=\"../../").nth(1).unwrap().split('#').next().unwrap().to_owned();
        let bundle = "/__api__/sync/export?type=bioconductor&version=3.18&files=false";
        let bundle = self.does("GET", bundle, Value::Null).await.body;
        let signed_in = self.form("/client/sign-in", &[("token", self.token.clone())]).await;
        let cookie = signed_in.headers[SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
        self.cookie = cookie;
        let page = self.does("GET", "/client/view/admin/repos", Value::Null).await;
        let page = String::from_utf8(page.body).unwrap();
        let word = page.split("name=\"xsrf\" value=\"").nth(1).expect("forms carry a word");
        self.xsrf = word.split('"').next().unwrap().to_owned();
        let mut ids = (1..=48).flat_map(|n| (2022..=2025).map(move |year| format!("TEAMSIM-{year}-{n:04}")));
        let vulnerability = loop {
            let id = ids.next().expect("some were published before now");
            if self.send("GET", &format!("/__api__/vulns/{id}"), "", Body::empty()).await.status == 200 {
                break id;
            }
        };
        Targets { file, token, vulnerability, git, renamed, bundle }
    }

    fn sends(&self, value: &str) -> bool {
        !self.only_texts
            || !value.is_ascii()
            || ["%00", "\\u0000", "\u{0}", "%ff"].iter().any(|odd| value.contains(odd))
    }

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
            let page = right.starts_with("/client") || *right == "/" || right.ends_with("index.html");
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
