//! `rsconnect`, the command of rsconnect-python, and `rsconnect::deployApp` of R: they really publish to Connect, in the
//! order of requests that the real ones have: find a name, create the content, set its title, upload the bundle, deploy,
//! follow the task, look at the content.

use std::collections::BTreeMap;
use std::path::Path;

use md5::{Digest as _, Md5};
use pkg_formats::archive::{self, Compression, Files};
use pkg_formats::manifest::{FileEntry, Manifest, Metadata, PackageManager, Python, RPackage};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use sim_kit::http_client::Link;
use url::Url;

use super::files::LARGEST_FILE;
use super::shell::Interpreter;
use super::web;

/// Where `rsconnect add` keeps servers, below the home folder.
const SERVERS: &str = ".simulated/rsconnect-servers.json";
/// Files of a bundle at most.
const MOST_FILES: usize = 1000;
/// Bytes of a bundle at most.
const LARGEST_BUNDLE: u64 = 64 * 1024 * 1024;

/// Kinds of content that `rsconnect deploy` takes, with their app modes.
const PYTHON_MODES: [(&str, &str); 8] = [
    ("flask", "python-api"),
    ("api", "python-api"),
    ("fastapi", "python-fastapi"),
    ("dash", "python-dash"),
    ("streamlit", "python-streamlit"),
    ("bokeh", "python-bokeh"),
    ("gradio", "python-gradio"),
    ("shiny", "python-shiny"),
];

/// A Connect server and who one is there.
struct Server {
    url: Url,
    key: String,
}

/// What the command line of `rsconnect deploy` says.
#[derive(Default)]
struct Deploy {
    server: Option<String>,
    key: Option<String>,
    nickname: Option<String>,
    title: Option<String>,
    entrypoint: Option<String>,
    content: Option<String>,
    no_verify: bool,
    places: Vec<String>,
}

impl Interpreter {
    pub(super) async fn rsconnect(&mut self, words: &[&str]) -> i32 {
        let result = match words {
            ["version"] => {
                self.line("rsconnect (simulated)");
                Ok(())
            }
            ["add", rest @ ..] => self.add_server(rest).await,
            ["list"] => {
                for (name, (url, _)) in self.servers() {
                    self.line(format!("Nickname: \"{name}\"\n    URL: {url}"));
                }
                Ok(())
            }
            ["deploy", kind, rest @ ..] => self.deploy(kind, rest).await,
            _ => Err("Usage: rsconnect add|list|version|deploy KIND [OPTIONS] PATH (simulated)".to_owned()),
        };
        match result {
            Ok(()) => 0,
            Err(why) => self.fail(format!("Error: {why}")),
        }
    }

