//! The one table of routes.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Request};
use axum::handler::Handler as _;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router};
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, STRICT_TRANSPORT_SECURITY};
use http::{HeaderName, HeaderValue, Uri};
use serde_json::json;
use sim_kit::Table;
use sim_kit::at_hand::{Asked, AtHand};
use sim_kit::db::Engine;
use sim_kit::host::OtherPort;
use sim_kit::openapi::doc;
use sim_kit::origin::Origin;
use sim_kit::routing::Fidelity::{ClientProven, Documented, Inferred};
use tower::ServiceExt as _;

use crate::app::App;
use crate::downloads::Download;
use crate::error::{ApiError, Error};
use crate::{api, bioc, cran, openapi, simple, ui, vsx};

/// Bytes of a form with a package file.
const FORM: usize = crate::local::LARGEST as usize + (1 << 20);

/// A registry of extensions refuses in JSON; what is no address of it, in the words of repositories.
const REGISTRY_400: &str = "400 application/json|text/plain";
const REGISTRY_404: &str = "404 application/json|text/plain";
/// What a directory of R packages gives.
const CONTRIB: &str = "200 text/plain|application/x-gzip|application/octet-stream";
/// Indexes and packages of directories that may be for Windows.
const DESKTOP: &str = "200 text/plain|application/x-gzip|application/zip|application/octet-stream";
/// The forms of the simple index.
const SIMPLE: &str = "200 text/html|application/vnd.pypi.simple.v1+html|application/vnd.pypi.simple.v1+json";

