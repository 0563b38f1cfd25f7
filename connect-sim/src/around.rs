//! What surrounds the routes of the table: who asks, correlation ids, the audit log, and the answer to what is in no row.

use axum::extract::{FromRequestParts as _, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::header::{SERVER, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, StatusCode};
use sim_kit::routing::{Matched, Principal as JournalPrincipal, Unmatched};

use crate::app::App;
use crate::audit;
use crate::auth::Caller;
use crate::error::{Code, Error};

/// The answer to a path, or a method of a path, that is in no row.
pub(crate) async fn unknown() -> Response {
    let mut response = Error::NoRoute.into_response();
    response.extensions_mut().insert(Unmatched);
    response
}

/// What happens around every request: who asks is found out once, for the handler and for the journal; API answers get
/// their correlation id; a NUL character, which no column can hold, is refused.
pub(crate) async fn around(State(app): State<App>, request: Request, next: Next) -> Response {
    let is_api = request.uri().path().starts_with("/__api__/");
    let correlation = is_api.then(|| {
        let given = request.headers().get("x-correlation-id").cloned();
        given.unwrap_or_else(|| {
            let id = app.world().ids().uuid("correlation").to_string();
            HeaderValue::try_from(id).expect("a UUID is a header value")
        })
    });
    if request.uri().path_and_query().is_some_and(|text| text.as_str().contains("%00")) {
        let text = "The address must not hold a NUL character.";
        return Error::bad(Code::BadRequest, text).into_response();
    }
    let (mut parts, body) = request.into_parts();
    // A bad credential is the handler's to refuse: some routes need none.
    let caller = Caller::from_request_parts(&mut parts, &app).await;
    let user = match caller {
        Ok(Caller::User(principal)) => Some(principal.user),
        _ => None,
    };
    let change = is_api && parts.method != Method::GET;
    let (method, path) = (parts.method.clone(), if change { parts.uri.path().to_owned() } else { String::new() });
    let bearer = parts.headers.get("authorization").is_some_and(|value| value.as_bytes().starts_with(b"Bearer "));
    let mut response = next.run(Request::from_parts(parts, body)).await;
    if bearer && response.status() == StatusCode::UNAUTHORIZED {
        let value = HeaderValue::from_static("Bearer error=\"invalid_token\"");
        response.headers_mut().insert(WWW_AUTHENTICATE, value);
    }
    if let Some(user) = user {
        if change
            && response.status().is_success()
            && let Some(route) = response.extensions().get::<Matched>()
        {
            audit::record(&app, &user, &method, route.0.as_str(), &path);
        }
        response.extensions_mut().insert(JournalPrincipal(user.username.clone()));
    }
    response.headers_mut().insert(SERVER, app.server().clone());
    if let Some(id) = correlation {
        response.headers_mut().insert("x-correlation-id", id);
    }
    response
}
