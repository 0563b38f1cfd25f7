//! `/client/view/repos/{repo}/setup`: what to tell R or Python, for a system, a version and a snapshot.
//!
//! The real product's page hands out URLs with the platform in the path for R on Linux
//! (`/cran/latest/bin/linux/noble-x86_64/4.4`); so does this one.

use std::collections::BTreeSet;

use axum::extract::{Path, State};
use axum::response::Response;
use chrono::{Datelike as _, Days, Months, NaiveDate};
use http::HeaderMap;
use http::header::USER_AGENT;
use minijinja::{Value, context};

use super::{Asked, Made, Visit, asked, capital, repo_value};
use crate::api::repos::points;
use crate::app::App;
use crate::error::Error;
use crate::platform::{Distro, R_VERSIONS};
use crate::snapshot::parse_date;
use crate::store::repos::Repo;

/// Versions of Python that commands are written for, newest first.
const PYTHON_VERSIONS: [&str; 6] = ["3.14", "3.13", "3.12", "3.11", "3.10", "3.9"];

/// `GET /client/view/repos/{repo}/setup`
pub async fn page(
    State(app): State<App>,
    visit: Visit,
    headers: HeaderMap,
    Path(repo): Path<String>,
    query: Asked,
) -> Response {
    let agent = headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let made = make(&app, &visit, &repo, &query, agent).await;
    visit.show(made).await
}

/// The address that clients are given for a repo at a snapshot: what R calls a repository and pip an index.
pub(super) fn index_url(visit: &Visit, repo: &Repo, segment: &str) -> String {
    let end = if repo.kind == "Python" { "/simple" } else { "" };
    let url = visit.origin.url(&format!("/{}/{segment}{end}", repo.name));
    match url.split_once("://") {
        Some((scheme, rest)) if repo.authenticated => format!("{scheme}://__token__:TOKEN@{rest}"),
        _ => url,
    }
}

/// Systems that can be chosen for a repo: Linux distributions with binaries for R; for Python what the shell is like.
fn systems(repo: &Repo, distros: &[Distro]) -> Vec<(String, String)> {
    let pair = |value: &str, label: &str| (value.to_owned(), label.to_owned());
    let desktop = [pair("windows", "Windows"), pair("macos", "macOS")];
    if repo.kind != "R" {
        return [pair("linux", "Linux")].into_iter().chain(desktop).collect();
    }
    let mut seen = BTreeSet::new();
    let offered = |distro: &&Distro| distro.os == "linux" && distro.binaries && !distro.hidden;
    let linux: Vec<_> = distros.iter().filter(offered).filter(|distro| seen.insert(&distro.binary_url)).collect();
    let mut all: Vec<_> = linux.into_iter().rev().map(|distro| pair(&distro.binary_url, &distro.display)).collect();
    all.extend(desktop);
    all.push(pair("source", "Any, from source"));
    all
}

/// The choice that was made, or the one that fits the browser.
fn chosen(systems: &[(String, String)], wanted: &str, agent: &str) -> String {
    let guess = if agent.contains("Windows") {
        "windows"
    } else if agent.contains("Mac OS") {
        "macos"
    } else {
        "noble"
    };
    let known = |value: &str| systems.iter().find(|(known, _)| known == value).map(|(known, _)| known.clone());
    known(wanted)
        .or_else(|| known(guess))
        .unwrap_or_else(|| systems.first().map_or_else(String::new, |first| first.0.clone()))
}

fn options<'a>(all: impl Iterator<Item = (&'a str, &'a str)>, chosen: &str) -> Vec<Value> {
    all.map(|(value, label)| context! { value, label, chosen => value == chosen }).collect()
}

