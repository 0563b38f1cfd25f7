//! Old bundles go: `Applications.BundleRetentionLimit`, looked at as often as `Applications.BundleReapFrequency` says, on
//! the World's clock. The product counts the active bundle apart; so does this.

use crate::app::App;
use crate::error::Result;
use crate::store;

/// Takes away old bundles for as long as the server runs, if there is a limit.
pub fn start(app: &App) {
    if app.config().bundles.keep > 0 {
        app.world().spawn(watch(app.clone()));
    }
}

async fn watch(app: App) {
    let every = app.config().bundles.every;
    loop {
        let firing = app.world().clock().sleep(every).await;
        if let Err(error) = reap(&app).await {
            tracing::error!(%error, "old bundles cannot be taken away");
        }
        drop(firing);
    }
}

async fn reap(app: &App) -> Result<()> {
    let keep = app.config().bundles.keep;
    let old = store::bundles::beyond(&mut *app.read().await?, keep).await?;
    for bundle in old {
        let mut tx = app.write().await?;
        store::content::hold(&mut tx, &bundle.content_guid).await?;
        // It may have been activated, or deployed, in between.
        let still = store::bundles::beyond(&mut tx, keep).await?;
        if still.iter().any(|one| one.id == bundle.id) {
            store::bundles::delete(&mut tx, bundle.id).await?;
            tx.commit().await?;
            super::discard(app, &bundle).await?;
        }
    }
    Ok(())
}
