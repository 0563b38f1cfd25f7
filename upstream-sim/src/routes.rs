//! The table of routes. The protocol is teamsim's own (PSP/1, see [`pkg_formats::psp`]); the real service's is unknown.

use std::sync::Arc;

use axum::Router;
use sim_kit::World;
use sim_kit::routing::{Fidelity, Route, Table};

use crate::error::Error;
use crate::service::Service;
use crate::{documents, objects};

/// What handlers share.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) world: World,
    pub(crate) service: Arc<Service>,
}

pub(crate) fn table(app: App) -> (Router, Vec<Route>) {
    let label = Fidelity::Inferred;
    Table::default()
        .row("GET", "/psp/v1/root.json", documents::root, "", label)
        .row("GET", "/psp/v1/{feed}/head.json", documents::head, "", label)
        .row("POST", "/psp/v1/{feed}/demand", documents::demand, "", label)
        .row("GET", "/psp/v1/{feed}/checkpoints/{document}", documents::checkpoint, "", label)
        .row("GET", "/psp/v1/index/sha256/{aa}/{hex}", objects::index, "", label)
        .row("GET", "/psp/v1/records/sha256/{aa}/{hex}", objects::record, "", label)
        .row("GET", "/psp/v1/blobs/sha256/{aa}/{hex}", objects::blob, "", label)
        .finish(app, async || Error::NoSuchPath)
}