/// Every endpoint. `{snapshot}` is `latest`, a date, the number of a transaction or a created URL.
#[must_use]
#[rustfmt::skip] // a row a line
pub fn table() -> Table<App> {
    Table::default()
        .row("GET", "/", ui::home::page, "", Inferred)
        .row("GET", "/client", ui::home::page, "", Inferred)
        .row("GET", "/client/", ui::home::page, "", Inferred)
        .row("GET", "/client/style.css", ui::style, "", Inferred)
        .row("GET", "/client/script.js", ui::script, "", Inferred)
        .row("GET", "/client/view/home", ui::home::page, "", Inferred)
        .row("GET", "/client/view/repos/{repo}", ui::packages::page, "", Inferred)
        .row("GET", "/client/view/repos/{repo}/overview", ui::setup::page, "", Inferred)
        .row("GET", "/client/view/repos/{repo}/setup", ui::setup::page, "", Inferred)
        .row("GET", "/client/view/repos/{repo}/activity", ui::activity::of_repo, "", Inferred)
        .row("GET", "/client/view/repos/{repo}/packages", ui::packages::page, "", ClientProven)
        .row("GET", "/client/view/repos/{repo}/packages/{name}", ui::package::page, "", ClientProven)
        .row("GET", "/client/view/repos/{repo}/packages/{name}/overview", ui::package::page, "", Inferred)
        .row("GET", "/client/view/activity", ui::activity::page, "", Inferred)
        .row("GET", "/client/view/sign-in", ui::session::page, "", Inferred)
        .row("POST", "/client/sign-in", ui::session::sign_in, "", Inferred)
        .row("GET", "/client/view/sign-out", ui::session::leave, "", Inferred)
        .row("POST", "/client/sign-out", ui::session::sign_out, "", Inferred)
        .row("GET", "/__login__", ui::provider::begin, "", Inferred)
        .row("GET", "/__login__/callback", ui::provider::callback, "", Inferred)
        .row("GET", "/client/view/device", ui::device::page, "", Inferred)
        .row("POST", "/client/device", ui::device::act, "", Inferred)
        .row("GET", "/client/view/admin", ui::admin::index, "", Inferred)
        .row("GET", "/client/view/admin/{area}", ui::admin::page, "", Inferred)
        .row("GET", "/client/view/admin/repos/{repo}", ui::admin::repo, "", Inferred)
        .row("GET", "/client/view/admin/sources/{source}", ui::builders::page, "", Inferred)
        .row("GET", "/client/view/admin/sources/{source}/builds/{transaction}", ui::builders::log, "", Inferred)
        .row("POST", "/client/admin/{area}", ui::admin::act, "", Inferred)
        .row("POST", "/client/admin/sources/{source}", ui::builders::act, "", Inferred)
        .row("POST", "/client/admin/repos/{repo}", ui::admin::act_on_repo, "", Inferred)
        .row("GET", "/__docs__", ui::docs::index, "", Inferred)
        .row("GET", "/__docs__/", ui::docs::page, "", Inferred)
        .row("GET", "/client/view/{*rest}", ui::nothing, "", Inferred)
        .group("The server")
        .row("GET", "/__ping__", api::status::ping, "", Documented)
        .doc(doc("Whether the server is up").gives("200 text/plain"))
        .row("GET", "/metrics", crate::metrics::page, "", Documented)
        .doc(doc("Numbers for Prometheus, on the port for metrics").gives("200 text/plain").fails("404"))
        .row("GET", "/__api__/status", api::status::status, "", Documented)
        .doc(doc("What the server is and can do").gives("200 Status"))
        .row("GET", "/__api__/cluster", api::cluster::list, "", Inferred)
        .doc(doc("The servers that share the database").gives("200 [Node]").fails("401 403"))
        .row("POST", "/__api__/cluster/offline", api::cluster::offline, "", Inferred)
        .doc(doc("Put this server into maintenance: 503 on the paths of its repositories").gives("200 Node").fails("401 403"))
        .row("POST", "/__api__/cluster/online", api::cluster::online, "", Inferred)
        .doc(doc("End its maintenance").gives("200 Node").fails("401 403"))
        .row("GET", "/__api__/metrics/packages", api::usage::packages, "", Inferred)
        .doc(doc("How often packages were downloaded, most first; today is one of the days").query("_sourceType _days _limit _page").gives("200 [Downloads]").fails("404"))
        .row("GET", "/__api__/swagger/", ui::swagger::index, "", Inferred)
        .doc(doc("To the page below").gives("303"))
        .row("GET", "/__api__/swagger/index.html", ui::swagger::page, "", Documented)
        .doc(doc("A page to read this document").gives("200 text/html"))
        .row("GET", "/__api__/swagger/doc.json", openapi::json, "", Documented)
        .doc(doc("This document").gives("200 application/json"))
        .group("Repositories")
        .row("GET", "/__api__/repos", api::repos::list, "", Documented)
        .doc(doc("Repositories").query("name name_like _limit _page _sort _order").gives("200 [Repo]"))
        .row("GET", "/__api__/repos/{repo}", api::repos::show, "", Documented)
        .doc(doc("A repository").gives("200 Repo").fails("404"))
        .row("GET", "/__api__/repos/{repo}/sources", api::repos::sources, "", Documented)
        .doc(doc("Its sources, in the order in which they win").query("name name_like _limit _page _sort _order").gives("200 [Source]").fails("404"))
        .row("GET", "/__api__/repos/{repo}/first-transaction", api::repos::first_transaction, "", Inferred)
        .doc(doc("The first date that shows something").gives("200 TransactionDate").fails("403 404"))
        .row("GET", "/__api__/repos/{repo}/transaction-dates", api::repos::transaction_dates, "", Documented)
        .doc(doc("The dates that show something new").query("_limit _page _sort _order").gives("200 [TransactionDate]").fails("403 404"))
        .row("GET", "/__api__/repos/{repo}/packages", api::packages::of_repo, "", Documented)
        .doc(doc("Its packages").query("name name_like snapshot bioc_version _limit _page _sort _order").gives("200 [PackageSummary]").fails("403 404"))
        .row("GET", "/__api__/repos/{repo}/packages/{name}", api::packages::show, "", Documented)
        .doc(doc("A package").query("version snapshot bioc_version").gives("200 Package").fails("403 404"))
        .row("GET", "/__api__/repos/{repo}/packages/{name}/sysreqs", api::sysreqs::of_package, "", Documented)
        .doc(doc("The system requirements of a package").query("distribution release snapshot bioc_version").gives("200 PackageSysreqs").fails("403 404"))
        .row("GET", "/__api__/repos/{repo}/sysreqs", api::sysreqs::of_repo, "", ClientProven)
        .doc(doc("The system requirements of packages").query("all pkgname distribution release snapshot bioc_version").gives("200 Sysreqs").fails("403 404"))
        .row("POST", "/__api__/repos/{repo}/sysreqs", api::sysreqs::of_description, "", ClientProven)
        .doc(doc("The system requirements of a package that is not here, and of what it needs").query("suggests distribution release snapshot bioc_version").body("text/plain").gives("200 DescriptionSysreqs").fails("403 404"))
        .row("GET", "/__api__/repos/{repo}/vulns", api::vulns::of_repo, "", Inferred)
        .doc(doc("Vulnerabilities of its packages").query("snapshot bioc_version").gives("200 [Vulnerability]").fails("403 404"))
        .row("GET", "/__api__/vulns/{key}", api::vulns::show, "", Inferred)
        .doc(doc("A vulnerability, by its id or an alias").gives("200 Vulnerability").fails("404"))
        .row("GET", "/__api__/sources/{source}/vulns", api::vulns::of_source, "", Inferred)
        .doc(doc("Vulnerabilities of its packages").gives("200 [Vulnerability]").fails("403 404"))
        .row("GET", "/__api__/repos/{repo}/binaries", api::binaries::list, "", Inferred)
        .doc(doc("What there are binary packages for").query("snapshot bioc_version").gives("200 [Binaries]").fails("403 404"))
        .group("Sources")
        .row("GET", "/__api__/sources", api::sources::list, "", Documented)
        .doc(doc("Sources").query("name name_like _limit _page _sort _order").gives("200 [Source]"))
        .row("GET", "/__api__/sources/{source}", api::sources::show, "", Inferred)
        .doc(doc("A source").gives("200 Source").fails("404"))
        .row("GET", "/__api__/sources/{source}/packages", api::packages::of_source, "", Documented)
        .doc(doc("Its packages").query("name name_like _limit _page _sort _order").gives("200 [PackageSummary]").fails("403 404"))
        .row("GET", "/__api__/sources/{source}/transactions", api::sources::transactions, "", Documented)
        .doc(doc("What happened to it, newest first").query("_limit _page _sort _order").gives("200 [Transaction]").fails("403 404"))
        .group("Created URLs")
        .row("GET", "/__api__/repos/{repo}/urls", api::urls::list, "", Inferred)
        .doc(doc("Its created URLs, oldest first").gives("200 [Url]").fails("403 404"))
        .row("POST", "/__api__/repos/{repo}/urls", api::urls::create, "", Inferred)
        .doc(doc("Create a URL that shows a state of its own").body("UrlDraft").needs("global:admin").gives("201 Url").fails("403 404"))
        .row("DELETE", "/__api__/repos/{repo}/urls/{id}", api::urls::delete, "", Inferred)
        .doc(doc("Delete a created URL that is not locked").needs("global:admin").gives("204").fails("403 404 409"))
        .group("Administration")
        .row("GET", "/__api__/sync", api::sync::show, "", Inferred)
        .doc(doc("How the sources that follow feeds stand, and how far a synchronisation is").gives("200 [SyncState]"))
        .row("POST", "/__api__/sync", api::sources::sync, "", Inferred)
        .doc(doc("Synchronise now").body("?SyncRequest").needs("global:admin").gives("200 Synced").gives("202 Syncing").fails("403 404 502"))
        .row("GET", "/__api__/alerts", api::sync::alerts, "", Documented)
        .doc(doc("What to look at: sources that are refused or stale").gives("200 [Alert]"))
        .row("GET", "/__api__/sync/export", api::sync::export, "", Inferred)
        .doc(doc("A bundle of feeds for a server that cannot reach the package service").query("type version files").needs("global:admin").gives("200 application/gzip").fails("403 502"))
        .row("POST", "/__api__/sync/import", api::sync::import.layer(DefaultBodyLimit::disable()), "", Inferred)
        .doc(doc("Take a bundle").body("application/octet-stream").needs("global:admin").gives("200 application/json").fails("403 413 502"))
        .row("POST", "/__api__/sync/clear", api::sync::clear, "", Inferred)
        .doc(doc("Forget all that came from feeds of a type").body("ClearRequest").needs("global:admin").gives("200 application/json").fails("403"))
        .row("POST", "/__api__/repos", api::repos::create, "", Inferred)
        .doc(doc("Create a repository").body("RepoDraft").needs("global:admin").gives("201 Repo").fails("403 409"))
        .row("PATCH", "/__api__/repos/{repo}", api::repos::edit, "", Inferred)
        .doc(doc("Change a repository").body("RepoDraft").needs("global:admin").gives("200 Repo").fails("403 404 409"))
        .row("DELETE", "/__api__/repos/{repo}", api::repos::delete, "", Inferred)
        .doc(doc("Delete a repository").needs("global:admin").gives("204").fails("403 404"))
        .row("POST", "/__api__/repos/{repo}/sources", api::subscriptions::subscribe, "", Inferred)
        .doc(doc("Subscribe to a source").body("SourceName").needs("global:admin").gives("200 [Source]").fails("403 404 409"))
        .row("PUT", "/__api__/repos/{repo}/sources", api::subscriptions::reorder, "", Inferred)
        .doc(doc("Change the order of its sources").body("SourceOrder").needs("global:admin").gives("200 [Source]").fails("403 404"))
        .row("DELETE", "/__api__/repos/{repo}/sources/{source}", api::subscriptions::unsubscribe, "", Inferred)
        .doc(doc("Unsubscribe from a source").needs("global:admin").gives("200 [Source]").fails("403 404"))
        .row("POST", "/__api__/sources", api::sources::create, "", Inferred)
        .doc(doc("Create a source").body("SourceDraft").needs("sources:admin for all sources").gives("201 Source").fails("403 404 409"))
        .row("PATCH", "/__api__/sources/{source}", api::sources::edit, "", Inferred)
        .doc(doc("Rename a source").body("SourceDraft").needs("sources:admin").gives("200 Source").fails("403 404 409"))
        .row("DELETE", "/__api__/sources/{source}", api::sources::delete, "", Inferred)
        .doc(doc("Delete a source").needs("sources:admin").gives("204").fails("403 404 409"))
        .row("POST", "/__api__/sources/{source}/packages", api::contents::add.layer(DefaultBodyLimit::disable()), "", Inferred)
        .doc(doc("Add a package file").query("filename sha256 md5 replace").body("application/octet-stream").needs("sources:write").gives("201 Added").fails("403 404 409 413"))
        .row("DELETE", "/__api__/sources/{source}/packages/{name}", api::contents::remove, "", Inferred)
        .doc(doc("Remove a package, or a part of it").query("which! comment").needs("sources:write").gives("200 Changed").fails("403 404"))
        .row("POST", "/__api__/sources/{source}/packages/{name}/archive", api::contents::archive, "", Inferred)
        .doc(doc("Archive an R package").needs("sources:write").gives("200 Changed").fails("403 404"))
        .row("POST", "/__api__/sources/{source}/packages/{name}/yank", api::contents::yank, "", Inferred)
        .doc(doc("Yank a release of a Python project, or take that back").body("Yank").needs("sources:write").gives("200 Changed").fails("403 404"))
        .row("POST", "/__api__/sources/{source}/update", api::contents::update, "", Inferred)
        .doc(doc("Move a source that follows another one").body("Update").needs("sources:write").gives("200 Updated").fails("403 404"))
        .group("Sources")
        .row("GET", "/__api__/sources/{source}/packages/{name}/releases", api::packages::releases, "", Inferred)
        .doc(doc("Its versions with their files, oldest first").gives("200 [Release]").fails("403 404"))
        .group("Git builders")
        .row("GET", "/__api__/sources/{source}/git-builders", api::builders::list, "", Inferred)
        .doc(doc("Builders of a source's packages").needs("sources:write").gives("200 [GitBuilder]").fails("403 404"))
        .row("POST", "/__api__/sources/{source}/git-builders", api::builders::create, "", Inferred)
        .doc(doc("Create a builder, and build what it finds").body("GitBuilderDraft").needs("sources:write").gives("201 GitBuilder").fails("403 404 409"))
        .row("PATCH", "/__api__/sources/{source}/git-builders/{name}", api::builders::edit, "", Inferred)
        .doc(doc("Change a builder").body("GitBuilderDraft").needs("sources:write").gives("200 GitBuilder").fails("403 404"))
        .row("DELETE", "/__api__/sources/{source}/git-builders/{name}", api::builders::delete, "", Inferred)
        .doc(doc("Delete a builder; what it has built stays").needs("sources:write").gives("204").fails("403 404"))
        .row("POST", "/__api__/sources/{source}/git-builders/{name}/run", api::builders::run, "", Inferred)
        .doc(doc("Look at the repository now, and build what is new").body("?GitRun").needs("sources:write").gives("200 [GitBuild]").fails("403 404"))
        .row("POST", "/__api__/sources/{source}/git-builders/{name}/rerun", api::builders::rerun, "", Inferred)
        .doc(doc("Build a tag or a commit again").body("?GitRun").needs("sources:write").gives("200 [GitBuild]").fails("403 404"))
        .row("GET", "/__api__/sources/{source}/git-builds", api::builders::builds, "", Inferred)
        .doc(doc("Builds, newest first").query("name _limit _page").needs("sources:write").gives("200 [GitBuild]").fails("403 404"))
        .row("GET", "/__api__/transactions/{id}/logs", api::builders::logs, "", Inferred)
        .doc(doc("The log of a git build").needs("sources:write").gives("200 text/plain").fails("403 404"))
        .row("GET", "/__api__/git-credentials", api::git_credentials::list, "", Inferred)
        .doc(doc("Credentials for git servers, without passwords").needs("global:admin").gives("200 [GitCredential]").fails("403"))
        .row("POST", "/__api__/git-credentials", api::git_credentials::create, "", Inferred)
        .doc(doc("Create a credential").body("GitCredentialDraft").needs("global:admin").gives("201 GitCredential").fails("403 409"))
        .row("DELETE", "/__api__/git-credentials/{name}", api::git_credentials::delete, "", Inferred)
        .doc(doc("Delete a credential").needs("global:admin").gives("204").fails("403 404"))
        .group("Repositories")
        .row("POST", "/__api__/filter/packages", api::filter::packages, "", Documented)
        .doc(doc("What clients want to know of many packages: one JSON object a line").body("FilterRequest").gives("200 application/x-ndjson").fails("403 404"))
        .group("Blocklist")
        .row("GET", "/__api__/blocklist/rules", api::blocklist::list, "", Documented)
        .doc(doc("Blocklist rules").gives("200 [Rule]"))
        .row("POST", "/__api__/blocklist/rules", api::blocklist::create, "", Inferred)
        .doc(doc("Create a rule").body("RuleDraft").needs("blocklist:admin").gives("201 Rule").fails("403 404"))
        .row("POST", "/__api__/blocklist/rules/bulk", api::blocklist::create_many, "", Inferred)
        .doc(doc("Create rules in one transaction").body("RulesDraft").needs("blocklist:admin").gives("201 application/json").fails("403"))
        .row("PUT", "/__api__/blocklist/rules/{id}", api::blocklist::edit, "", Inferred)
        .doc(doc("Put another rule in its place").body("RuleDraft").needs("blocklist:admin").gives("200 Rule").fails("403 404"))
        .row("DELETE", "/__api__/blocklist/rules/{id}", api::blocklist::delete, "", Inferred)
        .doc(doc("Delete a rule").needs("blocklist:admin").gives("204").fails("403 404"))
        .row("GET", "/__api__/blocklist/test", api::blocklist::test, "", Inferred)
        .doc(doc("Whether a package is blocked, and by which rule").query("repo! package_name! version! bioc_version").gives("200 Verdict").fails("403 404"))
        .group("Custom metadata")
        .row("GET", "/__api__/metadata/records", api::metadata::list, "", Inferred)
        .doc(doc("Values that packages have under keys of ones own").gives("200 [Metadata]"))
        .row("POST", "/__api__/metadata/records", api::metadata::create, "", Inferred)
        .doc(doc("Give packages a value").body("MetadataDraft").needs("metadata:admin").gives("201 Metadata").gives("200 Metadata").fails("403 404 409"))
        .row("POST", "/__api__/metadata/records/bulk", api::metadata::create_many, "", Inferred)
        .doc(doc("Give packages values in one transaction").body("MetadataDrafts").needs("metadata:admin").gives("201 application/json").fails("403"))
        .row("DELETE", "/__api__/metadata/records/{id}", api::metadata::delete, "", Inferred)
        .doc(doc("Take values away: a number, numbers with commas, or all").needs("metadata:admin").gives("204").fails("403 404"))
        .group("Tokens")
        .row("GET", "/__api__/tokens", api::tokens::list, "", Inferred)
        .doc(doc("Tokens, without their text").needs("global:admin").gives("200 [Token]").fails("403"))
        .row("POST", "/__api__/tokens", api::tokens::create, "", Inferred)
        .doc(doc("Create a token; only this answer shows it").body("TokenDraft").needs("global:admin").gives("201 Token").fails("403 404"))
        .row("DELETE", "/__api__/tokens/{id}", api::tokens::revoke, "", Inferred)
        .doc(doc("Revoke a token").needs("global:admin").gives("204").fails("403 404"))
        .row("POST", "/__api__/bootstrap", api::bootstrap::create, "", Inferred)
        .doc(doc("A token for who has the bootstrap key; only this answer shows it").body("BootstrapDraft").gives("201 Token").fails("401 404"))
        .row("POST", "/__api__/device", api::devices::ask, "", Documented)
        .doc(doc("A device asks for a token: codes for it and for people").body("application/x-www-form-urlencoded DeviceRequest").gives("200 DeviceCodes").fails("415 422"))
        .row("POST", "/__api__/device_access", api::devices::poll, "", Documented)
        .doc(doc("An id token, once somebody has approved").body("application/x-www-form-urlencoded DeviceAccessRequest").gives("200 IdToken").fails("415 422"))
        .row("POST", "/__api__/token", api::devices::exchange, "", Documented)
        .doc(doc("An access token in exchange for an id token").body("application/x-www-form-urlencoded ExchangeRequest").gives("200 AccessToken").fails("415 422"))
        .group("R packages")
        .row("POST", "/upload/pypi/{source}", api::uploads::pypi.layer(DefaultBodyLimit::max(FORM)), "", ClientProven)
        .doc(doc("Upload a wheel or sdist, as twine does").body("multipart/form-data Upload").needs("sources:write").gives("200").fails("403 404 409 413"))
        .group("R packages")
        .row("GET", "/{repo}/{snapshot}/src/contrib/{*file}", cran::source, "", ClientProven)
        .doc(doc("Source packages and their index").gives(CONTRIB).fails("403 404 502"))
        .row("GET", "/{repo}/__linux__/{distro}/{snapshot}/src/contrib/{*file}", cran::linux, "", ClientProven)
        .doc(doc("Linux binaries for who says what they run, else source packages").query("r_version arch").gives(CONTRIB).fails("403 404 502"))
        .row("GET", "/{repo}/{snapshot}/bin/linux/{platform}/{rver}/src/contrib/{*file}", cran::linux_explicit, "", ClientProven)
        .doc(doc("Linux binaries, the platform in the path").gives(CONTRIB).fails("403 404 502"))
        .row("GET", "/{repo}/{snapshot}/bin/linux/{platform}/contrib/{rver}/{*file}", cran::linux_only, "", Documented)
        .doc(doc("Only what has a Linux binary").gives(CONTRIB).fails("403 404 502"))
        .row("GET", "/{repo}/{snapshot}/bin/windows/contrib/{rver}/{*file}", cran::windows, "", ClientProven)
        .doc(doc("Windows packages").gives(DESKTOP).fails("403 404 502"))
        .row("GET", "/{repo}/{snapshot}/bin/macosx/contrib/{rver}/{*file}", cran::macos, "", Documented)
        .doc(doc("macOS packages of an R without flavors").gives(DESKTOP).fails("403 404 502"))
        .row("GET", "/{repo}/{snapshot}/bin/macosx/{flavor}/contrib/{rver}/{*file}", cran::macos_flavor, "", ClientProven)
        .doc(doc("macOS packages").gives(DESKTOP).fails("403 404 502"))
        .group("Bioconductor")
        .row("GET", "/{repo}/config.yaml", bioc::config, "", Documented)
        .doc(doc("Which releases there are").gives("200 text/yaml").fails("403 404"))
        .row("GET", "/{repo}/{snapshot}/config.yaml", bioc::config_at, "", ClientProven)
        .doc(doc("Which releases there were").gives("200 text/yaml").fails("403 404"))
        .row("GET", "/{repo}/__linux__/{distro}/{snapshot}/config.yaml", bioc::config_for_linux, "", Inferred)
        .doc(doc("Which releases there were").gives("200 text/yaml").fails("403 404"))
        .row("GET", "/{repo}/packages/{release}/{component}/{*path}", bioc::tree, "", Documented)
        .doc(doc("The newest packages of a component").query("r_version arch").gives(DESKTOP).fails("403 404 502"))
        .row("GET", "/{repo}/{snapshot}/packages/{release}/{component}/{*path}", bioc::tree_at, "", ClientProven)
        .doc(doc("Packages of a component").query("r_version arch").gives(DESKTOP).fails("403 404 502"))
        .row("GET", "/{repo}/__linux__/{distro}/{snapshot}/packages/{release}/{component}/{*path}", bioc::tree_for_linux, "", Inferred)
        .doc(doc("Linux binaries of a component").query("r_version arch").gives(DESKTOP).fails("403 404 502"))
        .row("GET", "/{repo}/{snapshot}/simple", simple::with_slash, "", Documented)
        .group("Python packages")
        .row("GET", "/{repo}/{snapshot}/simple/", simple::root, "", Documented)
        .doc(doc("All projects").query("format").gives(SIMPLE).fails("403 404"))
        .row("GET", "/{repo}/{snapshot}/simple/{project}", simple::with_slash, "", Documented)
        .row("GET", "/{repo}/{snapshot}/simple/{project}/", simple::project, "", ClientProven)
        .doc(doc("The files of a project").query("format").gives(SIMPLE).gives("308").fails("403 404"))
        .group("Extensions of editors")
        .row("POST", "/{repo}/{snapshot}/vscode/gallery/extensionquery", vsx::query::query, "", Inferred)
        .doc(doc("Search, as editors do").body("ExtensionQuery").gives("200 application/json").fails("403 404"))
        .row("GET", "/{repo}/{snapshot}/vscode/gallery/{publisher}/{name}/latest", vsx::query::latest, "", Inferred)
        .doc(doc("An extension with its newest version").gives("200 application/json").fails("403 404"))
        .row("GET", "/{repo}/{snapshot}/vscode/gallery/vscode/{publisher}/{name}/latest", vsx::query::latest, "", Inferred)
        .doc(doc("The same, under the address that newer editors make").gives("200 application/json").fails("403 404"))
        .row("GET", "/{repo}/{snapshot}/vscode/gallery/publishers/{publisher}/vsextensions/{name}/{version}/vspackage", vsx::package, "", Inferred)
        .doc(doc("The package of a version").query("targetPlatform").gives("200 application/octet-stream").fails("403 404 502"))
        .row("GET", "/{repo}/{snapshot}/vscode/asset/{publisher}/{name}/{version}/{asset}", vsx::asset, "", Inferred)
        .doc(doc("A file of a version").query("targetPlatform").gives("200 application/octet-stream|application/json|text/xml|text/markdown|text/plain").fails("403 404 502"))
        .row("GET", "/{repo}/{snapshot}/vscode/unpkg/{publisher}/{name}/{version}/{*path}", vsx::unpacked, "", Inferred)
        .doc(doc("A file of a package, by its path").gives("200 application/json|text/xml|text/markdown|text/plain").fails("403 404 502"))
        .row("GET", "/{repo}/{snapshot}/api/{publisher}", vsx::registry::publisher, "", Inferred)
        .doc(doc("The extensions of a publisher").gives("200 application/json").gives(REGISTRY_400).gives(REGISTRY_404))
        .row("GET", "/{repo}/{snapshot}/api/{publisher}/{name}", vsx::registry::extension, "", ClientProven)
        .doc(doc("An extension, as Open VSX describes it").gives("200 application/json").gives(REGISTRY_400).gives(REGISTRY_404))
        .row("GET", "/{repo}/{snapshot}/api/{publisher}/{name}/{*path}", vsx::registry::below, "", ClientProven)
        .doc(doc("A version of an extension, for a platform or not, and with file/ a file of it").gives("200 application/json|application/octet-stream").gives(REGISTRY_400).gives(REGISTRY_404).fails("403"))
        .row("GET", "/{repo}/{snapshot}/vscode/item", vsx::item, "", Inferred)
        .doc(doc("To the page of an extension").query("itemName!").gives("303").fails("403 404"))
        .group("Python packages")
        .row("GET", "/{repo}/{snapshot}/packages/{id}/{filename}", simple::file, "", ClientProven)
        .doc(doc("A file, or its metadata under the name with .metadata behind it").gives("200 application/octet-stream|application/zip|application/x-gzip|text/plain").fails("403 404 502"))
}

