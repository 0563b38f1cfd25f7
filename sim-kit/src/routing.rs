//! The one table of routes of a product.
//!
//! The table is the documentation: method, path, handler, the release since which the real product has it, and how sure
//! we are of it. It feeds the router, the fidelity ledger, and the answer to an unknown path: the product's own 404 to
//! the client, and the nearest route to the journal.

use std::convert::Infallible;

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::handler::Handler;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};
use futures_util::future::BoxFuture;
use serde::Serialize;

use crate::openapi::Doc;

/// How sure we are that a route behaves as the real product's. A label may only go up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fidelity {
    /// Known to exist, not built.
    Unimplemented,
    /// Built from inference; the real behaviour is unknown.
    Inferred,
    /// Built from documentation, recordings or client code.
    Documented,
    /// A test drives an unmodified real client through it.
    ClientProven,
}

/// One row of the table.
#[derive(Debug, Clone, Serialize)]
pub struct Route {
    /// `GET`, `POST` …, or `*`.
    pub method: &'static str,
    /// An axum path pattern, such as `/content/{guid}/{*path}`.
    pub path: &'static str,
    /// The release that brought it; empty when it was always there.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub since: &'static str,
    /// How sure we are.
    pub fidelity: Fidelity,
    /// What it belongs to, for readers; may be empty.
    #[serde(skip)]
    pub group: &'static str,
    /// What it does, for the OpenAPI document.
    #[serde(skip)]
    pub doc: Option<Doc>,
}

/// Set on an answer that came from the product's fallback: no route matched.
#[derive(Debug, Clone, Copy)]
pub struct Unmatched;

/// The pattern of the route that answered, set on every answer of a table.
#[derive(Debug, Clone)]
pub struct Matched(pub MatchedPath);

/// Set by a product on its answers: who asked, for the journal.
#[derive(Debug, Clone)]
pub struct Principal(pub String);

/// A table in the making. `S` is the state of the product's handlers.
pub struct Table<S> {
    routes: Vec<Route>,
    router: Router<S>,
    group: &'static str,
}

impl<S: Clone + Send + Sync + 'static> Default for Table<S> {
    fn default() -> Self {
        Self { routes: Vec::new(), router: Router::new(), group: "" }
    }
}

/// The methods a row can have, with their filters.
fn filter(method: &str) -> MethodFilter {
    match method {
        "GET" => MethodFilter::GET,
        "HEAD" => MethodFilter::HEAD,
        "POST" => MethodFilter::POST,
        "PUT" => MethodFilter::PUT,
        "PATCH" => MethodFilter::PATCH,
        "DELETE" => MethodFilter::DELETE,
        "OPTIONS" => MethodFilter::OPTIONS,
        "*" => {
            let all = [
                MethodFilter::POST,
                MethodFilter::PUT,
                MethodFilter::PATCH,
                MethodFilter::DELETE,
                MethodFilter::OPTIONS,
            ];
            all.into_iter().fold(MethodFilter::GET, MethodFilter::or)
        }
        other => panic!("no such method in a table of routes: {other}"),
    }
}

impl<S: Clone + Send + Sync + 'static> Table<S> {
    /// Adds a row. A `GET` row answers `HEAD` too. `method` is one of `GET HEAD POST PUT PATCH DELETE OPTIONS *`.
    ///
    /// # Panics
    /// On a method that is none, and on two rows for the same method and path.
    #[must_use]
    pub fn row<H, T>(
        mut self,
        method: &'static str,
        path: &'static str,
        handler: H,
        since: &'static str,
        fidelity: Fidelity,
    ) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        self.routes.push(Route { method, path, since, fidelity, group: self.group, doc: None });
        self.router = self.router.route(path, on(filter(method), handler));
        self
    }

    /// Says what the last row does, for the OpenAPI document.
    #[must_use]
    pub fn doc(mut self, doc: Doc) -> Self {
        if let Some(last) = self.routes.last_mut() {
            last.doc = Some(doc);
        }
        self
    }

    /// Names what the rows from here on belong to.
    #[must_use]
    pub fn group(self, group: &'static str) -> Self {
        Self { group, ..self }
    }

    /// Adds the rows of another table.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.routes.extend(other.routes);
        self.router = self.router.merge(other.router);
        self
    }

    /// The rows so far.
    #[must_use]
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// The router and the rows. `fallback` is the product's own answer to an unknown path.
    pub fn finish<H, T>(self, state: S, fallback: H) -> (Router, Vec<Route>)
    where
        H: Handler<T, S>,
        T: 'static,
    {
        let router = self
            .router
            .route_layer(tower::layer::layer_fn(RememberRoute))
            .fallback_service(tower::ServiceBuilder::new().layer(axum::middleware::from_fn(mark_unmatched)).service(
                tower::service_fn({
                    let state = state.clone();
                    move |request: Request| {
                        let (fallback, state) = (fallback.clone(), state.clone());
                        async move { Ok::<_, Infallible>(fallback.call(request, state).await.into_response()) }
                    }
                }),
            ))
            .with_state(state);
        (router, self.routes)
    }
}

