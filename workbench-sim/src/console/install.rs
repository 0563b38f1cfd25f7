//! `pip install` and `install.packages`, up to where they would unpack: everything is resolved, downloaded and checked.
//! What was installed in this sense is remembered in the home folder, for `pip list` and `library()`.

use std::collections::BTreeMap;

use pkg_client::{Client, Download, Event, Limits, Received, python, r};
use sim_kit::http_client::Link;

use super::shell::Interpreter;

/// Where what was installed is remembered, below the home folder.
fn record(language: &str) -> String {
    format!(".simulated/{language}-packages.json")
}

fn kilobytes(bytes: u64) -> String {
    if bytes < 1_000_000 { format!("{:.1} kB", bytes as f64 / 1e3) } else { format!("{:.1} MB", bytes as f64 / 1e6) }
}

impl Interpreter {
    /// Names and versions of what was installed.
    pub(super) fn installed(&self, language: &str) -> BTreeMap<String, String> {
        let text = std::fs::read(self.home.join(record(language))).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    fn remember(&self, language: &str, packages: impl Iterator<Item = (String, String)>) -> std::io::Result<()> {
        let mut installed = self.installed(language);
        installed.extend(packages);
        let path = self.home.join(record(language));
        std::fs::create_dir_all(path.parent().unwrap_or(&self.home))?;
        std::fs::write(path, serde_json::to_vec_pretty(&installed)?)
    }

    fn client(&self, agent: &str) -> Client {
        Client::new(Link::new(self.app.world(), "package-manager"), agent, Limits::default())
    }

    /// The version of R that is imitated.
    pub(super) fn r_version(&self) -> String {
        self.app.config().r_versions().first().cloned().unwrap_or_default()
    }

    /// The version of Python that is imitated.
    pub(super) fn python_version(&self) -> String {
        self.app.config().python_versions().first().cloned().unwrap_or_default()
    }

    pub(super) async fn pip(&mut self, words: &[&str]) -> i32 {
        match words {
            ["install", rest @ ..] => self.pip_install(rest).await,
            ["list"] => {
                let installed = self.installed("python");
                self.line(format!("{:<24} Version", "Package"));
                self.line(format!("{} {}", "-".repeat(24), "-".repeat(10)));
                for (name, version) in installed {
                    self.line(format!("{name:<24} {version}"));
                }
                0
            }
            ["--version"] => {
                let python = self.python_version();
                self.line(format!("pip (simulated) for python {python}"));
                0
            }
            [other, ..] => {
                self.fail(format!("ERROR: unknown command \"{other}\": this simulated pip has install and list"))
            }
            [] => self.fail("ERROR: this simulated pip has install and list"),
        }
    }

    async fn pip_install(&mut self, words: &[&str]) -> i32 {
        let mut index = None;
        let mut lines = String::new();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match *word {
                "-i" | "--index-url" | "--default-index" => index = words.next().map(ToString::to_string),
                "-r" | "--requirement" => {
                    match words.next().map(|file| self.read_file(file).map_err(|why| (*file, why))) {
                        Some(Ok(bytes)) => lines.push_str(&format!("{}\n", String::from_utf8_lossy(&bytes))),
                        Some(Err((file, why))) => {
                            return self.fail(format!("ERROR: Could not open requirements file: {file}: {why}"));
                        }
                        None => return self.fail("ERROR: -r needs a file"),
                    }
                }
                "-U" | "--upgrade" | "-q" | "--quiet" | "--user" | "--no-cache-dir" | "--system" => {}
                "--pre" => lines.push_str("--pre\n"),
                option if option.starts_with('-') => {
                    return self.fail(format!("ERROR: no such option in this simulated pip: {option}"));
                }
                requirement => lines.push_str(&format!("{requirement}\n")),
            }
        }
        let settings =
            [index, self.variables.get("PIP_INDEX_URL").cloned(), self.variables.get("UV_DEFAULT_INDEX").cloned()];
        let Some(index) = settings.into_iter().flatten().find(|index| !index.is_empty()) else {
            return self.fail("ERROR: no index: set PIP_INDEX_URL, or give --index-url");
        };
        match self.install_python(&index, &lines).await {
            Ok(()) => 0,
            Err(why) => self.fail(why),
        }
    }

