//! Threads that answer connections, one a core, each with a runtime of its own.
//!
//! A connection stays on its lane, so that a small answer costs no handing over between threads: in a runtime whose threads share
//! their work that is a quarter of what such an answer takes. Longer requests ([`Product::quick`](crate::host::Product::quick)), and
//! work that belongs to none, run where their World was opened ([`World::spawn`](crate::world::World::spawn)), so that a lane is not
//! kept from its connections by it. The lanes belong to the process and serve all its simulators; they end with it.
//!
//! Where a process may use every core that it sees, a lane stays on its core, and a connection goes to the lane of the core that its
//! packets come to. A client of the same machine is mostly there as well: neither wakes the other across cores, which takes longer
//! than a small answer.

use std::future::pending;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle};

static LANES: OnceLock<Vec<Lane>> = OnceLock::new();

/// Connections that a lane may have more than twice those of another: a client opens its own one after the other. Past that, as on a
/// machine where the packets of all clients come to one core, they go elsewhere.
const MORE: usize = 16;

struct Lane {
    runtime: Handle,
    /// The core that it stays on.
    core: Option<usize>,
    connections: AtomicUsize,
}

impl Lane {
    fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

/// A connection's place on a lane, as long as it is kept. On a machine that has no thread to give there are none.
pub(crate) struct Place(Option<&'static Lane>);

impl Place {
    /// The best for a connection.
    pub(crate) fn of(stream: &TcpStream) -> Self {
        let lanes = LANES.get_or_init(|| {
            open().unwrap_or_else(|error| {
                tracing::warn!(%error, "no threads of their own for connections");
                Vec::new()
            })
        });
        let lane = choose(lanes, system::core_of(stream));
        if let Some(lane) = lane {
            lane.connections.fetch_add(1, Ordering::Relaxed);
        }
        Self(lane)
    }

    /// Where its connection is answered.
    pub(crate) fn runtime(&self) -> Handle {
        self.0.map_or_else(Handle::current, |lane| lane.runtime.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(lane) = self.0 {
            lane.connections.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// The lane of a core, or the one with the fewest connections.
fn choose(lanes: &[Lane], core: Option<usize>) -> Option<&Lane> {
    let idlest = lanes.iter().min_by_key(|lane| lane.connections())?;
    let near = core.and_then(|core| lanes.iter().find(|lane| lane.core == Some(core)));
    Some(near.filter(|lane| lane.connections() <= 2 * idlest.connections() + MORE).unwrap_or(idlest))
}

fn open() -> std::io::Result<Vec<Lane>> {
    let many = thread::available_parallelism().map_or(1, usize::from);
    // With fewer threads than cores to run on, none is bound to one.
    let cores = Some(system::cores()).filter(|cores| cores.len() == many).unwrap_or_default();
    (0..many)
        .map(|number| {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let (handle, core) = (runtime.handle().clone(), cores.get(number).copied());
            thread::Builder::new().name(format!("lane-{number}")).spawn(move || {
                if let Some(core) = core {
                    system::stay_on(core);
                }
                runtime.block_on(pending::<()>());
            })?;
            Ok(Lane { runtime: handle, core, connections: AtomicUsize::new(0) })
        })
        .collect()
}

/// What the system says and does about cores.
#[cfg(target_os = "linux")]
mod system {
    use rustix::net::sockopt::socket_incoming_cpu;
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    use tokio::net::TcpStream;

    /// Those that this process may use.
    pub(super) fn cores() -> Vec<usize> {
        let allowed = sched_getaffinity(None).unwrap_or_else(|_| CpuSet::new());
        (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).collect()
    }

    /// Binds this thread to one.
    pub(super) fn stay_on(core: usize) {
        let mut only = CpuSet::new();
        only.set(core);
        if let Err(error) = sched_setaffinity(None, &only) {
            tracing::debug!(%error, core, "a lane is not bound to its core");
        }
    }

    /// The one that the last packet of a connection came to.
    pub(super) fn core_of(stream: &TcpStream) -> Option<usize> {
        socket_incoming_cpu(stream).ok().and_then(|core| usize::try_from(core).ok())
    }
}

/// Elsewhere connections are spread evenly.
#[cfg(not(target_os = "linux"))]
mod system {
    use tokio::net::TcpStream;

    pub(super) fn cores() -> Vec<usize> {
        Vec::new()
    }

    pub(super) fn stay_on(_: usize) {}

    pub(super) fn core_of(_: &TcpStream) -> Option<usize> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn connections_go_to_the_core_of_their_packets_while_others_are_busy_too() {
        let lane = |core| Lane { runtime: Handle::current(), core, connections: AtomicUsize::new(0) };
        let mut lanes = [lane(Some(4)), lane(Some(6)), lane(Some(7))];
        let take = |lanes: &[Lane], core| {
            let lane = choose(lanes, core).unwrap();
            lane.connections.fetch_add(1, Ordering::Relaxed);
            lane.core
        };
        assert_eq!([6, 7, 6].map(|core| take(&lanes, Some(core))), [Some(6), Some(7), Some(6)]);
        // A core that has no lane, and none at all.
        assert_eq!([take(&lanes, Some(5)), take(&lanes, None)], [Some(4), Some(4)]);
        // All from one core.
        lanes.iter_mut().for_each(|lane| *lane.connections.get_mut() = 0);
        for _ in 0..120 {
            take(&lanes, Some(7));
        }
        assert_eq!(lanes.each_ref().map(Lane::connections), [26, 26, 68]);
        assert!(choose(&[], Some(1)).is_none());
    }
}
