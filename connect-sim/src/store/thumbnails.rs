//! Thumbnails: one picture an item, its bytes a blob.

use sim_kit::Digest;
use sqlx::{AnyConnection, Row as _};

/// A picture.
#[derive(Debug, Clone)]
pub struct Thumbnail {
    /// Of the bytes.
    pub digest: Digest,
    /// Such as `image/png`.
    pub media_type: String,
}

/// The picture of an item.
///
/// # Errors
/// When the database fails.
pub async fn get(db: &mut AnyConnection, content_guid: &str) -> sqlx::Result<Option<Thumbnail>> {
    let sql = "SELECT digest, media_type FROM thumbnails WHERE content_guid = $1";
    let row = sqlx::query(sql).bind(content_guid).fetch_optional(db).await?;
    row.map(|row| Ok(Thumbnail { digest: super::digest(&row, "digest")?, media_type: row.try_get("media_type")? }))
        .transpose()
}

/// Sets the picture of an item.
///
/// # Errors
/// When the database fails.
pub async fn put(db: &mut AnyConnection, content_guid: &str, thumbnail: &Thumbnail) -> sqlx::Result<()> {
    let sql = "INSERT INTO thumbnails (content_guid, digest, media_type) VALUES ($1, $2, $3) \
         ON CONFLICT (content_guid) DO UPDATE SET digest = excluded.digest, media_type = excluded.media_type";
    let query = sqlx::query(sql).bind(content_guid).bind(thumbnail.digest.to_string());
    query.bind(&thumbnail.media_type).execute(db).await?;
    Ok(())
}

/// Takes the picture of an item away.
///
/// # Errors
/// When the database fails.
pub async fn delete(db: &mut AnyConnection, content_guid: &str) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM thumbnails WHERE content_guid = $1").bind(content_guid).execute(db).await?;
    Ok(())
}
