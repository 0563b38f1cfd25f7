//! Projects that the package service may have, though its feed does not tell of them yet.
//!
//! A service that mirrors a real index publishes what it is asked for ([`psp::demand_path`]). When a client asks for a project
//! that the newest state of a repo does not have, the service is asked, and the source is synchronised when it says that it
//! has it now. Snapshots of dates and numbers never change by this.

use http::StatusCode;
use pkg_formats::psp::{self, Demand, Demanded};

use crate::app::App;
use crate::error::Error;
use crate::files::link;
use crate::snapshot::Snapshot;

impl App {
    /// Asks for `name` in the sources of `snapshot` that grow on demand, in their order; true when one of them has it now.
    ///
    /// # Errors
    /// [`Error::Upstream`]: the service did not answer, or could not reach the index that it mirrors.
    pub(crate) async fn demand(&self, snapshot: &Snapshot, name: &str) -> Result<bool, Error> {
        // A bundle has what it has.
        if snapshot.fixed || self.0.config.upstream.scheme() == "file" {
            return Ok(false);
        }
        let view = self.view();
        for part in &snapshot.parts {
            let Some(source) = view.source(part.source).filter(|source| self.progress(source.id).on_demand) else {
                continue;
            };
            let Some(feed) = source.feed.as_deref() else { continue };
            if self.demanded(feed, name).await?.found.is_empty() {
                continue;
            }
            self.sync(source).await.map_err(|error| Error::Upstream(error.to_string()))?;
            return Ok(true);
        }
        Ok(false)
    }

    async fn demanded(&self, feed: &str, name: &str) -> Result<Demanded, Error> {
        let failed = |error: &dyn std::fmt::Display| Error::Upstream(error.to_string());
        let url = link(&self.0.config.upstream, &psp::demand_path(feed));
        let upstream = &self.0.upstream;
        let request = upstream.client().post(url).json(&Demand { names: vec![name.to_owned()] });
        let answer = tokio::time::timeout(self.0.config.patience, upstream.send(request)).await;
        let answer = answer.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
        let status = answer.status();
        if status.is_success() {
            return answer.json().await.map_err(|error| failed(&error));
        }
        // A plain copy of a service takes no demands.
        if [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED, StatusCode::CONFLICT].contains(&status) {
            return Ok(Demanded::default());
        }
        // The service says why.
        let problem: serde_json::Value = answer.json().await.unwrap_or_default();
        let detail = problem["detail"].as_str().map_or_else(|| status.to_string(), str::to_owned);
        Err(Error::Upstream(format!("{name}: {detail}")))
    }
}
