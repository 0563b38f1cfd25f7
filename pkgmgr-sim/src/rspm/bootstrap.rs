//! The first token.

use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::DateTime;
use clap::Subcommand;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use reqwest::Method;
use rsa::PrivateKey;
use rsa::pkcs8::{EncodePrivateKey as _, EncodePublicKey as _, LineEnding};
use serde_json::json;
use sim_kit::ids::Ids;

use super::{Server, Told, given, said};
use crate::bootstrap::{AUDIENCE, Assertion, SCOPE};

/// Steps to a first token.
#[derive(Debug, Clone, Subcommand)]
pub enum Bootstrap {
    /// Make a key. Its public half goes into the server's settings: Bootstrap.PublicKey, or PACKAGEMANAGER_BOOTSTRAP_PUBLICKEY.
    #[command(after_help = "Example:\n  rspm bootstrap keys --path=keys")]
    Keys {
        /// The folder for it; ~/.ppm/keys when left out.
        #[arg(long, value_name = "FOLDER")]
        path: Option<PathBuf>,
    },
    /// Get a token that allows everything, with that key.
    #[command(after_help = "Example:\n  rspm bootstrap token --expires=5h")]
    Token {
        /// The folder with the key; ~/.ppm/keys when left out.
        #[arg(long, value_name = "FOLDER")]
        path: Option<PathBuf>,
        /// How long it is valid: 20d, 5h or never.
        #[arg(long, default_value = "24h")]
        expires: String,
    },
}

const PRIVATE: &str = "bootstrap.key";
const PUBLIC: &str = "bootstrap.pub";
/// Seconds that an assertion is good for.
const MOMENT: i64 = 300;

fn folder(path: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    let home = || Some(std::env::home_dir()?.join(".ppm/keys"));
    path.or_else(home).context("there is no home folder; say where keys are with --path")
}

/// Does a step.
pub(super) async fn bootstrap(server: &Server, step: Bootstrap) -> anyhow::Result<Told> {
    match step {
        Bootstrap::Keys { path } => {
            let folder = folder(path)?;
            tokio::task::spawn_blocking(move || keys(&folder)).await?
        }
        Bootstrap::Token { path, expires } => token(server, &folder(path)?, &expires).await,
    }
}

fn write(path: &Path, mode: u32, text: &str) -> anyhow::Result<()> {
    let shown = path.display();
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let mut file = file.with_context(|| format!("cannot write {shown}"))?;
    file.write_all(text.as_bytes()).with_context(|| format!("cannot write {shown}"))
}

fn keys(folder: &Path) -> anyhow::Result<Told> {
    let (private, public) = (folder.join(PRIVATE), folder.join(PUBLIC));
    if private.exists() {
        bail!("there is a key already: {}", private.display());
    }
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("cannot make {}", folder.display()))?;
    let mut random = ChaCha20Rng::from_seed(Ids::new(0, 0).secret_bytes());
    let key = PrivateKey::new(&mut random, 2048)?;
    let text = STANDARD.encode(key.to_public_key().to_public_key_der()?.as_bytes());
    write(&private, 0o600, &key.to_pkcs8_pem(LineEnding::LF)?)?;
    write(&public, 0o644, &format!("{text}\n"))?;
    eprintln!("The key is in {}. Set PACKAGEMANAGER_BOOTSTRAP_PUBLICKEY for the server to:", private.display());
    Ok(said(json!({ "private_key": private, "public_key_file": public, "public_key": text }), text))
}

async fn token(server: &Server, folder: &Path, expires: &str) -> anyhow::Result<Told> {
    let path = folder.join(PRIVATE);
    let shown = path.display();
    let pem =
        std::fs::read(&path).with_context(|| format!("cannot read {shown}; make a key with: rspm bootstrap keys"))?;
    let key = EncodingKey::from_rsa_pem(&pem).with_context(|| format!("{shown} is no RSA key"))?;
    // The server's clock is what counts, and it may be a simulated one.
    let ping = server.client.get(server.address.clone()).send().await;
    let ping = ping.with_context(|| format!("{} does not answer", server.address))?;
    let date = ping.headers().get(http::header::DATE).and_then(|date| date.to_str().ok());
    let now = DateTime::parse_from_rfc2822(date.context("the server does not tell the time")?)?.timestamp();
    let assertion = Assertion {
        aud: AUDIENCE.to_owned(),
        scope: SCOPE.to_owned(),
        iat: now,
        exp: now + MOMENT,
        jti: Ids::new(0, 0).secret(32),
    };
    let assertion = jsonwebtoken::encode(&Header::new(Algorithm::RS256), &assertion, &key)?;
    // The other tokens of whoever asks are of no matter.
    let nobody =
        Server { client: server.client.clone(), address: server.address.clone(), token: None, verbose: server.verbose };
    let body = given(vec![("assertion", assertion.into()), ("expires", expires.into())]);
    let made = nobody.call(Method::POST, &["bootstrap"], &body).await?;
    let token = made["token"].as_str().context("the answer has no token")?.to_owned();
    Ok(said(made, token))
}
