//! What is inside a bundle, for those who may change the item.

use std::path::Path as FilePath;

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};

use crate::app::App;
use crate::auth::Principal;
use crate::error::{Code, Error, Result};
use crate::runtime::files::{place, unpacked};

/// Bytes of the largest file whose text is shown.
const LARGEST: u64 = 1 << 20;

/// The files below `folder`, with their sizes.
fn walk(folder: &FilePath, prefix: &str, found: &mut Vec<(String, u64)>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let path = format!("{prefix}{}", name.to_string_lossy());
        let metadata = entry.metadata()?;
        if metadata.is_dir() {
            walk(&entry.path(), &format!("{path}/"), found)?;
        } else {
            found.push((path, metadata.len()));
        }
    }
    Ok(())
}

/// `GET /v1/content/{guid}/bundles/{id}/files`
///
/// # Errors
/// 403 for an item one may not change, 404 when there is none.
pub async fn list(
    State(app): State<App>,
    principal: Principal,
    Path((guid, id)): Path<(String, String)>,
) -> Result<Json<Vec<Value>>> {
    let (bundle, _) = super::find(&mut *app.read().await?, &principal, &guid, &id).await?;
    let root = unpacked(&app, &bundle).await?;
    let walk = move || {
        let mut found = Vec::new();
        walk(&root, "", &mut found)?;
        found.sort();
        Ok::<_, Error>(found)
    };
    let found = tokio::task::spawn_blocking(walk).await.map_err(|error| Error::Internal(error.to_string()))??;
    Ok(Json(found.iter().map(|(path, size)| json!({"path": path, "size": size})).collect()))
}

/// `GET /v1/content/{guid}/bundles/{id}/files/{path}`: the text of a file, unless it is none or too long.
///
/// # Errors
/// 403 for an item one may not change; 404 when there is none, with code 278 when the bundle has no such file.
pub async fn get(
    State(app): State<App>,
    principal: Principal,
    Path((guid, id, path)): Path<(String, String, String)>,
) -> Result<Json<Value>> {
    let (bundle, _) = super::find(&mut *app.read().await?, &principal, &guid, &id).await?;
    let missing = || Error::not_found(Code::BundleFileNotFound, "The bundle has no such file.");
    let place = place(&unpacked(&app, &bundle).await?, &path).ok_or_else(missing)?;
    let metadata = tokio::fs::metadata(&place).await.ok().filter(std::fs::Metadata::is_file).ok_or_else(missing)?;
    let oversize = metadata.len() > LARGEST;
    let bytes = if oversize { Vec::new() } else { tokio::fs::read(&place).await? };
    let text = String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
    Ok(Json(json!({
        "path": path, "size": metadata.len(), "binary": text.is_none(), "oversize": oversize,
        "content": text.unwrap_or_default(),
    })))
}
