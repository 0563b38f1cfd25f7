//! What the licence of a server does not have: answers with 402.
//!
//! By default it has everything. `Licensing.Without` takes features away and `Licensing.Expired` ends it, so that clients can
//! be tried against such servers; both are settings of this simulator.

use http::StatusCode;

use crate::app::App;
use crate::content_type::ContentType;
use crate::error::{Code, Error, Result};

/// Something that a licence may lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // the names say it
pub enum Feature {
    Apis,
    TensorFlow,
    NodeJs,
    OAuthIntegrations,
}

impl Feature {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Apis, Self::TensorFlow, Self::NodeJs, Self::OAuthIntegrations];

    /// As the licence of the server's settings calls it, where it does.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Apis => "allow-apis",
            Self::TensorFlow => "tensorflow",
            Self::NodeJs => "nodejs",
            Self::OAuthIntegrations => "oauth-integrations",
        }
    }

    fn code(self) -> Code {
        match self {
            Self::Apis => Code::ApiNotLicensed,
            Self::TensorFlow => Code::TensorFlowNotLicensed,
            Self::NodeJs => Code::NodeJsNotLicensed,
            Self::OAuthIntegrations => Code::OAuthIntegrationsNotLicensed,
        }
    }

    /// What content of a mode needs.
    fn of(mode: ContentType) -> Option<Self> {
        match mode {
            ContentType::Api | ContentType::PythonApi | ContentType::FastApi => Some(Self::Apis),
            ContentType::TensorFlow => Some(Self::TensorFlow),
            ContentType::NodeJs => Some(Self::NodeJs),
            _ => None,
        }
    }
}

/// Whether the licence has a feature.
#[must_use]
pub fn has(app: &App, feature: Feature) -> bool {
    !app.config().unlicensed.contains(&feature)
}

/// # Errors
/// 402 when the licence lacks a feature.
pub fn require(app: &App, feature: Feature) -> Result<()> {
    let text = || format!("The licence of this server has no {}.", feature.name());
    if has(app, feature) { Ok(()) } else { Err(Error::unlicensed(feature.code(), text())) }
}

/// # Errors
/// 402 when the licence lacks what content of this mode needs.
pub fn require_for(app: &App, app_mode: &str) -> Result<()> {
    match ContentType::of(app_mode).and_then(Feature::of) {
        Some(feature) => require(app, feature),
        None => Ok(()),
    }
}

/// The status of `/__ping__`, by which clients find out that a licence has expired.
#[must_use]
pub fn status(app: &App) -> StatusCode {
    if app.config().license_expired { StatusCode::PAYMENT_REQUIRED } else { StatusCode::OK }
}