async fn make(app: &App, visit: &Visit, repo: &str, query: &Asked, agent: &str) -> Made {
    let repo = visit.repo(repo)?;
    let segment = Some(asked(query, "snapshot")).filter(|text| !text.is_empty()).unwrap_or("latest").to_owned();
    let systems = systems(&repo, &app.view().documents.distros);
    let system = chosen(&systems, asked(query, "os"), agent);
    let (language, versions): (&str, &[&str]) = match repo.kind.as_str() {
        "Python" => ("Python", &PYTHON_VERSIONS),
        "R" => ("R", R_VERSIONS),
        _ => ("", &[]),
    };
    let wanted = asked(query, "language");
    let version = versions.iter().find(|v| **v == wanted).or(versions.get(2)).copied().unwrap_or_default();
    let clients: &[(&str, &str)] = match repo.kind.as_str() {
        "Python" => &[("pip", "pip"), ("uv", "uv"), ("poetry", "Poetry")],
        "Bioconductor" => &[("biocmanager", "BiocManager")],
        "VSX" => &[("editor", "Editor")],
        _ => &[("r", "R"), ("renv", "renv"), ("pak", "pak")],
    };
    let client = clients.iter().map(|(value, _)| *value).find(|value| *value == asked(query, "client"));
    let client = client.unwrap_or(clients[0].0);
    // What is said of a snapshot that is not there is why.
    let problem = match app.shown(&repo, Some(&segment), None).await {
        Ok(_) => None,
        Err(Error::NotFound(reason)) => Some(capital(&reason)),
        Err(other) => return Err(other),
    };
    let asked_for = Choice { repo: &repo, segment: &segment, system: &system, version, client };
    let advice = advice(visit, &asked_for);
    let days: Vec<NaiveDate> = points(app, &repo.name).await?.into_iter().map(|(day, _)| day).collect();
    let link = |snapshot: &str, month: &str| {
        let snapshot = if snapshot == "latest" { "" } else { snapshot };
        let query = [
            ("os", system.as_str()),
            ("language", version),
            ("client", client),
            ("snapshot", snapshot),
            ("month", month),
        ];
        visit.link(&format!("repos/{}/setup", repo.name), &query)
    };
    let today = app.world().clock().now().date_naive();
    let created = super::admin::urls(visit, &repo).await?;
    let created = created.into_iter().map(|url| {
        let id = url.get_attr("id").map(|id| id.to_string()).unwrap_or_default();
        context! { link => link(&id, ""), ..url }
    });
    let created: Vec<Value> = created.collect();
    let recent: Vec<String> = days.iter().rev().take(10).map(ToString::to_string).collect();
    let calendar = calendar(&days, today, &segment, asked(query, "month"), link);
    Ok((
        "setup.html",
        context! {
            here => "home", tab => "setup", repo => repo_value(&repo), snapshot => segment, problem, recent, calendar, created, language,
            systems => options(systems.iter().map(|(value, label)| (value.as_str(), label.as_str())), &system),
            languages => options(versions.iter().map(|v| (*v, *v)), version),
            clients => options(clients.iter().copied(), client),
            url => advice.url, commands => advice.commands, notes => advice.notes,
        },
    ))
}

/// What was chosen.
struct Choice<'a> {
    repo: &'a Repo,
    segment: &'a str,
    system: &'a str,
    version: &'a str,
    client: &'a str,
}

struct Advice {
    url: String,
    commands: Vec<Value>,
    notes: Vec<&'static str>,
}

fn advice(visit: &Visit, choice: &Choice<'_>) -> Advice {
    match choice.repo.kind.as_str() {
        "Python" => python(visit, choice),
        "Bioconductor" => bioconductor(visit, choice),
        "VSX" => vsx(visit, choice),
        _ => r(visit, choice),
    }
}

fn command(title: &str, text: impl Into<String>) -> Value {
    context! { title, text => text.into() }
}

fn r(visit: &Visit, choice: &Choice<'_>) -> Advice {
    let plain = index_url(visit, choice.repo, choice.segment);
    let is_linux = !matches!(choice.system, "windows" | "macos" | "source");
    let url = match is_linux {
        true => format!("{plain}/bin/linux/{}-x86_64/{}", choice.system, choice.version),
        false => plain.clone(),
    };
    // In a file that many machines share R fills in what it runs on.
    let expression = match is_linux {
        true => format!(
            "sprintf(\"{plain}/bin/linux/{}-%s/%s\", R.version[\"arch\"], substr(getRversion(), 1, 3))",
            choice.system
        ),
        false => format!("\"{plain}\""),
    };
    let commands = match choice.client {
        "renv" => vec![
            command("In R, in a project", format!("options(repos = c(CRAN = \"{plain}\"))\nrenv::init()")),
            command("Later, anywhere", "renv::restore()"),
        ],
        "pak" => vec![
            command("In R", format!("options(repos = c(CRAN = \"{url}\"))\npak::pkg_install(\"jsonlite\")")),
            command("In ~/.Rprofile", format!("options(repos = c(CRAN = {expression}))")),
        ],
        _ => vec![
            command("In R", format!("options(repos = c(CRAN = \"{url}\"))\ninstall.packages(\"jsonlite\")")),
            command("In ~/.Rprofile", format!("options(repos = c(CRAN = {expression}))")),
        ],
    };
    let notes = match (is_linux, choice.client) {
        (true, "renv") => vec!["renv finds out by itself that there are Linux binaries, and asks for them."],
        (true, _) => vec!["Packages without a binary for this system and version of R come as source packages."],
        (false, _) if choice.system == "source" => vec!["Packages are built on your machine."],
        (false, _) => vec!["R asks for binaries of its own system and version by itself."],
    };
    Advice { url, commands, notes }
}