    fn servers(&self) -> BTreeMap<String, (String, String)> {
        let text = std::fs::read(self.home.join(SERVERS)).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    async fn add_server(&mut self, words: &[&str]) -> Result<(), String> {
        let wanted = options(words)?;
        let name = wanted.nickname.clone().ok_or("give the server a nickname with --name")?;
        let server = self.server(&Deploy { nickname: None, ..wanted })?;
        let who = self.call(&server, Method::GET, "v1/user", None).await?;
        let mut servers = self.servers();
        servers.insert(name.clone(), (server.url.to_string(), server.key));
        let path = self.home.join(SERVERS);
        std::fs::create_dir_all(path.parent().unwrap_or(&self.home)).map_err(|error| error.to_string())?;
        std::fs::write(path, serde_json::to_vec_pretty(&servers).map_err(|error| error.to_string())?)
            .map_err(|error| error.to_string())?;
        let user = who["username"].as_str().unwrap_or_default();
        self.line(format!("Added Connect server \"{name}\", where you are {user}"));
        Ok(())
    }

    fn server(&self, wanted: &Deploy) -> Result<Server, String> {
        let servers = self.servers();
        let (url, key) = match &wanted.nickname {
            Some(name) => servers.get(name).cloned().ok_or(format!("the nickname \"{name}\" does not exist"))?,
            None => {
                let or_variable = |given: &Option<String>, name: &str| given.clone().unwrap_or(self.variable(name));
                (or_variable(&wanted.server, "CONNECT_SERVER"), or_variable(&wanted.key, "CONNECT_API_KEY"))
            }
        };
        if url.is_empty() {
            return Err("no server: give --server URL, or set CONNECT_SERVER".to_owned());
        }
        if key.is_empty() {
            return Err("no API key: give --api-key KEY, or set CONNECT_API_KEY".to_owned());
        }
        let mut url: Url = url.parse().map_err(|error| format!("{url}: {error}"))?;
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        Ok(Server { url, key })
    }

    fn request(&self, server: &Server, method: Method, path: &str) -> Result<(Link, RequestBuilder), String> {
        let url = server.url.join(&format!("__api__/{path}")).map_err(|error| error.to_string())?;
        let link = Link::new(self.app.world(), "connect");
        let request = link
            .client()
            .request(method, url)
            .header("Authorization", format!("Key {}", server.key))
            .header("User-Agent", "rsconnect (simulated)");
        Ok((link, request))
    }

    async fn answer(link: Link, request: RequestBuilder) -> Result<Value, String> {
        let response = link.send(request).await.map_err(|error| format!("could not connect: {error}"))?;
        let status = response.status();
        let bytes = web::body(response).await?;
        if status.is_success() {
            return serde_json::from_slice(&bytes).map_err(|error| format!("Connect's answer is no JSON: {error}"));
        }
        let told = serde_json::from_slice::<Value>(&bytes).ok().and_then(|v| Some(v["error"].as_str()?.to_owned()));
        Err(format!(
            "received an unexpected response from Posit Connect ({}): {}",
            status.as_u16(),
            told.unwrap_or_else(|| String::from_utf8_lossy(&bytes).chars().take(200).collect())
        ))
    }

    async fn call(&self, server: &Server, method: Method, path: &str, body: Option<Value>) -> Result<Value, String> {
        let (link, request) = self.request(server, method, path)?;
        let request = body.into_iter().fold(request, |request, body| request.json(&body));
        Self::answer(link, request).await
    }

    async fn deploy(&mut self, kind: &str, words: &[&str]) -> Result<(), String> {
        let wanted = options(words)?;
        let server = self.server(&wanted)?;
        let place = wanted.places.first().cloned().unwrap_or(".".to_owned());
        let (files, manifest) = match kind {
            "manifest" => {
                let folder = place.strip_suffix("manifest.json").map_or(place.as_str(), |f| f.trim_end_matches('/'));
                let folder = if folder.is_empty() { "." } else { folder };
                let files = self.collect(folder)?;
                let given = self
                    .read_file(&format!("{folder}/manifest.json"))
                    .map_err(|why| format!("manifest.json: {why}"))?;
                let text: Value = serde_json::from_slice(&given).map_err(|error| format!("manifest.json: {error}"))?;
                (files, text)
            }
            "html" => {
                let (files, page) = self.collect_html(&place)?;
                let metadata = Metadata {
                    appmode: "static".to_owned(),
                    entrypoint: Some(page.clone()),
                    primary_html: Some(page),
                    ..Metadata::default()
                };
                let manifest = with_files(Manifest { version: 1, metadata, ..Manifest::default() }, &files);
                (files, manifest)
            }
            kind => {
                let known = PYTHON_MODES.iter().find(|(name, _)| *name == kind);
                let (_, mode) = known.ok_or_else(|| {
                    let names: Vec<&str> = PYTHON_MODES.iter().map(|(name, _)| *name).collect();
                    format!("{kind}: this simulated rsconnect deploys {}, html and manifest", names.join(", "))
                })?;
                let files = self.collect(&place)?;
                let manifest = self.python_manifest(mode, wanted.entrypoint.as_deref(), &files)?;
                (files, manifest)
            }
        };
        let title = wanted.title.clone().unwrap_or_else(|| self.name_of(&place));
        self.publish(&server, files, &manifest, &title, wanted.content.as_deref(), !wanted.no_verify).await
    }

    /// The last part of a path, as a title.
    fn name_of(&self, place: &str) -> String {
        let path = self.path(place).unwrap_or_else(|_| self.directory.clone());
        let stem = if path.is_file() { path.parent().map(Path::to_owned).unwrap_or_default() } else { path };
        stem.file_name().map_or("content".to_owned(), |name| name.to_string_lossy().into_owned())
    }

    fn python_manifest(&self, mode: &str, entrypoint: Option<&str>, files: &Files) -> Result<Value, String> {
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
    fn collect(&self, place: &str) -> Result<Files, String> {
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

    async fn publish(
        &mut self,
        server: &Server,
        mut files: Files,
        manifest: &Value,
        title: &str,
        content: Option<&str>,
        verify: bool,
    ) -> Result<(), String> {
        self.line("Publishing from a simulated console; the requests to Connect are real.");
        self.call(server, Method::GET, "server_settings", None).await?;
        let who = self.call(server, Method::GET, "v1/user", None).await?;
        self.line(format!(
            "Validating server...            [OK] {}, as {}",
            server.url,
            who["username"].as_str().unwrap_or("?")
        ));
        files
            .insert("manifest.json".to_owned(), serde_json::to_vec_pretty(manifest).map_err(|e| e.to_string())?.into());
        let bundle = archive::tar_gz(&files, Compression::Deflate).map_err(|error| error.to_string())?;
        self.line(format!("Making bundle...                [OK] {} files, {} bytes", files.len(), bundle.len()));
        let content = match content {
            Some(guid) => self.call(server, Method::GET, &format!("v1/content/{guid}"), None).await?,
            None => {
                let name = self.free_name(server, title).await?;
                let content = self.call(server, Method::POST, "v1/content", Some(json!({ "name": name }))).await?;
                let guid = content["guid"].as_str().unwrap_or_default();
                self.call(server, Method::PATCH, &format!("v1/content/{guid}"), Some(json!({ "title": title }))).await?
            }
        };
        let guid = content["guid"].as_str().ok_or("Connect's answer names no content")?.to_owned();
        let (link, request) = self.request(server, Method::POST, &format!("v1/content/{guid}/bundles"))?;
        let uploaded = Self::answer(link, request.header("Content-Type", "application/gzip").body(bundle)).await?;
        let bundle_id = uploaded["id"].as_str().ok_or("Connect's answer names no bundle")?.to_owned();
        let body = json!({ "bundle_id": bundle_id });
        let deploying = self.call(server, Method::POST, &format!("v1/content/{guid}/deploy"), Some(body)).await?;
        let task = deploying["task_id"].as_str().ok_or("Connect's answer names no task")?.to_owned();
        self.line(format!("Deploying bundle...             [OK] bundle {bundle_id}"));
        self.follow(server, &task).await?;
        let url = content["content_url"].as_str().unwrap_or_default().to_owned();
        if verify {
            self.verify(server, &url).await?;
            self.line("Verifying deployed content...   [OK]");
        }
        self.line(format!("\nDirect content URL: {url}"));
        if let Some(dashboard) = content["dashboard_url"].as_str().filter(|url| !url.is_empty()) {
            self.line(format!("Dashboard content URL: {dashboard}"));
        }
        self.line("Deployment completed successfully.");
        Ok(())
    }

    /// A name for new content that is not taken, made from its title as rsconnect-python makes it.
    async fn free_name(&self, server: &Server, title: &str) -> Result<String, String> {
        let mut name = String::new();
        for c in title.to_lowercase().chars() {
            match c {
                ' ' | '_' if name.ends_with('_') => {}
                ' ' | '_' => name.push('_'),
                c if c.is_ascii_alphanumeric() || c == '-' => name.push(c),
                _ => {}
            }
        }
        name.truncate(60);
        let name = format!("{name:_>3}");
        for n in 0..1000 {
            let candidate = if n == 0 { name.clone() } else { format!("{name}{n}") };
            let taken = self.call(server, Method::GET, &format!("v1/content?name={candidate}"), None).await?;
            if taken.as_array().is_some_and(Vec::is_empty) {
                return Ok(candidate);
            }
        }
        Err(format!("all names like {name} are taken; give another --title"))
    }

    async fn follow(&mut self, server: &Server, task: &str) -> Result<(), String> {
        let mut first = 0;
        loop {
            let path = format!("v1/tasks/{task}?first={first}&wait=1");
            let state = self.call(server, Method::GET, &path, None).await?;
            for line in state["output"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                self.line(line);
            }
            first = state["last"].as_u64().unwrap_or(first);
            if state["finished"].as_bool() == Some(true) {
                return match (state["code"].as_i64(), state["error"].as_str().unwrap_or_default()) {
                    (Some(0), _) => Ok(()),
                    (code, error) => Err(format!("deployment failed (code {}): {error}", code.unwrap_or(-1))),
                };
            }
        }
    }

    async fn verify(&self, server: &Server, url: &str) -> Result<(), String> {
        let url: Url = url.parse().map_err(|error| format!("content URL {url}: {error}"))?;
        let link = Link::new(self.app.world(), "connect");
        let request = link.client().get(url).header("Authorization", format!("Key {}", server.key));
        let response = link.send(request).await.map_err(|error| format!("could not access the content: {error}"))?;
        match response.status() {
            status if status.is_server_error() => Err(format!("could not access the deployed content ({status})")),
            _ => Ok(()),
        }
    }

    /// The manifest that R's rsconnect would write for the application in `place`, with its files.
    async fn r_manifest(&self, place: &str) -> Result<(Files, Value), String> {
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

    pub(super) async fn deploy_r(&mut self, place: &str, title: Option<&str>) -> Result<(), String> {
        let server = self.server(&Deploy::default())?;
        let (files, manifest) = self.r_manifest(place).await?;
        let title = title.map_or_else(|| self.name_of(place), str::to_owned);
        self.publish(&server, files, &manifest, &title, None, true).await
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

fn options(words: &[&str]) -> Result<Deploy, String> {
    let mut wanted = Deploy::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        // `--server URL` and `--server=URL`
        let (option, inline) = match word.split_once('=') {
            Some((option, value)) if option.starts_with("--") => (option, Some(value.to_owned())),
            _ => (*word, None),
        };
        let target = match option {
            "-s" | "--server" => &mut wanted.server,
            "-k" | "--api-key" => &mut wanted.key,
            "-n" | "--name" => &mut wanted.nickname,
            "-t" | "--title" => &mut wanted.title,
            "-e" | "--entrypoint" => &mut wanted.entrypoint,
            "-a" | "--app-id" => &mut wanted.content,
            "-N" | "--new" | "-v" | "--verbose" | "--insecure" => continue,
            "--no-verify" => {
                wanted.no_verify = true;
                continue;
            }
            option if option.starts_with('-') => {
                return Err(format!("no such option in this simulated rsconnect: {option}"));
            }
            place => {
                wanted.places.push(place.to_owned());
                continue;
            }
        };
        let value = inline.or_else(|| words.next().map(ToString::to_string));
        *target = Some(value.ok_or_else(|| format!("option {option} needs a value"))?);
    }
    Ok(wanted)
}

/// Packages that R files attach or call: `library(x)`, `require(x)`, `x::f`.
fn mentioned_packages(files: &Files) -> std::collections::BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '.';
    let mut names = std::collections::BTreeSet::new();
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

    #[test]
    fn options_of_the_command_line() {
        let wanted = options(&["--server=http://x", "-k", "K", "--title", "A b", "--no-verify", "dir"]).unwrap();
        assert_eq!(wanted.server.as_deref(), Some("http://x"));
        assert_eq!((wanted.key.as_deref(), wanted.title.as_deref()), (Some("K"), Some("A b")));
        assert!(wanted.no_verify);
        assert_eq!(wanted.places, ["dir"]);
        assert!(options(&["--frobnicate"]).is_err());
        assert!(options(&["-t"]).is_err());
    }
}
