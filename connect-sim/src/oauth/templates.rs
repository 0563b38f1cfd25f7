//! Templates: kinds of integrations, and what each needs to be told.
//!
//! The names of the templates are the product's, and so are the fields of `custom` and `connect`. What the others need
//! is reduced to what every OAuth client needs.

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Map, Value, json};

use crate::access::Role;
use crate::app::App;
use crate::auth::Principal;
use crate::differences::Difference;
use crate::error::{Code, Error, Result};

/// A kind of integration.
pub struct Template {
    /// Its key.
    pub id: &'static str,
    name: &'static str,
    required: &'static [&'static str],
    variables: &'static [&'static str],
}

const CLIENT: &[&str] = &["client_id"];
/// The issuer of the tokens, and whom they are for.
const FEDERATION: &[&str] = &["issuer", "client_id"];

const fn template(id: &'static str, name: &'static str) -> Template {
    Template { id, name, required: CLIENT, variables: &[] }
}

const ALL: &[Template] = &[
    Template { required: &[], ..template("aws", "Amazon Web Services") },
    template("azure", "Azure"),
    template("azure-openai", "Azure OpenAI"),
    Template { required: &["max_role"], ..template("connect", "Connect API") },
    Template { required: &["authorization_uri", "client_id", "token_uri"], ..template("custom", "Custom") },
    template("databricks", "Databricks"),
    template("github", "GitHub"),
    template("bigquery", "BigQuery"),
    template("drive", "Google Drive"),
    template("sheets", "Google Sheets"),
    template("vertex-ai", "Vertex AI"),
    template("msgraph", "Microsoft Graph"),
    template("salesforce", "Salesforce"),
    template("sharepoint", "SharePoint"),
    // Their keys are chosen here.
    Template { required: FEDERATION, ..template("oidc-federation", "OpenID Connect Federation") },
    Template { required: FEDERATION, ..template("workbench-federation", "Posit Workbench Federation") },
    Template { variables: &["SNOWFLAKE_ACCOUNT"], ..template("snowflake", "Snowflake") },
];

/// The members of a configuration that are never told.
const SECRETS: [&str; 2] = ["client_secret", "private_key"];

impl Template {
    /// By key.
    #[must_use]
    pub fn of(id: &str) -> Option<&'static Self> {
        ALL.iter().find(|template| template.id == id)
    }

    /// Checks a configuration.
    ///
    /// # Errors
    /// 400 with code 228 that names the key.
    pub fn check(&self, config: &Map<String, Value>) -> Result<()> {
        let bad = |text: String| Err(Error::bad(Code::OAuthTemplateConfig, text));
        if config.len() > 50 {
            return bad("`config` has too many members.".to_owned());
        }
        for (key, value) in config {
            let good = match value {
                Value::String(text) => text.len() <= 8192 && !text.contains('\0'),
                Value::Bool(_) => true,
                _ => false,
            };
            if !good || key.len() > 100 || key.contains('\0') {
                return bad(format!("`config`: `{key:.100}` must be a text or true or false."));
            }
        }
        for key in self.required {
            if config.get(*key).and_then(Value::as_str).is_none_or(str::is_empty) {
                return bad(format!("`config`: `{key}` is missing."));
            }
        }
        let text = |key: &str| config.get(key).and_then(Value::as_str);
        if self.id == "connect" && !text("max_role").is_some_and(|r| matches!(r, "Viewer" | "Publisher" | "Admin")) {
            return bad("`config`: `max_role` must be Viewer, Publisher or Admin.".to_owned());
        }
        if text("auth_type").is_some_and(|kind| !matches!(kind, "Viewer" | "Service Account")) {
            return bad("`config`: `auth_type` must be Viewer or Service Account.".to_owned());
        }
        for key in ["authorization_uri", "issuer", "token_uri"] {
            let is_url = |text| url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
            if text(key).is_some_and(|text| !is_url(text)) {
                return bad(format!("`config`: `{key}` must be an http or https URL."));
            }
        }
        Ok(())
    }

    /// The names of variables that content finds.
    #[must_use]
    pub fn variables(&self) -> &'static [&'static str] {
        self.variables
    }

    fn shown(&self) -> Value {
        let mut names: Vec<&str> = self.required.to_vec();
        if names.contains(&"client_id") {
            names.extend(["client_secret", "scopes"]);
        }
        let fields = names.iter().map(|name| {
            json!({
                "name": name, "label": name.replace('_', " "), "default": "", "validation": "",
                "secret": SECRETS.contains(name), "multiline": false,
            })
        });
        let kinds = json!({
            "name": "auth_type", "label": "Authentication", "type": "select", "values": ["Viewer", "Service Account"],
            "default": "Viewer",
        });
        json!({
            "id": self.id, "name": self.name, "description": format!("Credentials for {}.", self.name),
            "sections": [], "options": if self.id == "connect" { json!([]) } else { json!([kinds]) },
            "fields": fields.collect::<Vec<_>>(), "environment_variables": self.variables,
        })
    }
}

/// A configuration without its secrets.
#[must_use]
pub fn without_secrets(config: &Map<String, Value>) -> Value {
    config.iter().filter(|(key, _)| !SECRETS.contains(&key.as_str())).map(|(k, v)| (k.clone(), v.clone())).collect()
}

/// Whether this release has a template.
#[must_use]
pub fn is_known(app: &App, id: &str) -> bool {
    Template::of(id).is_some() && (id != "connect" || app.config().version.with(Difference::VisitorApiKeys))
}

/// `GET /v1/oauth/templates`
///
/// # Errors
/// 403 unless an administrator asks.
pub async fn list(State(app): State<App>, principal: Principal) -> Result<Json<Vec<Value>>> {
    principal.require(Role::Administrator)?;
    Ok(Json(ALL.iter().filter(|one| is_known(&app, one.id)).map(Template::shown).collect()))
}

/// `GET /v1/oauth/templates/{key}`
///
/// # Errors
/// 403 unless an administrator asks; 404 with code 227 when there is none.
pub async fn get(State(app): State<App>, principal: Principal, Path(key): Path<String>) -> Result<Json<Value>> {
    principal.require(Role::Administrator)?;
    let found = Template::of(&key).filter(|one| is_known(&app, one.id));
    let template = found.ok_or_else(|| Error::not_found(Code::OAuthTemplateNotFound, "There is no such template."))?;
    Ok(Json(template.shown()))
}
