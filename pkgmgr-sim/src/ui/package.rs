//! `/client/view/repos/{repo}/packages/{name}`: a package.

use axum::extract::{Path, State};
use axum::response::Response;
use chrono::{DateTime, Utc};
use minijinja::{Value, context};
use pkg_formats::psp::{Artifact, ArtifactKind, PythonFile, PythonRecord, RRecord, RVersion, VSIX, VsxRecord};
use pkg_formats::python::name::normalize;
use pulldown_cmark::{CowStr, Event, Parser, Tag};
use serde_json::{Value as Json, json};

use super::setup::index_url;
use super::{Asked, Made, Visit, asked, repo_value};
use crate::api::packages::{self as api, Seen};
use crate::api::{dependencies, filter};
use crate::app::App;
use crate::blocklist::{Suspect, When};
use crate::error::Error;
use crate::record;
use crate::snapshot::Snapshot;
use crate::store::packages;
use crate::store::repos::Repo;
use crate::store::sources::Language;

/// `GET /client/view/repos/{repo}/packages/{name}`
pub async fn page(
    State(app): State<App>,
    visit: Visit,
    Path((repo, name)): Path<(String, String)>,
    query: Asked,
) -> Response {
    let made = make(&app, &visit, &repo, &name, &query).await;
    visit.show(made).await
}

/// What differs between the languages.
#[derive(Default)]
struct Parts {
    versions: Vec<Value>,
    files: Vec<Value>,
    /// Kinds of dependencies: each a title and a list of names with what they need.
    dependencies: Vec<(String, Vec<(String, String)>)>,
    readme: Option<String>,
    archived: bool,
}

async fn make(app: &App, visit: &Visit, repo: &str, name: &str, query: &Asked) -> Made {
    let repo = visit.repo(repo)?;
    let segment = Some(asked(query, "snapshot")).filter(|text| !text.is_empty()).unwrap_or("latest");
    let version = Some(asked(query, "version")).filter(|text| !text.is_empty());
    let snapshot = app.shown(&repo, Some(segment), None).await?;
    let python = repo.kind == "Python";
    let name = if python { normalize(name) } else { name.to_owned() };
    let missing = || Error::NotFound(format!("there is no package {name} in {} as of {segment}", repo.name));
    let known = api::package(app, &repo, &snapshot, &name, version).await?.ok_or_else(missing)?;
    // Editors do not mind case.
    let written = if repo.kind == "VSX" { known["name"].as_str().unwrap_or(&name) } else { &name };
    let seen = api::seen(app, &snapshot, written).await?.ok_or_else(missing)?;
    let text = |member: &str| known[member].as_str().unwrap_or_default().to_owned();
    let shown = text("version");
    let parts = match repo.language() {
        Language::Python => python_parts(app, visit, &repo, segment, &seen, &shown).await?,
        Language::R => r_parts(visit, &repo, segment, &seen, &known, &shown)?,
        Language::Vsx => vsx_parts(visit, &repo, segment, &seen, &shown)?,
    };
    let license = known["license"].as_str();
    let suspect = Suspect { python, source: seen.source, name: &name, version: &shown, license, deleted: false };
    let view = app.view();
    let blocked = view.rules_for(repo.id, When::Now).and_then(|rules| rules.blocking(suspect));
    let mut groups = Vec::new();
    for (title, list) in parts.dependencies.into_iter().filter(|(_, list)| !list.is_empty()) {
        let mut named = Vec::new();
        for (name, needs) in list {
            let key = if python { normalize(&name) } else { name.clone() };
            let known = is_in(app, &snapshot, &key).await?;
            named.push(context! { name, needs, known });
        }
        groups.push(context! { title, list => named });
    }
    let published = [text("date_publication"), text("package_date")].into_iter().find(|date| !date.is_empty());
    let package = context! {
        name => if python { text("name") } else { name.clone() },
        version => &shown,
        title => [text("title"), text("summary")].into_iter().find(|text| !text.is_empty()),
        description => text("description"),
        license,
        checksum => text("checksum"),
        published => published.map(|date| date.chars().take(10).collect::<String>()),
        requires_python => known["requires_python"].as_str(),
        yanked => known["yanked"].as_bool(),
        archived => parts.archived,
        source => view.source(seen.source).map(|source| source.name.clone()),
        blocked,
    };
    let told = told(app, visit, &repo, segment, &format!("{name}=={shown}")).await?;
    let vulns = vulnerabilities(&told);
    let noted = told["metadata"].as_array().into_iter().flatten();
    let metadata: Vec<Value> =
        noted.map(|one| context! { key => one["key"].as_str(), value => one["value"].as_str() }).collect();
    let install = install(visit, &repo, segment, &name, version);
    let readme = parts.readme.as_deref().map(prose);
    Ok((
        "package.html",
        context! {
            here => "home", repo => repo_value(&repo), snapshot => segment, package, install, readme,
            vulns, metadata, versions => parts.versions, files => parts.files,
            has_dependencies => !groups.is_empty(), dependencies_by_kind => groups,
        },
    ))
}

