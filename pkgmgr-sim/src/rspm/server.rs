//! The server that commands talk to.

use std::path::Path;

use anyhow::{Context as _, bail};
use reqwest::Method;
use serde_json::Value;

/// A server to talk to.
pub(super) struct Server {
    pub(super) client: reqwest::Client,
    pub(super) address: url::Url,
    pub(super) token: Option<String>,
    pub(super) verbose: bool,
}

impl Server {
    pub(super) fn url(&self, segments: &[&str], query: &[(&str, &str)]) -> anyhow::Result<url::Url> {
        let mut url = self.address.clone();
        let mut path = url.path_segments_mut().ok().context("the address must be such as http://127.0.0.1:4242")?;
        path.pop_if_empty().push("__api__").extend(segments);
        drop(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url)
    }

    /// The server, if it is on this machine: some commands are for that alone.
    pub(super) fn here(&self) -> anyhow::Result<&Self> {
        let is_here = match self.address.host() {
            Some(url::Host::Domain(name)) => name == "localhost",
            Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
            Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
            None => false,
        };
        if !is_here {
            bail!("run this on the machine of the server, with --address=http://127.0.0.1:4242 or its like");
        }
        Ok(self)
    }

    /// The answer, if it is a success.
    pub(super) async fn answer(&self, request: reqwest::RequestBuilder) -> anyhow::Result<reqwest::Response> {
        let request = match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let (client, request) = request.build_split();
        let request = request.context("the request cannot be made")?;
        let asked = format!("{} {}", request.method(), request.url());
        let answer = client.execute(request).await.with_context(|| format!("{} does not answer", self.address))?;
        let status = answer.status();
        if self.verbose {
            eprintln!("{asked}: {status}");
        }
        if status.is_success() {
            return Ok(answer);
        }
        let bytes = answer.bytes().await.context("the answer was cut")?;
        let body: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        let told = ["error_description", "error"].iter().find_map(|member| body[member].as_str());
        let reason = told.map_or_else(|| status.to_string(), str::to_owned);
        if status == http::StatusCode::UNAUTHORIZED && self.token.is_none() {
            bail!("{reason}. Set PACKAGEMANAGER_TOKEN");
        }
        bail!("{reason}")
    }

    /// The token that an identity token of another server is exchanged for.
    pub(super) async fn exchanged(&self, identity_token: &str) -> anyhow::Result<String> {
        let form = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("subject_token", identity_token),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:id_token"),
        ];
        let answer = self.send(self.client.post(self.url(&["token"], &[])?).form(&form)).await;
        let answer = answer.context("the identity token is not exchanged")?;
        answer["access_token"].as_str().map(str::to_owned).context("the answer has no token")
    }

    pub(super) async fn send(&self, request: reqwest::RequestBuilder) -> anyhow::Result<Value> {
        let bytes = self.answer(request).await?.bytes().await.context("the answer was cut")?;
        Ok(serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    pub(super) async fn text(&self, segments: &[&str]) -> anyhow::Result<String> {
        let answer = self.answer(self.client.get(self.url(segments, &[])?)).await?;
        answer.text().await.context("the answer was cut")
    }

    pub(super) async fn get(&self, segments: &[&str], query: &[(&str, &str)]) -> anyhow::Result<Value> {
        self.send(self.client.get(self.url(segments, query)?)).await
    }

    pub(super) async fn call(&self, method: Method, segments: &[&str], body: &Value) -> anyhow::Result<Value> {
        self.send(self.client.request(method, self.url(segments, &[])?).json(body)).await
    }

    pub(super) async fn delete(&self, segments: &[&str], query: &[(&str, &str)]) -> anyhow::Result<Value> {
        self.send(self.client.delete(self.url(segments, query)?)).await
    }

    /// Adds files to a source in one transaction; each is a name, its digest and where it is.
    pub(super) async fn upload(
        &self,
        source: &str,
        replace: bool,
        files: &[(String, String, &Path)],
    ) -> anyhow::Result<Value> {
        let mut form = reqwest::multipart::Form::new();
        for (name, sha256, path) in files {
            let file = tokio::fs::File::open(path).await.with_context(|| format!("cannot read {}", path.display()))?;
            let size = file.metadata().await?.len();
            let body = reqwest::Body::wrap_stream(tokio_util::io::ReaderStream::with_capacity(file, 64 * 1024));
            let part = reqwest::multipart::Part::stream_with_length(body, size).file_name(name.clone());
            form = form.text("sha256", sha256.clone()).part("file", part);
        }
        let query = [("replace", if replace { "true" } else { "false" })];
        self.send(self.client.post(self.url(&["sources", source, "packages"], &query)?).multipart(form)).await
    }
}
