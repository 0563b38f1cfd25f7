//! Threads that answer connections, one a core, each with a runtime of its own.
//!
//! A connection stays on its lane, so that a small answer costs no handing over between threads: in a runtime whose threads share
//! their work that is a quarter of what such an answer takes. Longer requests ([`Product::quick`](crate::host::Product::quick)), and
//! work that belongs to none, run where their World was opened ([`World::spawn`](crate::world::World::spawn)), so that a lane is not
//! kept from its connections by it. The lanes belong to the process and serve all its simulators; they end with it.

use std::future::pending;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tokio::runtime::{Builder, Handle};

static LANES: OnceLock<Vec<Handle>> = OnceLock::new();
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// The lane of the next connection: each in turn. On a machine that has no thread to give, the runtime this is called in.
pub(crate) fn next() -> Handle {
    let lanes = LANES.get_or_init(|| {
        open().unwrap_or_else(|error| {
            tracing::warn!(%error, "no threads of their own for connections");
            Vec::new()
        })
    });
    let turn = NEXT.fetch_add(1, Ordering::Relaxed);
    turn.checked_rem(lanes.len()).map_or_else(Handle::current, |lane| lanes[lane].clone())
}

fn open() -> std::io::Result<Vec<Handle>> {
    let many = thread::available_parallelism().map_or(1, usize::from);
    (0..many)
        .map(|number| {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let handle = runtime.handle().clone();
            thread::Builder::new().name(format!("lane-{number}")).spawn(move || runtime.block_on(pending::<()>()))?;
            Ok(handle)
        })
        .collect()
}
