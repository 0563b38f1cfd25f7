//! A row for every route: a right request, and what may not stand in its parts.

use serde_json::{Value, json};

use crate::administration::{r_package, wheel};

/// What a parameter of a query takes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Query {
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

pub(super) const BAD_SNAPSHOTS: [&str; 9] = [
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
    pub(super) fn wrong(self) -> &'static [&'static str] {
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
pub(super) enum Kind {
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
    pub(super) fn wrong(self) -> Vec<Value> {
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
pub(super) type Field = (&'static str, Kind, bool);

#[derive(Debug, Clone)]
pub(super) enum Sent {
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
pub(super) struct Row {
    pub(super) route: String,
    pub(super) method: &'static str,
    /// As the table of routes writes it.
    pub(super) pattern: &'static str,
    pub(super) right: String,
    pub(super) query: &'static [(&'static str, Query)],
    pub(super) sent: Sent,
    /// Parts of the path that may be anything.
    pub(super) any: &'static [&'static str],
    /// Not sent as it is: it takes away what other rows need.
    pub(super) only_wrong: bool,
}

pub(super) fn row(method: &'static str, pattern: &'static str, right: impl Into<String>, sent: Sent) -> Row {
    let right = right.into();
    Row { route: format!("{method} {pattern}"), method, pattern, right, query: &[], sent, any: &[], only_wrong: false }
}

pub(super) fn get(pattern: &'static str, right: impl Into<String>, query: &'static [(&'static str, Query)]) -> Row {
    Row { query, ..row("GET", pattern, right, Sent::Nothing) }
}

/// One that takes anything in some parts of its path.
pub(super) fn lenient(pattern: &'static str, right: &str, any: &'static [&'static str]) -> Row {
    Row { any, ..get(pattern, right, &[]) }
}

pub(super) fn json_body(
    method: &'static str,
    pattern: &'static str,
    right: &str,
    body: Value,
    fields: &[Field],
) -> Row {
    row(method, pattern, right, Sent::Json(body, fields.to_vec()))
}

pub(super) fn form(pattern: &'static str, right: &str, fields: &[(&'static str, &str)]) -> Row {
    row("POST", pattern, right, Sent::Form(fields.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()))
}

/// Of a short list.
const CHOSEN: [(&str, Query); 6] =
    [("name", Query::Text), ("name_like", Query::Text), LIST[0], LIST[1], LIST[2], LIST[3]];

pub(super) const LIST: [(&str, Query); 4] =
    [("_limit", Query::Count), ("_page", Query::Count), ("_order", Query::Word), ("_sort", Query::Word)];
pub(super) const PACKAGES: [(&str, Query); 7] = [
    ("_limit", Query::Count),
    ("_page", Query::Count),
    ("_order", Query::Word),
    ("_sort", Query::Word),
    ("snapshot", Query::Snapshot),
    ("name", Query::Text),
    ("name_like", Query::Text),
];
pub(super) const OF_SOURCE: [(&str, Query); 6] =
    [PACKAGES[0], PACKAGES[1], PACKAGES[2], PACKAGES[3], PACKAGES[5], PACKAGES[6]];
pub(super) const OF_RELEASE: [(&str, Query); 2] = [("bioc_version", Query::Word), ("snapshot", Query::Snapshot)];
pub(super) const SYSREQS: [(&str, Query); 5] = [
    ("all", Query::Flag),
    ("distribution", Query::Word),
    ("release", Query::Word),
    ("snapshot", Query::Snapshot),
    ("suggests", Query::Flag),
];
pub(super) const ON_UBUNTU: &str = "distribution=ubuntu&release=22.04";

/// Things that rows are about.
pub(super) struct Targets {
    /// A file of the project `flask`, below its repository.
    pub(super) file: String,
    pub(super) token: String,
    pub(super) vulnerability: String,
    /// The address of a git repository.
    pub(super) git: String,
    /// The number of a source.
    pub(super) renamed: String,
    pub(super) bundle: Vec<u8>,
}

/// A row for each route at least. Those that delete come last, and are right once.
#[rustfmt::skip] // a row a line
pub(super) fn rows(targets: &Targets) -> Vec<Row> {
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
        get("/__docs__", "/__docs__", &[]),
        get("/__docs__/", "/__docs__/", &[]),
        Row { only_wrong: true, ..get("/__login__", "/__login__?next=home", &[("next", Query::Text)]) },
        Row { only_wrong: true, ..get("/__login__/callback", "/__login__/callback?code=x&state=y", &[("code", Query::Text), ("state", Query::Text)]) },
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
        get("/__api__/repos", "/__api__/repos", &CHOSEN),
        get("/__api__/repos/{repo}", "/__api__/repos/cran", &[]),
        get("/__api__/repos/{repo}/sources", "/__api__/repos/cran/sources", &CHOSEN),
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
        get("/__api__/sources", "/__api__/sources", &CHOSEN),
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
        json_body("POST", "/__api__/filter/packages", "/__api__/filter/packages", json!({"repo": "cran", "names": ["sf", "jsonlite==1.0"]}), &[("repo", Word, true), ("snapshot", Day, false), ("vulns", Flag, false), ("has_vulns", Flag, false), ("omit_dependencies", Flag, false), ("omit_downloads", Flag, false), ("omit_package_details", Flag, false)]),
        get("/__api__/blocklist/rules", "/__api__/blocklist/rules", &[]),
        json_body("POST", "/__api__/blocklist/rules", "/__api__/blocklist/rules", json!({"package_name": "none", "vulns": true, "min_severity": "high"}), &rule),
        json_body("POST", "/__api__/blocklist/rules/bulk", "/__api__/blocklist/rules/bulk", json!({"rules": [{"package_name": "none"}], "fail_all": true}), &[("rules", Kind::Drafts, true), ("fail_all", Flag, false)]),
        json_body("PUT", "/__api__/blocklist/rules/{id}", "/__api__/blocklist/rules/1", json!({"package_name": "none"}), &rule[..13]),
        get("/__api__/blocklist/test", "/__api__/blocklist/test?repo=cran&package_name=sf&version=1.0", &[("repo", Query::Word), ("package_name", Query::Text), ("version", Query::Text)]),
        get("/__api__/metadata/records", "/__api__/metadata/records", &[]),
        json_body("POST", "/__api__/metadata/records", "/__api__/metadata/records", json!({"key": "risk", "value": "low", "update_existing": true}), &[("package_name", Text(256), false), ("version", Text(256), false), ("source", Word, false), ("repo", Word, false), ("key", Text(256), true), ("value", Text(4096), true), ("update_existing", Flag, false), ("succeed_on_existing", Flag, false)]),
        json_body("POST", "/__api__/metadata/records/bulk", "/__api__/metadata/records/bulk", json!({"records": [{"key": "risk", "value": "low", "update_existing": true}], "fail_all": true}), &[("records", Kind::Drafts, true), ("fail_all", Flag, false)]),
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
        get("/{repo}/{snapshot}/api/{publisher}", "/vsx/latest/api/golang", &[]),
        get("/{repo}/{snapshot}/api/{publisher}/{name}", "/vsx/latest/api/golang/Go", &[]),
        get("/{repo}/{snapshot}/api/{publisher}/{name}/{*path}", "/vsx/latest/api/golang/Go/latest/file/package.json", &[]),
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
        row("DELETE", "/__api__/metadata/records/{id}", "/__api__/metadata/records/1", Sent::Nothing),
        row("DELETE", "/__api__/blocklist/rules/{id}", "/__api__/blocklist/rules/1", Sent::Nothing),
        row("DELETE", "/__api__/tokens/{id}", format!("/__api__/tokens/{}", targets.token), Sent::Nothing),
        row("DELETE", "/__api__/repos/{repo}/urls/{id}", "/__api__/repos/cran/urls/1-1", Sent::Nothing),
        row("DELETE", "/__api__/repos/{repo}/sources/{source}", "/__api__/repos/spare/sources/spare", Sent::Nothing),
        row("DELETE", "/__api__/sources/{source}", "/__api__/sources/spare", Sent::Nothing),
        row("DELETE", "/__api__/repos/{repo}", "/__api__/repos/spare", Sent::Nothing),
        json_body("POST", "/__api__/sync/clear", "/__api__/sync/clear", json!({"type": "bioconductor", "version": "3.16", "confirm": true}), &[("type", Word, true), ("version", Word, false), ("confirm", Flag, true)]),
        get("/__api__/cluster", "/__api__/cluster", &[]),
        row("POST", "/__api__/cluster/offline", "/__api__/cluster/offline", Sent::Nothing),
        row("POST", "/__api__/cluster/online", "/__api__/cluster/online", Sent::Nothing),
    ]
}

impl Row {
    pub(super) fn with(self, query: &'static [(&'static str, Query)]) -> Self {
        Self { query, ..self }
    }

    /// The right path with something else in the parts that are named, as they are written in a URL. Gives the name of each.
    pub(super) fn with_other_parts(&self, other: &str) -> Vec<(&'static str, String)> {
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
    pub(super) fn with_other_value(&self, name: &str, value: Option<&str>) -> String {
        let (path, query) = self.right.split_once('?').unwrap_or((&self.right, ""));
        let given = |pair: &&str| pair.split('=').next() != Some(name) && !pair.is_empty();
        let mut pairs: Vec<String> = query.split('&').filter(given).map(str::to_owned).collect();
        pairs.extend(value.map(|value| format!("{name}={value}")));
        format!("{path}?{}", pairs.join("&"))
    }
}
