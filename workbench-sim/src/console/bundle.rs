//! What is published: the files of a folder, and the manifest that tells Connect about them.

use std::collections::{BTreeMap, BTreeSet};

use md5::{Digest as _, Md5};
use pkg_formats::archive::Files;
use pkg_formats::manifest::{FileEntry, Manifest, Metadata, PackageManager, Python, RPackage};
use serde_json::Value;

use super::files::LARGEST_FILE;
use super::shell::Interpreter;

/// Files of a bundle at most.
const MOST_FILES: usize = 1000;
/// Bytes of a bundle at most.
const LARGEST_BUNDLE: u64 = 64 * 1024 * 1024;

impl Interpreter {
    /// The manifest that rsconnect-python would write for an application of Python.
    pub(super) fn python_manifest(&self, mode: &str, entrypoint: Option<&str>, files: &Files) -> Result<Value, String> {
        if !files.contains_key("requirements.txt") {
            return Err("there is no requirements.txt; list the packages that the content needs in one".to_owned());
        }
        let guess = || ["app.py", "main.py", "api.py"].into_iter().find(|name| files.contains_key(*name));
        let entrypoint = match entrypoint {
            Some(entrypoint) => entrypoint.to_owned(),
            None => {
                guess().map(|name| name.trim_end_matches(".py").to_owned()).ok_or("no app.py; give --entrypoint")?
            }
        };
        let module = entrypoint.split(':').next().unwrap_or_default().replace('.', "/");
        if !files.contains_key(&format!("{module}.py")) {
            return Err(format!("the entrypoint {entrypoint} needs {module}.py, which is not there"));
        }
        let manifest = Manifest {
            version: 1,
            locale: Some("en_US.UTF-8".to_owned()),
            metadata: Metadata { appmode: mode.to_owned(), entrypoint: Some(entrypoint), ..Metadata::default() },
            python: Some(Python {
                version: Some(self.python_version()),
                package_manager: Some(PackageManager {
                    name: Some("pip".to_owned()),
                    version: Some("25.2".to_owned()),
                    package_file: Some("requirements.txt".to_owned()),
                    allow_uv: None,
                }),
            }),
            ..Manifest::default()
        };
        Ok(with_files(manifest, files))
    }

