//! What a server is and can, as clients ask before they publish.
//!
//! `/server_settings` needs no credential: clients find out by it whether a server is Connect at all. What an anonymous
//! caller of the real product gets is not known beyond `version`; here it is what a login page needs.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};

use crate::access::{AccessType, Role};
use crate::app::App;
use crate::auth::{Principal, Recognised};
use crate::config::Config;
use crate::content_type::{ContentType, Kind};
use crate::differences::Difference;
use crate::error::{Code, Error, Result};
use crate::license::{self, Feature};
use crate::messages;
use crate::users::listing::ACTIVITY_DAYS;

/// `GET /__ping__`
pub async fn ping(State(app): State<App>) -> (StatusCode, Json<Value>) {
    (license::status(&app), Json(json!({})))
}

fn authentication(app: &App) -> Value {
    let config = app.config();
    let name = |usual: &str| config.authentication_name.clone().unwrap_or_else(|| usual.to_owned());
    if app.config().identity_provider.is_some() {
        // Only the built-in provider has a directory to search.
        let search = app.config().serves_identity();
        return json!({
            "handles_credentials": false, "handles_login": true, "challenge_response_enabled": false,
            "external_user_data": true, "external_user_search": search, "external_user_id": true,
            "groups_enabled": true, "external_group_search": search, "external_group_members": true,
            "external_group_id": false, "external_group_owner": false, "unique_usernames": true,
            "name_editable_by": "provider", "email_editable_by": "provider",
            "username_editable_by": "provider", "role_editable_by": "admin",
            "name": name("OAuth2"), "notice": config.authentication_notice, "warning_delay": 0, "API_key_auth": true,
        });
    }
    json!({
        "handles_credentials": true, "handles_login": true, "challenge_response_enabled": false,
        "external_user_data": false, "external_user_search": false, "external_user_id": false,
        "groups_enabled": true, "external_group_search": false, "external_group_members": false,
        "external_group_id": false, "external_group_owner": false, "unique_usernames": true,
        "name_editable_by": "adminandself", "email_editable_by": "adminandself",
        "username_editable_by": "admin", "role_editable_by": "admin",
        "name": name("Connect"), "notice": config.authentication_notice, "warning_delay": 0, "API_key_auth": true,
    })
}

fn license(app: &App) -> Value {
    // Of the two ways to say it, servers of 2023 are known to have used text, and one of 2024.09.0 types.
    let typed = app.config().version.with(Difference::TypedLicense);
    let number = |n: i64| if typed { json!(n) } else { json!(n.to_string()) };
    let on = if typed { json!(true) } else { json!("1") };
    let mut license = json!({
        "ts": 0, "status": "activated", "expiration": 0, "days-left": 36500, "has-key": true, "has-trial": false,
        "tier": "simulated", "sku-year": "", "edition": "", "cores": number(0), "connections": number(0),
        "type": "local", "users": number(0), "user-activity-days": number(ACTIVITY_DAYS),
    });
    if typed {
        license["users-grace"] = json!("true");
    }
    license["shiny-users"] = number(0);
    for feature in ["allow-apis", "custom-branding", "current-user-execution"] {
        license[feature] = on.clone();
    }
    if typed {
        license["anonymous-servers"] = json!(true);
        license["unrestricted-servers"] = json!(true);
        license["anonymous-branding"] = json!(false);
    }
    if app.config().version.with(Difference::OAuthLicense) {
        license["oauth-integrations"] = on.clone();
    }
    license["enable-launcher"] = on;
    for feature in &app.config().unlicensed {
        if let Value::Object(license) = &mut license
            && license.contains_key(feature.name())
        {
            // Clients ask whether there is anything: the text of a 0 would count as a yes.
            license.insert(feature.name().to_owned(), if typed { json!(false) } else { json!("") });
        }
    }
    if app.config().license_expired {
        license["status"] = json!("expired");
        license["days-left"] = json!(0);
    }
    license
}

