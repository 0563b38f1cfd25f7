//! The server's keys: what signs cookies, and the RSA pair of the sign-in page. Both are made once and kept in the
//! database, so that a sign-in outlives a restart.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use rsa::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, LineEnding};
use rsa::traits::PublicKeyParts as _;
use rsa::{Pkcs1v15Encrypt, PrivateKey};
use sim_kit::World;
use tokio::sync::OnceCell;

use super::signed::Signer;
use crate::error::Error;
use crate::store;

const BITS: usize = 2048;

/// See the module.
pub(crate) struct Keys {
    /// Signs `user-id`.
    pub(crate) user: Signer,
    /// Signs `user-list-id`.
    pub(crate) user_list: Signer,
    /// Signs `RS_SESSION_RPC_COOKIE`.
    pub(crate) rpc: Signer,
    /// Made on first use: it takes longer than everything else at start.
    rsa: OnceCell<Arc<PrivateKey>>,
}

impl Keys {
    pub(crate) async fn open(world: &World) -> Result<Self, Error> {
        let fresh = hex::encode(world.ids().secret_bytes());
        let secret = match store::keys::get(world.db(), "secure-cookie-key").await? {
            Some(secret) => secret,
            None => store::keys::put(world.db(), "secure-cookie-key", &fresh).await?,
        };
        Ok(Self {
            user: Signer::new(&secret, "user-id"),
            user_list: Signer::new(&secret, "user-list-id"),
            rpc: Signer::new(&secret, "session-rpc"),
            rsa: OnceCell::new(),
        })
    }

    async fn rsa(&self, world: &World) -> Result<Arc<PrivateKey>, Error> {
        let key = self.rsa.get_or_try_init(|| async {
            let pem = match store::keys::get(world.db(), "sign-in-rsa").await? {
                Some(pem) => pem,
                None => {
                    let seed = world.ids().secret_bytes();
                    let pem = tokio::task::spawn_blocking(move || {
                        let key = PrivateKey::new(&mut ChaCha20Rng::from_seed(seed), BITS).map_err(Error::key)?;
                        key.to_pkcs8_pem(LineEnding::LF).map(|pem| pem.to_string()).map_err(Error::key)
                    })
                    .await
                    .map_err(Error::key)??;
                    store::keys::put(world.db(), "sign-in-rsa", &pem).await?
                }
            };
            Ok::<_, Error>(Arc::new(PrivateKey::from_pkcs8_pem(&pem).map_err(Error::key)?))
        });
        key.await.cloned()
    }

    /// `exponent:modulus` in hex, as `/auth-public-key` answers.
    pub(crate) async fn public(&self, world: &World) -> Result<String, Error> {
        let key = self.rsa(world).await?;
        Ok(format!("{}:{}", hex::encode_upper(key.e_bytes()), hex::encode_upper(key.n_bytes())))
    }

    /// The name and the password in `base64(RSA(name + "\n" + password))`; none when that is not what it is.
    pub(crate) async fn decrypt(&self, world: &World, text: &str) -> Result<Option<(String, String)>, Error> {
        let key = self.rsa(world).await?;
        let plain = BASE64_STANDARD
            .decode(text.trim())
            .ok()
            .filter(|bytes| bytes.len() <= BITS / 8)
            .and_then(|bytes| key.decrypt(Pkcs1v15Encrypt, &bytes).ok())
            .and_then(|plain| String::from_utf8(plain).ok());
        Ok(plain
            .and_then(|plain| plain.split_once('\n').map(|(name, password)| (name.to_owned(), password.to_owned()))))
    }
}
