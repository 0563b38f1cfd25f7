//! CRAN-like repositories: indexes and packages for R.
//!
//! | path | what |
//! |---|---|
//! | `/{repo}/{snapshot}/src/contrib/…` | source packages, whatever the client |
//! | `/{repo}/__linux__/{distro}/{snapshot}/src/contrib/…` | Linux binaries under the names of source packages, for clients that say their R version and CPU by `User-Agent` or query; source for the others |
//! | `/{repo}/{snapshot}/bin/linux/{distro}-{arch}/{rver}/src/contrib/…` | the same with everything in the path |
//! | `/{repo}/{snapshot}/bin/linux/{rver}-{distro}/contrib/{rver}/…` | only what has a binary; pak reads this index |
//! | `/{repo}/{snapshot}/bin/windows/contrib/{rver}/…` | Windows packages |
//! | `/{repo}/{snapshot}/bin/macosx[/{flavor}]/contrib/{rver}/…` | macOS packages |
//!
//! Each directory has `PACKAGES`, `PACKAGES.gz`, `PACKAGES.rds`, the current packages, and older ones under `Archive/{package}/`.
//! Directories of source packages also have `Meta/archive.rds` and `Meta/current.rds`, as CRAN has; whether the real server does is
//! not known. Under the names of source packages a missing binary is never an error: the source package comes in its place, and
//! `X-Package-Type` says which it is. The other directories list and hold only what was built.
//!
//! Packages for Windows and macOS are served as they came, so that their indexes can tell the MD5 of every file (`Hash`)
//! without fetching it; all others get the stamp of [`crate::stamp`].
//!
//! Not known of the real server, and chosen here: a version that is not current is not found outside `Archive/` (as on CRAN),
//! but under `latest` for one more day, since a client's index may be older than its download; `Archive/` has the current
//! version too.

mod index;
mod package;
mod target;

use std::collections::BTreeSet;

use axum::extract::{Path, Query, Request, State};
use axum::response::Response;
use http::header::USER_AGENT;
use http::request::Parts;
use serde::Deserialize;

use crate::app::App;
use crate::error::Error;
use crate::platform::{Client, Distro};
use crate::snapshot::Snapshot;

pub(crate) use package::blocks;
pub(crate) use target::Target;

/// What a directory of packages is for.
#[derive(Debug, Clone)]
pub(crate) enum Flavor {
    /// Source only.
    Source,
    /// Binaries for a distribution, for clients that say what they run, under the names of source packages.
    Linux {
        /// As addresses name the distribution.
        distro: String,
        /// None: the client does not say.
        target: Option<Target>,
        /// It would say so in a header.
        by_header: bool,
    },
    /// Only binaries.
    Only(Target),
}

/// What `rv` says in the query, since it has no R to say it in a header.
#[derive(Debug, Deserialize)]
pub struct Platform {
    r_version: Option<String>,
    arch: Option<String>,
}

impl Flavor {
    /// Of a directory below `__linux__/{distro}`.
    pub(crate) fn negotiated(app: &App, distro: &str, platform: &Platform, request: &Parts) -> Result<Self, Error> {
        let distro = known(app, distro)?;
        let client = match platform {
            Platform { r_version: Some(r), arch } => Client::new(r, arch.as_deref().unwrap_or("x86_64")),
            _ => request.headers.get(USER_AGENT).and_then(|v| v.to_str().ok()).and_then(Client::from_user_agent),
        };
        let target = client.and_then(|client| Target::linux(&distro, client));
        Ok(Self::Linux { distro: distro.binary_url, target, by_header: platform.r_version.is_none() })
    }

    /// Of `bin/linux/{platform}/{rver}/src/contrib`, where the platform is such as `noble-x86_64`.
    pub(crate) fn explicit(app: &App, platform: &str, rver: &str) -> Result<Self, Error> {
        let unknown = || {
            let example = "an example is noble-x86_64/4.4";
            Error::NotFound(format!("there is no platform {platform:?} with R {rver:?}; {example}"))
        };
        let (distro, arch) = platform.rsplit_once('-').ok_or_else(unknown)?;
        let distro = known(app, distro)?;
        let client = Client::new(rver, arch).ok_or_else(unknown)?;
        let target = Target::linux(&distro, client);
        Ok(Self::Linux { distro: distro.binary_url, target, by_header: false })
    }

    /// Of `bin/linux/{platform}/contrib/{rver}`, where the platform is such as `4.4-noble`.
    pub(crate) fn only_linux(app: &App, platform: &str, rver: &str) -> Result<Self, Error> {
        let unknown = || {
            let example = "an example is 4.4-noble/contrib/4.4";
            Error::NotFound(format!("there is no platform {platform:?} with R {rver:?}; {example}"))
        };
        let (own, rest) = platform.split_once('-').ok_or_else(unknown)?;
        let (distro, arch) = match rest.strip_suffix("-arm64") {
            Some(distro) => (distro, "arm64"),
            None => (rest, "x86_64"),
        };
        let distro = known(app, distro)?;
        let client = Client::new(rver, arch).filter(|client| client.r == own).ok_or_else(unknown)?;
        Ok(Self::Only(
            Target::linux(&distro, client)
                .ok_or_else(|| Error::NotFound(format!("there are no binaries for {} on {arch}", distro.display)))?,
        ))
    }

