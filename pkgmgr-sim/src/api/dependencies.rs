//! What a release of a Python project needs: its wheel's metadata says so, and nothing else does.

use pep508_rs::VersionOrUrl;
use pkg_formats::psp::PythonFile;
use pkg_formats::python::metadata::Metadata;
use pkg_formats::python::requirements::Requirement;
use serde_json::{Value, json};

use crate::app::App;
use crate::files::stored;

/// The metadata of a release with these files. None without a wheel that has any, or when the package service does not give it.
pub(crate) async fn metadata_of(app: &App, files: &[&PythonFile]) -> Option<Metadata> {
    let digest = files.iter().find_map(|file| file.metadata_sha256)?;
    app.0.files.fetch(digest, None).await.ok()?;
    let bytes = app.world().blobs().get(&stored(digest)).await.ok()?;
    Metadata::parse(&bytes).ok()
}

/// `imports`: what the release always needs; `suggests`: what its extras need. Of a range each bound is an entry, as it is of R packages.
/// That extras are told as suggestions is a guess; the real server has no other place for them.
pub(crate) fn by_kind(metadata: &Metadata) -> Value {
    let (mut imports, mut suggests) = (Vec::new(), Vec::new());
    for text in &metadata.requires_dist {
        // What no installer can read either.
        let Ok(requirement) = text.parse::<Requirement>() else { continue };
        let is_extra = text.split_once(';').is_some_and(|(_, marker)| marker.contains("extra"));
        let list = if is_extra { &mut suggests } else { &mut imports };
        let entry = |operator: String, version: String| json!({ "name": requirement.name.to_string(), "operator": operator, "version": version });
        let bounds = match &requirement.version_or_url {
            Some(VersionOrUrl::VersionSpecifier(bounds)) => bounds.iter().as_slice(),
            _ => &[],
        };
        if bounds.is_empty() {
            list.push(entry(String::new(), String::new()));
        }
        for bound in bounds {
            // The operator of `==1.*` is written without the star, which belongs to the version.
            let written = bound.to_string();
            let operator = bound.operator().to_string();
            let operator = operator.trim_end_matches(".*").to_owned();
            let version = written.strip_prefix(&operator).unwrap_or(&written).trim().to_owned();
            list.push(entry(operator, version));
        }
    }
    json!({ "imports": imports, "suggests": suggests })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_and_extras() {
        let mut metadata = Metadata::new("a", "1");
        metadata.requires_dist = [
            "Six",
            "click[x]>=8.0,<9; python_version < '3.9'",
            "old==1.*",
            "pytest; extra == 'test'",
            "by @ https://example.invalid/a.whl",
            "???",
        ]
        .map(str::to_owned)
        .to_vec();
        let told = by_kind(&metadata);
        let entries = |kind: &str| -> Vec<String> {
            let list = told[kind].as_array().unwrap().iter();
            list.map(|one| {
                format!(
                    "{} {}{}",
                    one["name"].as_str().unwrap(),
                    one["operator"].as_str().unwrap(),
                    one["version"].as_str().unwrap()
                )
            })
            .collect()
        };
        assert_eq!(entries("imports"), ["six ", "click >=8.0", "click <9", "old ==1.*", "by "]);
        assert_eq!(entries("suggests"), ["pytest "]);
    }
}
