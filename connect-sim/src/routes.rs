//! The one table of routes: method, path, handler, the release that brought it, how sure we are.
//!
//! A route that came with a later release than the server's is not there: its path gets the plain 404, by which clients
//! know to use an older one.

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::handler::Handler;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use http::HeaderValue;
use sim_kit::openapi::{Doc, doc};
use sim_kit::routing::{Matched, Principal as JournalPrincipal, Unmatched};
use sim_kit::{Fidelity, Route, Table};

use crate::app::App;
use crate::auth::{self, Caller};
use crate::error::{Code, Error};
use crate::ui::{self, api::Routes, dashboard};
use crate::version::Version;
use crate::{
    applications, audit, bookmarks, bundles, content, deploy, documentation, environment, environments, git, groups,
    idp, instrumentation, jobs, keys, messages, oauth, oauth_server, openapi, packages, permissions, queue, remote,
    schedules, search, server_settings, service_tokens, serving, storage, subscriptions, system, tags, tasks,
    thumbnails, timezones, trusted_publishers, users, vanities, variants, vulnerabilities, webhooks,
};

use Fidelity::{ClientProven, Documented, Inferred};

/// The rows of one release.
struct Rows {
    table: Table<App>,
    version: Version,
    /// Whether the last row is one of this release.
    took: bool,
}

impl Rows {
    fn row<H, T>(
        self,
        method: &'static str,
        path: &'static str,
        handler: H,
        since: &'static str,
        sure: Fidelity,
    ) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        match self.version.has(since) {
            true => Self { table: self.table.row(method, path, handler, since, sure), took: true, ..self },
            false => Self { took: false, ..self },
        }
    }

    /// Says what the last row does, for the OpenAPI document.
    fn doc(self, doc: Doc) -> Self {
        let table = if self.took { self.table.doc(doc) } else { self.table };
        Self { table, ..self }
    }

    /// Names what the rows from here on belong to.
    fn group(self, name: &'static str) -> Self {
        Self { table: self.table.group(name), ..self }
    }
}

