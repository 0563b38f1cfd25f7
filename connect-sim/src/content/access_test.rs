//! Whether content that is open to everybody can be reached by everybody.
//!
//! The product asks from outside; this server asks nobody and judges by the address that it is visited at.

use std::net::IpAddr;

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};
use sim_kit::origin::Origin;
use url::{Host, Url};

use crate::access::editable;
use crate::app::App;
use crate::auth::Principal;
use crate::content_type::{ContentType, Kind};
use crate::error::{Code, Error, Result};
use crate::users::time;

/// Whether an address is one of the public internet.
fn is_public(url: &str) -> bool {
    let private = |address: IpAddr| match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local() || v4.is_unspecified(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unspecified() || v6.is_unique_local() || v6.is_unicast_link_local(),
    };
    match Url::parse(url).ok().and_then(|url| url.host().map(|host| host.to_owned())) {
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            let inner = ["localhost", "local", "internal", "lan", "test", "example", "invalid"];
            name.rsplit_once('.').is_some_and(|(_, top)| !inner.contains(&top))
        }
        Some(Host::Ipv4(address)) => !private(address.into()),
        Some(Host::Ipv6(address)) => !private(address.into()),
        None => false,
    }
}

/// `POST /v1/content/{guid}/access-test`
///
/// # Errors
/// 400 with code 259 for content that is not open to everybody or does not run, 403 for an item one may not change, 404
/// when there is none.
pub async fn test(
    State(app): State<App>,
    origin: Origin,
    principal: Principal,
    Path(guid): Path<String>,
) -> Result<Json<Value>> {
    let seen = editable(&mut *app.read().await?, &principal, &guid).await?;
    let kind = ContentType::of(&seen.content.app_mode).map(ContentType::kind);
    if seen.content.access_type != "all" || !matches!(kind, Some(Kind::App | Kind::Api)) {
        let text = "Only interactive content with the access type `all` can be tested for public access.";
        return Err(Error::bad(Code::NotPublicContent, text));
    }
    let url = app.origin(origin).url(&format!("/content/{guid}/"));
    let accessible = is_public(&url);
    let message = match accessible {
        true => "The address is one of the public internet (simulated: nobody was asked).",
        false => "The address is not one of the public internet; set the server's address to one that is (simulated).",
    };
    Ok(Json(json!({
        "guid": guid, "url": url, "checked_at": time(app.now()), "accessible": accessible, "message": message,
    })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_addresses_are_told() {
        for public in ["https://connect.company.com/content/x/", "http://8.8.8.8/", "http://[2600::1]/"] {
            assert!(is_public(public), "{public}");
        }
        for inner in
            ["http://localhost:3939/", "http://connect/", "http://127.0.0.1/", "http://10.1.2.3/", "http://[::1]/", "x"]
        {
            assert!(!is_public(inner), "{inner}");
        }
    }
}
