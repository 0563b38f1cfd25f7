//! What a person with a browser does: sign in with forms, keep cookies, open pages.

use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use reqwest::cookie::{CookieStore as _, Jar};
use rsa::{BoxedUint, Pkcs1v15Encrypt, RsaPublicKey};
use url::Url;

/// The user agent of these requests, so that journals tell people from programs.
pub const USER_AGENT: &str = "Mozilla/5.0 (teamsim browser)";

/// A browser with nothing in it, for one person.
#[derive(Clone)]
pub struct Browser {
    client: reqwest::Client,
    cookies: Arc<Jar>,
}

impl Browser {
    /// A fresh profile.
    ///
    /// # Errors
    /// When the client cannot be built.
    pub fn new() -> anyhow::Result<Self> {
        let cookies = Arc::new(Jar::default());
        let client = reqwest::Client::builder()
            .no_proxy()
            .user_agent(USER_AGENT)
            .cookie_provider(cookies.clone())
            .timeout(std::time::Duration::from_secs(60))
            .build()?;
        Ok(Self { client, cookies })
    }

    /// The client, with the profile's cookies.
    #[must_use]
    pub fn client(&self) -> &reqwest::Client {
        &self.client
    }

    /// The value of the cookie `name` for `url`.
    #[must_use]
    pub fn cookie(&self, url: &Url, name: &str) -> Option<String> {
        let header = self.cookies.cookies(url)?;
        let value = header.to_str().ok()?.split("; ").find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?.to_owned();
        Some(value)
    }

    /// The `Cookie` header for `url`, for a WebSocket.
    #[must_use]
    pub fn cookie_header(&self, url: &Url) -> Option<String> {
        Some(self.cookies.cookies(url)?.to_str().ok()?.to_owned())
    }

    /// Fills in Workbench's sign-in form, in the mode its page asks for, and expects to land on the home page.
    ///
    /// # Errors
    /// When the sign-in is refused, with the page's own words.
    pub async fn sign_in_to_workbench(&self, base: &Url, user: &str, password: &str) -> anyhow::Result<()> {
        let sign_in = base.join("auth-sign-in")?;
        let page = self.client.get(sign_in.clone()).send().await?.error_for_status()?.text().await?;
        let token = self.cookie(&sign_in, "rs-csrf-token").context("the login page set no rs-csrf-token cookie")?;
        let mut form = vec![("rs-csrf-token", token), ("appUri", "/".to_owned())];
        if page.contains("realform") {
            let key = self.client.get(base.join("auth-public-key")?).send().await?.error_for_status()?.text().await?;
            form.extend([("v", encrypt(&key, &format!("{user}\n{password}"))?), ("persist", "0".to_owned())]);
        } else {
            form.extend([("username", user.to_owned()), ("password", password.to_owned())]);
        }
        let answer = self.client.post(base.join("auth-do-sign-in")?).form(&form).send().await?;
        let landed = answer.url().clone();
        ensure!(answer.status().is_success(), "sign-in answered {}", answer.status());
        if let Some(code) = landed.query_pairs().find_map(|(name, value)| (name == "error").then(|| value.into_owned())) {
            bail!("Workbench refused {user} (error {code} on its login page)");
        }
        Ok(())
    }

    /// Fills in Connect's sign-in form.
    ///
    /// # Errors
    /// When the sign-in is refused.
    pub async fn sign_in_to_connect(&self, base: &Url, user: &str, password: &str) -> anyhow::Result<()> {
        let login = base.join("__login__")?;
        self.client.get(login.clone()).send().await?.error_for_status()?;
        let mut form = vec![("username", user.to_owned()), ("password", password.to_owned())];
        if let Some(token) = self.cookie(&login, "RSC-XSRF") {
            form.push(("xsrf", token));
        }
        let answer = self.client.post(login).form(&form).send().await?;
        ensure!(
            answer.status().is_success() && !answer.url().path().starts_with("/__login__"),
            "Connect refused {user} ({})",
            answer.status()
        );
        Ok(())
    }
}

/// `message` encrypted as the login page does it: the key is `exponentHex:modulusHex`, the result base64.
fn encrypt(key: &str, message: &str) -> anyhow::Result<String> {
    let (exponent, modulus) = key.trim().split_once(':').context("auth-public-key is not exponent:modulus")?;
    let number = |hex_text: &str| -> anyhow::Result<BoxedUint> {
        let padded = if hex_text.len().is_multiple_of(2) { hex_text.to_owned() } else { format!("0{hex_text}") };
        Ok(BoxedUint::from_be_slice_vartime(&hex::decode(padded)?))
    };
    let key = RsaPublicKey::new(number(modulus)?, number(exponent)?)?;
    let mut rng = sim_kit::ids::Ids::new(0, 0).rng("login-padding");
    let sealed = key.encrypt(&mut rng, Pkcs1v15Encrypt, message.as_bytes())?;
    Ok(base64::engine::general_purpose::STANDARD.encode(sealed))
}