async fn is_in(app: &App, snapshot: &Snapshot, name: &str) -> Result<bool, Error> {
    for part in &snapshot.parts {
        if packages::get(app.world().db(), part.source, part.at, name).await?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn day(at: DateTime<Utc>) -> String {
    at.date_naive().to_string()
}

fn r_parts(visit: &Visit, repo: &Repo, segment: &str, seen: &Seen, known: &Json, shown: &str) -> Result<Parts, Error> {
    let record: RRecord = serde_json::from_str(&seen.json)?;
    let current = record::current(&record, seen.t);
    let all: Vec<&RVersion> = current.into_iter().chain(record::archived(&record, seen.t)).collect();
    let versions = all.iter().map(|v| context! { version => &v.version, published => day(v.published_at) }).collect();
    let archived = current.is_none_or(|current| current.version != shown);
    let mut parts = Parts { versions, archived, ..Parts::default() };
    if let Some(version) = all.iter().find(|version| version.version == shown) {
        parts.files = r_files(visit, repo, segment, &record.name, version, archived);
        parts.readme.clone_from(&version.readme);
    }
    for (member, title) in [
        ("depends", "Depends"),
        ("imports", "Imports"),
        ("linking_to", "Linking to"),
        ("suggests", "Suggests"),
        ("enhances", "Enhances"),
    ] {
        let list = known[member].as_array().into_iter().flatten().map(|one| {
            let text = |member: &str| one[member].as_str().unwrap_or_default();
            (text("name").to_owned(), format!("{} {}", text("operator"), text("version")).trim().to_owned())
        });
        parts.dependencies.push((title.to_owned(), list.collect()));
    }
    Ok(parts)
}

/// The source package, and the binaries: one row for each system and version of R.
fn r_files(visit: &Visit, repo: &Repo, segment: &str, name: &str, version: &RVersion, archived: bool) -> Vec<Value> {
    let root = visit.origin.url(&format!("/{}/{segment}", repo.name));
    let archive = if archived { format!("Archive/{name}/") } else { String::new() };
    // Packages of Bioconductor lie in directories by release and component.
    let address = |artifact: &Artifact, place: &str| match repo.kind.as_str() {
        "R" => format!("{root}/{place}/{archive}{}", artifact.filename),
        _ => String::new(),
    };
    let mut rows: Vec<(String, Vec<String>, &Artifact, String)> = Vec::new();
    for artifact in &version.artifacts {
        let (r, arch) = (artifact.r.as_deref().unwrap_or("*"), artifact.arch.as_deref().unwrap_or("*"));
        let cpu = if arch == "*" { "x86_64" } else { arch };
        let tag = artifact.tag.as_deref().unwrap_or_default();
        let (system, place) = match artifact.kind {
            ArtifactKind::Source => ("Source".to_owned(), "src/contrib".to_owned()),
            ArtifactKind::Linux => {
                let distro = if tag == "*" { "jammy" } else { tag };
                (format!("Linux, R {r}"), format!("bin/linux/{distro}-{cpu}/{r}/src/contrib"))
            }
            ArtifactKind::Windows => (format!("Windows, R {r}"), format!("bin/windows/contrib/{r}")),
            ArtifactKind::Macos => {
                let flavor = if tag.is_empty() { String::new() } else { format!("/{tag}") };
                (format!("macOS, R {r}"), format!("bin/macosx{flavor}/contrib/{r}"))
            }
            ArtifactKind::Other => continue,
        };
        let place_name = match (tag, arch) {
            ("" | "*", "*") => String::new(),
            ("" | "*", arch) => arch.to_owned(),
            (tag, "*") => tag.to_owned(),
            (tag, arch) if tag.contains(arch) => tag.to_owned(),
            (tag, arch) => format!("{tag} {arch}"),
        };
        match rows.iter_mut().find(|(known, ..)| *known == system) {
            Some((_, places, ..)) => places.push(place_name),
            None => rows.push((system, vec![place_name], artifact, address(artifact, &place))),
        }
    }
    // Source first, then the newest R.
    rows.sort_by(|a, b| {
        (a.2.kind != ArtifactKind::Source).cmp(&(b.2.kind != ArtifactKind::Source)).then(b.0.cmp(&a.0))
    });
    rows.into_iter()
        .map(|(system, places, artifact, url)| {
            let places: Vec<String> = places.into_iter().filter(|place| !place.is_empty()).collect();
            let platform = if places.is_empty() { system } else { format!("{system}: {}", places.join(", ")) };
            context! { platform, name => &artifact.filename, size => artifact.size, url }
        })
        .collect()
}

async fn python_parts(
    app: &App,
    visit: &Visit,
    repo: &Repo,
    segment: &str,
    seen: &Seen,
    shown: &str,
) -> Result<Parts, Error> {
    let record: PythonRecord = serde_json::from_str(&seen.json)?;
    let mut parts = Parts::default();
    let mut last = "";
    for (file, _) in record::files(&record, seen.t).rev() {
        if file.version != last {
            parts.versions.push(context! { version => &file.version, published => day(file.upload_time) });
            last = &file.version;
        }
    }
    let files: Vec<&PythonFile> =
        record::files(&record, seen.t).map(|(file, _)| file).filter(|file| file.version == shown).collect();
    for file in &files {
        let url = visit.origin.url(&format!("/{}/{segment}/packages/{}/{}", repo.name, file.sha256, file.filename));
        let platform = match file.filename.strip_suffix(".whl") {
            Some(stem) => format!("Wheel, {}", stem.splitn(3, '-').nth(2).unwrap_or_default()),
            None => "Source".to_owned(),
        };
        parts.files.push(context! { platform, name => &file.filename, size => file.size, url });
    }
    // Without the package service the page lacks the list, and nothing else.
    if let Some(metadata) = dependencies::metadata_of(app, &files).await {
        let (extra, needed): (Vec<_>, Vec<_>) =
            metadata.requires_dist.iter().map(|text| requirement(text)).partition(|(_, needs)| needs.contains("extra"));
        parts.dependencies = vec![("Requires".to_owned(), needed), ("For extras".to_owned(), extra)];
    }
    Ok(parts)
}

fn vsx_parts(visit: &Visit, repo: &Repo, segment: &str, seen: &Seen, shown: &str) -> Result<Parts, Error> {
    let record: VsxRecord = serde_json::from_str(&seen.json)?;
    let mut parts = Parts::default();
    let (mut last, root) = ("", crate::vsx::gallery(&visit.origin, repo, segment));
    let (publisher, name) = record.name.split_once('.').unwrap_or(("", &record.name));
    for version in record::vsx_versions(&record, seen.t) {
        if version.version != last {
            parts.versions.push(context! { version => &version.version, published => day(version.published_at) });
            last = &version.version;
        }
        let file = crate::vsx::file_of(version, VSIX).filter(|_| version.version == shown);
        if let Some(file) = file {
            let platform = &version.target_platform;
            let url = format!(
                "{root}/publishers/{publisher}/vsextensions/{name}/{shown}/vspackage?targetPlatform={platform}"
            );
            parts
                .files
                .push(context! { platform, name => format!("{}-{shown}.vsix", record.name), size => file.size, url });
        }
    }
    let needed = record.extension_dependencies.into_iter().map(|name| (name, String::new())).collect();
    parts.dependencies = vec![("Extensions".to_owned(), needed)];
    Ok(parts)
}

/// A requirement as its name and the rest.
fn requirement(text: &str) -> (String, String) {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c))).unwrap_or(text.len());
    (text[..end].to_owned(), text[end..].trim().to_owned())
}