fn runtimes(config: &Config) -> Vec<&'static str> {
    let all = [("R", &config.r_versions), ("Python", &config.python_versions), ("Quarto", &config.quarto_versions)];
    all.into_iter().filter(|(_, versions)| !versions.is_empty()).map(|(name, _)| name).collect()
}

/// Whether a user asks, and the texts to everyone and to users: the rest of the settings stays as it is while the server runs.
pub type Warnings = (bool, String, String);

/// `GET /server_settings`
///
/// # Errors
/// When the database fails.
pub async fn get(State(app): State<App>, Recognised(principal): Recognised) -> Result<Response> {
    let is_user = principal.is_some();
    let logged_in_warning = if is_user { messages::text(&app, "logged_in").await? } else { String::new() };
    let warnings = (is_user, messages::text(&app, "everyone").await?, logged_in_warning);
    // Every client asks before everything else.
    let write = async || Ok::<_, Error>(Bytes::from(settings(&app, &warnings).to_string()));
    let settings = app.settings().get(app.world().db(), &warnings, write).await?;
    Ok(([(CONTENT_TYPE, "application/json")], settings).into_response())
}

fn settings(app: &App, (is_user, public_warning, logged_in_warning): &Warnings) -> Value {
    let version = app.config().version.to_string();
    let mut settings = json!({
        "hostname": "teamsim",
        "version": version,
        "about": format!("Posit Connect v{version}"),
        "authentication": authentication(app),
        "dashboard_path": "/connect",
        "logout_url": "__logout__",
        "system_display_name": app.config().system_name,
        "self_registration": false,
        "public_warning": public_warning,
        "http_warning": false,
    });
    if !is_user {
        if app.config().hide_version {
            settings["version"] = json!("");
            settings["about"] = json!("Posit Connect");
        }
        return settings;
    }
    let more = json!({
        "build": format!("v{version}-simulated"),
        "license": license(app),
        "license_expiration_ui_warning": app.config().license_expired,
        "deprecated_settings": false,
        "deprecated_settings_ui_warning": false,
        "google_analytics_tracking_id": "",
        "viewer_kiosk": false,
        "mail_all": false,
        "mail_configured": app.config().mail.is_some(),
        "logged_in_warning": logged_in_warning,
        "metrics_rrd_enabled": false,
        "metrics_instrumentation": true,
        "customized_landing": false,
        "prohibited_usernames": ["connect", "apps", "users", "groups", "setpassword", "user-completion", "confirm"],
        "username_validator": "default",
        "viewers_can_only_see_themselves": app.config().viewers_can_only_see_themselves,
        "queue_ui": false,
        "runtimes": runtimes(app.config()),
        "default_content_list_view": app.config().content_list_view,
        "maximum_app_image_size": app.config().limits.image_bytes,
        "server_settings_toggler": false,
        "git_enabled": app.config().git.enabled,
        "git_available": app.has_git(),
        "hide_viewer_documentation": false,
        "jump_start_enabled": false,
        "permission_request": false,
        "tableau_integration_enabled": false,
        "self_test_enabled": false,
        "execution_type": "native",
        "enable_runtime_constraints": false,
        "enable_image_management": false,
        "enable_runtime_cache_management": false,
        "default_image_selection_enabled": false,
        "default_environment_management_selection": true,
        "default_r_environment_management": true,
        "default_py_environment_management": true,
        "new_parameterization_enabled": false,
        "use_window_location": false,
        "end_of_support_ui_warning": false,
        "labs_enabled": false,
        "locked_content_enabled": app.config().version.with(Difference::ContentLock),
        "viewers_can_request_privileges": false,
        "whats_new_enabled": false,
        "oauth_integrations_enabled": app.config().version.with(Difference::OAuthSetting)
            && license::has(app, Feature::OAuthIntegrations),
    });
    if let (Value::Object(settings), Value::Object(more)) = (&mut settings, more) {
        settings.extend(more);
    }
    settings
}

