//! Looking for new commits, every so often on the World's clock, and deploying them.

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use super::{interval, location, lookups};
use crate::app::App;
use crate::error::Result;
use crate::store;
use crate::store::repositories::Repository;
use crate::store::tasks::Task;
use crate::watch;

/// Starts the watch.
pub(crate) fn start(app: &App) {
    watch::start(app, App::polls, |app| Box::pin(async move { look(&app).await }));
}

/// Looks at what is due; when the next look is.
async fn look(app: &App) -> Result<Option<i64>> {
    let now = app.now();
    let mut looks = FuturesUnordered::new();
    if app.has_git() {
        for repository in store::repositories::due(&mut *app.read().await?, now).await? {
            let Some(at) = repository.next_poll else { continue };
            let mut tx = app.write().await?;
            let next = now + interval(&app.config().git);
            let mine = store::repositories::advance(&mut tx, &repository.content_guid, at, next).await?;
            tx.commit().await?;
            if mine {
                looks.push(look_at(app, repository, next));
            }
        }
    }
    while let Some(looked) = looks.next().await {
        looked?;
    }
    match app.has_git() {
        true => Ok(store::repositories::next_poll(&mut *app.read().await?).await?),
        false => Ok(None),
    }
}

async fn look_at(app: &App, repository: Repository, next: i64) -> Result<()> {
    let name = format!("refs/heads/{}", repository.branch);
    let found = lookups::heads(app, &repository.repository, &name).await.map_err(|error| error.to_string());
    let commit = found.and_then(|heads| {
        // The pattern matches the ends of names.
        let head = heads.into_iter().find(|(branch, _)| *branch == repository.branch);
        head.map(|(_, commit)| commit).ok_or_else(|| format!("the branch {} is gone", repository.branch))
    });
    let guid = &repository.content_guid;
    let mut tx = app.write().await?;
    // Both may have been changed meanwhile.
    let known = store::repositories::get(&mut tx, guid).await?;
    let content = store::content::hold(&mut tx, guid).await?;
    let (Some(known), Some(content)) = (known, content) else { return Ok(()) };
    let mut ring = false;
    match commit {
        Err(error) => store::repositories::tried(&mut tx, guid, Some(&error), next).await?,
        Ok(commit) if known.last_known_commit.as_ref() == Some(&commit) => {
            let active = match content.bundle_id {
                Some(id) => store::bundles::get(&mut tx, id).await?,
                None => None,
            };
            // An error of the network is over when the network is back; one of the commit stays with the commit.
            if active.is_some_and(|bundle| bundle.metadata.get("source_commit") == Some(&commit)) {
                store::repositories::tried(&mut tx, guid, None, next).await?;
            }
        }
        Ok(_) if content.locked => {}
        Ok(_) => {
            let task = Task {
                content_guid: Some(guid.clone()),
                activate: true,
                detail: location(&known),
                ..Task::new(app.world().ids().token("task", 16), "deploy", &content.owner_guid, app.now())
            };
            store::tasks::insert(&mut tx, &task).await?;
            ring = true;
        }
    }
    tx.commit().await?;
    if ring {
        app.ring_for_work();
    }
    Ok(())
}