fn install(visit: &Visit, repo: &Repo, segment: &str, name: &str, version: Option<&str>) -> Vec<Value> {
    let url = index_url(visit, repo, segment);
    let command = |title: &str, text: String| context! { title, text };
    match (repo.kind.as_str(), version) {
        ("Python", version) => {
            let wanted = version.map_or_else(|| name.to_owned(), |version| format!("{name}=={version}"));
            vec![
                command("pip", format!("pip install --index-url {url} {wanted}")),
                command("uv", format!("uv pip install --default-index {url} {wanted}")),
            ]
        }
        ("VSX", version) => {
            let wanted = version.map_or_else(|| name.to_owned(), |version| format!("{name}@{version}"));
            vec![command("An editor that uses this gallery", format!("positron --install-extension {wanted}"))]
        }
        ("Bioconductor", _) => vec![command("R", format!("BiocManager::install(\"{name}\")"))],
        (_, None) => vec![command("R", format!("install.packages(\"{name}\", repos = \"{url}\")"))],
        (_, Some(version)) => {
            vec![command("R", format!("remotes::install_version(\"{name}\", \"{version}\", repos = \"{url}\")"))]
        }
    }
}

/// What clients are told of a version; null when it is not there any more.
async fn told(app: &App, visit: &Visit, repo: &Repo, segment: &str, pinned: &str) -> Result<Json, Error> {
    let wanted = json!({ "repo": repo.name, "snapshot": segment, "names": [pinned], "omit_dependencies": true });
    let told = filter::packages(State(app.clone()), visit.caller.clone(), wanted.to_string().into()).await;
    let body = told.map_err(|error| error.0)?.into_body();
    let line = axum::body::to_bytes(body, 1 << 22).await.map_err(|error| Error::Internal(error.to_string()))?;
    Ok(if line.is_empty() { Json::Null } else { serde_json::from_slice(&line)? })
}

