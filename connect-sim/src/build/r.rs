//! R packages: what packrat would restore, up to the installation.

use std::collections::HashMap;

use pkg_client::r::{Dependency, RVersion, Repository, Wanted, resolve};
use pkg_client::{Download, Received};
use pkg_formats::manifest::RPackage;
use pkg_formats::r::deps;

use super::steps::{Built, Failure, Job, Stop, client, download, failed, is_managed};
use crate::store::bundles::Package;

/// Resolves and downloads the packages of a bundle that needs R.
///
/// # Errors
/// [`Stop`], with the reason a user would see.
pub(super) async fn restore(job: &Job<'_>, built: &mut Built) -> Result<(), Stop> {
    let Some(version) = built.runtime.r_version.clone() else { return Ok(()) };
    let managed = job.manifest.environment.as_ref().and_then(|e| e.environment_management.as_ref());
    let item = job.content.settings.default_r_environment_management;
    let log = job.log;
    if !is_managed(managed.and_then(|m| m.r), item) {
        log.line("R packages are not managed by this server; the library is used as it is");
        built.runtime.r_environment_management = Some(false);
        return Ok(());
    }
    built.runtime.r_environment_management = Some(true);
    job.restoring(built, "packrat_restore").await?;
    let empty = Default::default();
    let packages = job.manifest.packages.as_ref().unwrap_or(&empty);
    if packages.is_empty() {
        log.line("# The bundle needs no R packages");
        return Ok(());
    }
    log.line("# Validating R library and restoring R packages...");
    let what = "Unable to fully restore the R packages associated with this content";
    let fail = |error: &pkg_client::Error| failed(log, error, what);
    let urls = &job.app.config().cran_urls;
    if urls.is_empty() {
        let text = format!("{what}: this server has no R repository; start it with --cran-url.");
        return Err(Failure::new(1, text).into());
    }
    let agent = format!("R ({version} x86_64-pc-linux-gnu x86_64 linux-gnu)");
    let client = client(job.app, &agent);
    let mut repositories = Vec::with_capacity(urls.len());
    for url in urls {
        log.line(format!("# Using the R repository {url}"));
        repositories.push(Repository::open(&client, url).await.map_err(|error| fail(&error))?);
    }
    let r: RVersion = version.parse().map_err(|error| Failure::new(1, format!("{what}: {error}")))?;
    let mut wanted = Vec::with_capacity(packages.len());
    for (name, package) in packages {
        if let Some(remote) = package.source.as_deref().filter(|s| matches!(*s, "github" | "gitlab" | "bitbucket")) {
            log.line(format!("# {name} comes from {remote}; it is looked for in the repositories"));
        }
        wanted.push(want(name, package).map_err(|text| Failure::new(1, format!("{what}: {text}")))?);
    }
    let resolved = resolve(&repositories, &r, &wanted).map_err(|error| fail(&error))?;
    let files: Vec<Download> = resolved.iter().map(Into::into).collect();
    let mut hashes = HashMap::new();
    let begun = |file: &Download| log.line(format!("Installing {} ({}) ...", file.package, file.version));
    let done = |file: &Download, received: &Received| {
        let (size, from) = (received.size, &file.url);
        log.line(format!("\tOK (downloaded {size} bytes from {from}; simulated installation)"));
        hashes.insert(file.package.clone(), received.sha256.clone());
    };
    download(&client, &files, begun, done).await.map_err(|error| fail(&error))?;
    log.line("# Completed the R package restore (simulated)");
    built.packages.extend(files.into_iter().map(|file| Package {
        language: "r",
        hash: hashes.remove(&file.package).map(|sha256| sha256[..32].to_owned()),
        name: file.package,
        version: file.version,
    }));
    Ok(())
}

/// What a manifest says about one package.
fn want(name: &str, package: &RPackage) -> Result<Wanted, String> {
    if !pkg_formats::r::is_package_name(name) {
        return Err(format!("`{name}` in the manifest is not the name of an R package"));
    }
    let version = match package.version() {
        None => None,
        Some(text) => Some(text.parse::<RVersion>().map_err(|error| format!("{name}: {error}"))?),
    };
    let mut needs: Vec<Dependency> = Vec::new();
    for field in ["Depends", "Imports", "LinkingTo"] {
        if let Some(text) = package.description.get(field) {
            needs.extend(deps::parse(text).map_err(|error| format!("{name}: {field}: {error}"))?);
        }
    }
    Ok(Wanted { name: name.to_owned(), version, needs })
}
