//! Clients of the authorization server, what users granted them, and the codes and tokens that stand for it. Of codes and
//! tokens only the SHA-256 is kept.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

use super::{as_json, flag, json};

/// How long what has run out is kept, in microseconds: so that it is still known as such.
const KEPT: i64 = 24 * 3600 * 1_000_000;

/// A registered client.
#[derive(Debug, Clone)]
pub struct Client {
    /// What it calls itself by.
    pub client_id: String,
    /// Id.
    pub id: i64,
    /// For people.
    pub name: Option<String>,
    /// Where it may have its users sent.
    pub redirect_uris: Vec<String>,
    /// Microseconds.
    pub created: i64,
    /// Microseconds of its last token.
    pub used: Option<i64>,
}

fn client(row: &AnyRow) -> sqlx::Result<Client> {
    Ok(Client {
        client_id: row.try_get("client_id")?,
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        redirect_uris: json(row, "redirect_uris")?,
        created: row.try_get("created")?,
        used: row.try_get("used")?,
    })
}

/// Inserts a client.
///
/// # Errors
/// When the database fails.
pub async fn register(db: &mut AnyConnection, client: &Client) -> sqlx::Result<()> {
    let sql = "INSERT INTO oauth_clients (client_id, id, name, redirect_uris, created) VALUES ($1, $2, $3, $4, $5)";
    sqlx::query(sql)
        .bind(&client.client_id)
        .bind(client.id)
        .bind(&client.name)
        .bind(as_json(&client.redirect_uris))
        .bind(client.created)
        .execute(db)
        .await?;
    Ok(())
}

/// By its id.
///
/// # Errors
/// When the database fails.
pub async fn by_client_id(db: &mut AnyConnection, client_id: &str) -> sqlx::Result<Option<Client>> {
    let sql = "SELECT * FROM oauth_clients WHERE client_id = $1";
    sqlx::query(sql).bind(client_id).fetch_optional(db).await?.as_ref().map(client).transpose()
}

/// A page of the clients in the order of their registration, and how many there are in all.
///
/// # Errors
/// When the database fails.
pub async fn clients(
    db: &mut AnyConnection,
    ascending: bool,
    limit: i64,
    offset: i64,
) -> sqlx::Result<(Vec<Client>, i64)> {
    let sql = match ascending {
        true => "SELECT * FROM oauth_clients ORDER BY id LIMIT $1 OFFSET $2",
        false => "SELECT * FROM oauth_clients ORDER BY id DESC LIMIT $1 OFFSET $2",
    };
    let rows = sqlx::query(sql).bind(limit).bind(offset).fetch_all(&mut *db).await?;
    let total = sqlx::query("SELECT COUNT(*) FROM oauth_clients").fetch_one(db).await?.try_get(0)?;
    Ok((rows.iter().map(client).collect::<sqlx::Result<_>>()?, total))
}

/// Takes a client away with all that was granted to it; false when there is none.
///
/// # Errors
/// When the database fails.
pub async fn unregister(db: &mut AnyConnection, client_id: &str) -> sqlx::Result<bool> {
    let sql = "DELETE FROM oauth_clients WHERE client_id = $1";
    Ok(sqlx::query(sql).bind(client_id).execute(db).await?.rows_affected() > 0)
}

/// How many clients never had a token, and takes those of them away that were registered before `oldest`.
///
/// # Errors
/// When the database fails.
pub async fn unused(db: &mut AnyConnection, oldest: i64) -> sqlx::Result<i64> {
    let sql = "DELETE FROM oauth_clients WHERE used IS NULL AND created < $1";
    sqlx::query(sql).bind(oldest).execute(&mut *db).await?;
    sqlx::query("SELECT COUNT(*) FROM oauth_clients WHERE used IS NULL").fetch_one(db).await?.try_get(0)
}