/// The answer to an unknown path: never HTML with 200, which clients would take for what they asked for.
pub async fn not_found(uri: Uri) -> Response {
    let error = Error::NotFound(format!("there is nothing at {}", uri.path()));
    if uri.path().starts_with("/__api__/") { ApiError(error).into_response() } else { error.into_response() }
}

/// Around the table: nothing of an authenticated repo is seen without a token.
pub(crate) fn guarded(router: Router, app: App) -> Router {
    router.layer(axum::middleware::from_fn(move |request: Request, next: Next| {
        let app = app.clone();
        async move {
            // The port for metrics is a network's secret, not a token's.
            if request.extensions().get::<OtherPort>().is_some() {
                return next.run(request).await;
            }
            if let Err(refusal) = app.guard(request.uri(), request.headers()).await {
                return refusal;
            }
            let has_token = request.headers().contains_key(AUTHORIZATION);
            let principal = if has_token { app.principal(request.headers()) } else { None };
            let mut response = next.run(request).await;
            if let Some(principal) = principal {
                response.extensions_mut().insert(principal);
            }
            response
        }
    }))
}

/// Around the table: `//` in repository paths counts as `/`, because not every client trims the slash at the end of a
/// repository's URL, and every answer from a repository says that it comes from one.
pub(crate) fn with_plain_paths(router: Router, app: App) -> Router {
    Router::new().fallback_service(tower::service_fn(move |request: Request| {
        let (router, app) = (router.clone(), app.clone());
        async move {
            if request.extensions().get::<OtherPort>().is_some() {
                return router.oneshot(request).await;
            }
            let method = request.method().clone();
            let stays = app.0.config.https_only && Origin::from_headers(request.headers()).is_secure();
            let mut response = app.0.metrics.around(method.clone(), plain(router, &app, request)).await;
            if let Some(download) = Download::given(&method, &response) {
                app.count_download(download);
            }
            // By HTTP it means nothing, and browsers leave it alone.
            if stays {
                response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=2592000"));
            }
            Ok(response)
        }
    }))
}