/// The table of a release.
#[rustfmt::skip] // a row a line
pub(crate) fn table(version: Version) -> Table<App> {
    let rows = Rows { table: Table::default(), version, took: false };
    rows
        .group("Server")
        .row("GET", "/__ping__", server_settings::ping, "", Documented)
        .row("GET", "/__api__/openapi.json", openapi::json, "", Inferred)
        .doc(doc("This document").gives("200 application/json"))
        .row("GET", "/__api__/server_settings", server_settings::get, "", ClientProven)
        .row("GET", "/__api__/server_settings/applications", server_settings::applications, "", ClientProven)
        .row("GET", "/__api__/server_settings/scheduler", server_settings::scheduler, "", ClientProven)
        .row("GET", "/__api__/server_settings/scheduler/{app_mode}", server_settings::scheduler_of, "", ClientProven)
        .row("GET", "/__api__/v1/server_settings/public", server_settings::public, "", Inferred)
        .row("GET", "/__api__/v1/server_settings/r", server_settings::r, "", ClientProven)
        .row("GET", "/__api__/v1/server_settings/python", server_settings::python, "", ClientProven)
        .row("GET", "/__api__/v1/server_settings/quarto", server_settings::quarto, "2021.08.0", ClientProven)
        .row("GET", "/__api__/v1/server_settings/tensorflow", server_settings::tensorflow, "2024.05.0", Documented)
        .row("GET", "/__api__/v1/server_settings/nodejs", server_settings::nodejs, "2026.04.0", ClientProven)
        .row("GET", "/__api__/v1/timezones", timezones::list, "", Documented)
        .row("GET", "/__api__/timezones", timezones::list, "", Documented)
        .group("Ways in")
        .row("POST", "/__api__/v1/bootstrap", auth::bootstrap::bootstrap, "2022.10.0", Documented)
        .row("POST", "/__api__/v1/experimental/bootstrap", auth::bootstrap::bootstrap, "2022.10.0", ClientProven)
        .row("POST", "/__api__/tokens", auth::tokens::register, "", ClientProven)
        .row("GET", "/connect/claim/{token}", auth::tokens::claim_page, "", Inferred)
        .row("POST", "/connect/claim/{token}", auth::tokens::claim, "", Inferred)
        .row("GET", "/__login__", auth::login::page, "", Documented)
        .row("POST", "/__login__", auth::login::submit, "", Inferred)
        .row("GET", "/__login__/callback", auth::oidc::callback, "", Documented)
        .row("GET", "/__logout__", auth::login::logout, "", Inferred)
        .row("POST", "/__logout__", auth::login::logout, "", Inferred)
        .group("Applications that act as a user")
        .row("GET", "/.well-known/oauth-authorization-server", oauth_server::metadata, oauth_server::SINCE, ClientProven)
        .row("POST", "/oauth/v1/register", oauth_server::register, oauth_server::SINCE, ClientProven)
        .row("GET", "/oauth/v1/authorize", oauth_server::authorize::ask, oauth_server::SINCE, Documented)
        .row("POST", "/oauth/v1/authorize", oauth_server::authorize::answer, oauth_server::SINCE, Inferred)
        .row("POST", "/oauth/v1/token", oauth_server::token::token, oauth_server::SINCE, ClientProven)
        .row("POST", "/oauth/v1/device_authorization", oauth_server::device::start, oauth_server::SINCE, ClientProven)
        .row("GET", "/oauth/v1/device", oauth_server::device::ask, oauth_server::SINCE, Inferred)
        .row("POST", "/oauth/v1/device", oauth_server::device::answer, oauth_server::SINCE, Inferred)
        .row("POST", "/oauth/v1/revoke", oauth_server::token::revoke, oauth_server::SINCE, Inferred)
        .row("GET", "/__api__/v1/oauth/clients", oauth_server::clients, oauth_server::SINCE, Documented)
        .row("GET", "/__api__/v1/oauth/clients/{client_id}", oauth_server::client, oauth_server::SINCE, Documented)
        .row("DELETE", "/__api__/v1/oauth/clients/{client_id}", oauth_server::unregister, oauth_server::SINCE, Documented)
        .row("GET", "/__api__/v1/content/{guid}/trusted-publishers", trusted_publishers::list, oauth_server::SINCE, Inferred)
        .row("POST", "/__api__/v1/content/{guid}/trusted-publishers", trusted_publishers::create, oauth_server::SINCE, Inferred)
        .row("DELETE", "/__api__/v1/content/{guid}/trusted-publishers/{service_principal_guid}", trusted_publishers::delete, oauth_server::SINCE, Inferred)
        .group("The built-in identity provider")
        .row("GET", "/__idp__/.well-known/openid-configuration", idp::discovery, "", Inferred)
        .row("GET", "/__idp__/jwks", idp::jwks, "", Inferred)
        .row("GET", "/__idp__/authorize", idp::authorize, "", Inferred)
        .row("POST", "/__idp__/authorize", idp::choose, "", Inferred)
        .row("POST", "/__idp__/token", idp::token, "", Inferred)
        .group("Users, keys, groups")
        .row("GET", "/__api__/v1/user", users::current, "", ClientProven)
        .row("GET", "/__api__/me", users::legacy_current, "", Documented)
        .row("GET", "/__api__/users/current", users::legacy_current, "", ClientProven)
        .row("GET", "/__api__/v1/users", users::list, "", ClientProven)
        .row("POST", "/__api__/v1/users", users::create, "", ClientProven)
        .row("PUT", "/__api__/v1/users", remote::add_user, "", Documented)
        .row("GET", "/__api__/v1/users/remote", remote::users, "", Documented)
        .row("GET", "/__api__/v1/users/{guid}", users::get, "", ClientProven)
        .row("PUT", "/__api__/v1/users/{guid}", users::update, "", ClientProven)
        .row("POST", "/__api__/v1/users/{guid}/lock", users::lock, "", ClientProven)
        .row("GET", "/__api__/v1/users/{guid}/keys", keys::list, "", Documented)
        .row("POST", "/__api__/v1/users/{guid}/keys", keys::create, "", Documented)
        .row("GET", "/__api__/v1/users/{guid}/keys/{id}", keys::get, "", Documented)
        .row("DELETE", "/__api__/v1/users/{guid}/keys/{id}", keys::delete, "", Documented)
        .row("GET", "/__api__/v1/groups", groups::list, "", ClientProven)
        .row("POST", "/__api__/v1/groups", groups::create, "", ClientProven)
        .row("PUT", "/__api__/v1/groups", remote::add_group, "", Documented)
        .row("GET", "/__api__/v1/groups/remote", remote::groups, "", Documented)
        .row("GET", "/__api__/v1/groups/{guid}", groups::get, "", ClientProven)
        .row("PATCH", "/__api__/v1/groups/{guid}", groups::update, "", Documented)
        .row("POST", "/__api__/v1/groups/{guid}", groups::update, "", Documented)
        .row("DELETE", "/__api__/v1/groups/{guid}", groups::delete, "", ClientProven)
        .row("GET", "/__api__/v1/groups/{guid}/members", groups::members, "", ClientProven)
        .row("POST", "/__api__/v1/groups/{guid}/members", groups::add, "", ClientProven)
        .row("DELETE", "/__api__/v1/groups/{guid}/members/{user_guid}", groups::remove, "", ClientProven)
        .row("GET", "/__api__/v1/experimental/groups/{guid}/content", groups::content, "", Documented)
        .group("Content")
        .row("GET", "/__api__/v1/content", content::list, "", ClientProven)
        .row("POST", "/__api__/v1/content", content::create, "", ClientProven)
        .row("GET", "/__api__/v1/content/{guid}", content::get, "", ClientProven)
        .row("PATCH", "/__api__/v1/content/{guid}", content::update, "", ClientProven)
        .row("DELETE", "/__api__/v1/content/{guid}", content::delete, "", ClientProven)
        .row("POST", "/__api__/v1/content/{guid}/access-test", content::access_test::test, "2026.02.0", Documented)
        .row("GET", "/__api__/v1/content/storage", storage::list, "2026.04.0", Documented)
        .row("GET", "/__api__/v1/content/{guid}/storage", storage::of_content, "2026.04.0", Documented)
        .row("GET", "/__api__/v1/content/{guid}/environment", environment::get, "", ClientProven)
        .row("PATCH", "/__api__/v1/content/{guid}/environment", environment::patch, "", ClientProven)
        .row("PUT", "/__api__/v1/content/{guid}/environment", environment::put, "", ClientProven)
        .row("GET", "/__api__/v1/content/{guid}/permissions", permissions::list, "", ClientProven)
        .row("POST", "/__api__/v1/content/{guid}/permissions", permissions::create, "", ClientProven)
        .row("GET", "/__api__/v1/content/{guid}/permissions/{id}", permissions::get, "", ClientProven)
        .row("PUT", "/__api__/v1/content/{guid}/permissions/{id}", permissions::update, "", ClientProven)
        .row("DELETE", "/__api__/v1/content/{guid}/permissions/{id}", permissions::delete, "", ClientProven)
        .row("GET", "/__api__/v1/content/{guid}/vanity", vanities::get, "", ClientProven)
        .row("PUT", "/__api__/v1/content/{guid}/vanity", vanities::put, "", ClientProven)
        .row("DELETE", "/__api__/v1/content/{guid}/vanity", vanities::delete, "", ClientProven)
        .row("GET", "/__api__/v1/vanities", vanities::all, "", ClientProven)
        .row("GET", "/__api__/v1/tags", tags::list, "", ClientProven)
        .row("POST", "/__api__/v1/tags", tags::create, "", ClientProven)
        .row("GET", "/__api__/v1/tags/{id}", tags::get, "", ClientProven)
        .row("PATCH", "/__api__/v1/tags/{id}", tags::update, "", ClientProven)
        .row("DELETE", "/__api__/v1/tags/{id}", tags::delete, "", ClientProven)
        .row("GET", "/__api__/v1/tags/{id}/content", tags::content, "", ClientProven)
        .row("GET", "/__api__/v1/content/{guid}/tags", tags::of_content, "", ClientProven)
        .row("POST", "/__api__/v1/content/{guid}/tags", tags::assign, "", ClientProven)
        .row("DELETE", "/__api__/v1/content/{guid}/tags/{tag_id}", tags::unassign, "", ClientProven)
        .row("GET", "/__api__/applications", applications::list, "", ClientProven)
        .row("GET", "/__api__/applications/{id}", applications::get, "", ClientProven)
        .row("POST", "/__api__/applications", applications::publish::create, "", ClientProven)
        .row("POST", "/__api__/applications/{id}", applications::publish::update, "", ClientProven)
        .row("POST", "/__api__/applications/{id}/upload", applications::publish::upload, "", ClientProven)
        .row("POST", "/__api__/applications/{id}/deploy", applications::publish::start, "", ClientProven)
        .row("GET", "/__api__/applications/{id}/config", applications::publish::config, "", ClientProven)
        .row("GET", "/__api__/tasks/{id}", applications::publish::task, "", ClientProven)
        .row("PUT", "/__api__/v1/content/{guid}/thumbnail", thumbnails::put, "2024.09.0", Documented)
        .row("DELETE", "/__api__/v1/content/{guid}/thumbnail", thumbnails::delete, "2024.09.0", Documented)
        .row("GET", "/__api__/applications/{id}/image", thumbnails::legacy_get, "", Documented)
        .row("POST", "/__api__/applications/{id}/image", thumbnails::legacy_set, "", Documented)
        .row("DELETE", "/__api__/applications/{id}/image", thumbnails::legacy_unset, "", Documented)
        .row("GET", "/__api__/v1/content/{guid}/bookmark", bookmarks::get, "", Documented)
        .row("POST", "/__api__/v1/content/{guid}/bookmark", bookmarks::create, "", Documented)
        .row("DELETE", "/__api__/v1/content/{guid}/bookmark", bookmarks::delete, "", Documented)
        .row("GET", "/__api__/v1/search/content", search::content, "2024.04.0", Documented)
        .row("GET", "/__api__/v1/search/variants", search::variants, "2024.04.0", Inferred)
        .group("Documents")
        .row("POST", "/__api__/v1/content/{guid}/render", variants::render_content, "", Documented)
        .row("GET", "/__api__/applications/{id}/variants", variants::list, "", ClientProven)
        .row("GET", "/__api__/variants/{id}", variants::get, "", Documented)
        .row("POST", "/__api__/variants/{id}", variants::update, "", Documented)
        .row("POST", "/__api__/variants/{id}/render", variants::render, "", ClientProven)
        .row("POST", "/__api__/variants/{id}/sender", variants::send, "", ClientProven)
        .row("GET", "/__api__/variants/{id}/renderings", variants::renderings, "", Documented)
        .row("GET", "/__api__/variants/{id}/schedules", schedules::of_variant, "", ClientProven)
        .row("GET", "/__api__/variants/{id}/subscribers", variants::subscribers, "", Inferred)
        .row("POST", "/__api__/variants/{id}/subscribers", variants::subscribe, "", Inferred)
        .row("DELETE", "/__api__/variants/{id}/subscribers/{user_guid}", variants::unsubscribe, "", Documented)
        .row("GET", "/__api__/v1/content/{guid}/subscriptions", subscriptions::list, "", Inferred)
        .row("POST", "/__api__/v1/content/{guid}/subscriptions", subscriptions::subscribe, "", Inferred)
        .row("DELETE", "/__api__/v1/content/{guid}/subscriptions/{user_guid}", subscriptions::unsubscribe, "", Inferred)
        .row("POST", "/__api__/v1/content/{guid}/email", subscriptions::email, "", Inferred)
        .row("GET", "/__api__/schedules/{id}", schedules::get, "", Documented)
        .row("POST", "/__api__/schedules", schedules::create, "", ClientProven)
        .row("POST", "/__api__/schedules/{id}", schedules::update, "", ClientProven)
        .row("DELETE", "/__api__/schedules/{id}", schedules::delete, "", ClientProven)
        .row("GET", "/__api__/v1/experimental/schedules", schedules::all, "", Documented)
        .row("GET", "/__api__/v1/content/{guid}/schedule/history", schedules::history, "", Inferred)
        .group("Bundles, builds, what runs")
        .row("GET", "/__api__/v1/content/{guid}/bundles", bundles::list, "", ClientProven)
        .row("POST", "/__api__/v1/content/{guid}/bundles", bundles::upload::upload, "", ClientProven)
        .row("GET", "/__api__/v1/content/{guid}/bundles/{id}", bundles::get, "", ClientProven)
        .row("DELETE", "/__api__/v1/content/{guid}/bundles/{id}", bundles::delete, "", ClientProven)
        .row("GET", "/__api__/v1/content/{guid}/bundles/{id}/download", bundles::download, "", ClientProven)
        .row("GET", "/__api__/v1/content/{guid}/bundles/{id}/files", bundles::files::list, "", Inferred)
        .row("GET", "/__api__/v1/content/{guid}/bundles/{id}/files/{*path}", bundles::files::get, "", Documented)
        .row("GET", "/__api__/v1/content/{guid}/repository", git::get, "2022.12.0", ClientProven)
        .row("PUT", "/__api__/v1/content/{guid}/repository", git::put, "2022.12.0", ClientProven)
        .row("PATCH", "/__api__/v1/content/{guid}/repository", git::patch, "2022.12.0", ClientProven)
        .row("DELETE", "/__api__/v1/content/{guid}/repository", git::delete, "2022.12.0", ClientProven)
        .row("POST", "/__api__/v1/content/{guid}/repository/bundle", git::bundle, "2022.12.0", Inferred)
        .row("GET", "/__api__/repo/account", git::lookups::account, "", Documented)
        .row("GET", "/__api__/repo/branches", git::lookups::branches, "", Documented)
        .row("GET", "/__api__/repo/manifest-dirs", git::lookups::manifest_dirs, "", Documented)
        .row("POST", "/__api__/v1/content/{guid}/deploy", deploy::deploy, "", ClientProven)
        .row("POST", "/__api__/v1/content/{guid}/build", deploy::build, "", ClientProven)
        .row("GET", "/__api__/v1/tasks/{id}", tasks::get, "", ClientProven)
        .row("GET", "/__api__/v1/content/{guid}/jobs", jobs::list, "2022.10.0", ClientProven)
        .row("GET", "/__api__/v1/content/{guid}/jobs/{key}", jobs::get, "2022.10.0", ClientProven)
        .row("DELETE", "/__api__/v1/content/{guid}/jobs/{key}", jobs::kill, "2022.10.0", ClientProven)
        .row("GET", "/__api__/v1/content/{guid}/jobs/{key}/log", jobs::log, "2022.10.0", Documented)
        .row("GET", "/__api__/v1/content/{guid}/jobs/{key}/download", jobs::download, "2022.10.0", Documented)
        .row("GET", "/__api__/v1/content/{guid}/jobs/{key}/error", jobs::error, "2022.10.0", Documented)
        .row("GET", "/__api__/v1/content/{guid}/jobs/{key}/tail", jobs::tail, "2022.10.0", Inferred)
        .row("GET", "/__api__/v1/content/{guid}/jobs/{key}/metrics", jobs::metrics, "2026.02.0", Documented)
        .row("GET", "/__api__/v1/experimental/jobs/summary", jobs::summary, "2026.02.0", Documented)
        .row("GET", "/__api__/applications/{id}/jobs", jobs::legacy_list, "", Documented)
        .row("GET", "/__api__/applications/{id}/job/{key}", jobs::legacy_get, "", Documented)
        .row("GET", "/__api__/v1/packages", packages::all, "2024.11.0", ClientProven)
        .row("GET", "/__api__/v1/content/{guid}/packages", packages::of_content, "2024.11.0", ClientProven)
        .row("GET", "/__api__/v1/content/{guid}/lockfile", packages::lockfile, "2025.12.0", ClientProven)
        .row("GET", "/__api__/v1/vulnerabilities", vulnerabilities::all, "2026.02.0", Inferred)
        .row("GET", "/__api__/v1/content/{guid}/vulnerabilities", vulnerabilities::of_content, "2026.02.0", Inferred)
        .group("Credentials for content")
        .row("GET", "/__api__/v1/oauth/integrations", oauth::list, "2024.08.0", ClientProven)
        .row("POST", "/__api__/v1/oauth/integrations", oauth::create, "2024.08.0", ClientProven)
        .row("POST", "/__api__/v1/oauth/integrations/credentials", oauth::credentials::exchange, "2024.08.0", ClientProven)
        .row("GET", "/__api__/v1/oauth/integrations/{guid}", oauth::get, "2024.08.0", ClientProven)
        .row("PATCH", "/__api__/v1/oauth/integrations/{guid}", oauth::update, "2024.08.0", ClientProven)
        .row("DELETE", "/__api__/v1/oauth/integrations/{guid}", oauth::delete, "2024.08.0", ClientProven)
        .row("POST", "/__api__/v1/oauth/integrations/{guid}/verify", oauth::verify, "2024.12.0", Documented)
        .row("GET", "/__api__/v1/oauth/integrations/{guid}/associations", oauth::associations, "2024.08.0", ClientProven)
        .row("GET", "/__api__/v1/content/{guid}/oauth/integrations/associations", oauth::of_content, "2024.08.0", ClientProven)
        .row("PUT", "/__api__/v1/content/{guid}/oauth/integrations/associations", oauth::associate, "2024.08.0", ClientProven)
        .row("GET", "/__api__/v1/oauth/sessions", oauth::sessions::list, "2024.08.0", ClientProven)
        .row("GET", "/__api__/v1/oauth/sessions/{guid}", oauth::sessions::get, "2024.08.0", ClientProven)
        .row("DELETE", "/__api__/v1/oauth/sessions/{guid}", oauth::sessions::delete, "2024.08.0", ClientProven)
        .row("GET", "/__api__/v1/oauth/templates", oauth::templates::list, "2024.08.0", ClientProven)
        .row("GET", "/__api__/v1/oauth/templates/{key}", oauth::templates::get, "2024.08.0", ClientProven)
        .row("GET", "/__oauth__/integrations/{guid}/login", oauth::sessions::sign_in, "2024.08.0", Inferred)
        .group("The server as a whole")
        .row("GET", "/__api__/v1/environments", environments::list, "2023.05.0", ClientProven)
        .row("POST", "/__api__/v1/environments", environments::create, "2023.05.0", ClientProven)
        .row("GET", "/__api__/v1/environments/{guid}", environments::get, "2023.05.0", ClientProven)
        .row("PUT", "/__api__/v1/environments/{guid}", environments::update, "2023.05.0", ClientProven)
        .row("DELETE", "/__api__/v1/environments/{guid}", environments::delete, "2023.05.0", ClientProven)
        .row("GET", "/__api__/v1/environments/{guid}/permissions", environments::permissions, "2023.05.0", Documented)
        .row("POST", "/__api__/v1/environments/{guid}/permissions", environments::permit, "2023.05.0", Documented)
        .row("DELETE", "/__api__/v1/environments/{guid}/permissions/{id}", environments::forbid, "2023.05.0", Documented)
        .row("GET", "/__api__/v1/system/caches/runtime", system::caches, "2024.05.0", ClientProven)
        .row("DELETE", "/__api__/v1/system/caches/runtime", system::uncache, "2024.05.0", ClientProven)
        .row("GET", "/__api__/v1/system/checks", system::checks, "", Documented)
        .row("POST", "/__api__/v1/system/checks", system::check, "", Documented)
        .row("GET", "/__api__/v1/system/checks/{id}", system::check_run, "", Documented)
        .row("GET", "/__api__/v1/system/checks/{id}/results", system::results, "", Documented)
        .row("GET", "/__api__/v1/system/service-tokens", service_tokens::list, "2026.02.0", Documented)
        .row("POST", "/__api__/v1/system/service-tokens", service_tokens::create, "2026.02.0", Documented)
        .row("GET", "/__api__/v1/system/service-tokens/scopes", service_tokens::scopes, "2026.02.0", Documented)
        .row("DELETE", "/__api__/v1/system/service-tokens/{guid}", service_tokens::delete, "2026.02.0", Documented)
        .row("GET", "/__api__/v1/system/storage", storage::server, "2026.04.0", Documented)
        .row("GET", "/__api__/v1/system/hosts", system::hosts, "", Documented)
        .row("GET", "/__api__/v1/system/offhost/service-accounts", system::service_accounts, "", Documented)
        .row("GET", "/__api__/v1/system/documentation", documentation::get, "2025.06.0", Documented)
        .row("POST", "/__api__/v1/system/documentation", documentation::set, "2025.06.0", Documented)
        .row("DELETE", "/__api__/v1/system/documentation", documentation::delete, "2025.06.0", Documented)
        .row("GET", "/__api__/v1/system/messages", messages::list, "2026.02.0", Inferred)
        .row("POST", "/__api__/v1/system/messages", messages::create, "2026.02.0", Inferred)
        .row("PATCH", "/__api__/v1/system/messages/{guid}", messages::update, "2026.02.0", Inferred)
        .row("DELETE", "/__api__/v1/system/messages/{guid}", messages::delete, "2026.02.0", Inferred)
        .row("GET", "/__api__/v1/webhooks", webhooks::list, "2026.02.0", Inferred)
        .row("POST", "/__api__/v1/webhooks", webhooks::create, "2026.02.0", Inferred)
        .row("GET", "/__api__/v1/webhooks/{guid}", webhooks::get, "2026.02.0", Inferred)
        .row("PATCH", "/__api__/v1/webhooks/{guid}", webhooks::update, "2026.02.0", Inferred)
        .row("DELETE", "/__api__/v1/webhooks/{guid}", webhooks::delete, "2026.02.0", Inferred)
        .row("GET", "/__api__/v1/webhooks/{guid}/deliveries", webhooks::deliveries, "2026.02.0", Inferred)
        .row("POST", "/__api__/v1/webhooks/{guid}/test", webhooks::test, "2026.02.0", Inferred)
        .row("GET", "/__api__/v1/feature-usage", system::features, "", Inferred)
        .row("GET", "/__api__/v1/queue", queue::list, "", Documented)
        .row("DELETE", "/__api__/v1/queue/{id}", queue::delete, "", Documented)
        .row("GET", "/__api__/v1/system/chronicle", system::chronicle, "", Documented)
        .row("GET", "/__api__/metrics/procs", system::processes, "", Documented)
        .row("POST", "/__api__/v1/tasks/send-test-email", system::test_email, "", Inferred)
        .row("GET", "/__api__/v1/metrics/users/active", system::active_users, "", Documented)
        .row("GET", "/__api__/v1/instrumentation/content/visits", instrumentation::visits, "", ClientProven)
        .row("GET", "/__api__/v1/instrumentation/shiny/usage", instrumentation::shiny, "", ClientProven)
        .row("GET", "/__api__/v1/instrumentation/content/hits", instrumentation::hits, "2025.04.0", ClientProven)
        .row("GET", "/__api__/v1/audit_logs", audit::list, "", Documented)
        .row("GET", "/__api__/v1/audit/actions", audit::actions, "", Inferred)
        .row("GET", "/__api__/v1/search/auditlogs", audit::search, "", Inferred)
        .group("Content itself, and the dashboard")
        .row("*", "/content/{guid}", serving::content, "", Documented)
        .row("*", "/content/{guid}/", serving::content, "", Documented)
        .row("*", "/content/{guid}/{*path}", serving::content, "", ClientProven)
        .row("GET", "/", dashboard::home, "", Inferred)
        .row("GET", "/connect", dashboard::home, "", Inferred)
        .row("GET", "/connect/", dashboard::shell, "", Inferred)
        .row("GET", "/connect/assets/{name}", ui::asset, "", Inferred)
        .row("GET", "/connect/view/apps/{*path}", dashboard::view, "", Inferred)
        .row("GET", "/connect/view/{*path}", dashboard::view, "", Inferred)
        .row("*", "/{*path}", serving::vanity, "", Documented)
        .table
}