/// `GET /v1/server_settings/public`: what a login page needs.
pub async fn public(State(app): State<App>) -> Result<Json<Value>> {
    let public_warning = messages::text(&app, "everyone").await?;
    Ok(Json(json!({
        "authentication": authentication(&app),
        "dashboard_path": "/connect",
        "logout_url": "__logout__",
        "system_display_name": app.config().system_name,
        "self_registration": false,
        "public_warning": public_warning,
        "http_warning": false,
        "customized_landing": false,
    })))
}

/// `GET /server_settings/applications`
///
/// # Errors
/// 403 for viewers.
pub async fn applications(State(app): State<App>, principal: Principal) -> Result<Json<Value>> {
    principal.require(Role::Publisher)?;
    let config = app.config();
    let types = AccessType::EVERY.into_iter().rev().filter(|access| *access <= config.widest_access);
    Ok(Json(json!({
        "access_types": types.map(AccessType::as_str).collect::<Vec<_>>(),
        "run_as": config.run_as,
        "run_as_group": config.run_as,
        "run_as_current_user": config.run_as_current_user,
    })))
}

/// `GET /server_settings/scheduler`
///
/// # Errors
/// 403 for viewers.
pub async fn scheduler(State(app): State<App>, principal: Principal) -> Result<Json<Value>> {
    principal.require(Role::Publisher)?;
    Ok(Json(app.config().scheduler.shown()))
}

/// `GET /server_settings/scheduler/{app_mode}`
///
/// # Errors
/// 400 for a mode that is none or has no processes, 403 for viewers.
pub async fn scheduler_of(app: State<App>, principal: Principal, Path(mode): Path<String>) -> Result<Json<Value>> {
    let known = ContentType::of(&mode).filter(|mode| mode.kind() != Kind::Static && *mode != ContentType::TensorFlow);
    if known.is_none() {
        let text = format!("`{mode}` is not an app mode with settings of its own.");
        return Err(Error::bad(Code::InvalidAppMode, text));
    }
    scheduler(app, principal).await
}

fn installations(versions: &[String]) -> Vec<Value> {
    versions.iter().map(|v| json!({"version": v, "cluster_name": "Local", "image_name": "Local"})).collect()
}

/// `GET /v1/server_settings/r`
///
/// # Errors
/// 403 for viewers.
pub async fn r(State(app): State<App>, principal: Principal) -> Result<Json<Value>> {
    principal.require(Role::Publisher)?;
    Ok(Json(json!({"installations": installations(&app.config().r_versions)})))
}

/// `GET /v1/server_settings/python`
///
/// # Errors
/// 403 for viewers.
pub async fn python(State(app): State<App>, principal: Principal) -> Result<Json<Value>> {
    principal.require(Role::Publisher)?;
    Ok(Json(
        json!({"installations": installations(&app.config().python_versions), "api_enabled": !app.config().python_versions.is_empty() && license::has(&app, Feature::Apis)}),
    ))
}

/// `GET /v1/server_settings/quarto`
///
/// # Errors
/// 403 for viewers.
pub async fn quarto(State(app): State<App>, principal: Principal) -> Result<Json<Value>> {
    principal.require(Role::Publisher)?;
    Ok(Json(json!({"installations": installations(&app.config().quarto_versions)})))
}

/// `GET /v1/server_settings/tensorflow`
///
/// # Errors
/// 403 for viewers.
pub async fn tensorflow(State(app): State<App>, principal: Principal) -> Result<Json<Value>> {
    principal.require(Role::Publisher)?;
    Ok(Json(json!({"installations": installations(&app.config().tensorflow_versions)})))
}

/// `GET /v1/server_settings/nodejs`
///
/// # Errors
/// 403 for viewers.
pub async fn nodejs(State(app): State<App>, principal: Principal) -> Result<Json<Value>> {
    principal.require(Role::Publisher)?;
    Ok(Json(
        json!({"installations": installations(&app.config().node_versions), "enabled": !app.config().node_versions.is_empty() && license::has(&app, Feature::NodeJs)}),
    ))
}
