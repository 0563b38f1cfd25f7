//! What a person with a browser does on Connect: sign in with the form, keep cookies, open pages.

use anyhow::ensure;
use reqwest::Response;
use sim_kit::http_client::client;
use url::Url;

/// The user agent of these requests, so that journals tell people from programs.
pub const USER_AGENT: &str = "Mozilla/5.0 (teamsim browser)";

/// A browser with nothing in it, for one person.
#[derive(Clone)]
pub struct Browser {
    client: reqwest::Client,
}

impl Default for Browser {
    fn default() -> Self {
        Self::new()
    }
}

impl Browser {
    /// A fresh profile.
    #[must_use]
    pub fn new() -> Self {
        let minute = std::time::Duration::from_secs(60);
        Self { client: client(|builder| builder.user_agent(USER_AGENT).cookie_store(true).timeout(minute)) }
    }

    /// Fills in Connect's sign-in form.
    ///
    /// # Errors
    /// When the sign-in is refused.
    pub async fn sign_in_to_connect(&self, base: &Url, user: &str, password: &str) -> anyhow::Result<()> {
        let login = base.join("__login__")?;
        self.client.get(login.clone()).send().await?.error_for_status()?;
        let answer = self.client.post(login).form(&[("username", user), ("password", password)]).send().await?;
        let landed = answer.url().path().to_owned();
        ensure!(
            answer.status().is_success() && !landed.starts_with("/__login__"),
            "Connect refused {user} ({})",
            answer.status()
        );
        Ok(())
    }

    /// Opens a page and follows where it leads.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn open(&self, url: Url) -> anyhow::Result<Response> {
        Ok(self.client.get(url).header("accept", "text/html,*/*;q=0.8").send().await?)
    }
}