/// Puts the pattern of the route on its answers. A service of its own, because every request passes it.
#[derive(Clone)]
struct RememberRoute<S>(S);

impl<S> tower::Service<Request> for RememberRoute<S>
where
    S: tower::Service<Request, Response = Response>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let matched = request.extensions().get::<MatchedPath>().cloned();
        let answer = self.0.call(request);
        Box::pin(async move {
            let mut response = answer.await?;
            if let Some(matched) = matched {
                // A route that hands over to another one leaves it the name.
                response.extensions_mut().get_or_insert_with(|| Matched(matched));
            }
            Ok(response)
        })
    }
}

async fn mark_unmatched(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.extensions_mut().insert(Unmatched);
    response
}

/// The row that comes nearest to `path`, as `METHOD path`; none when nothing is similar.
#[must_use]
pub fn nearest(routes: &[Route], method: &str, path: &str) -> Option<String> {
    let wanted: Vec<&str> = path.split('/').take(16).collect();
    let cost = |route: &Route| {
        let have: Vec<&str> = route.path.split('/').collect();
        let mut cost = 4 * wanted.len().abs_diff(have.len());
        for (a, b) in wanted.iter().zip(&have) {
            cost += match (*b, a.eq_ignore_ascii_case(b)) {
                (_, true) => 0,
                (b, _) if b.starts_with('{') => 1,
                (b, _) => 1 + distance(a, b).min(4),
            };
        }
        cost + usize::from(route.method != method && route.method != "*")
    };
    let best = routes.iter().min_by_key(|route| cost(route))?;
    // Half of it may be off; with more there is no likeness.
    (cost(best) <= 2 * wanted.len()).then(|| format!("{} {}", best.method, best.path))
}

/// Levenshtein distance of two short texts.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substitute = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substitute.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_route_is_found() {
        let row = |method, path| {
            let fidelity = Fidelity::Documented;
            Route { method, path, since: "", fidelity, group: "", doc: None }
        };
        let rows = [
            row("GET", "/__api__/v1/content"),
            row("POST", "/__api__/v1/content"),
            row("GET", "/__api__/v1/content/{guid}/jobs"),
            row("GET", "/__ping__"),
        ];
        assert_eq!(nearest(&rows, "POST", "/__api__/v1/contents").unwrap(), "POST /__api__/v1/content");
        assert_eq!(nearest(&rows, "GET", "/__api__/v1/content/x/job").unwrap(), "GET /__api__/v1/content/{guid}/jobs");
        assert_eq!(nearest(&rows, "GET", "/a/b/c/d/e/f/g/h/i"), None);
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[tokio::test]
    async fn answers_carry_their_route() {
        use tower::ServiceExt as _;
        let (router, rows) = Table::<u8>::default()
            .row("GET", "/a/{x}", async || "a", "", Fidelity::Documented)
            .row("POST", "/a/{x}", async || "b", "", Fidelity::Inferred)
            .finish(0, async || (http::StatusCode::NOT_FOUND, "404 page not found"));
        assert_eq!(rows.len(), 2);
        let get =
            |path: &'static str| router.clone().oneshot(Request::get(path).body(axum::body::Body::empty()).unwrap());
        let known = get("/a/1").await.unwrap();
        assert_eq!(known.extensions().get::<Matched>().unwrap().0.as_str(), "/a/{x}");
        let unknown = get("/b").await.unwrap();
        assert!(unknown.extensions().get::<Unmatched>().is_some());
        assert_eq!(unknown.status(), 404);
    }
}