/// The vulnerabilities of a version that clients are told so much of.
fn vulnerabilities(told: &Json) -> Vec<Value> {
    let shown = |vuln: &Json| {
        let severities = || vuln["severity"].as_array().into_iter().flatten();
        let score = severities().find_map(|one| one["calculated_score"]["base_score"].as_f64());
        let vector = severities().find_map(|one| one["score"].as_str());
        let aliases: Vec<&str> = vuln["aliases"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
        let published: Option<String> = vuln["published"].as_str().map(|at| at.chars().take(10).collect());
        let events = vuln["ranges"]
            .as_array()
            .into_iter()
            .flatten()
            .flat_map(|range| range["events"].as_array().into_iter().flatten());
        let fixed: Vec<&str> = events.filter_map(|event| event["fixed"].as_str()).collect();
        context! {
            id => vuln["id"].as_str(), summary => vuln["summary"].as_str(), score, level => score.map(level), vector, published,
            aliases => aliases.join(", "), fixed => fixed.join(", "), simulated => vuln["simulated"].as_bool(),
        }
    };
    told["vulns"].as_array().into_iter().flatten().map(shown).collect()
}

/// The word for a base score, as CVSS has it.
fn level(score: f64) -> &'static str {
    match score {
        9.0.. => "critical",
        7.0.. => "high",
        4.0.. => "medium",
        0.1.. => "low",
        _ => "none",
    }
}

/// Markdown as HTML in which nothing can run or be loaded: markup of the text's own is shown as text, images by their words,
/// links lead to the web only.
fn prose(text: &str) -> String {
    let web = |url: &CowStr<'_>| url.starts_with("https://") || url.starts_with("http://");
    let safe = Parser::new(text).map(|event| match event {
        Event::Html(text) | Event::InlineHtml(text) => Event::Text(text),
        Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
            let dest_url = if web(&dest_url) { dest_url } else { CowStr::Borrowed("#") };
            Event::Start(Tag::Link { link_type, dest_url, title, id })
        }
        Event::Start(Tag::Image { .. }) => Event::Start(Tag::Emphasis),
        Event::End(pulldown_cmark::TagEnd::Image) => Event::End(pulldown_cmark::TagEnd::Emphasis),
        other => other,
    });
    let mut out = String::new();
    pulldown_cmark::html::push_html(&mut out, safe);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_readme_cannot_do_anything() {
        let html = prose(
            "# Hi\n\n[a](javascript:x) ![pic](http://e/x.png) [b](https://e/) <b onclick=x>\n\n<script>x</script>\n\n<img src=x>",
        );
        assert!(html.contains("<h1>Hi</h1>") && html.contains("href=\"https://e/\""), "{html}");
        for bad in ["<script", "javascript:", "<img", "<b "] {
            assert!(!html.contains(bad), "{bad} in {html}");
        }
    }

    #[test]
    fn requirements_are_split() {
        let split = |text| requirement(text);
        assert_eq!(
            split("click>=8.0; python_version < '3.9'"),
            ("click".into(), ">=8.0; python_version < '3.9'".into())
        );
        assert_eq!(split("six"), ("six".into(), String::new()));
        assert_eq!(split("a.b[c] (>1)"), ("a.b".into(), "[c] (>1)".into()));
    }

    proptest::proptest! {
        #[test]
        fn no_readme_gets_through(text in ".{0,300}") {
            let html = prose(&text).to_lowercase();
            assert!(!html.contains("<script") && !html.contains("<img"), "{html}");
        }
    }
}
