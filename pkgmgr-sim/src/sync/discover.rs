//! Sources that appear with the feeds they follow: releases of Bioconductor, and what the service tells about packages.
//!
//! A release appears on its day. Repos of Bioconductor that have every release so far get the new one too; how the real server
//! does that is not known.

use pkg_formats::psp::{self, FeedKind, Root};

use super::SyncError;
use super::fetch::Upstream;
use crate::app::{App, View};
use crate::store::repos;
use crate::store::sources::{self, BIOC_FEED, DOCUMENT_KINDS, Source};
use crate::store::transactions::Transaction;

/// The type of the sources that follow a feed; none for feeds that have their sources from the beginning, or that are of no use
/// here.
fn kind_of(feed: &str, kind: FeedKind) -> Option<&str> {
    match kind {
        FeedKind::R if feed.starts_with(BIOC_FEED) => Some("bioconductor"),
        FeedKind::Vsx if feed == "vsx" => Some(feed),
        FeedKind::Documents if DOCUMENT_KINDS.contains(&feed) => Some(feed),
        _ => None,
    }
}

impl App {
    /// Makes sources for feeds that are new.
    ///
    /// # Errors
    /// The service does not answer, or not what it should.
    pub(crate) async fn discover(&self, upstream: &Upstream) -> Result<(), SyncError> {
        let root = Root::parse(&self.document(upstream, psp::ROOT_PATH).await?)?;
        let today = self.world().clock().now().date_naive();
        let view = self.view();
        let is_new = |feed: &str| view.sources.iter().all(|source| source.feed.as_deref() != Some(feed));
        let mut new: Vec<(&str, &str)> = root
            .feeds
            .iter()
            .filter(|feed| feed.history_from <= today && is_new(&feed.name))
            .filter_map(|feed| Some((feed.name.as_str(), kind_of(&feed.name, feed.kind)?)))
            .collect();
        if new.is_empty() {
            return Ok(());
        }
        // Releases in their order.
        new.sort_by_key(|(feed, _)| (crate::bioc::minor(feed.strip_prefix(BIOC_FEED).unwrap_or_default()), *feed));
        let mut change = self.begin().await?;
        let mut releases = Vec::new();
        for (feed, kind) in new {
            // Another node may have been first, or somebody has given the name to something else.
            if sources::is_taken(&mut change.tx, feed).await? {
                continue;
            }
            let source = sources::create(&mut change.tx, feed, kind, Some(feed), change.at).await?;
            // Extensions have a repo of their own from the beginning, as other packages do.
            if kind == "vsx" && repos::list_in(&mut change.tx).await?.iter().all(|repo| repo.name != feed) {
                let text = "Extensions of editors from the package service (simulated)";
                let repo = repos::create(&mut change.tx, feed, "VSX", text, change.at).await?;
                repos::subscribe(&mut change.tx, repo, change.id, change.at, &[source]).await?;
            }
            if kind == "bioconductor" {
                releases.push((source, feed));
            }
        }
        let complete: Vec<i64> = view.sources.iter().filter(|s| s.is_bioconductor()).map(|s| s.id).collect();
        for repo in repos::list_in(&mut change.tx).await?.into_iter().filter(|repo| repo.kind == "Bioconductor") {
            let mut now = repo.subscriptions.last().map(|now| now.sources.clone()).unwrap_or_default();
            if !releases.is_empty() && complete.iter().all(|release| now.contains(release)) {
                now.extend(releases.iter().map(|(source, _)| *source));
                repos::subscribe(&mut change.tx, repo.id, change.id, change.at + 1, &now).await?;
            }
        }
        let names: Vec<&str> = releases.iter().map(|(_, feed)| *feed).collect();
        let tag = if names.is_empty() { "Package service".to_owned() } else { format!("Sources {}", names.join(", ")) };
        self.conclude(change, Transaction { action: "Create".to_owned(), tag, ..Transaction::default() }).await?;
        Ok(())
    }
}

impl View {
    /// The sources that follow feeds, in the order in which they are synchronised.
    pub(crate) fn fed(&self) -> impl Iterator<Item = &Source> {
        self.sources.iter().filter(|source| source.feed.is_some() && !source.deleted)
    }
}
