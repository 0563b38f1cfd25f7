//! The one table of routes. Paths are those of the real product where they are known; what lies under `/workspaces/` and
//! the terminal sockets is not public there and is this simulator's own.

use axum::Router;
use axum::extract::State;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use sim_kit::Fidelity::{ClientProven, Documented, Inferred};
use sim_kit::control::Control;
use sim_kit::{Simulator, Table};

use crate::App;
use crate::auth::{self, sign_in};
use crate::terminal::socket;
use crate::{api, assets, health, home, ide};

/// The simulator of `app`.
pub(crate) fn simulator(app: &App) -> Simulator {
    #[rustfmt::skip]
    let table = Table::default()
        .row("GET", "/", home::page, "", ClientProven)
        .row("GET", "/home", home::page, "", ClientProven)
        .row("GET", "/home/", home::page, "", Documented)
        .row("GET", "/auth-sign-in", sign_in::page, "", ClientProven)
        .row("POST", "/auth-do-sign-in", sign_in::submit, "", ClientProven)
        .row("GET", "/auth-public-key", sign_in::public_key, "", ClientProven)
        .row("POST", "/auth-sign-out", sign_in::sign_out, "", ClientProven)
        .row("GET", "/auth-refresh-credentials", sign_in::refresh, "", Documented)
        .row("POST", "/auth-update-credentials", api::no_update_credentials, "", Documented)
        .row("GET", "/s/{scope}", ide::without_slash, "", Inferred)
        .row("GET", "/s/{scope}/", ide::page, "", ClientProven)
        .row("GET", "/s/{scope}/terminal", socket::shell, "", Inferred)
        .row("GET", "/s/{scope}/console", socket::console, "", Inferred)
        .row("GET", "/workspaces/sessions", home::sessions, "", Inferred)
        .row("POST", "/workspaces/perf", home::perf, "", Documented)
        .row("POST", "/workspaces/{method}", api::home_call, "", Inferred)
        .row("GET", "/api/{method}", api::get, "2024.12", Documented)
        .row("POST", "/api/{method}", api::post, "2024.12", Documented)
        .row("POST", "/heartbeat", api::heartbeat, "", Documented)
        .row("GET", "/health-check", health::check, "", Documented)
        .row("GET", "/css/{*path}", assets::css, "", Inferred)
        .row("GET", "/js/{*path}", assets::js, "", Inferred)
        .row("GET", "/images/{*path}", assets::images, "", Inferred);
    let (router, routes) = table.finish(app.clone(), missing);
    let router = router.layer(from_fn_with_state(app.clone(), auth::layer));
    let root = app.root().to_owned();
    let router = if root.is_empty() {
        router
    } else {
        Router::new().nest(&root, router).fallback(move || {
            let to = format!("{root}/");
            async move { sign_in::redirect(&to) }
        })
    };
    Simulator { at_hand: None, router, routes, control: Control::default() }
}

async fn missing(State(_): State<App>) -> Response {
    (StatusCode::NOT_FOUND, "404 Not Found").into_response()
}