fn bioconductor(visit: &Visit, choice: &Choice<'_>) -> Advice {
    let url = index_url(visit, choice.repo, choice.segment);
    let options =
        format!("options(\n  BioC_mirror = \"{url}\",\n  BIOCONDUCTOR_CONFIG_FILE = \"{url}/config.yaml\"\n)");
    let install = "if (!requireNamespace(\"BiocManager\", quietly = TRUE)) install.packages(\"BiocManager\")\n\
                   BiocManager::install(\"BiocGenerics\")";
    let commands = vec![command("In ~/.Rprofile", options), command("In R", install)];
    Advice { url, commands, notes: vec!["Choose a repository of CRAN packages beside it, of about the same date."] }
}

fn vsx(visit: &Visit, choice: &Choice<'_>) -> Advice {
    let url = crate::vsx::gallery(&visit.origin, choice.repo, choice.segment);
    let root = url.trim_end_matches("/gallery");
    let settings = format!(
        "{{\"extensionsGallery\": {{\n  \"serviceUrl\": \"{url}\",\n  \"itemUrl\": \"{root}/item\",\n  \
         \"resourceUrlTemplate\": \"{root}/unpkg/{{publisher}}/{{name}}/{{version}}/{{path}}\"\n}}}}"
    );
    let commands = vec![
        command("In the editor's product.json", settings),
        command("In a shell, for code-server", format!("export EXTENSIONS_GALLERY='{{\"serviceUrl\": \"{url}\"}}'")),
    ];
    Advice { url, commands, notes: vec!["Extensions are installed by the editor, from its own list."] }
}

fn python(visit: &Visit, choice: &Choice<'_>) -> Advice {
    let url = index_url(visit, choice.repo, choice.segment);
    let Choice { version, system, .. } = *choice;
    let host =
        visit.origin.base().split_once("://").map_or("", |(_, rest)| rest.split(['/', ':']).next().unwrap_or_default());
    // pip trusts plain HTTP on the own machine only.
    let trust = !visit.origin.is_secure() && !matches!(host, "localhost" | "127.0.0.1");
    let (python, activate) = match system {
        "windows" => (format!("py -{version}"), ".venv\\Scripts\\activate"),
        _ => (format!("python{version}"), ". .venv/bin/activate"),
    };
    let commands = match choice.client {
        "uv" => {
            let set = match system {
                "windows" => format!("set UV_DEFAULT_INDEX={url}"),
                _ => format!("export UV_DEFAULT_INDEX={url}"),
            };
            let index = format!("[[tool.uv.index]]\nname = \"{}\"\nurl = \"{url}\"\ndefault = true", choice.repo.name);
            vec![
                command("In a shell", format!("{set}\nuv venv --python {version}\nuv pip install six")),
                command("In pyproject.toml", index),
            ]
        }
        "poetry" => {
            let name = &choice.repo.name;
            let source = format!("[[tool.poetry.source]]\nname = \"{name}\"\nurl = \"{url}/\"\npriority = \"primary\"");
            vec![
                command(
                    "In a shell",
                    format!("poetry env use {version}\npoetry source add --priority=primary {name} {url}/"),
                ),
                command("In pyproject.toml", source),
            ]
        }
        _ => {
            let trusted = if trust { format!("\npip config set global.trusted-host {host}") } else { String::new() };
            let conf = if trust { format!("\ntrusted-host = {host}") } else { String::new() };
            let file = if system == "windows" { "In %APPDATA%\\pip\\pip.ini" } else { "In ~/.config/pip/pip.conf" };
            let shell = format!(
                "{python} -m venv .venv\n{activate}\npip config --site set global.index-url {url}{}\npip install six",
                trusted.replace("config set", "config --site set")
            );
            vec![command("In a shell", shell), command(file, format!("[global]\nindex-url = {url}{conf}"))]
        }
    };
    Advice { url, commands, notes: Vec::new() }
}