/// The router of a server and its rows.
pub fn router(app: App) -> (Router, Vec<Route>) {
    let (router, rows) = table(app.config().version).finish(app.clone(), unknown);
    let router = router
        .method_not_allowed_fallback(unknown)
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(app, around));
    // Pages are clients of the API.
    let pages = Extension(Routes(router.clone()));
    (router.layer(pages), rows)
}

/// The answer to a path, or a method of a path, that is in no row.
async fn unknown() -> Response {
    let mut response = Error::NoRoute.into_response();
    response.extensions_mut().insert(Unmatched);
    response
}

/// What happens around every request: who asks is found out once, for the handler and for the journal; API answers get
/// their correlation id; a NUL character, which no column can hold, is refused.
async fn around(State(app): State<App>, request: Request, next: Next) -> Response {
    let is_api = request.uri().path().starts_with("/__api__/");
    let correlation = is_api.then(|| {
        let given = request.headers().get("x-correlation-id").cloned();
        given.unwrap_or_else(|| {
            let id = app.world().ids().uuid("correlation").to_string();
            HeaderValue::try_from(id).expect("a UUID is a header value")
        })
    });
    if request.uri().path_and_query().is_some_and(|text| text.as_str().contains("%00")) {
        let text = "The address must not hold a NUL character.";
        return Error::bad(Code::BadRequest, text).into_response();
    }
    let (mut parts, body) = request.into_parts();
    // A bad credential is the handler's to refuse: some routes need none.
    let caller = <Caller as axum::extract::FromRequestParts<App>>::from_request_parts(&mut parts, &app).await;
    let user = match caller {
        Ok(Caller::User(principal)) => Some(principal.user),
        _ => None,
    };
    let change = is_api && parts.method != http::Method::GET;
    let (method, path) = (parts.method.clone(), if change { parts.uri.path().to_owned() } else { String::new() });
    let bearer = parts.headers.get("authorization").is_some_and(|value| value.as_bytes().starts_with(b"Bearer "));
    let mut response = next.run(Request::from_parts(parts, body)).await;
    if bearer && response.status() == http::StatusCode::UNAUTHORIZED {
        let value = HeaderValue::from_static("Bearer error=\"invalid_token\"");
        response.headers_mut().insert(http::header::WWW_AUTHENTICATE, value);
    }
    if let Some(user) = user {
        if change
            && response.status().is_success()
            && let Some(route) = response.extensions().get::<Matched>()
        {
            audit::record(&app, &user, &method, route.0.as_str(), &path);
        }
        response.extensions_mut().insert(JournalPrincipal(user.username.clone()));
    }
    if let Some(id) = correlation {
        response.headers_mut().insert("x-correlation-id", id);
    }
    response
}
