//! Python packages: what pip would do, up to the installation.

use pkg_client::python::{Requirements, Target, resolve};
use pkg_client::{Download, Received};
use pkg_formats::manifest::PackageManager;

use super::steps::{Built, Failure, Job, MACHINE, Stop, client, download, failed, is_managed, read_file, size};
use crate::error::Code;
use crate::store::bundles::Package;

/// Bytes of the largest requirements file.
const LARGEST: u64 = 4 << 20;

/// Resolves and downloads the packages of a bundle that needs Python.
///
/// # Errors
/// [`Stop`], with the reason a user would see.
pub(super) async fn restore(job: &Job<'_>, built: &mut Built) -> Result<(), Stop> {
    let (Some(python), Some(version)) = (&job.manifest.python, built.runtime.py_version.clone()) else {
        return Ok(());
    };
    let managed = job.manifest.environment.as_ref().and_then(|e| e.environment_management.as_ref());
    let item = job.content.settings.default_py_environment_management;
    let log = job.log;
    let manager = match &python.package_manager {
        Some(manager) if is_managed(managed.and_then(|m| m.python), item) && is_named(manager) => manager,
        _ => {
            log.line("Python packages are not managed by this server; the environment is used as it is");
            built.runtime.py_environment_management = Some(false);
            return Ok(());
        }
    };
    log.line("Building Python environment...");
    job.restoring(built, "python_restore").await?;
    let file = manager.package_file.as_deref().unwrap_or("requirements.txt");
    let text = read_file(job.app, &job.bundle, file, LARGEST).await?.ok_or_else(|| {
        let text = format!("The manifest names the package file {file}, which is not in the bundle.");
        Failure::new(Code::InvalidManifest as i64, text)
    })?;
    let what = "Unable to build the Python environment";
    let fail = |error: &pkg_client::Error| failed(log, error, what);
    let requirements = Requirements::parse(&text).map_err(|error| fail(&error))?;
    for note in requirements.notes() {
        log.line(format!("WARNING: {file}: {note}"));
    }
    built.runtime.py_environment_management = Some(true);
    if requirements.is_empty() {
        log.line(format!("No packages are required by {file}"));
        return Ok(());
    }
    let Some(index) = &job.app.config().pypi_url else {
        let text = format!("{what}: this server has no Python index; start it with --pypi-url.");
        return Err(Failure::new(1, text).into());
    };
    log.line(format!("Looking in indexes: {index}"));
    let client = client(job.app, &format!("pip/24.3.1 {{\"python\":\"{version}\"}}"));
    let target = Target::linux(&version, MACHINE).map_err(|error| fail(&error))?;
    let resolution = resolve(&client, index, &target, &requirements).await.map_err(|error| fail(&error))?;
    for warning in &resolution.warnings {
        log.line(warning);
    }
    let files: Vec<Download> = resolution.packages.iter().map(Into::into).collect();
    let begun = |file: &Download| log.line(format!("Collecting {file}"));
    let done = |file: &Download, received: &Received| {
        log.line(format!("  Downloading {} ({})", file.url, size(received.size)));
    };
    download(&client, &files, begun, done).await.map_err(|error| fail(&error))?;
    let names: Vec<&str> = resolution.packages.iter().map(|package| package.name.as_str()).collect();
    log.line(format!("Installing collected packages: {} (simulated)", names.join(", ")));
    let versions: Vec<String> = files.iter().map(|file| format!("{}-{}", file.package, file.version)).collect();
    log.line(format!("Successfully installed {} (simulated)", versions.join(" ")));
    built.packages.extend(files.into_iter().map(|file| Package {
        language: "python",
        name: file.package,
        version: file.version,
        hash: None,
    }));
    Ok(())
}

/// `none` stands for no package manager.
fn is_named(manager: &PackageManager) -> bool {
    manager.name.as_deref() != Some("none")
}