    /// Files of a folder, without hidden ones, caches and an old manifest.
    pub(super) fn collect(&self, place: &str) -> Result<Files, String> {
        let root = self.path(place).map_err(|why| format!("{place}: {why}"))?;
        if !root.is_dir() {
            let why = if root.exists() { "Not a directory" } else { "No such file or directory" };
            return Err(format!("{place}: {why}"));
        }
        let (mut files, mut size) = (Files::new(), 0);
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).map_err(|error| error.to_string())?.flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                let kind = entry.file_type().map_err(|error| error.to_string())?;
                if name.starts_with('.')
                    || matches!(name.as_str(), "__pycache__" | "manifest.json" | "rsconnect-python")
                {
                    continue;
                }
                if kind.is_dir() {
                    folders.push(entry.path());
                } else if kind.is_file() {
                    let bytes = std::fs::read(entry.path()).map_err(|error| error.to_string())?;
                    size += bytes.len() as u64;
                    if files.len() >= MOST_FILES || size > LARGEST_BUNDLE || bytes.len() as u64 > LARGEST_FILE * 8 {
                        return Err(format!("{place} holds more than fits into a bundle of this simulated console"));
                    }
                    let path = entry.path();
                    let relative = path.strip_prefix(&root).map_err(|error| error.to_string())?;
                    files.insert(relative.to_string_lossy().into_owned(), bytes.into());
                }
            }
        }
        if files.is_empty() {
            return Err(format!("{place} is empty"));
        }
        Ok(files)
    }

    /// A page or a folder of pages, with its manifest.
    pub(super) fn html_bundle(&self, place: &str) -> Result<(Files, Value), String> {
        let (files, page) = self.collect_html(place)?;
        let metadata = Metadata {
            appmode: "static".to_owned(),
            entrypoint: Some(page.clone()),
            primary_html: Some(page),
            ..Metadata::default()
        };
        let manifest = with_files(Manifest { version: 1, metadata, ..Manifest::default() }, &files);
        Ok((files, manifest))
    }

    /// A page, or a folder with `index.html`.
    fn collect_html(&self, place: &str) -> Result<(Files, String), String> {
        let path = self.path(place).map_err(|why| format!("{place}: {why}"))?;
        if path.is_dir() {
            let files = self.collect(place)?;
            let page =
                files.keys().find(|name| *name == "index.html").or(files.keys().find(|name| name.ends_with(".html")));
            let page = page.cloned().ok_or_else(|| format!("{place} holds no .html file"))?;
            return Ok((files, page));
        }
        let name = path.file_name().map_or(String::new(), |name| name.to_string_lossy().into_owned());
        let bytes = self.read_file(place).map_err(|why| format!("{place}: {why}"))?;
        Ok((Files::from([(name.clone(), bytes.into())]), name))
    }

    /// The manifest that R's rsconnect would write for the application in `place`, with its files.
    pub(super) async fn r_manifest(&self, place: &str) -> Result<(Files, Value), String> {
        let files = self.collect(place)?;
        let has = |name: &str| files.contains_key(name);
        let document = files.keys().find(|name| name.ends_with(".Rmd")).cloned();
        let (appmode, primary_rmd) = match document {
            _ if has("app.R") || has("server.R") => ("shiny", None),
            _ if has("plumber.R") || has("entrypoint.R") => ("api", None),
            Some(document) => ("rmd-static", Some(document)),
            None => return Err(format!("{place} holds no app.R, server.R, plumber.R or .Rmd file")),
        };
        let mut names = mentioned_packages(&files);
        names.extend(match appmode {
            "shiny" => Some("shiny".to_owned()),
            "api" => Some("plumber".to_owned()),
            _ => Some("rmarkdown".to_owned()),
        });
        let names: Vec<String> = names.into_iter().collect();
        let url =
            self.app.config().cran.as_ref().ok_or("no repository is set")?.as_str().trim_end_matches('/').to_owned();
        let (_, resolved) = self.resolve_r(&url, &names).await?;
        let packages = resolved.into_iter().map(|package| {
            let mut description = BTreeMap::from([
                ("Package".to_owned(), package.name.clone()),
                ("Version".to_owned(), package.version.to_string()),
                ("Type".to_owned(), "Package".to_owned()),
                ("Repository".to_owned(), "CRAN".to_owned()),
            ]);
            if !package.needs.is_empty() {
                description.insert("Imports".to_owned(), package.needs.join(", "));
            }
            let entry = RPackage { source: Some("CRAN".to_owned()), repository: Some(url.clone()), description };
            (package.name, entry)
        });
        let manifest = Manifest {
            version: 1,
            locale: Some("en_US".to_owned()),
            platform: Some(self.r_version()),
            metadata: Metadata { appmode: appmode.to_owned(), primary_rmd, ..Metadata::default() },
            packages: Some(packages.collect()),
            ..Manifest::default()
        };
        let manifest = with_files(manifest, &files);
        Ok((files, manifest))
    }

    pub(super) async fn write_r_manifest(&mut self, place: &str) -> Result<(), String> {
        let (_, manifest) = self.r_manifest(place).await?;
        let text = serde_json::to_string_pretty(&manifest).map_err(|error| error.to_string())?;
        self.write_file(&format!("{place}/manifest.json"), &text, false)?;
        self.line(format!(
            "Wrote {place}/manifest.json (versions are those of Package Manager: nothing is installed here)"
        ));
        Ok(())
    }
}

fn with_files(mut manifest: Manifest, files: &Files) -> Value {
    let entries = files.iter().map(|(name, file)| {
        let checksum = hex::encode(Md5::digest(&file.bytes));
        (name.clone(), FileEntry { checksum: Some(checksum) })
    });
    manifest.files = Some(entries.collect());
    serde_json::to_value(manifest).expect("a manifest has only text keys")
}

/// Packages that R files attach or call: `library(x)`, `require(x)`, `x::f`.
fn mentioned_packages(files: &Files) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '.';
    let mut names = BTreeSet::new();
    for (path, file) in files {
        if !matches!(path.rsplit('.').next(), Some("R" | "r" | "Rmd" | "qmd")) {
            continue;
        }
        for line in String::from_utf8_lossy(&file.bytes).lines() {
            let code = line.split('#').next().unwrap_or_default();
            for call in ["library(", "require("] {
                for rest in code.split(call).skip(1) {
                    let rest = rest.trim_start_matches(['"', '\'', ' ']);
                    names.insert(rest.chars().take_while(|c| is_name(*c)).collect());
                }
            }
            let parts: Vec<&str> = code.split("::").collect();
            for before in parts.iter().take(parts.len().saturating_sub(1)) {
                let name: String = before.chars().rev().take_while(|c| is_name(*c)).collect();
                names.insert(name.chars().rev().collect());
            }
        }
    }
    names.retain(|name: &String| name.starts_with(|c: char| c.is_ascii_alphabetic()));
    // These come with R and are in no repository.
    for base in ["base", "stats", "utils", "graphics", "grDevices", "methods", "datasets", "tools", "parallel", "grid"]
    {
        names.remove(base);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_found_in_code() {
        let files = Files::from([
            (
                "app.R".to_owned(),
                "library(shiny); require(\"DT\")\nx <- dplyr::filter(stats::rnorm(1)) # library(no)".into(),
            ),
            ("notes.txt".to_owned(), "library(never)".into()),
        ]);
        assert_eq!(mentioned_packages(&files).into_iter().collect::<Vec<_>>(), ["DT", "dplyr", "shiny"]);
    }
}