    /// Of a directory below the root of a repository, with the file asked for in it: `src/contrib/PACKAGES`.
    pub(crate) fn of_path(app: &App, path: &str) -> Result<(Self, String), Error> {
        let segments: Vec<&str> = path.split('/').collect();
        let (flavor, file) = match segments.as_slice() {
            ["src", "contrib", file @ ..] => (Self::Source, file),
            ["bin", "windows", "contrib", rver, file @ ..] => (Self::Only(Target::windows(rver)?), file),
            ["bin", "macosx", "contrib", rver, file @ ..] => (Self::Only(Target::macos("", rver)?), file),
            ["bin", "macosx", flavor, "contrib", rver, file @ ..] => (Self::Only(Target::macos(flavor, rver)?), file),
            ["bin", "linux", platform, rver, "src", "contrib", file @ ..] => {
                (Self::explicit(app, platform, rver)?, file)
            }
            ["bin", "linux", platform, "contrib", rver, file @ ..] => (Self::only_linux(app, platform, rver)?, file),
            _ => return Err(Error::NotFound(format!("a repository has no {path:?}; it has src/contrib/ and bin/"))),
        };
        Ok((flavor, file.join("/")))
    }
}

/// The distribution of a segment in a URL.
pub(crate) fn known(app: &App, code: &str) -> Result<Distro, Error> {
    let view = app.view();
    let found = view.documents.distros.iter().find(|distro| distro.os == "linux" && distro.binary_url == code);
    found.cloned().ok_or_else(|| {
        let codes: BTreeSet<&str> = view.documents.distros.iter().map(|distro| distro.binary_url.as_str()).collect();
        let codes = codes.into_iter().filter(|code| !code.is_empty()).collect::<Vec<_>>().join(", ");
        Error::NotFound(format!("there is no distribution {code:?}; there are {codes}"))
    })
}

/// `/{repo}/{snapshot}/src/contrib/{file}`
pub async fn source(
    State(app): State<App>,
    Path((repo, snapshot, file)): Path<(String, String, String)>,
    request: Request,
) -> Result<Response, Error> {
    answer(&app, &repo, &snapshot, Flavor::Source, &file, request.into_parts().0).await
}

/// `/{repo}/__linux__/{distro}/{snapshot}/src/contrib/{file}`
pub async fn linux(
    State(app): State<App>,
    Path((repo, distro, snapshot, file)): Path<(String, String, String, String)>,
    Query(platform): Query<Platform>,
    request: Request,
) -> Result<Response, Error> {
    let request = request.into_parts().0;
    let flavor = Flavor::negotiated(&app, &distro, &platform, &request)?;
    answer(&app, &repo, &snapshot, flavor, &file, request).await
}

/// `/{repo}/{snapshot}/bin/linux/{distro}-{arch}/{rver}/src/contrib/{file}`
pub async fn linux_explicit(
    State(app): State<App>,
    Path((repo, snapshot, platform, rver, file)): Path<(String, String, String, String, String)>,
    request: Request,
) -> Result<Response, Error> {
    answer(&app, &repo, &snapshot, Flavor::explicit(&app, &platform, &rver)?, &file, request.into_parts().0).await
}

/// `/{repo}/{snapshot}/bin/linux/{rver}-{distro}/contrib/{rver}/{file}`
pub async fn linux_only(
    State(app): State<App>,
    Path((repo, snapshot, platform, rver, file)): Path<(String, String, String, String, String)>,
    request: Request,
) -> Result<Response, Error> {
    answer(&app, &repo, &snapshot, Flavor::only_linux(&app, &platform, &rver)?, &file, request.into_parts().0).await
}

/// `/{repo}/{snapshot}/bin/windows/contrib/{rver}/{file}`
pub async fn windows(
    State(app): State<App>,
    Path((repo, snapshot, rver, file)): Path<(String, String, String, String)>,
    request: Request,
) -> Result<Response, Error> {
    answer(&app, &repo, &snapshot, Flavor::Only(Target::windows(&rver)?), &file, request.into_parts().0).await
}

/// `/{repo}/{snapshot}/bin/macosx/contrib/{rver}/{file}`
pub async fn macos(
    State(app): State<App>,
    Path((repo, snapshot, rver, file)): Path<(String, String, String, String)>,
    request: Request,
) -> Result<Response, Error> {
    answer(&app, &repo, &snapshot, Flavor::Only(Target::macos("", &rver)?), &file, request.into_parts().0).await
}

/// `/{repo}/{snapshot}/bin/macosx/{flavor}/contrib/{rver}/{file}`
pub async fn macos_flavor(
    State(app): State<App>,
    Path((repo, snapshot, flavor, rver, file)): Path<(String, String, String, String, String)>,
    request: Request,
) -> Result<Response, Error> {
    answer(&app, &repo, &snapshot, Flavor::Only(Target::macos(&flavor, &rver)?), &file, request.into_parts().0).await
}

async fn answer(
    app: &App,
    repo: &str,
    snapshot: &str,
    flavor: Flavor,
    file: &str,
    request: Parts,
) -> Result<Response, Error> {
    let snapshot = app.snapshot(repo, snapshot).await?;
    snapshot.of_kind("R")?;
    contrib(app, &snapshot, flavor, file, &request).await
}

/// A file in a directory of packages.
pub(crate) async fn contrib(
    app: &App,
    snapshot: &Snapshot,
    flavor: Flavor,
    file: &str,
    request: &Parts,
) -> Result<Response, Error> {
    let only = matches!(flavor, Flavor::Only(_));
    match file.trim_start_matches('/') {
        name @ ("PACKAGES" | "PACKAGES.gz" | "PACKAGES.rds") => {
            index::index(app, snapshot, &flavor, name, request).await
        }
        "Meta/archive.rds" if !only => index::file_list(app, snapshot, true, request).await,
        "Meta/current.rds" if !only => index::file_list(app, snapshot, false, request).await,
        file => package::package(app, snapshot, flavor, file, request).await,
    }
}
