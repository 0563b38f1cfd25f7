//! sim-kit over real sockets and real databases.
#![allow(clippy::unwrap_used)]

mod control;
mod db;
mod host;
mod short_way;

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use sim_kit::control::Control;
use sim_kit::http_client::Link;
use sim_kit::openapi::doc;
use sim_kit::{Fidelity, Host, HostConfig, Migration, Product, Running, Simulator, Table, World};

pub(crate) const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    name: "notes",
    sql: "CREATE TABLE notes (id TEXT PRIMARY KEY, text TEXT, number BIGINT NOT NULL);",
}];

/// A product with a counter in its database, that can ask another server.
pub(crate) fn product() -> Product {
    Product {
        name: "notebook",
        migrations: MIGRATIONS,
        quick: |method, _| method.is_safe(),
        build: Arc::new(|world| {
            Box::pin(async move {
                let (router, routes) = Table::default()
                    .row("GET", "/notes", count, "", Fidelity::Documented)
                    .row("POST", "/notes", add, "", Fidelity::Documented)
                    .row("GET", "/ask/{port}", ask, "", Fidelity::Inferred)
                    .finish(world, async || (StatusCode::NOT_FOUND, "404 page not found"));
                let added = Table::default()
                    .row(
                        "GET",
                        "/__sim__/v1/pages",
                        async || axum::Json(serde_json::json!([])),
                        "",
                        Fidelity::Documented,
                    )
                    .doc(doc("Its pages").gives("200 [Page]"));
                let control = Control::of(added, (), r#"{ "schemas": { "Page": { "type": "string" } } }"#);
                Ok(Simulator { at_hand: None, router, routes, control })
            })
        }),
    }
}

async fn count(State(world): State<World>) -> String {
    let (count,): (i64,) = sqlx::query_as("SELECT count(*) FROM notes").fetch_one(world.db().pool()).await.unwrap();
    format!("notes: {count}")
}

async fn add(State(world): State<World>) -> StatusCode {
    let mut tx = world.db().write().await.unwrap();
    sqlx::query("INSERT INTO notes (id, text, number) VALUES ($1, $2, $3)")
        .bind(world.ids().token("note", 12))
        .bind(None::<String>)
        .bind(world.clock().now_micros())
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    StatusCode::CREATED
}

async fn ask(State(world): State<World>, axum::extract::Path(port): axum::extract::Path<u16>) -> String {
    let url = format!("http://user:secret@127.0.0.1:{port}/notes").parse().unwrap();
    match Link::new(&world, "other").get(&url, http::HeaderMap::new()).await {
        Ok(answer) => match answer.text().await {
            Ok(text) => text,
            Err(_) => "body broken".to_owned(),
        },
        Err(error) => error.to_string(),
    }
}

pub(crate) async fn start(config: HostConfig) -> Running {
    Host::start(product(), config).await.unwrap()
}

pub(crate) fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}
