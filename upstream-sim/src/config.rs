//! Settings of the package service.

use std::path::PathBuf;

use chrono::{DateTime, Datelike as _, NaiveDate, Utc};

use crate::history;

/// The day from which every day has a checkpoint, unless set otherwise: 2026-11-01.
const DAILY_FROM: i64 = 20_758;

/// What the package service offers.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct Config {
    /// R packages on the day of the catalogue: the real ones, and made-up ones up to this number.
    #[arg(long, env = "TEAMSIM_CRAN_PACKAGES", default_value_t = 2_000)]
    pub cran_packages: u32,
    /// Python projects on the day of the catalogue: the real ones, and made-up ones up to this number.
    #[arg(long, env = "TEAMSIM_PYPI_PACKAGES", default_value_t = 4_000)]
    pub pypi_packages: u32,
    /// Date of the first checkpoint, which carries all history before it; every later day has one of its own.
    /// Default: 2026-11-01, or the first of the month in which the clock stands at the start if that is earlier.
    #[arg(long, env = "TEAMSIM_DAILY_FROM")]
    pub daily_from: Option<NaiveDate>,
    /// Of the real packages offer only these and what they need, in both feeds (comma-separated).
    #[arg(long = "only-packages", env = "TEAMSIM_ONLY_PACKAGES", value_delimiter = ',')]
    pub only: Option<Vec<String>>,
    /// A folder with scenario files (`*.toml`, also in folders in it), whose packages are offered beside the others under
    /// names that begin with the scenario's.
    #[arg(long, env = "TEAMSIM_SCENARIOS")]
    pub scenarios: Option<PathBuf>,
    /// A wheel, sdist or R package, or a folder of such files, to be offered in place of the catalogue's of the same name; may
    /// be given several times.
    #[arg(long, env = "TEAMSIM_IMPORT", value_name = "PATH", value_delimiter = ',')]
    pub import: Vec<PathBuf>,
    /// A library of installed R packages, to be offered as binary packages for this system and R; may be given several times.
    #[arg(long, env = "TEAMSIM_IMPORT_LIBRARY", value_name = "DIR", value_delimiter = ',')]
    pub import_library: Vec<PathBuf>,
    /// Code of the Linux distribution that imported binary packages are for, such as jammy. Default: this system's.
    #[arg(long, env = "TEAMSIM_IMPORT_DISTRIBUTION", value_name = "CODE")]
    pub import_distribution: Option<String>,
    /// Offer the Python packages of a real index in place of the catalogue's, fetched when somebody asks for them: the URL of a
    /// simple index, or auto for the one that your pip or uv uses.
    #[arg(long, env = "TEAMSIM_MIRROR_PYPI", value_name = "URL|auto")]
    pub mirror_pypi: Option<String>,
    /// Projects that the mirrored index is asked for at the start, so that snapshots of all dates have them (comma-separated).
    #[arg(long, env = "TEAMSIM_MIRROR_PYPI_PACKAGES", value_delimiter = ',')]
    pub mirror_pypi_packages: Vec<String>,
    /// Offer R packages of a real repository in place of the catalogue's: its URL, or auto for the one that your R uses.
    #[arg(long, env = "TEAMSIM_MIRROR_CRAN", value_name = "URL|auto")]
    pub mirror_cran: Option<String>,
    /// R packages that are mirrored, with all that they need (comma-separated): R asks for none that the index does not list.
    #[arg(long, env = "TEAMSIM_MIRROR_CRAN_PACKAGES", value_delimiter = ',')]
    pub mirror_cran_packages: Vec<String>,
    /// Write all that is mirrored into this folder.
    #[arg(long, env = "TEAMSIM_RECORD", value_name = "DIR", conflicts_with = "replay")]
    pub record: Option<PathBuf>,
    /// Mirror what was recorded in this folder, and never ask the network.
    #[arg(long, env = "TEAMSIM_REPLAY", value_name = "DIR")]
    pub replay: Option<PathBuf>,
    /// What uv installs from, for `auto`.
    #[arg(long, env = "UV_DEFAULT_INDEX", hide = true, hide_env_values = true)]
    pub uv_default_index: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            cran_packages: 2_000,
            pypi_packages: 4_000,
            daily_from: None,
            only: None,
            scenarios: None,
            import: Vec::new(),
            import_library: Vec::new(),
            import_distribution: None,
            mirror_pypi: None,
            mirror_pypi_packages: Vec::new(),
            mirror_cran: None,
            mirror_cran_packages: Vec::new(),
            record: None,
            replay: None,
            uv_default_index: None,
        }
    }
}

impl Config {
    /// A small world of these real packages, what they need, and no made-up ones; for tests that should start in no time.
    #[must_use]
    pub fn only(names: &[&str]) -> Self {
        let only = Some(names.iter().map(|name| (*name).to_owned()).collect());
        Self { cran_packages: 0, pypi_packages: 0, only, ..Self::default() }
    }

    /// The date of the first checkpoint when the clock stands at `start`.
    pub(crate) fn daily_from(&self, start: DateTime<Utc>) -> NaiveDate {
        self.daily_from.unwrap_or_else(|| {
            let today = start.date_naive();
            let month = today.with_day(1).unwrap_or(today);
            history::date(DAILY_FROM).min(month)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_checkpoint_is_never_in_the_future() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let config = Config::default();
        assert_eq!(config.daily_from(at("2030-05-05T10:00:00Z")).to_string(), "2026-11-01");
        assert_eq!(config.daily_from(at("2026-11-24T10:00:00Z")).to_string(), "2026-11-01");
        assert_eq!(config.daily_from(at("2025-06-15T10:00:00Z")).to_string(), "2025-06-01");
        let set = Config { daily_from: NaiveDate::from_ymd_opt(2024, 1, 9), ..config };
        assert_eq!(set.daily_from(at("2025-06-15T10:00:00Z")).to_string(), "2024-01-09");
    }
}