/// What a user agreed to.
#[derive(Debug, Clone)]
pub struct Grant {
    /// Id.
    pub id: String,
    /// To whom.
    pub client_id: String,
    /// In whose name.
    pub user_guid: String,
    /// As asked for; may be empty.
    pub scope: String,
}

fn grant(row: &AnyRow) -> sqlx::Result<Grant> {
    Ok(Grant {
        id: row.try_get("grant_id")?,
        client_id: row.try_get("client_id")?,
        user_guid: row.try_get("user_guid")?,
        scope: row.try_get("scope")?,
    })
}

/// Inserts a grant, and notes that its client is in use.
///
/// # Errors
/// When the database fails.
pub async fn insert_grant(db: &mut AnyConnection, grant: &Grant, now: i64) -> sqlx::Result<()> {
    sqlx::query("INSERT INTO oauth_grants (id, client_id, user_guid, scope, created) VALUES ($1, $2, $3, $4, $5)")
        .bind(&grant.id)
        .bind(&grant.client_id)
        .bind(&grant.user_guid)
        .bind(&grant.scope)
        .bind(now)
        .execute(db)
        .await?;
    Ok(())
}

/// Takes a grant away with all its tokens.
///
/// # Errors
/// When the database fails.
pub async fn revoke_grant(db: &mut AnyConnection, id: &str) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM oauth_grants WHERE id = $1").bind(id).execute(db).await?;
    Ok(())
}

/// An authorization code.
#[derive(Debug, Clone)]
pub struct Code {
    /// Hex SHA-256 of the code.
    pub sha256: String,
    /// Who may redeem it.
    pub client_id: String,
    /// In whose name.
    pub user_guid: String,
    /// Where it was sent.
    pub redirect_uri: String,
    /// The S256 challenge.
    pub challenge: String,
    /// As asked for.
    pub scope: String,
    /// What came of it, once it was redeemed.
    pub grant_id: Option<String>,
    /// Microseconds.
    pub expires: i64,
}

/// Inserts a code, and takes those away that have run out long before `now`.
///
/// # Errors
/// When the database fails.
pub async fn insert_code(db: &mut AnyConnection, code: &Code, now: i64) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM oauth_codes WHERE expires < $1").bind(now - KEPT).execute(&mut *db).await?;
    sqlx::query(
        "INSERT INTO oauth_codes (sha256, client_id, user_guid, redirect_uri, challenge, scope, expires) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(&code.sha256)
    .bind(&code.client_id)
    .bind(&code.user_guid)
    .bind(&code.redirect_uri)
    .bind(&code.challenge)
    .bind(&code.scope)
    .bind(code.expires)
    .execute(db)
    .await?;
    Ok(())
}

/// A code by its digest.
///
/// # Errors
/// When the database fails.
pub async fn code(db: &mut AnyConnection, sha256: &str) -> sqlx::Result<Option<Code>> {
    let row = sqlx::query("SELECT * FROM oauth_codes WHERE sha256 = $1").bind(sha256).fetch_optional(db).await?;
    row.map(|row| {
        Ok(Code {
            sha256: row.try_get("sha256")?,
            client_id: row.try_get("client_id")?,
            user_guid: row.try_get("user_guid")?,
            redirect_uri: row.try_get("redirect_uri")?,
            challenge: row.try_get("challenge")?,
            scope: row.try_get("scope")?,
            grant_id: row.try_get("grant_id")?,
            expires: row.try_get("expires")?,
        })
    })
    .transpose()
}

/// Notes what came of a code; false when it was redeemed before.
///
/// # Errors
/// When the database fails.
pub async fn redeem_code(db: &mut AnyConnection, sha256: &str, grant_id: &str) -> sqlx::Result<bool> {
    let sql = "UPDATE oauth_codes SET grant_id = $2 WHERE sha256 = $1 AND grant_id IS NULL";
    Ok(sqlx::query(sql).bind(sha256).bind(grant_id).execute(db).await?.rows_affected() > 0)
}

