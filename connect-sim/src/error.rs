//! Errors as Connect tells them: `{"code": 4, "error": "…", "payload": null}`.
//!
//! Clients tell a missing object (404 with a `code`) from a route that this release does not have (404 with the plain
//! text `404 page not found`), and choose older paths by it.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};
use sim_kit::blobs::BlobError;

/// The number that tells clients what went wrong. The published list has 278; these are the ones in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // the names are the published ones
#[repr(u16)]
pub enum Code {
    InternalFailure = 1,
    BadRequest = 2,
    InvalidId = 3,
    ObjectDoesNotExist = 4,
    InvalidApplicationName = 5,
    InadequatePassword = 6,
    InvalidUserName = 7,
    DuplicateUserName = 8,
    ParameterMissing = 12,
    InvalidGroupName = 14,
    DuplicateGroupName = 15,
    RemoveNothing = 17,
    PermissionDenied = 22,
    InvalidRoleAssignment = 23,
    AuthRequired = 24,
    InvalidParameter = 25,
    DuplicateName = 26,
    BundleMissing = 28,
    TokenExpired = 29,
    InvalidLogin = 30,
    InvalidCollaborator = 33,
    CannotDelete = 35,
    InvalidManifest = 38,
    InitialUserGeneratePassword = 41,
    UserMissingEmail = 44,
    MinProcessesOverLimit = 45,
    AppModeChanged = 48,
    UserLocked = 50,
    VanityPathInUse = 51,
    ProhibitedVanityPath = 52,
    RunAsCurrentProhibited = 54,
    RunAsNonExecutableProhibited = 55,
    RunAsUserNotFound = 57,
    SoleAdminDemotion = 61,
    InvalidKeyName = 62,
    ApiNotLicensed = 65,
    InvalidAppForVariantSchedule = 72,
    InvalidVariantName = 74,
    DeleteActiveBundle = 75,
    DuplicateUserKey = 76,
    NoLongTagName = 77,
    NoEmptyTagName = 78,
    NoCategoryAppAssignment = 79,
    NoDuplicateTagNames = 81,
    BundleIdAppIdMismatch = 82,
    TooManyResults = 83,
    TokenClaimed = 84,
    DuplicateToken = 85,
    MissingTokenAttributes = 86,
    CannotParseRequestBody = 87,
    Xsrf = 92,
    ProhibitedAuthType = 95,
    QueueItemInProgress = 100,
    InvalidPasswordToken = 101,
    DuplicateSchedule = 102,
    ContentChecksum = 104,
    TensorFlowNotLicensed = 105,
    EnvironmentVersionMismatch = 106,
    MaxProcessesOverLimit = 113,
    MinProcessesOverMaxProcesses = 114,
    UnknownAccessType = 117,
    ProhibitedAccessType = 118,
    InvalidApplicationTitle = 122,
    InvalidApplicationDescription = 123,
    InvalidContentLength = 125,
    InvalidTempTicket = 127,
    InvalidAuthProvider = 132,
    BundleExtract = 135,
    InvalidTimeFormat = 136,
    TaskDoesNotExist = 141,
    NoBundleUploadForGitManagedApp = 144,
    GitIsDisabled = 145,
    GitUnsupportedParameters = 146,
    AppModeIsNotExecutable = 147,
    InvalidAppMode = 148,
    DuplicateEnvironmentVariable = 149,
    InvalidLoadFactor = 150,
    InvalidTimeout = 151,
    InvalidPrincipalType = 152,
    InvalidOwner = 156,
    InvalidParentTag = 157,
    InvalidTag = 158,
    InvalidInclude = 161,
    InvalidHost = 162,
    InactiveJob = 163,
    GitUnsupportedProtocol = 164,
    ProhibitedBootstrap = 165,
    InvalidJwt = 166,
    InvalidEnvironmentTitle = 168,
    InvalidEnvironmentDescription = 169,
    InvalidEnvironmentClusterName = 170,
    InvalidEnvironmentName = 171,
    UnknownEnvironmentMatchingType = 172,
    InvalidInstallationPath = 173,
    InvalidInstallationVersion = 174,
    DuplicateEnvironmentName = 175,
    InvalidServiceAccountName = 176,
    InvalidEnvironmentSupervisor = 177,
    InvalidRuntimeLanguage = 179,
    InvalidMemoryRequest = 181,
    MemoryRequestOverLimit = 182,
    InvalidMemoryLimit = 183,
    MemoryLimitOverLimit = 184,
    MemoryRequestOverMemoryLimit = 185,
    InvalidCpuRequest = 186,
    CpuRequestOverLimit = 187,
    InvalidCpuLimit = 188,
    CpuLimitOverLimit = 189,
    CpuRequestOverCpuLimit = 190,
    InvalidMinProcesses = 191,
    InvalidMaxProcesses = 192,
    InvalidDefaultImageName = 193,
    InvalidAmdGpuLimit = 196,
    AmdGpuLimitOverLimit = 197,
    InvalidNvidiaGpuLimit = 198,
    NvidiaGpuLimitOverLimit = 199,
    EmailNoRecipients = 200,
    InvalidOAuthIntegrationGuid = 207,
    FormPostParseFailure = 211,
    OAuthCredentialNoAssociations = 212,
    OAuthCredentialGrantType = 213,
    OAuthCredentialSubjectTokenType = 214,
    OAuthCredentialSubjectToken = 215,
    OAuthCredentialIssClaim = 216,
    OAuthCredentialSubClaim = 217,
    OAuthAccessTokenRefreshFailure = 219,
    OAuthSessionNotFound = 220,
    OAuthIntegrationsNotLicensed = 221,
    LockedContentBundle = 222,
    LockedContentProcess = 223,
    InvalidLockedMessage = 224,
    InvalidOAuthIntegrationName = 225,
    InvalidOAuthIntegrationDescription = 226,
    OAuthTemplateNotFound = 227,
    OAuthTemplateConfig = 228,
    OAuthTemplateProhibitedChange = 229,
    InvalidOAuthIntegrationLogin = 230,
    InvalidBundleUrl = 232,
    UnableToGetBundleFromUrl = 233,
    InvalidKeyRole = 234,
    OAuthInvalidContentSessionToken = 236,
    InvalidMaxConnsPerProcess = 239,
    OAuthServiceAccountTestInvalidAuthType = 240,
    OAuthCredentialRequestedTokenType = 242,
    InvalidSchedule = 245,
    InvalidEnvironmentPermission = 246,
    DuplicateEnvironmentPermission = 247,
    OAuthCredentialInvalidSubjectTokenTypeForAuthType = 252,
    EnvironmentsInvalidVolume = 254,
    CustomDocumentationLength = 255,
    OAuthCredentialsInvalidAudience = 256,
    OAuthCredentialsInvalidAssociationCount = 257,
    InvalidOAuthIntegrationsDuplicates = 258,
    NotPublicContent = 259,
    InvalidUserGuid = 261,
    InvalidGroupGuid = 262,
    InvalidEmailFormat = 264,
    EmptyEnvironmentVariableName = 266,
    DuplicateBookmark = 267,
    InvalidFirstName = 268,
    InvalidLastName = 269,
    NodeJsNotLicensed = 270,
    MaxProcessesZero = 272,
    OAuthCredentialIdTokenVerification = 275,
    OAuthMissingIdToken = 276,
    RateLimitExceeded = 277,
    BundleFileNotFound = 278,
}