/// Gives the answers of [`Hot`](crate::hot::Hot) without the way through the table, where nothing but them has a say: on a server
/// that is alone and answers HTTP.
pub(crate) fn at_hand(app: &App) -> Option<AtHand> {
    if app.world().db().engine() != Engine::Sqlite || app.0.config.https_only {
        return None;
    }
    let app = app.clone();
    Some(Arc::new(move |asked| {
        if app.away(asked.path()).is_some() {
            return None;
        }
        let kept = app.0.hot.answer(asked)?;
        if let Some(download) = &kept.download {
            app.count_download(download);
        }
        Some(app.0.metrics.at_once(kept.answer))
    }))
}

/// No name has the character U+0000, and no database can look for it.
fn without_nul(uri: &Uri) -> Response {
    let error = Error::BadRequest("an address cannot have the character %00".to_owned());
    if uri.path().starts_with("/__api__/") { ApiError(error).into_response() } else { error.into_response() }
}

async fn plain(router: Router, app: &App, mut request: Request) -> Response {
    if let Some(away) = app.away(request.uri().path()) {
        return away;
    }
    let asked = Asked::of(&request);
    let age = app.0.hot.age();
    if let Some(asked) = &asked
        && app.look_again().await.is_ok()
        && let Some(kept) = app.0.hot.answer(asked)
    {
        return kept.response();
    }
    let asked = asked.map(Asked::into_owned);
    let is_repository = !request.uri().path().starts_with("/__");
    if request.uri().path_and_query().is_some_and(|asked| asked.as_str().contains("%00")) {
        return without_nul(request.uri());
    }
    if is_repository && request.uri().path().contains("//") {
        plain_path(&mut request);
    }
    let is_api = request.uri().path().starts_with("/__api__/");
    let mut response = match router.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    if is_api && response.status().is_client_error() {
        response = api_face(response).await;
    }
    if is_repository {
        let headers = response.headers_mut();
        headers.insert(REPOSITORY_TYPE, HeaderValue::from_static("RSPM"));
        headers.insert(CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    }
    if let Some(asked) = asked {
        app.0.hot.keep(asked, age, &response);
    }
    response
}

/// Refusals that come from before the handlers (wrong method, unreadable query) in the shape of the API's own.
async fn api_face(response: Response) -> Response {
    let is_json = response.headers().get(CONTENT_TYPE).is_some_and(|value| value == "application/json");
    if is_json {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, 64 * 1024).await.unwrap_or_default();
    let text = match body.is_empty() {
        true => parts.status.canonical_reason().unwrap_or_default().to_owned(),
        false => String::from_utf8_lossy(&body).into_owned(),
    };
    parts.headers.remove(CONTENT_TYPE);
    parts.headers.remove(CONTENT_LENGTH);
    let mut face = Json(json!({ "code": parts.status.as_u16(), "error": text })).into_response();
    *face.status_mut() = parts.status;
    face.headers_mut().extend(parts.headers);
    *face.extensions_mut() = parts.extensions;
    face
}

const REPOSITORY_TYPE: HeaderName = HeaderName::from_static("x-repository-type");
const CONTENT_TYPE_OPTIONS: HeaderName = HeaderName::from_static("x-content-type-options");
const FRAME_OPTIONS: HeaderName = HeaderName::from_static("x-frame-options");

fn plain_path(request: &mut Request) {
    let mut path = String::with_capacity(request.uri().path().len());
    for char in request.uri().path().chars() {
        if char != '/' || !path.ends_with('/') {
            path.push(char);
        }
    }
    if let Some(query) = request.uri().query() {
        path.push('?');
        path.push_str(query);
    }
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = path.parse().ok();
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
}
