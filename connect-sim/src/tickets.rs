//! Tickets: short texts, signed by this server, that let whoever shows one do one thing for a while.

use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sqlx::AnyConnection;

use crate::app::App;
use crate::error::{Error, Result};
use crate::oauth::credentials;

#[derive(Serialize, Deserialize)]
struct Ticket {
    iss: String,
    aud: String,
    sub: String,
    exp: i64,
}

/// A ticket of a kind for `subject`.
///
/// # Errors
/// When the database fails.
pub async fn make(app: &App, db: &mut AnyConnection, kind: &str, subject: &str, lifetime: Duration) -> Result<String> {
    let exp = app.now() / 1_000_000 + i64::try_from(lifetime.as_secs()).unwrap_or(0);
    let claims = Ticket { iss: "connect".to_owned(), aud: kind.to_owned(), sub: subject.to_owned(), exp };
    let key = EncodingKey::from_secret(credentials::secret(db).await?.as_bytes());
    jsonwebtoken::encode(&Header::default(), &claims, &key).map_err(|error| Error::Internal(error.to_string()))
}

/// Whom a ticket of a kind is for; nobody when it is none or has expired.
///
/// # Errors
/// When the database fails.
pub async fn read(app: &App, db: &mut AnyConnection, kind: &str, ticket: &str) -> Result<Option<String>> {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_audience(&[kind]);
    validation.set_issuer(&["connect"]);
    validation.set_required_spec_claims(&["exp", "aud", "iss"]);
    // Compared with the World's clock.
    validation.validate_exp = false;
    let key = DecodingKey::from_secret(credentials::secret(db).await?.as_bytes());
    let claims = jsonwebtoken::decode::<Ticket>(ticket, &key, &validation).ok().map(|data| data.claims);
    Ok(claims.filter(|claims| claims.exp > app.now() / 1_000_000).map(|claims| claims.sub))
}
