//! How content is run unless it says otherwise, and how far it may say otherwise: the product's `Scheduler` section.
//!
//! The defaults are the ones that clients' test data shows; a 0 among the limits of memory, CPU and GPUs stands for none.

use serde_json::{Value, json};

use crate::store::content::Settings;

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub struct Scheduler {
    /// Processes that content keeps running, unless it says otherwise.
    pub min_processes: i64,
    /// Processes that content may have, unless it says otherwise.
    pub max_processes: i64,
    /// Connections that a process may have, unless its content says otherwise.
    pub max_conns_per_process: i64,
    /// How full processes are, from 0 to 1, when another one starts, unless their content says otherwise.
    pub load_factor: f64,
    /// Seconds a process has to start.
    pub init_timeout: i64,
    /// Seconds until an idle process is stopped.
    pub idle_timeout: i64,
    /// Seconds of silence after which a connection is closed.
    pub connection_timeout: i64,
    /// Seconds without anything from the browser after which a connection is closed.
    pub read_timeout: i64,
    /// The most processes that content can ask to keep running.
    pub min_processes_limit: i64,
    /// The most processes that content can ask for.
    pub max_processes_limit: i64,
    /// Cores that are kept for a process, unless its content says otherwise.
    pub cpu_request: f64,
    /// The most cores that content can have kept.
    pub max_cpu_request: f64,
    /// Cores that a process may use, unless its content says otherwise.
    pub cpu_limit: f64,
    /// The most cores that content can ask for.
    pub max_cpu_limit: f64,
    /// Bytes that are kept for a process, unless its content says otherwise.
    pub memory_request: i64,
    /// The most bytes that content can have kept.
    pub max_memory_request: i64,
    /// Bytes that a process may use, unless its content says otherwise.
    pub memory_limit: i64,
    /// The most bytes that content can ask for.
    pub max_memory_limit: i64,
    /// AMD GPUs of a process, unless its content says otherwise.
    pub amd_gpu_limit: i64,
    /// The most AMD GPUs that content can ask for.
    pub max_amd_gpu_limit: i64,
    /// NVIDIA GPUs of a process, unless its content says otherwise.
    pub nvidia_gpu_limit: i64,
    /// The most NVIDIA GPUs that content can ask for.
    pub max_nvidia_gpu_limit: i64,
}

impl Default for Scheduler {
    fn default() -> Self {
        Self {
            min_processes: 0,
            max_processes: 3,
            max_conns_per_process: 20,
            load_factor: 0.5,
            init_timeout: 60,
            idle_timeout: 5,
            connection_timeout: 3600,
            read_timeout: 3600,
            min_processes_limit: 20,
            max_processes_limit: 20,
            cpu_request: 0.0,
            max_cpu_request: 0.0,
            cpu_limit: 0.0,
            max_cpu_limit: 0.0,
            memory_request: 0,
            max_memory_request: 0,
            memory_limit: 0,
            max_memory_limit: 0,
            amd_gpu_limit: 0,
            max_amd_gpu_limit: 0,
            nvidia_gpu_limit: 0,
            max_nvidia_gpu_limit: 0,
        }
    }
}

impl Scheduler {
    /// As `/server_settings/scheduler` shows it.
    #[must_use]
    pub fn shown(&self) -> Value {
        json!({
            "min_processes": self.min_processes, "max_processes": self.max_processes,
            "max_conns_per_process": self.max_conns_per_process, "load_factor": self.load_factor,
            "init_timeout": self.init_timeout, "idle_timeout": self.idle_timeout,
            "connection_timeout": self.connection_timeout, "read_timeout": self.read_timeout,
            "min_processes_limit": self.min_processes_limit, "max_processes_limit": self.max_processes_limit,
            "cpu_request": self.cpu_request, "max_cpu_request": self.max_cpu_request,
            "cpu_limit": self.cpu_limit, "max_cpu_limit": self.max_cpu_limit,
            "memory_request": self.memory_request, "max_memory_request": self.max_memory_request,
            "memory_limit": self.memory_limit, "max_memory_limit": self.max_memory_limit,
            "amd_gpu_limit": self.amd_gpu_limit, "max_amd_gpu_limit": self.max_amd_gpu_limit,
            "nvidia_gpu_limit": self.nvidia_gpu_limit, "max_nvidia_gpu_limit": self.max_nvidia_gpu_limit,
        })
    }

    /// The processes that an item keeps running.
    #[must_use]
    pub fn least(&self, settings: &Settings) -> usize {
        usize::try_from(settings.min_processes.unwrap_or(self.min_processes)).unwrap_or(0)
    }

    /// The processes that an item may have; one at least.
    #[must_use]
    pub fn most(&self, settings: &Settings) -> usize {
        usize::try_from(settings.max_processes.unwrap_or(self.max_processes)).unwrap_or(1).max(1)
    }

    /// The connections that a process of an item may have; one at least.
    #[must_use]
    pub fn each(&self, settings: &Settings) -> usize {
        usize::try_from(settings.max_conns_per_process.unwrap_or(self.max_conns_per_process)).unwrap_or(1).max(1)
    }

    /// Whether `connections` are so many for `processes` of an item that another one starts.
    #[must_use]
    pub fn is_full(&self, settings: &Settings, processes: usize, connections: usize) -> bool {
        let each = settings.max_conns_per_process.unwrap_or(self.max_conns_per_process).max(1);
        let factor = settings.load_factor.unwrap_or(self.load_factor);
        #[allow(clippy::cast_precision_loss)] // counts of connections
        let (have, room) = (connections as f64, processes as f64 * each as f64);
        have > room * factor
    }

    /// Microseconds after which an idle process of an item stops.
    #[must_use]
    pub fn idle(&self, settings: &Settings) -> i64 {
        settings.idle_timeout.unwrap_or(self.idle_timeout).saturating_mul(1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_process_starts_when_those_there_are_half_full() {
        let (scheduler, settings) = (Scheduler::default(), Settings::default());
        assert!(!scheduler.is_full(&settings, 1, 10) && scheduler.is_full(&settings, 1, 11));
        assert!(!scheduler.is_full(&settings, 2, 20) && scheduler.is_full(&settings, 2, 21));
        let eager = Settings { load_factor: Some(0.0), ..Settings::default() };
        assert!(scheduler.is_full(&eager, 1, 1));
        let full = Settings { load_factor: Some(1.0), max_conns_per_process: Some(2), ..Settings::default() };
        assert!(!scheduler.is_full(&full, 1, 2) && scheduler.is_full(&full, 1, 3));
    }
}
