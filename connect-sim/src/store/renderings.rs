//! Renderings: what variants were rendered to, and when. The newest of a variant is the active one.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

/// One rendering.
#[derive(Debug, Clone)]
pub struct Rendering {
    /// Id.
    pub id: i64,
    /// Of which variant.
    pub variant_id: i64,
    /// Of which bundle.
    pub bundle_id: i64,
    /// By which job.
    pub job_key: String,
    /// Microseconds of its end.
    pub rendered: i64,
    /// Nanoseconds.
    pub duration: i64,
}

fn rendering(row: &AnyRow) -> sqlx::Result<Rendering> {
    Ok(Rendering {
        id: row.try_get("id")?,
        variant_id: row.try_get("variant_id")?,
        bundle_id: row.try_get("bundle_id")?,
        job_key: row.try_get("job_key")?,
        rendered: row.try_get("rendered")?,
        duration: row.try_get("duration")?,
    })
}

/// Inserts a rendering under its own id.
///
/// # Errors
/// When the database fails.
pub async fn insert(db: &mut AnyConnection, rendering: &Rendering) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO renderings (id, variant_id, bundle_id, job_key, rendered, duration) \
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(rendering.id)
    .bind(rendering.variant_id)
    .bind(rendering.bundle_id)
    .bind(&rendering.job_key)
    .bind(rendering.rendered)
    .bind(rendering.duration)
    .execute(db)
    .await?;
    Ok(())
}

/// The renderings of a variant, newest first.
///
/// # Errors
/// When the database fails.
pub async fn of_variant(db: &mut AnyConnection, variant_id: i64) -> sqlx::Result<Vec<Rendering>> {
    let sql = "SELECT * FROM renderings WHERE variant_id = $1 ORDER BY id DESC LIMIT 1000";
    sqlx::query(sql).bind(variant_id).fetch_all(db).await?.iter().map(rendering).collect()
}

/// The newest rendering of a variant.
///
/// # Errors
/// When the database fails.
pub async fn active(db: &mut AnyConnection, variant_id: i64) -> sqlx::Result<Option<Rendering>> {
    let sql = "SELECT * FROM renderings WHERE variant_id = $1 ORDER BY id DESC LIMIT 1";
    sqlx::query(sql).bind(variant_id).fetch_optional(db).await?.as_ref().map(rendering).transpose()
}