/// Everything a handler can fail with.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller or what it sent is at fault: a status of 4xx (and one 500 of older releases; 503 for too many visits), its code and a text that names the problem.
    #[error("{text}")]
    Refused {
        /// 4xx.
        status: StatusCode,
        /// The product's number for it.
        code: Code,
        /// For people.
        text: String,
    },
    /// What RFC 6749 calls an error: its word for it, and a text for people.
    #[error("{error}: {text}")]
    OAuth {
        /// 4xx.
        status: StatusCode,
        /// Such as `invalid_grant`.
        error: &'static str,
        /// For people.
        text: String,
    },
    /// No such route in this release.
    #[error("404 page not found")]
    NoRoute,
    /// The browser has to sign in first.
    #[error("sign in at {0}")]
    SignIn(String),
    /// The database failed.
    #[error("database: {0}")]
    Db(#[from] sqlx::Error),
    /// The blob store failed.
    #[error(transparent)]
    Blobs(#[from] BlobError),
    /// A file could not be read or written.
    #[error("files: {0}")]
    Io(#[from] std::io::Error),
    /// A page could not be made.
    #[error("page: {0}")]
    Page(#[from] minijinja::Error),
    /// A mistake of this program, such as a background computation that panicked.
    #[error("internal: {0}")]
    Internal(String),
}

/// What handlers return.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    fn refused(status: StatusCode, code: Code, text: impl Into<String>) -> Self {
        Self::Refused { status, code, text: text.into() }
    }

    /// 400: what was sent cannot be.
    pub fn bad(code: Code, text: impl Into<String>) -> Self {
        Self::refused(StatusCode::BAD_REQUEST, code, text)
    }

    /// 400 in the shape of RFC 6749.
    pub fn oauth(error: &'static str, text: impl Into<String>) -> Self {
        Self::OAuth { status: StatusCode::BAD_REQUEST, error, text: text.into() }
    }

    /// 404: no such thing, or none that this caller may know of.
    pub fn missing(what: &str) -> Self {
        Self::refused(StatusCode::NOT_FOUND, Code::ObjectDoesNotExist, format!("The requested {what} does not exist."))
    }

    /// 404 with a code of its own.
    pub fn not_found(code: Code, text: impl Into<String>) -> Self {
        Self::refused(StatusCode::NOT_FOUND, code, text)
    }

    /// 503: nothing is wrong with the request, and it may be made again later.
    pub fn unavailable(code: Code, text: impl Into<String>) -> Self {
        Self::refused(StatusCode::SERVICE_UNAVAILABLE, code, text)
    }

    /// 409: it stands against what is there.
    pub fn conflict(code: Code, text: impl Into<String>) -> Self {
        Self::refused(StatusCode::CONFLICT, code, text)
    }

    /// 402: the licence does not have it.
    pub fn unlicensed(code: Code, text: impl Into<String>) -> Self {
        Self::refused(StatusCode::PAYMENT_REQUIRED, code, text)
    }

    /// 413: more bytes than this server takes.
    pub fn too_large(what: &str, limit: u64) -> Self {
        let text = format!("{what} is larger than the {limit} bytes this server takes.");
        Self::refused(StatusCode::PAYLOAD_TOO_LARGE, Code::InvalidContentLength, text)
    }

    /// 401: nobody said who asks.
    pub fn no_credential() -> Self {
        let text = "You must be logged in to perform this operation.";
        Self::refused(StatusCode::UNAUTHORIZED, Code::AuthRequired, text)
    }

    /// 401: who asks is not known.
    pub fn invalid_login() -> Self {
        Self::refused(StatusCode::UNAUTHORIZED, Code::InvalidLogin, "Invalid login.")
    }

    /// 500, which releases before 2024.05.0 answer a token with that nobody has claimed; clients wait on.
    pub fn unclaimed_token() -> Self {
        let text = "The token has not been claimed.";
        Self::refused(StatusCode::INTERNAL_SERVER_ERROR, Code::InternalFailure, text)
    }

    /// 401 with a code of its own.
    pub fn unauthorized(code: Code, text: impl Into<String>) -> Self {
        Self::refused(StatusCode::UNAUTHORIZED, code, text)
    }

    /// 403: who asks may not.
    pub fn forbidden() -> Self {
        let text = "You don't have permission to perform this operation.";
        Self::refused(StatusCode::FORBIDDEN, Code::PermissionDenied, text)
    }

    /// 403 with a code of its own.
    pub fn forbidden_because(code: Code, text: impl Into<String>) -> Self {
        Self::refused(StatusCode::FORBIDDEN, code, text)
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let (status, code, text) = match self {
            Self::Refused { status, code, text } => (status, code, text),
            Self::OAuth { status, error, text } => {
                let body = json!({"error": error, "error_description": text});
                return (status, [(http::header::CACHE_CONTROL, "no-store")], Json(body)).into_response();
            }
            Self::NoRoute => {
                let head = [(CONTENT_TYPE, "text/plain; charset=utf-8")];
                return (StatusCode::NOT_FOUND, head, "404 page not found").into_response();
            }
            Self::SignIn(url) => return (StatusCode::FOUND, [(http::header::LOCATION, url)]).into_response(),
            failure => {
                tracing::error!(error = %failure, "a request failed");
                let text = "An internal failure occurred; the server's log says more.".to_owned();
                (StatusCode::INTERNAL_SERVER_ERROR, Code::InternalFailure, text)
            }
        };
        (status, Json(json!({"code": code as u16, "error": text, "payload": Value::Null}))).into_response()
    }
}
