//! The page at `/` and `/client/`: the repos and how to use them.
//!
//! The real server has a single-page application here. This page is rendered by the server; it keeps the hooks that browser
//! tests of the real one look for.

use std::fmt::Write as _;

use axum::extract::State;
use axum::response::Html;
use sim_kit::origin::Origin;

use crate::VERSION;
use crate::app::App;
use crate::record::instant;
use crate::store::repos::Repo;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;color:#1c2430}\
pre{background:#f2f4f7;padding:.75rem;overflow-x:auto;border-radius:.4rem}section{border:1px solid #d5dae1;border-radius:.6rem;\
padding:0 1.25rem .5rem;margin:1.25rem 0}footer{color:#5a6575;font-size:.875rem}";

/// `GET /`
pub async fn page(State(app): State<App>, origin: Origin) -> Html<String> {
    let origin = app.origin(origin);
    let view = app.view();
    let mut out = format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>Package Manager (simulated)</title><style>{STYLE}</style></head><body><main>\
         <h1 data-automation=\"home-title\">Package Manager (simulated)</h1>"
    );
    for repo in view.repos_in_order().into_iter().filter(|repo| !repo.hidden) {
        let newest = repo.subscriptions.last().and_then(|s| s.sources.iter().find_map(|id| view.newest.get(id)));
        let state = newest.map_or_else(
            || "not synchronised yet".to_owned(),
            |point| format!("snapshot of {}", instant(point.as_of).date_naive()),
        );
        let write = write!(
            out,
            "<section data-automation=\"repository-selection-card\"><h2>{}</h2><p>{} &middot; {}<br>{}</p><pre>{}</pre></section>",
            escape(&repo.name),
            escape(&repo.kind),
            escape(&state),
            escape(&repo.description),
            escape(&usage(repo, &origin)),
        );
        write.expect("writing to a string cannot fail");
    }
    let write = write!(
        out,
        "<p>In place of <code>latest</code> write a date (<code>2025-01-31</code>) to get what was published before that day, \
         or the number of a transaction.</p><p><a href=\"{0}\">Status</a> &middot; <a href=\"{1}\">Repositories</a></p></main>\
         <footer>A simulator of release {VERSION}; not affiliated with Posit. Packages are synthetic unless the package service \
         says otherwise.</footer></body></html>",
        escape(&origin.url("/__api__/status")),
        escape(&origin.url("/__api__/repos")),
    );
    write.expect("writing to a string cannot fail");
    Html(out)
}

fn usage(repo: &Repo, origin: &Origin) -> String {
    match repo.kind.as_str() {
        "Python" => {
            let url = origin.url(&format!("/{}/latest/simple", repo.name));
            format!("pip install --index-url {url} flask\nuv pip install --default-index {url} flask")
        }
        "Bioconductor" => {
            let url = origin.url(&format!("/{}/latest", repo.name));
            format!(
                "options(BioC_mirror = \"{url}\", BIOCONDUCTOR_CONFIG_FILE = \"{url}/config.yaml\")\n\
                 BiocManager::install(\"BiocGenerics\")"
            )
        }
        _ => {
            let source = origin.url(&format!("/{}/latest", repo.name));
            let binary = origin.url(&format!("/{}/__linux__/jammy/latest", repo.name));
            format!(
                "# source packages\noptions(repos = c(CRAN = \"{source}\"))\n\n# Linux binaries\noptions(repos = c(CRAN = \
                 \"{binary}\"))\noptions(HTTPUserAgent = sprintf(\"R/%s R (%s)\", getRversion(),\n  paste(getRversion(), \
                 R.version$platform, R.version$arch, R.version$os)))"
            )
        }
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
