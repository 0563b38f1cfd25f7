//! The last long list of items, kept as it was sent until something is written to the database.
//!
//! Clients ask for everything there is again and again, and most of the time nothing has changed. One list is kept, of a bounded
//! size, so that memory stays as it is. Clients that take it compressed get it so: it is a twentieth of the size. Whether the product
//! compresses its answers is not known; a client that does not ask for it does not notice.

use std::io::Read as _;
use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use flate2::Compression;
use flate2::bufread::GzEncoder;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, VARY};
use sim_kit::db::Engine;
use sim_kit::known::Known;
use sim_kit::sendfile::share;
use sim_kit::serve_bytes::accepts_gzip;
use tokio::sync::OnceCell;

use crate::error::{Error, Result};

/// Bytes of a list that is kept, at most.
pub const MOST: usize = 16 << 20;

/// The lists kept, by what they tell; none of one that is too long.
pub type Lists = Known<String, Option<Arc<List>>>;

/// An empty [`Lists`]. On PostgreSQL, where others write as well, what a list tells includes the state that it was read in.
#[must_use]
pub fn lists(engine: Engine) -> Lists {
    match engine {
        Engine::Sqlite => Known::new(1),
        Engine::Postgres => Known::of_states(1),
    }
}

/// JSON that is sent often.
pub struct List {
    text: Bytes,
    gzip: OnceCell<Bytes>,
}

impl List {
    /// To be sent from now on.
    #[must_use]
    pub fn new(text: Vec<u8>) -> Self {
        Self { text: share(text.into()), gzip: OnceCell::new() }
    }

    /// The answer to a request of these headers.
    ///
    /// # Errors
    /// None, unless the server is shutting down.
    pub async fn answer(&self, request: &HeaderMap) -> Result<Response> {
        let head = [(CONTENT_TYPE, "application/json"), (VARY, "Accept-Encoding")];
        if !accepts_gzip(request) {
            return Ok((head, Body::from(self.text.clone())).into_response());
        }
        let compress = || async {
            let text = self.text.clone();
            let compressed = tokio::task::spawn_blocking(move || {
                let mut out = Vec::new();
                GzEncoder::new(&text[..], Compression::fast()).read_to_end(&mut out).map(|_| share(out.into()))
            });
            Ok::<_, Error>(compressed.await.map_err(|error| Error::Internal(error.to_string()))??)
        };
        let bytes = self.gzip.get_or_try_init(compress).await?;
        Ok((head, [(CONTENT_ENCODING, "gzip")], Body::from(bytes.clone())).into_response())
    }
}
