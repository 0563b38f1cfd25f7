//! `rsconnect`, the command of rsconnect-python, and `rsconnect::deployApp` of R: they really publish to Connect, in the
//! order of requests that the real ones have: find a name, create the content, set its title, upload the bundle, deploy,
//! follow the task, look at the content.

use std::collections::BTreeMap;
use std::path::Path;

use pkg_formats::archive::{self, Compression, Files};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use sim_kit::http_client::Link;
use url::Url;

use super::shell::Interpreter;
use super::web;

/// Where `rsconnect add` keeps servers, below the home folder.
const SERVERS: &str = ".simulated/rsconnect-servers.json";

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
            "html" => self.html_bundle(&place)?,
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

    pub(super) async fn deploy_r(&mut self, place: &str, title: Option<&str>) -> Result<(), String> {
        let server = self.server(&Deploy::default())?;
        let (files, manifest) = self.r_manifest(place).await?;
        let title = title.map_or_else(|| self.name_of(place), str::to_owned);
        self.publish(&server, files, &manifest, &title, None, true).await
    }
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

#[cfg(test)]
mod tests {
    use super::*;

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
