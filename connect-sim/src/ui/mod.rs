//! Pages: sign-in, the dashboard, and what the simulated runtime shows.
//!
//! The dashboard's addresses are hash routes (`/connect/#/apps/{guid}/logs`), as in the real product. A little script
//! turns them into the server-rendered views below `/connect/view/`, which also work by themselves.

pub mod dashboard;

use axum::response::Html;
use minijinja::{AutoEscape, Environment, Value, context};

use crate::config::Config;
use crate::error::Result;

/// The templates.
pub struct Pages {
    environment: Environment<'static>,
    system_name: String,
    version: String,
}

const TEMPLATES: [(&str, &str); 10] = [
    ("base.html", include_str!("../../templates/base.html")),
    ("claim.html", include_str!("../../templates/claim.html")),
    ("consent.html", include_str!("../../templates/consent.html")),
    ("content.html", include_str!("../../templates/content.html")),
    ("device.html", include_str!("../../templates/device.html")),
    ("list.html", include_str!("../../templates/list.html")),
    ("login.html", include_str!("../../templates/login.html")),
    ("message.html", include_str!("../../templates/message.html")),
    ("script.js", include_str!("../../templates/script.js")),
    ("stand_in.html", include_str!("../../templates/stand_in.html")),
];

impl Pages {
    /// Compiles the templates.
    ///
    /// # Errors
    /// When one is broken.
    pub fn new(config: &Config) -> std::result::Result<Self, minijinja::Error> {
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|name| match name.ends_with(".html") {
            true => AutoEscape::Html,
            false => AutoEscape::None,
        });
        for (name, text) in TEMPLATES {
            environment.add_template(name, text)?;
        }
        Ok(Self { environment, system_name: config.system_name.clone(), version: config.version.to_string() })
    }

    /// Fills a template.
    ///
    /// # Errors
    /// When the template wants what is not given.
    pub fn render(&self, name: &str, values: Value) -> Result<Html<String>> {
        let general = context! { system_name => &self.system_name, version => &self.version };
        let page = self.environment.get_template(name)?.render(context! { ..values, ..general })?;
        Ok(Html(page))
    }
}