/// A month of snapshots as rows of seven days; none when there is no dated snapshot. `days` are those that brought something
/// new, `month` (`2025-01`) the one that is looked at, `link` makes the address of the page for a snapshot and a month.
fn calendar(
    days: &[NaiveDate],
    today: NaiveDate,
    segment: &str,
    month: &str,
    link: impl Fn(&str, &str) -> String,
) -> Option<Value> {
    let (first, last) = (*days.first()?, *days.last()?);
    let last = last.max(first).min(today);
    let selected = parse_date(segment);
    let of_month = parse_date(&format!("{month}-01"));
    let shown = of_month.or(selected).unwrap_or(last).clamp(first, last).with_day(1)?;
    let news: BTreeSet<NaiveDate> = days.iter().copied().collect();
    let name = |date: NaiveDate| date.format("%Y-%m").to_string();
    let mut weeks: Vec<Vec<Value>> = vec![vec![Value::UNDEFINED; shown.weekday().num_days_from_monday() as usize]];
    let after = shown.checked_add_months(Months::new(1))?;
    let mut day = shown;
    while day < after {
        if weeks.last().is_some_and(|week| week.len() == 7) {
            weeks.push(Vec::new());
        }
        let date = day.to_string();
        let url = (first..=last).contains(&day).then(|| link(&date, &name(shown)));
        let cell = context! {
            number => day.day(), date, url, news => news.contains(&day), chosen => selected == Some(day),
        };
        weeks.last_mut()?.push(cell);
        day = day.checked_add_days(Days::new(1))?;
    }
    let before = shown.checked_sub_days(Days::new(1)).filter(|day| *day >= first);
    let after = Some(after).filter(|day| *day <= last);
    Some(context! {
        weeks, first => first.to_string(), last => last.to_string(),
        title => shown.format("%B %Y").to_string(),
        before => before.map(|day| link(segment, &name(day))),
        after => after.map(|day| link(segment, &name(day))),
        latest => link("latest", ""),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_has_all_its_days() {
        let day = |text| parse_date(text).unwrap();
        let days = [day("2024-01-10"), day("2024-02-20"), day("2024-03-02")];
        let link = |snapshot: &str, month: &str| format!("{snapshot}/{month}");
        let made = calendar(&days, day("2024-03-05"), "2024-02-20", "", link).unwrap();
        let json = serde_json::to_value(&made).unwrap();
        assert_eq!(
            (&json["title"], &json["before"], &json["after"]),
            (&"February 2024".into(), &"2024-02-20/2024-01".into(), &"2024-02-20/2024-03".into())
        );
        let cells: Vec<_> =
            json["weeks"].as_array().unwrap().iter().flat_map(|week| week.as_array().unwrap()).collect();
        assert_eq!(cells.iter().filter(|cell| cell["number"].is_number()).count(), 29);
        let twentieth = cells.iter().find(|cell| cell["date"] == "2024-02-20").unwrap();
        assert!(twentieth["news"] == true && twentieth["chosen"] == true && twentieth["url"] == "2024-02-20/2024-02");
        let early =
            serde_json::to_value(calendar(&days, day("2024-03-05"), "latest", "2024-01", link).unwrap()).unwrap();
        let ninth = early["weeks"][1][1].clone();
        assert!(ninth["number"] == 9 && ninth["url"].is_null() && early["before"].is_null(), "{ninth}");
        assert!(calendar(&[], day("2024-03-05"), "latest", "", link).is_none());
        for odd in ["2024-13", "x", "9999999-01", "0000-01", "262143-12"] {
            assert!(calendar(&days, day("2024-03-05"), "latest", odd, link).is_some(), "{odd}");
        }
    }
}
