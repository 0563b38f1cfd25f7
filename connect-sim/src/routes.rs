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
    idp, instrumentation, jobs, keys, mcp, messages, oauth, oauth_server, openapi, packages, permissions, queue,
    remote, schedules, search, server_settings, service_tokens, serving, storage, subscriptions, system, tags, tasks,
    thumbnails, timezones, traffic, trusted_publishers, users, vanities, variants, vulnerabilities, webhooks,
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
        .doc(doc("Whether the server is up").gives("200 Empty").fails("402"))
        .row("GET", "/__api__/openapi.json", openapi::json, "", Inferred)
        .doc(doc("This document").gives("200 application/json"))
        .row("GET", "/__api__/server_settings", server_settings::get, "", ClientProven)
        .doc(doc("What the server is and can do; more for users").gives("200 ServerSettings"))
        .row("GET", "/__api__/server_settings/applications", server_settings::applications, "", ClientProven)
        .doc(doc("How content may be run and opened").gives("200 ApplicationSettings"))
        .row("GET", "/__api__/server_settings/scheduler", server_settings::scheduler, "", ClientProven)
        .doc(doc("How processes are run unless content says otherwise").gives("200 SchedulerSettings"))
        .row("GET", "/__api__/server_settings/scheduler/{app_mode}", server_settings::scheduler_of, "", ClientProven)
        .doc(doc("The same for a content type").gives("200 SchedulerSettings"))
        .row("GET", "/__api__/v1/server_settings/public", server_settings::public, "", Inferred)
        .doc(doc("What a login page needs").gives("200 PublicSettings"))
        .row("GET", "/__api__/v1/server_settings/r", server_settings::r, "", ClientProven)
        .doc(doc("Versions of R").gives("200 Installations"))
        .row("GET", "/__api__/v1/server_settings/python", server_settings::python, "", ClientProven)
        .doc(doc("Versions of Python").gives("200 Installations"))
        .row("GET", "/__api__/v1/server_settings/quarto", server_settings::quarto, "2021.08.0", ClientProven)
        .doc(doc("Versions of Quarto").gives("200 Installations"))
        .row("GET", "/__api__/v1/server_settings/tensorflow", server_settings::tensorflow, "2024.05.0", Documented)
        .doc(doc("Versions of TensorFlow Serving").gives("200 Installations"))
        .row("GET", "/__api__/v1/server_settings/nodejs", server_settings::nodejs, "2026.04.0", ClientProven)
        .doc(doc("Versions of Node.js").gives("200 Installations"))
        .row("GET", "/__api__/v1/timezones", timezones::list, "", Documented)
        .doc(doc("Time zones of schedules").gives("200 [Timezone]"))
        .row("GET", "/__api__/timezones", timezones::list, "", Documented)
        .doc(doc("Time zones of schedules").gives("200 [Timezone]"))
        .group("Ways in")
        .row("POST", "/__api__/v1/bootstrap", auth::bootstrap::bootstrap, "2022.10.0", Documented)
        .doc(doc("The first administrator's key").gives("200 ApiKeyOnly"))
        .row("POST", "/__api__/v1/experimental/bootstrap", auth::bootstrap::bootstrap, "2022.10.0", ClientProven)
        .doc(doc("The first administrator's key").gives("200 ApiKeyOnly"))
        .row("POST", "/__api__/tokens", auth::tokens::register, "", ClientProven)
        .doc(doc("Register a token that a user is to claim").body("TokenDraft").gives("200 TokenClaim").fails("409"))
        .row("GET", "/connect/claim/{token}", auth::tokens::claim_page, "", Inferred)
        .row("POST", "/connect/claim/{token}", auth::tokens::claim, "", Inferred)
        .row("GET", "/__login__", auth::login::page, "", Documented)
        .row("POST", "/__login__", auth::login::submit, "", Inferred)
        .row("GET", "/setpassword", auth::set_password::page, "", Inferred)
        .row("POST", "/setpassword", auth::set_password::submit, "", Inferred)
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
        .doc(doc("Applications that registered").query("page_number page_size").gives("200 OAuthClientPage"))
        .row("GET", "/__api__/v1/oauth/clients/{client_id}", oauth_server::client, oauth_server::SINCE, Documented)
        .doc(doc("One of them").gives("200 OAuthClient"))
        .row("DELETE", "/__api__/v1/oauth/clients/{client_id}", oauth_server::unregister, oauth_server::SINCE, Documented)
        .doc(doc("Forget one of them").gives("204"))
        .row("GET", "/__api__/v1/content/{guid}/trusted-publishers", trusted_publishers::list, oauth_server::SINCE, Inferred)
        .doc(doc("Machines that may publish to an item").gives("200 [TrustedPublisher]"))
        .row("POST", "/__api__/v1/content/{guid}/trusted-publishers", trusted_publishers::create, oauth_server::SINCE, Inferred)
        .doc(doc("Let a machine publish to an item").body("TrustedPublisherDraft").gives("200 TrustedPublisher").gives("201 TrustedPublisher").fails("409"))
        .row("DELETE", "/__api__/v1/content/{guid}/trusted-publishers/{service_principal_guid}", trusted_publishers::delete, oauth_server::SINCE, Inferred)
        .doc(doc("Let it no longer").gives("204"))
        .group("The built-in identity provider")
        .row("GET", "/__idp__/.well-known/openid-configuration", idp::discovery, "", Inferred)
        .row("GET", "/__idp__/jwks", idp::jwks, "", Inferred)
        .row("GET", "/__idp__/authorize", idp::authorize, "", Inferred)
        .row("POST", "/__idp__/authorize", idp::choose, "", Inferred)
        .row("POST", "/__idp__/token", idp::token, "", Inferred)
        .group("Users, keys, groups")
        .row("GET", "/__api__/v1/user", users::current, "", ClientProven)
        .doc(doc("Who asks").gives("200 User"))
        .row("GET", "/__api__/me", users::legacy_current, "", Documented)
        .doc(doc("Who asks, in the older shape").gives("200 LegacyUser"))
        .row("GET", "/__api__/users/current", users::legacy_current, "", ClientProven)
        .doc(doc("Who asks, in the older shape").gives("200 LegacyUser"))
        .row("GET", "/__api__/v1/users", users::listing::list, "", ClientProven)
        .doc(doc("Users").detail("Administrators who accept text/csv get all of them as CSV.").query("page_number page_size prefix user_role account_status sort asc_order").gives("200 UserPage"))
        .row("POST", "/__api__/v1/users", users::create, "", ClientProven)
        .doc(doc("Add a user").detail("Without a credential the first user of a server, an administrator.").body("UserDraft").gives("200 User").fails("409"))
        .row("PUT", "/__api__/v1/users", remote::add_user, "", Documented)
        .doc(doc("Add a user of the directory").body("Ticket").gives("200 User").fails("409"))
        .row("GET", "/__api__/v1/users/remote", remote::users, "", Documented)
        .doc(doc("Search the directory for users").query("prefix limit").gives("200 RemoteUserPage"))
        .row("GET", "/__api__/v1/users/{guid}", users::get, "", ClientProven)
        .doc(doc("A user").gives("200 User"))
        .row("PUT", "/__api__/v1/users/{guid}", users::update, "", ClientProven)
        .doc(doc("Change a user").body("UserChange").gives("200 UserChanged").fails("409"))
        .row("POST", "/__api__/v1/users/{guid}/lock", users::lock, "", ClientProven)
        .doc(doc("Lock or unlock a user").body("Lock").gives("200"))
        .row("GET", "/__api__/v1/users/{guid}/keys", keys::list, "", Documented)
        .doc(doc("One's keys").gives("200 [ApiKey]"))
        .row("POST", "/__api__/v1/users/{guid}/keys", keys::create, "", Documented)
        .doc(doc("Make a key; only this answer holds it whole").body("ApiKeyDraft").gives("200 ApiKey").fails("409"))
        .row("GET", "/__api__/v1/users/{guid}/keys/{id}", keys::get, "", Documented)
        .doc(doc("A key").gives("200 ApiKey"))
        .row("DELETE", "/__api__/v1/users/{guid}/keys/{id}", keys::delete, "", Documented)
        .doc(doc("Take a key away").gives("204"))
        .row("GET", "/__api__/v1/groups", groups::list, "", ClientProven)
        .doc(doc("Groups").detail("With `prefix` the one of that name first, then shorter names.").query("page_number page_size prefix asc_order").gives("200 GroupPage"))
        .row("POST", "/__api__/v1/groups", groups::create, "", ClientProven)
        .doc(doc("Make a group").body("GroupDraft").gives("200 Group").fails("409"))
        .row("PUT", "/__api__/v1/groups", remote::add_group, "", Documented)
        .doc(doc("Add a group of the directory").body("Ticket").gives("200 Group").fails("409"))
        .row("GET", "/__api__/v1/groups/remote", remote::groups, "", Documented)
        .doc(doc("Search the directory for groups").query("prefix limit").gives("200 RemoteGroupPage"))
        .row("GET", "/__api__/v1/groups/{guid}", groups::get, "", ClientProven)
        .doc(doc("A group").gives("200 Group"))
        .row("PATCH", "/__api__/v1/groups/{guid}", groups::update, "", Documented)
        .doc(doc("Change a group").body("GroupChange").gives("200 Group").fails("409"))
        .row("POST", "/__api__/v1/groups/{guid}", groups::update, "", Documented)
        .doc(doc("Change a group").body("GroupChange").gives("200 Group").fails("409"))
        .row("DELETE", "/__api__/v1/groups/{guid}", groups::delete, "", ClientProven)
        .doc(doc("Take a group away").gives("204"))
        .row("GET", "/__api__/v1/groups/{guid}/members", groups::members, "", ClientProven)
        .doc(doc("Its members").query("page_number page_size").gives("200 UserPage"))
        .row("POST", "/__api__/v1/groups/{guid}/members", groups::add, "", ClientProven)
        .doc(doc("Add a member").body("UserGuid").gives("204"))
        .row("DELETE", "/__api__/v1/groups/{guid}/members/{user_guid}", groups::remove, "", ClientProven)
        .doc(doc("Take a member away").gives("204"))
        .row("GET", "/__api__/v1/experimental/groups/{guid}/content", groups::content, "", Documented)
        .doc(doc("Content that the group may open or change").gives("200 [GroupContent]"))
        .group("Content")
        .row("GET", "/__api__/v1/content", content::list, "", ClientProven)
        .doc(doc("Content, what was deployed last first").query("name owner_guid include").gives("200 [Content]"))
        .row("POST", "/__api__/v1/content", content::create, "", ClientProven)
        .doc(doc("Make an item").body("ContentDraft").gives("200 Content").fails("409"))
        .row("GET", "/__api__/v1/content/{guid}", content::get, "", ClientProven)
        .doc(doc("An item").query("include").gives("200 Content"))
        .row("PATCH", "/__api__/v1/content/{guid}", content::update, "", ClientProven)
        .doc(doc("Change an item").body("ContentChange").gives("200 Content").fails("409"))
        .row("DELETE", "/__api__/v1/content/{guid}", content::delete, "", ClientProven)
        .doc(doc("Delete an item").gives("204"))
        .row("POST", "/__api__/v1/content/{guid}/access-test", content::access_test::test, "2026.02.0", Documented)
        .doc(doc("Whether anybody can open an item").gives("200 AccessTest"))
        .row("GET", "/__api__/v1/content/storage", storage::list, "2026.04.0", Documented)
        .doc(doc("What the bundles of each item take").query("page_number page_size sort order").gives("200 ContentStoragePage"))
        .row("GET", "/__api__/v1/content/{guid}/storage", storage::of_content, "2026.04.0", Documented)
        .doc(doc("What the bundles of an item take").gives("200 ContentStorage"))
        .row("GET", "/__api__/v1/content/{guid}/environment", environment::get, "", ClientProven)
        .doc(doc("Names of its variables").gives("200 [Name]"))
        .row("PATCH", "/__api__/v1/content/{guid}/environment", environment::patch, "", ClientProven)
        .doc(doc("Set or, with null, take away some variables").body("[Variable]").gives("200 [Name]"))
        .row("PUT", "/__api__/v1/content/{guid}/environment", environment::put, "", ClientProven)
        .doc(doc("Set all variables").body("[Variable]").gives("200 [Name]"))
        .row("GET", "/__api__/v1/content/{guid}/permissions", permissions::list, "", ClientProven)
        .doc(doc("Who may open or change it, beside its owner").gives("200 [Permission]"))
        .row("POST", "/__api__/v1/content/{guid}/permissions", permissions::create, "", ClientProven)
        .doc(doc("Give or change a permission").body("PermissionDraft").gives("200 Permission").gives("201 Permission"))
        .row("GET", "/__api__/v1/content/{guid}/permissions/{id}", permissions::get, "", ClientProven)
        .doc(doc("A permission").gives("200 Permission"))
        .row("PUT", "/__api__/v1/content/{guid}/permissions/{id}", permissions::update, "", ClientProven)
        .doc(doc("Change a permission").body("PermissionDraft").gives("200 Permission").fails("409"))
        .row("DELETE", "/__api__/v1/content/{guid}/permissions/{id}", permissions::delete, "", ClientProven)
        .doc(doc("Take a permission away").gives("204"))
        .row("GET", "/__api__/v1/content/{guid}/vanity", vanities::get, "", ClientProven)
        .doc(doc("Its vanity URL").gives("200 Vanity"))
        .row("PUT", "/__api__/v1/content/{guid}/vanity", vanities::put, "", ClientProven)
        .doc(doc("Set its vanity URL").body("VanityDraft").gives("200 Vanity").fails("409"))
        .row("DELETE", "/__api__/v1/content/{guid}/vanity", vanities::delete, "", ClientProven)
        .doc(doc("Take its vanity URL away").gives("204"))
        .row("GET", "/__api__/v1/vanities", vanities::all, "", ClientProven)
        .doc(doc("All vanity URLs").gives("200 [Vanity]"))
        .row("GET", "/__api__/v1/tags", tags::list, "", ClientProven)
        .doc(doc("Tags").query("name parent_id").gives("200 [Tag]"))
        .row("POST", "/__api__/v1/tags", tags::create, "", ClientProven)
        .doc(doc("Make a tag").body("TagDraft").gives("200 Tag").fails("409"))
        .row("GET", "/__api__/v1/tags/{id}", tags::get, "", ClientProven)
        .doc(doc("A tag, by its id or by names with commas").gives("200 Tag"))
        .row("PATCH", "/__api__/v1/tags/{id}", tags::update, "", ClientProven)
        .doc(doc("Change a tag").body("TagChange").gives("200 Tag").fails("409"))
        .row("DELETE", "/__api__/v1/tags/{id}", tags::delete, "", ClientProven)
        .doc(doc("Take a tag away, with those below it").gives("204"))
        .row("GET", "/__api__/v1/tags/{id}/content", tags::content, "", ClientProven)
        .doc(doc("Content with the tag").gives("200 [Content]"))
        .row("GET", "/__api__/v1/content/{guid}/tags", tags::of_content, "", ClientProven)
        .doc(doc("Its tags, with those above them").gives("200 [Tag]"))
        .row("POST", "/__api__/v1/content/{guid}/tags", tags::assign, "", ClientProven)
        .doc(doc("Give it a tag").body("TagId").gives("201 Tag"))
        .row("DELETE", "/__api__/v1/content/{guid}/tags/{tag_id}", tags::unassign, "", ClientProven)
        .doc(doc("Take a tag from it").gives("204"))
        .row("GET", "/__api__/applications", applications::list, "", ClientProven)
        .doc(doc("Content in the older shape").query("count start cont filter").gives("200 ApplicationList"))
        .row("GET", "/__api__/applications/{id}", applications::get, "", ClientProven)
        .doc(doc("An item in the older shape").gives("200 Application"))
        .row("POST", "/__api__/applications", applications::publish::create, "", ClientProven)
        .doc(doc("Make an item").body("ContentDraft").gives("200 Application").fails("409"))
        .row("POST", "/__api__/applications/{id}", applications::publish::update, "", ClientProven)
        .doc(doc("Change an item").body("ContentDraft").gives("200 Application").fails("409"))
        .row("POST", "/__api__/applications/{id}/upload", applications::publish::upload, "", ClientProven)
        .doc(doc("Upload a bundle").body("application/octet-stream").gives("200 application/json").fails("409 413"))
        .row("POST", "/__api__/applications/{id}/deploy", applications::publish::start, "", ClientProven)
        .doc(doc("Deploy a bundle").body("?LegacyDeploy").gives("200 application/json").fails("409"))
        .row("GET", "/__api__/applications/{id}/config", applications::publish::config, "", ClientProven)
        .doc(doc("Where it is").gives("200 application/json"))
        .row("GET", "/__api__/tasks/{id}", applications::publish::task, "", ClientProven)
        .doc(doc("A task in the older shape").query("first_status wait").gives("200 application/json"))
        .row("PUT", "/__api__/v1/content/{guid}/thumbnail", thumbnails::put, "2024.09.0", Documented)
        .doc(doc("Set its thumbnail").body("application/octet-stream").gives("204").fails("413"))
        .row("DELETE", "/__api__/v1/content/{guid}/thumbnail", thumbnails::delete, "2024.09.0", Documented)
        .doc(doc("Take its thumbnail away").gives("204"))
        .row("GET", "/__api__/applications/{id}/image", thumbnails::legacy_get, "", Documented)
        .doc(doc("Its thumbnail").gives("200 image/png|image/jpeg|image/gif|image/svg+xml|image/webp").gives("204"))
        .row("POST", "/__api__/applications/{id}/image", thumbnails::legacy_set, "", Documented)
        .doc(doc("Set its thumbnail").body("application/octet-stream").gives("204").fails("413"))
        .row("DELETE", "/__api__/applications/{id}/image", thumbnails::legacy_unset, "", Documented)
        .doc(doc("Take its thumbnail away").gives("204"))
        .row("GET", "/__api__/v1/content/{guid}/bookmark", bookmarks::get, "", Documented)
        .doc(doc("Since when one has marked it").gives("200 Bookmark"))
        .row("POST", "/__api__/v1/content/{guid}/bookmark", bookmarks::create, "", Documented)
        .doc(doc("Mark it").gives("201 Bookmark").fails("409"))
        .row("DELETE", "/__api__/v1/content/{guid}/bookmark", bookmarks::delete, "", Documented)
        .doc(doc("Mark it no longer").gives("204"))
        .row("GET", "/__api__/v1/search/content", search::content, "2024.04.0", Documented)
        .doc(doc("Search content").query("q include page_number page_size sort order").gives("200 ContentPage"))
        .row("GET", "/__api__/v1/search/variants", search::variants, "2024.04.0", Inferred)
        .doc(doc("Search variants of documents").query("q include page_number page_size sort order").gives("200 ResultPage"))
        .group("Documents")
        .row("POST", "/__api__/v1/content/{guid}/render", variants::render_content, "", Documented)
        .doc(doc("Render a document").body("?VariantKey").gives("202 TaskId").fails("409"))
        .row("GET", "/__api__/applications/{id}/variants", variants::list, "", ClientProven)
        .doc(doc("Variants of a document").gives("200 [Variant]"))
        .row("GET", "/__api__/variants/{id}", variants::get, "", Documented)
        .doc(doc("A variant").gives("200 Variant"))
        .row("POST", "/__api__/variants/{id}", variants::update, "", Documented)
        .doc(doc("Change a variant").body("VariantChange").gives("200 Variant"))
        .row("POST", "/__api__/variants/{id}/render", variants::render, "", ClientProven)
        .doc(doc("Render a variant").gives("200 LegacyTask").fails("409"))
        .row("POST", "/__api__/variants/{id}/sender", variants::send, "", ClientProven)
        .doc(doc("Mail its newest rendering").query("email rendering_id").gives("200 LegacyTask"))
        .row("GET", "/__api__/variants/{id}/renderings", variants::renderings, "", Documented)
        .doc(doc("Its renderings, newest first").gives("200 [Rendering]"))
        .row("GET", "/__api__/variants/{id}/schedules", schedules::of_variant, "", ClientProven)
        .doc(doc("Its schedule").gives("200 [Schedule]"))
        .row("GET", "/__api__/variants/{id}/subscribers", variants::subscribers, "", Inferred)
        .doc(doc("Guids of those who are mailed").gives("200 [Name]"))
        .row("POST", "/__api__/variants/{id}/subscribers", variants::subscribe, "", Inferred)
        .doc(doc("Add some of them").body("[Name]").gives("200 [Name]"))
        .row("DELETE", "/__api__/variants/{id}/subscribers/{user_guid}", variants::unsubscribe, "", Documented)
        .doc(doc("Take one of them away").gives("204"))
        .row("GET", "/__api__/v1/content/{guid}/subscriptions", subscriptions::list, "", Inferred)
        .doc(doc("Who is mailed a document").query("variant_key").gives("200 [Subscription]"))
        .row("POST", "/__api__/v1/content/{guid}/subscriptions", subscriptions::subscribe, "", Inferred)
        .doc(doc("Have a document mailed").body("?SubscriptionDraft").gives("201 Subscription"))
        .row("DELETE", "/__api__/v1/content/{guid}/subscriptions/{user_guid}", subscriptions::unsubscribe, "", Inferred)
        .doc(doc("Have it mailed no longer").query("variant_key").gives("204"))
        .row("POST", "/__api__/v1/content/{guid}/email", subscriptions::email, "", Inferred)
        .doc(doc("Mail the newest rendering").body("?EmailDraft").gives("202 TaskId"))
        .row("GET", "/__api__/schedules/{id}", schedules::get, "", Documented)
        .doc(doc("A schedule").gives("200 Schedule"))
        .row("POST", "/__api__/schedules", schedules::create, "", ClientProven)
        .doc(doc("Schedule a variant").body("ScheduleDraft").gives("200 Schedule").fails("409"))
        .row("POST", "/__api__/schedules/{id}", schedules::update, "", ClientProven)
        .doc(doc("Change a schedule").body("ScheduleDraft").gives("200 Schedule"))
        .row("DELETE", "/__api__/schedules/{id}", schedules::delete, "", ClientProven)
        .doc(doc("Take a schedule away").gives("204"))
        .row("GET", "/__api__/v1/experimental/schedules", schedules::all, "", Documented)
        .doc(doc("Schedules that fall due").query("detailed start end").gives("200 Schedules"))
        .row("GET", "/__api__/v1/content/{guid}/schedule/history", schedules::history, "", Inferred)
        .doc(doc("How its schedules came to be").query("variant").gives("200 Results"))
        .group("Bundles, builds, what runs")
        .row("GET", "/__api__/v1/content/{guid}/bundles", bundles::list, "", ClientProven)
        .doc(doc("Its bundles, newest first").query("page_number page_size asc_order").gives("200 [Bundle]"))
        .row("POST", "/__api__/v1/content/{guid}/bundles", bundles::upload::upload, "", ClientProven)
        .doc(doc("Upload a bundle: the archive, a form, or `url` in the query").query("url").body("?application/octet-stream").gives("200 Bundle").fails("402 409 413"))
        .row("GET", "/__api__/v1/content/{guid}/bundles/{id}", bundles::get, "", ClientProven)
        .doc(doc("A bundle").gives("200 Bundle"))
        .row("DELETE", "/__api__/v1/content/{guid}/bundles/{id}", bundles::delete, "", ClientProven)
        .doc(doc("Delete a bundle that is not active").gives("204").fails("409"))
        .row("GET", "/__api__/v1/content/{guid}/bundles/{id}/download", bundles::download, "", ClientProven)
        .doc(doc("Its archive").gives("200 application/gzip").gives("206 application/gzip").gives("304").gives("416"))
        .row("GET", "/__api__/v1/content/{guid}/bundles/{id}/files", bundles::files::list, "", Inferred)
        .doc(doc("Its files").gives("200 application/json"))
        .row("GET", "/__api__/v1/content/{guid}/bundles/{id}/files/{*path}", bundles::files::get, "", Documented)
        .doc(doc("A file of it").gives("200 BundleFile"))
        .row("GET", "/__api__/v1/content/{guid}/repository", git::get, "2022.12.0", ClientProven)
        .doc(doc("Its git repository").gives("200 Repository"))
        .row("PUT", "/__api__/v1/content/{guid}/repository", git::put, "2022.12.0", ClientProven)
        .doc(doc("Set its git repository").body("RepositoryDraft").gives("200 Repository").fails("409"))
        .row("PATCH", "/__api__/v1/content/{guid}/repository", git::patch, "2022.12.0", ClientProven)
        .doc(doc("Change its git repository").body("RepositoryChange").gives("200 Repository"))
        .row("DELETE", "/__api__/v1/content/{guid}/repository", git::delete, "2022.12.0", ClientProven)
        .doc(doc("Take its git repository away").gives("204"))
        .row("POST", "/__api__/v1/content/{guid}/repository/bundle", git::bundle, "2022.12.0", Inferred)
        .doc(doc("Make a bundle of the repository").body("?RepositoryBundle").gives("200 application/json").gives("202 application/json").fails("409"))
        .row("GET", "/__api__/repo/account", git::lookups::account, "", Documented)
        .doc(doc("Who reads repositories of a host").query("url!").gives("200 RepositoryAccount"))
        .row("GET", "/__api__/repo/branches", git::lookups::branches, "", Documented)
        .doc(doc("Look up branches of a repository").query("url!").gives("200 LegacyTask"))
        .row("GET", "/__api__/repo/manifest-dirs", git::lookups::manifest_dirs, "", Documented)
        .doc(doc("Look up folders with a manifest").query("url! branch!").gives("200 LegacyTask"))
        .row("POST", "/__api__/v1/content/{guid}/deploy", deploy::deploy, "", ClientProven)
        .doc(doc("Deploy a bundle").body("?Deploy").gives("202 TaskId").fails("409"))
        .row("POST", "/__api__/v1/content/{guid}/build", deploy::build, "", ClientProven)
        .doc(doc("Restore the packages of a bundle").body("?Deploy").gives("200 TaskId").fails("409"))
        .row("GET", "/__api__/v1/tasks/{id}", tasks::get, "", ClientProven)
        .doc(doc("A task; waits for its end if asked").query("first wait").gives("200 Task"))
        .row("GET", "/__api__/v1/content/{guid}/jobs", jobs::list, "2022.10.0", ClientProven)
        .doc(doc("Its jobs, newest first").gives("200 [Job]"))
        .row("GET", "/__api__/v1/content/{guid}/jobs/{key}", jobs::get, "2022.10.0", ClientProven)
        .doc(doc("A job").gives("200 Job"))
        .row("DELETE", "/__api__/v1/content/{guid}/jobs/{key}", jobs::kill, "2022.10.0", ClientProven)
        .doc(doc("Order the end of a job").gives("200 KillOrder").fails("409"))
        .row("GET", "/__api__/v1/content/{guid}/jobs/{key}/log", jobs::log, "2022.10.0", Documented)
        .doc(doc("Its log").query("maxLogLines").gives("200 JobLog"))
        .row("GET", "/__api__/v1/content/{guid}/jobs/{key}/download", jobs::download, "2022.10.0", Documented)
        .doc(doc("Its log as a file").query("filename").gives("200 text/plain"))
        .row("GET", "/__api__/v1/content/{guid}/jobs/{key}/error", jobs::error, "2022.10.0", Documented)
        .doc(doc("Why it failed").gives("200 JobError").gives("204"))
        .row("GET", "/__api__/v1/content/{guid}/jobs/{key}/tail", jobs::tail, "2022.10.0", Inferred)
        .doc(doc("Its log as it grows, an entry a line").gives("200 application/x-ndjson LogEntry"))
        .row("GET", "/__api__/v1/content/{guid}/jobs/{key}/metrics", jobs::metrics, "2026.02.0", Documented)
        .doc(doc("What it used").query("from to").gives("200 JobMetrics"))
        .row("GET", "/__api__/v1/experimental/jobs/summary", jobs::summary, "2026.02.0", Documented)
        .doc(doc("How runs of schedules ended").query("from to").gives("200 JobSummary"))
        .row("GET", "/__api__/applications/{id}/jobs", jobs::legacy_list, "", Documented)
        .doc(doc("Its jobs in the older shape").gives("200 [LegacyJob]"))
        .row("GET", "/__api__/applications/{id}/job/{key}", jobs::legacy_get, "", Documented)
        .doc(doc("A job in the older shape").gives("200 LegacyJob"))
        .row("GET", "/__api__/v1/packages", packages::all, "2024.11.0", ClientProven)
        .doc(doc("Packages of active bundles").query("name page_number page_size asc_order").gives("200 PackagePage"))
        .row("GET", "/__api__/v1/content/{guid}/packages", packages::of_content, "2024.11.0", ClientProven)
        .doc(doc("Packages of its active bundle").gives("200 [Package]").gives("204"))
        .row("GET", "/__api__/v1/content/{guid}/lockfile", packages::lockfile, "2025.12.0", ClientProven)
        .doc(doc("Its Python packages as requirements").gives("200 text/plain"))
        .row("GET", "/__api__/v1/vulnerabilities", vulnerabilities::all, "2026.02.0", Inferred)
        .doc(doc("Vulnerabilities of packages that content has").query("name page_number page_size").gives("200 VulnerabilityPage"))
        .row("GET", "/__api__/v1/content/{guid}/vulnerabilities", vulnerabilities::of_content, "2026.02.0", Inferred)
        .doc(doc("Vulnerabilities of its packages").gives("200 Vulnerabilities"))
        .group("Credentials for content")
        .row("GET", "/__api__/v1/oauth/integrations", oauth::list, "2024.08.0", ClientProven)
        .doc(doc("Integrations").gives("200 [Integration]"))
        .row("POST", "/__api__/v1/oauth/integrations", oauth::create, "2024.08.0", ClientProven)
        .doc(doc("Make an integration").body("IntegrationDraft").gives("200 Integration").fails("402"))
        .row("POST", "/__api__/v1/oauth/integrations/credentials", oauth::credentials::exchange, "2024.08.0", ClientProven)
        .doc(doc("Exchange a session token for credentials").body("application/x-www-form-urlencoded CredentialRequest").gives("200 Credentials").fails("402"))
        .row("GET", "/__api__/v1/oauth/integrations/{guid}", oauth::get, "2024.08.0", ClientProven)
        .doc(doc("An integration").gives("200 Integration"))
        .row("PATCH", "/__api__/v1/oauth/integrations/{guid}", oauth::update, "2024.08.0", ClientProven)
        .doc(doc("Change an integration").body("IntegrationChange").gives("200 Integration").fails("402"))
        .row("DELETE", "/__api__/v1/oauth/integrations/{guid}", oauth::delete, "2024.08.0", ClientProven)
        .doc(doc("Take an integration away").gives("204"))
        .row("POST", "/__api__/v1/oauth/integrations/{guid}/verify", oauth::verify, "2024.12.0", Documented)
        .doc(doc("Check a service account").gives("200 Verified"))
        .row("GET", "/__api__/v1/oauth/integrations/{guid}/associations", oauth::associations, "2024.08.0", ClientProven)
        .doc(doc("Content that uses it").gives("200 [Association]"))
        .row("GET", "/__api__/v1/content/{guid}/oauth/integrations/associations", oauth::of_content, "2024.08.0", ClientProven)
        .doc(doc("Integrations that it uses").gives("200 [Association]"))
        .row("PUT", "/__api__/v1/content/{guid}/oauth/integrations/associations", oauth::associate, "2024.08.0", ClientProven)
        .doc(doc("Set the integrations that it uses").body("[IntegrationGuid]").gives("204"))
        .row("GET", "/__api__/v1/oauth/sessions", oauth::sessions::list, "2024.08.0", ClientProven)
        .doc(doc("One's sessions with integrations, or all").query("all").gives("200 [OAuthSession]"))
        .row("GET", "/__api__/v1/oauth/sessions/{guid}", oauth::sessions::get, "2024.08.0", ClientProven)
        .doc(doc("A session").gives("200 OAuthSession"))
        .row("DELETE", "/__api__/v1/oauth/sessions/{guid}", oauth::sessions::delete, "2024.08.0", ClientProven)
        .doc(doc("End a session").gives("204"))
        .row("GET", "/__api__/v1/oauth/templates", oauth::templates::list, "2024.08.0", ClientProven)
        .doc(doc("Kinds of integrations").gives("200 [Template]"))
        .row("GET", "/__api__/v1/oauth/templates/{key}", oauth::templates::get, "2024.08.0", ClientProven)
        .doc(doc("A kind of integrations").gives("200 Template"))
        .row("GET", "/__oauth__/integrations/{guid}/login", oauth::sessions::sign_in, "2024.08.0", Inferred)
        .group("The server as a whole")
        .row("GET", "/__api__/v1/environments", environments::list, "2023.05.0", ClientProven)
        .doc(doc("Execution environments").gives("200 [Environment]"))
        .row("POST", "/__api__/v1/environments", environments::create, "2023.05.0", ClientProven)
        .doc(doc("Add an execution environment").body("EnvironmentDraft").gives("200 Environment").fails("409"))
        .row("GET", "/__api__/v1/environments/{guid}", environments::get, "2023.05.0", ClientProven)
        .doc(doc("An execution environment").gives("200 Environment"))
        .row("PUT", "/__api__/v1/environments/{guid}", environments::update, "2023.05.0", ClientProven)
        .doc(doc("Replace an execution environment").body("EnvironmentChange").gives("200 Environment").fails("409"))
        .row("DELETE", "/__api__/v1/environments/{guid}", environments::delete, "2023.05.0", ClientProven)
        .doc(doc("Take an execution environment away").gives("204"))
        .row("GET", "/__api__/v1/environments/{guid}/permissions", environments::permissions, "2023.05.0", Documented)
        .doc(doc("Who may use it").gives("200 [EnvironmentPermission]"))
        .row("POST", "/__api__/v1/environments/{guid}/permissions", environments::permit, "2023.05.0", Documented)
        .doc(doc("Let a user or a group use it").body("UserOrGroup").gives("200 EnvironmentPermission").fails("409"))
        .row("DELETE", "/__api__/v1/environments/{guid}/permissions/{id}", environments::forbid, "2023.05.0", Documented)
        .doc(doc("Let it no longer").gives("204"))
        .row("GET", "/__api__/v1/system/caches/runtime", system::caches, "2024.05.0", ClientProven)
        .doc(doc("Caches of restored packages").gives("200 Caches"))
        .row("DELETE", "/__api__/v1/system/caches/runtime", system::uncache, "2024.05.0", ClientProven)
        .doc(doc("Take a cache away").body("CacheKey").gives("200 CacheDeletion"))
        .row("GET", "/__api__/v1/system/checks", system::checks, "", Documented)
        .doc(doc("Runs of the checks").gives("200 [CheckRun]"))
        .row("POST", "/__api__/v1/system/checks", system::check, "", Documented)
        .doc(doc("Run the checks").body("?Hostname").gives("200 CheckRun"))
        .row("GET", "/__api__/v1/system/checks/{id}", system::check_run, "", Documented)
        .doc(doc("A run").gives("200 CheckRun"))
        .row("GET", "/__api__/v1/system/checks/{id}/results", system::results, "", Documented)
        .doc(doc("What it found").gives("200 CheckResults"))
        .row("GET", "/__api__/v1/system/service-tokens", service_tokens::list, "2026.02.0", Documented)
        .doc(doc("Service tokens").gives("200 [ServiceToken]"))
        .row("POST", "/__api__/v1/system/service-tokens", service_tokens::create, "2026.02.0", Documented)
        .doc(doc("Make a service token; only this answer holds its key").body("ServiceTokenDraft").gives("200 ServiceToken"))
        .row("GET", "/__api__/v1/system/service-tokens/scopes", service_tokens::scopes, "2026.02.0", Documented)
        .doc(doc("What service tokens can be good for").gives("200 Scopes"))
        .row("DELETE", "/__api__/v1/system/service-tokens/{guid}", service_tokens::delete, "2026.02.0", Documented)
        .doc(doc("Take a service token away").gives("204"))
        .row("GET", "/__api__/v1/system/storage", storage::server, "2026.04.0", Documented)
        .doc(doc("What bundles take").gives("200 Storage"))
        .row("GET", "/__api__/v1/system/hosts", system::hosts, "", Documented)
        .doc(doc("Servers").query("active").gives("200 [Host]"))
        .row("GET", "/__api__/v1/system/offhost/service-accounts", system::service_accounts, "", Documented)
        .doc(doc("Service accounts of Kubernetes").gives("200 ServiceAccounts"))
        .row("GET", "/__api__/v1/system/documentation", documentation::get, "2025.06.0", Documented)
        .doc(doc("The administrators' page of documentation").gives("200 Documentation"))
        .row("POST", "/__api__/v1/system/documentation", documentation::set, "2025.06.0", Documented)
        .doc(doc("Write it").body("DocumentationDraft").gives("204"))
        .row("DELETE", "/__api__/v1/system/documentation", documentation::delete, "2025.06.0", Documented)
        .doc(doc("Take it away").gives("204"))
        .row("GET", "/__api__/v1/system/messages", messages::list, "2026.02.0", Inferred)
        .doc(doc("Messages to all").gives("200 [Message]"))
        .row("POST", "/__api__/v1/system/messages", messages::create, "2026.02.0", Inferred)
        .doc(doc("Show a message to all").body("MessageDraft").gives("201 Message").fails("409"))
        .row("PATCH", "/__api__/v1/system/messages/{guid}", messages::update, "2026.02.0", Inferred)
        .doc(doc("Change a message").body("MessageChange").gives("200 Message"))
        .row("DELETE", "/__api__/v1/system/messages/{guid}", messages::delete, "2026.02.0", Inferred)
        .doc(doc("Take a message away").gives("204"))
        .row("GET", "/__api__/v1/webhooks", webhooks::list, "2026.02.0", Inferred)
        .doc(doc("Webhooks").gives("200 [Webhook]"))
        .row("POST", "/__api__/v1/webhooks", webhooks::create, "2026.02.0", Inferred)
        .doc(doc("Make a webhook").body("WebhookDraft").gives("201 Webhook").fails("409"))
        .row("GET", "/__api__/v1/webhooks/{guid}", webhooks::get, "2026.02.0", Inferred)
        .doc(doc("A webhook").gives("200 Webhook"))
        .row("PATCH", "/__api__/v1/webhooks/{guid}", webhooks::update, "2026.02.0", Inferred)
        .doc(doc("Change a webhook").body("WebhookChange").gives("200 Webhook"))
        .row("DELETE", "/__api__/v1/webhooks/{guid}", webhooks::delete, "2026.02.0", Inferred)
        .doc(doc("Take a webhook away").gives("204"))
        .row("GET", "/__api__/v1/webhooks/{guid}/deliveries", webhooks::deliveries, "2026.02.0", Inferred)
        .doc(doc("What it was told, newest first").query("page_number page_size").gives("200 DeliveryPage"))
        .row("POST", "/__api__/v1/webhooks/{guid}/test", webhooks::test, "2026.02.0", Inferred)
        .doc(doc("Tell it something").gives("202 Delivery"))
        .row("GET", "/__api__/v1/feature-usage", system::features, "", Inferred)
        .doc(doc("Features, and whether they are used").gives("200 [Feature]"))
        .row("GET", "/__api__/v1/queue", queue::list, "", Documented)
        .doc(doc("Tasks that wait or run").query("queue_names page_number page_size").gives("200 QueuePage"))
        .row("DELETE", "/__api__/v1/queue/{id}", queue::delete, "", Documented)
        .doc(doc("Take a task out of the queue").gives("204").fails("409"))
        .row("GET", "/__api__/v1/system/chronicle", system::chronicle, "", Documented)
        .doc(doc("Whether Chronicle's agent runs").gives("200 Chronicle"))
        .row("GET", "/__api__/metrics/procs", system::processes, "", Documented)
        .doc(doc("Processes, by their number").gives("200 application/json"))
        .row("POST", "/__api__/v1/tasks/send-test-email", system::test_email, "", Inferred)
        .doc(doc("Send a mail").body("To").gives("200 TaskId"))
        .row("GET", "/__api__/v1/metrics/users/active", system::active_users, "", Documented)
        .doc(doc("How many users were active").gives("200 ActiveUsers"))
        .row("GET", "/__api__/v1/instrumentation/content/visits", instrumentation::visits, "", ClientProven)
        .doc(doc("Visits").query("limit next previous asc_order content_guid min_data_version from to user_agent").gives("200 VisitPage"))
        .row("GET", "/__api__/v1/instrumentation/shiny/usage", instrumentation::shiny, "", ClientProven)
        .doc(doc("Sessions of Shiny applications").query("limit next previous asc_order content_guid min_data_version from to user_agent").gives("200 ShinyUsagePage"))
        .row("GET", "/__api__/v1/instrumentation/content/hits", instrumentation::hits, "2025.04.0", ClientProven)
        .doc(doc("Requests for content").query("content_guid from to").gives("200 [Hit]"))
        .row("GET", "/__api__/v1/audit_logs", audit::list, "", Documented)
        .doc(doc("The audit log").query("limit next previous ascOrder").gives("200 AuditPage"))
        .row("GET", "/__api__/v1/audit/actions", audit::actions, "", Inferred)
        .doc(doc("Actions of the audit log").gives("200 [AuditAction]"))
        .row("GET", "/__api__/v1/search/auditlogs", audit::search, "", Inferred)
        .doc(doc("Search the audit log").query("q order page_number page_size").gives("200 AuditSearch"))
        .group("Content itself, and the dashboard")
        .row("*", "/content/{guid}", serving::content, "", Documented)
        .row("*", "/content/{guid}/", serving::content, "", Documented)
        .row("*", "/content/{guid}/{*path}", serving::content, "", ClientProven)
        .row("GET", "/", dashboard::home, "", Inferred)
        .row("GET", "/connect", dashboard::home, "", Inferred)
        .row("GET", "/connect/", dashboard::shell, "", Inferred)
        .row("GET", "/connect/assets/{name}", ui::asset, "", Inferred)
        .row("POST", "/mcp", mcp::message, oauth_server::SINCE, Inferred)
        .row("POST", "/mcp/", mcp::message, oauth_server::SINCE, Inferred)
        .row("GET", "/mcp", mcp::stream, oauth_server::SINCE, Inferred)
        .row("GET", "/mcp/", mcp::stream, oauth_server::SINCE, Inferred)
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
        .layer(from_fn_with_state(app.clone(), around));
    // Pages are clients of the API.
    let pages = Extension(Routes(router.clone()));
    // Views ask the API in process; that is no traffic.
    (router.layer(pages).layer(from_fn_with_state(app, traffic::watch)), rows)
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
