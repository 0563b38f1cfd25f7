//! The variables that point clients at a team: a contract with test suites outside this repository.
//!
//! | variable | what |
//! |---|---|
//! | `CONNECT_SERVER`, `CONNECT_API_KEY` | Connect, and an administrator's key |
//! | `WORKBENCH_URL` | Workbench |
//! | `PACKAGEMANAGER_ADDRESS`, `PACKAGEMANAGER_TOKEN` | Package Manager, and an administrator's token |
//! | `TEAMSIM_UPSTREAM_URL` | the package service |
//! | `TEAMSIM_PYPI_URL`, `PIP_INDEX_URL`, `UV_DEFAULT_INDEX` | the simple index |
//! | `TEAMSIM_CRAN_URL`, `TEAMSIM_BIOC_URL`, `RENV_CONFIG_REPOS_OVERRIDE` | the repositories for R |
//! | `TEAMSIM_{ADMIN,PUBLISHER,VIEWER}_{USER,PASSWORD,API_KEY}` | the three users |

use sim_kit::seed::{SeedUser, users};

/// Where the four servers are, each without a slash at the end.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Urls {
    /// Workbench.
    pub workbench: String,
    /// Connect.
    pub connect: String,
    /// Package Manager.
    pub package_manager: String,
    /// The package service.
    pub upstream: String,
}

impl Urls {
    /// The CRAN-like repository, newest snapshot.
    #[must_use]
    pub fn cran(&self) -> String {
        format!("{}/cran/latest", self.package_manager)
    }

    /// The Python simple index, newest snapshot.
    #[must_use]
    pub fn pypi(&self) -> String {
        format!("{}/pypi/latest/simple", self.package_manager)
    }

    /// The Bioconductor repository.
    #[must_use]
    pub fn bioconductor(&self) -> String {
        format!("{}/bioconductor", self.package_manager)
    }
}

/// Name and value of every variable, in the order of the table above.
#[must_use]
pub fn variables(urls: &Urls, seed: u64) -> Vec<(String, String)> {
    let team: [SeedUser; 3] = users(seed);
    let mut variables: Vec<(String, String)> = [
        ("CONNECT_SERVER", urls.connect.clone()),
        ("CONNECT_API_KEY", team[0].api_key.clone()),
        ("WORKBENCH_URL", urls.workbench.clone()),
        ("PACKAGEMANAGER_ADDRESS", urls.package_manager.clone()),
        ("PACKAGEMANAGER_TOKEN", pkgmgr_sim::auth::admin_token(seed)),
        ("TEAMSIM_UPSTREAM_URL", urls.upstream.clone()),
        ("TEAMSIM_PYPI_URL", urls.pypi()),
        ("PIP_INDEX_URL", urls.pypi()),
        ("UV_DEFAULT_INDEX", urls.pypi()),
        ("TEAMSIM_CRAN_URL", urls.cran()),
        ("TEAMSIM_BIOC_URL", urls.bioconductor()),
        ("RENV_CONFIG_REPOS_OVERRIDE", urls.cran()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    for user in &team {
        let role = user.username.to_ascii_uppercase();
        variables.extend([
            (format!("TEAMSIM_{role}_USER"), user.username.to_owned()),
            (format!("TEAMSIM_{role}_PASSWORD"), user.password.clone()),
            (format!("TEAMSIM_{role}_API_KEY"), user.api_key.clone()),
        ]);
    }
    variables
}

/// The variables as lines that a shell, `docker --env-file` and dotenv readers take: no value needs quotes.
#[must_use]
pub fn env_file(variables: &[(String, String)]) -> String {
    variables.iter().map(|(name, value)| format!("{name}={value}\n")).collect()
}

/// An R profile that points a session at the team and then does what the user's own profile would have done.
#[must_use]
pub fn r_profile(urls: &Urls) -> String {
    format!(
        "local({{\n  own <- c(\".Rprofile\", \"~/.Rprofile\")\n  own <- own[file.exists(own)]\n  \
         if (length(own)) sys.source(own[[1]], envir = globalenv())\n}})\n\
         options(repos = c(CRAN = \"{}\"), HTTPUserAgent = sprintf(\"R/%s R (%s)\", getRversion(), \
         paste(getRversion(), R.version[\"platform\"], R.version[\"arch\"], R.version[\"os\"])))\n",
        urls.cran()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_stands() {
        let urls = Urls {
            workbench: "http://w".into(),
            connect: "http://c".into(),
            package_manager: "http://p".into(),
            upstream: "http://u".into(),
        };
        let variables = variables(&urls, 1);
        let get = |name: &str| variables.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str()).unwrap();
        assert_eq!(get("UV_DEFAULT_INDEX"), "http://p/pypi/latest/simple");
        assert_eq!(get("TEAMSIM_ADMIN_API_KEY"), get("CONNECT_API_KEY"));
        assert_eq!(get("TEAMSIM_VIEWER_USER"), "viewer");
        assert_eq!(variables.len(), 21);
        assert!(env_file(&variables).lines().all(|line| !line.contains([' ', '"', '\'', '$'])));
    }
}
