//! `/__docs__/`: where the real product has its manuals, a page that says what documents there are of this one.

use axum::extract::State;
use axum::response::{IntoResponse as _, Redirect, Response};
use minijinja::context;

use super::{Made, Visit};
use crate::app::App;

/// Documents beside the source code, and what they are about.
const DOCUMENTS: [(&str, &str); 5] = [
    ("README.md", "how to start"),
    ("docs/PACKAGE_MANAGER_UI.md", "the web interface"),
    ("docs/PACKAGE_MANAGER_SETTINGS.md", "the settings"),
    ("docs/FIDELITY.md", "how sure it is of each address that the real product does the same"),
    ("docs/VERSIONS.md", "the releases that are simulated"),
];

/// `GET /__docs__`
pub async fn index(visit: Visit) -> Response {
    Redirect::to(&format!("{}/__docs__/", visit.base)).into_response()
}

/// `GET /__docs__/`
pub async fn page(State(app): State<App>, visit: Visit) -> Response {
    let made = make(&app, &visit);
    visit.show(made).await
}

fn make(app: &App, visit: &Visit) -> Made {
    let view = app.view();
    let repos = view.repos_in_order().into_iter().filter(|repo| !repo.hidden || visit.session.is_some());
    let repos: Vec<String> = repos.map(|repo| repo.name.clone()).collect();
    Ok(("docs.html", context! { here => "docs", repos, documents => DOCUMENTS }))
}