/// Takes a code away.
///
/// # Errors
/// When the database fails.
pub async fn delete_code(db: &mut AnyConnection, sha256: &str) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM oauth_codes WHERE sha256 = $1").bind(sha256).execute(db).await?;
    Ok(())
}

/// What became of a device's request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceState {
    /// Nobody has answered.
    Waiting,
    /// A user agreed.
    Approved,
    /// A user refused.
    Denied,
    /// The device has its tokens.
    Used,
}

impl DeviceState {
    fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Used => "used",
        }
    }
}

/// A device that waits for its user.
#[derive(Debug, Clone)]
pub struct Device {
    /// Hex SHA-256 of the device code.
    pub sha256: String,
    /// What the user types in: eight letters.
    pub user_code: String,
    /// Who asks.
    pub client_id: String,
    /// As asked for.
    pub scope: String,
    /// What became of it.
    pub state: DeviceState,
    /// Who answered.
    pub user_guid: Option<String>,
    /// Microseconds to leave between two questions.
    pub pause: i64,
    /// Microseconds of the last question.
    pub polled: Option<i64>,
    /// Microseconds.
    pub expires: i64,
}

fn device(row: &AnyRow) -> sqlx::Result<Device> {
    let state: String = row.try_get("state")?;
    let states = [DeviceState::Waiting, DeviceState::Approved, DeviceState::Denied];
    Ok(Device {
        sha256: row.try_get("sha256")?,
        user_code: row.try_get("user_code")?,
        client_id: row.try_get("client_id")?,
        scope: row.try_get("scope")?,
        state: states.into_iter().find(|known| known.as_str() == state).unwrap_or(DeviceState::Used),
        user_guid: row.try_get("user_guid")?,
        pause: row.try_get("pause")?,
        polled: row.try_get("polled")?,
        expires: row.try_get("expires")?,
    })
}

/// Inserts a device, and takes those away that have run out long before `now`.
///
/// # Errors
/// A duplicate user code, or when the database fails.
pub async fn insert_device(db: &mut AnyConnection, device: &Device, now: i64) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM oauth_devices WHERE expires < $1").bind(now - KEPT).execute(&mut *db).await?;
    sqlx::query(
        "INSERT INTO oauth_devices (sha256, user_code, client_id, scope, state, pause, expires) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(&device.sha256)
    .bind(&device.user_code)
    .bind(&device.client_id)
    .bind(&device.scope)
    .bind(device.state.as_str())
    .bind(device.pause)
    .bind(device.expires)
    .execute(db)
    .await?;
    Ok(())
}

/// How many devices wait.
///
/// # Errors
/// When the database fails.
pub async fn waiting_devices(db: &mut AnyConnection, now: i64) -> sqlx::Result<i64> {
    let sql = "SELECT COUNT(*) FROM oauth_devices WHERE state = 'waiting' AND expires > $1";
    sqlx::query(sql).bind(now).fetch_one(db).await?.try_get(0)
}

/// A device by the digest of its code.
///
/// # Errors
/// When the database fails.
pub async fn device_by_code(db: &mut AnyConnection, sha256: &str) -> sqlx::Result<Option<Device>> {
    let sql = "SELECT * FROM oauth_devices WHERE sha256 = $1";
    sqlx::query(sql).bind(sha256).fetch_optional(db).await?.as_ref().map(device).transpose()
}

/// A device by what its user types in.
///
/// # Errors
/// When the database fails.
pub async fn device_by_user_code(db: &mut AnyConnection, user_code: &str) -> sqlx::Result<Option<Device>> {
    let sql = "SELECT * FROM oauth_devices WHERE user_code = $1";
    sqlx::query(sql).bind(user_code).fetch_optional(db).await?.as_ref().map(device).transpose()
}