    async fn install_python(&mut self, index: &str, lines: &str) -> Result<(), String> {
        let requirements = python::Requirements::parse(lines.as_bytes()).map_err(|error| error.to_string())?;
        if requirements.is_empty() {
            return Err("ERROR: You must give at least one requirement to install".to_owned());
        }
        let version = self.python_version();
        let target = python::Target::linux(&version, std::env::consts::ARCH).map_err(|error| error.to_string())?;
        let client = self.client(&format!("pip/25.2 (simulated) python/{version}"));
        self.line(format!("Looking in indexes: {index}"));
        let resolution =
            python::resolve(&client, index, &target, &requirements).await.map_err(|error| error.to_string())?;
        for warning in &resolution.warnings {
            self.error(warning);
        }
        let files: Vec<Download> = resolution.packages.iter().map(Download::from).collect();
        let received = pkg_client::download(&client, &files, |event| match event {
            Event::Started(file) => self.line(format!("Collecting {}\n  Downloading {}", file.package, file.url)),
            Event::Finished(file, received) => {
                let size = kilobytes(received.size);
                self.line(format!("  Checked {file}: {size}, sha256 {}…", &received.sha256[..12]));
            }
            Event::Chunk(..) => {}
        })
        .await
        .map_err(|error| format!("ERROR: {error}"))?;
        let packages = resolution.packages.iter().map(|package| (package.name.clone(), package.version.to_string()));
        self.remember("python", packages).map_err(|error| error.to_string())?;
        let names: Vec<String> = files.iter().map(|file| format!("{}-{}", file.package, file.version)).collect();
        self.line(format!("Successfully installed {}", names.join(" ")));
        self.simulated(&received);
        Ok(())
    }

    fn simulated(&mut self, received: &[Received]) {
        let size = kilobytes(received.iter().map(|file| file.size).sum());
        self.line(format!(
            "(simulated: {} files, {size}, were downloaded and their hashes checked; nothing was unpacked)",
            received.len()
        ));
    }

    /// What `install.packages` of `names` leads to in the repository at `url`.
    pub(super) async fn resolve_r(&self, url: &str, names: &[String]) -> Result<(Client, Vec<r::Resolved>), String> {
        let version = self.r_version();
        let platform = format!("{}-pc-linux-gnu {0} linux-gnu", std::env::consts::ARCH);
        let client = self.client(&format!("R/{version} R ({version} {platform})"));
        let version: r::RVersion = version.parse().map_err(|_| format!("Error: {version} is no version of R"))?;
        let repository = r::Repository::open(&client, url).await.map_err(|error| error.to_string())?;
        let wanted: Vec<r::Wanted> =
            names.iter().map(|name| r::Wanted { name: name.clone(), ..r::Wanted::default() }).collect();
        let resolved = r::resolve(&[repository], &version, &wanted).map_err(|error| error.to_string())?;
        Ok((client, resolved))
    }

    pub(super) async fn install_r(&mut self, url: &str, names: &[String]) -> Result<(), String> {
        let (client, resolved) = self.resolve_r(url, names).await?;
        let installed = self.installed("r");
        // As R does: what is asked for is installed anew, what it needs only where it is missing.
        let needed: Vec<&r::Resolved> = resolved
            .iter()
            .filter(|package| names.contains(&package.name) || !installed.contains_key(&package.name))
            .collect();
        let files: Vec<Download> = needed.iter().map(|package| Download::from(*package)).collect();
        let dependencies: Vec<String> =
            needed.iter().filter(|p| !names.contains(&p.name)).map(|p| format!("‘{}’", p.name)).collect();
        if !dependencies.is_empty() {
            self.line(format!("also installing the dependencies {}\n", dependencies.join(", ")));
        }
        let received = pkg_client::download(&client, &files, |event| match event {
            Event::Started(file) => self.line(format!("trying URL '{}'", file.url)),
            Event::Finished(_, received) => self.line(format!("downloaded {}\n", kilobytes(received.size))),
            Event::Chunk(..) => {}
        })
        .await
        .map_err(|error| format!("Error: {error}"))?;
        for package in &needed {
            self.line(format!("* DONE ({}) {}", package.name, package.version));
        }
        let packages = needed.iter().map(|package| (package.name.clone(), package.version.to_string()));
        self.remember("r", packages).map_err(|error| error.to_string())?;
        self.simulated(&received);
        Ok(())
    }
}
