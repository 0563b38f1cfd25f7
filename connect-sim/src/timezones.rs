//! The time zones that schedules can be in, with their offsets now.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::app::App;
use crate::auth::Principal;

/// `GET /v1/timezones`, `GET /timezones`
pub async fn list(State(app): State<App>, _: Principal) -> Json<Vec<Value>> {
    let now = app.world().clock().now();
    let shown = |zone: &chrono_tz::Tz| json!({"timezone": zone.name(), "offset": now.with_timezone(zone).format("%:z").to_string()});
    Json(chrono_tz::TZ_VARIANTS.iter().map(shown).collect())
}
