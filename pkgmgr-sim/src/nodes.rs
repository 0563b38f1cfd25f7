//! The servers of a database, and the one that is in maintenance.
//!
//! `rspm offline`, `online` and `cluster` are documented as commands for installations of several nodes; what they do is not. Here a
//! node that is offline answers 503 on the paths of its repositories, also after a restart, until it is online again. The API and the
//! web interface stay.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::http::HeaderValue;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::header::RETRY_AFTER;
use serde_json::{Value, json};
use sim_kit::World;
use sim_kit::db::Engine;

use crate::app::App;
use crate::error::Error;
use crate::store::nodes::{self, Node};
use crate::{VERSION, api};

/// How often a node says that it lives, in the machine's time.
const BEAT: Duration = Duration::from_secs(30);
/// Microseconds after which a silent node is lost.
const SILENCE: i64 = 120_000_000;
/// Microseconds after which it is forgotten.
const DAY: i64 = 86_400_000_000;

/// This server among the others.
pub(crate) struct Here {
    id: String,
    offline: AtomicBool,
}

impl Here {
    /// Joins the others.
    pub(crate) async fn join(world: &World) -> Result<Self, Error> {
        let file = world.root().join("node");
        let id = match std::fs::read_to_string(&file) {
            Ok(id) => id,
            Err(_) => {
                let id = world.ids().secret(12);
                std::fs::write(&file, &id)?;
                id
            }
        };
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_else(|_| "localhost".to_owned());
        let now = world.clock().now_micros();
        let node = Node {
            id: id.clone(),
            name: name.trim().to_owned(),
            version: VERSION.to_owned(),
            offline: false,
            started_at: now,
            seen_at: now,
        };
        let mut tx = world.db().write().await?;
        let offline = nodes::join(&mut tx, &node, now - DAY).await?;
        tx.commit().await?;
        Ok(Self { id, offline: offline.into() })
    }
}

impl App {
    /// Tells the others that this node lives, for as long as the World does. A database file has no others.
    pub(crate) async fn beat_for_ever(self) {
        while self.world().db().engine() == Engine::Postgres {
            tokio::time::sleep(BEAT).await;
            let told = async {
                let mut tx = self.world().db().write().await?;
                nodes::seen(&mut tx, &self.0.here.id, self.world().clock().now_micros()).await?;
                tx.commit().await
            };
            if let Err(error) = told.await {
                tracing::warn!(%error, "the other nodes do not hear of this one");
            }
        }
    }

    /// Puts this node into maintenance, or ends that. Gives the node.
    pub(crate) async fn set_offline(&self, offline: bool) -> Result<Value, Error> {
        let mut tx = self.world().db().write().await?;
        nodes::set_offline(&mut tx, &self.0.here.id, offline).await?;
        tx.commit().await?;
        self.0.here.offline.store(offline, Ordering::Relaxed);
        let all = self.nodes().await?;
        all.into_iter().find(|node| node["this"] == true).ok_or_else(|| Error::NotFound("this node is gone".to_owned()))
    }

    /// All nodes.
    pub(crate) async fn nodes(&self) -> Result<Vec<Value>, Error> {
        let now = self.world().clock().now_micros();
        let shown = |node: Node| {
            let this = node.id == self.0.here.id;
            let state = match () {
                () if !this && node.seen_at < now - SILENCE => "lost",
                () if node.offline => "offline",
                () => "online",
            };
            json!({
                "id": node.id, "name": node.name, "version": node.version, "state": state, "this": this,
                "started": api::time(node.started_at), "seen": api::time(if this { now } else { node.seen_at }),
            })
        };
        Ok(nodes::list(self.world().db()).await?.into_iter().map(shown).collect())
    }

    /// The answer to everything on `path`, when that is a repository's and this node is offline.
    pub(crate) fn away(&self, path: &str) -> Option<Response> {
        let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
        let stays = first.is_empty() || first.starts_with("__") || ["client", "metrics"].contains(&first);
        if stays || !self.0.here.offline.load(Ordering::Relaxed) {
            return None;
        }
        let text = "this node is offline for maintenance; `rspm online` brings it back";
        let mut answer = (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("60"));
        Some(answer)
    }
}