/// Notes that a device asked.
///
/// # Errors
/// When the database fails.
pub async fn polled(db: &mut AnyConnection, sha256: &str, now: i64, pause: i64) -> sqlx::Result<()> {
    let sql = "UPDATE oauth_devices SET polled = $2, pause = $3 WHERE sha256 = $1";
    sqlx::query(sql).bind(sha256).bind(now).bind(pause).execute(db).await?;
    Ok(())
}

/// Notes what became of a device; false when it is not in the state `from` any more.
///
/// # Errors
/// When the database fails.
pub async fn set_device(
    db: &mut AnyConnection,
    sha256: &str,
    from: DeviceState,
    to: DeviceState,
    user_guid: Option<&str>,
) -> sqlx::Result<bool> {
    let sql = "UPDATE oauth_devices SET state = $3, user_guid = $4 WHERE sha256 = $1 AND state = $2";
    let query = sqlx::query(sql).bind(sha256).bind(from.as_str()).bind(to.as_str()).bind(user_guid);
    Ok(query.execute(db).await?.rows_affected() > 0)
}

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Requests.
    Access,
    /// New tokens.
    Refresh,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Refresh => "refresh",
        }
    }
}

/// A token with what it stands for.
#[derive(Debug, Clone)]
pub struct Token {
    /// What for.
    pub kind: Kind,
    /// Whether a refresh token was exchanged.
    pub used: bool,
    /// Microseconds.
    pub expires: i64,
    /// Of what.
    pub grant: Grant,
}

/// Inserts a token, notes that its client is in use, and takes those away that have run out long before `now`.
///
/// # Errors
/// When the database fails.
pub async fn insert_token(
    db: &mut AnyConnection,
    sha256: &str,
    kind: Kind,
    grant: &Grant,
    now: i64,
    expires: i64,
) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM oauth_tokens WHERE expires < $1").bind(now - KEPT).execute(&mut *db).await?;
    sqlx::query("INSERT INTO oauth_tokens (sha256, kind, grant_id, used, expires) VALUES ($1, $2, $3, 0, $4)")
        .bind(sha256)
        .bind(kind.as_str())
        .bind(&grant.id)
        .bind(expires)
        .execute(&mut *db)
        .await?;
    let sql = "UPDATE oauth_clients SET used = $2 WHERE client_id = $1";
    sqlx::query(sql).bind(&grant.client_id).bind(now).execute(db).await?;
    Ok(())
}

/// A token by its digest.
///
/// # Errors
/// When the database fails.
pub async fn token(db: &mut AnyConnection, sha256: &str) -> sqlx::Result<Option<Token>> {
    let sql = "SELECT t.kind, t.used, t.expires, t.grant_id, g.client_id, g.user_guid, g.scope FROM oauth_tokens t \
         JOIN oauth_grants g ON g.id = t.grant_id WHERE t.sha256 = $1";
    let row = sqlx::query(sql).bind(sha256).fetch_optional(db).await?;
    row.map(|row| {
        let kind: String = row.try_get("kind")?;
        Ok(Token {
            kind: if kind == "access" { Kind::Access } else { Kind::Refresh },
            used: flag(&row, "used")?,
            expires: row.try_get("expires")?,
            grant: grant(&row)?,
        })
    })
    .transpose()
}

/// Notes that a refresh token was exchanged; false when it was before.
///
/// # Errors
/// When the database fails.
pub async fn use_token(db: &mut AnyConnection, sha256: &str) -> sqlx::Result<bool> {
    let sql = "UPDATE oauth_tokens SET used = 1 WHERE sha256 = $1 AND used = 0";
    Ok(sqlx::query(sql).bind(sha256).execute(db).await?.rows_affected() > 0)
}

/// Takes a token away.
///
/// # Errors
/// When the database fails.
pub async fn delete_token(db: &mut AnyConnection, sha256: &str) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM oauth_tokens WHERE sha256 = $1").bind(sha256).execute(db).await?;
    Ok(())
}
