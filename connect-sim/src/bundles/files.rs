//! What is inside a bundle, for those who may change the item.

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};

use crate::app::App;
use crate::auth::Principal;
use crate::error::{Code, Error, Result};
use crate::runtime::files::unpacked;

/// Bytes of the largest file whose text is shown.
const LARGEST: u64 = 1 << 20;

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
    let found = unpacked(&app, &bundle).await?.list().await?;
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
    let file = unpacked(&app, &bundle).await?.file(&path).await?.ok_or_else(missing)?;
    let size = file.size();
    let oversize = size > LARGEST;
    let bytes = if oversize { Vec::new() } else { file.read().await? };
    let text = String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
    Ok(Json(json!({
        "path": path, "size": size, "binary": text.is_none(), "oversize": oversize,
        "content": text.unwrap_or_default(),
    })))
}
