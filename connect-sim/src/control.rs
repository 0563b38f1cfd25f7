//! What Connect adds to the control plane: the mails that it has written, and its built-in identity provider.

use sim_kit::Table;
use sim_kit::control::Control;
use sim_kit::openapi::doc;
use sim_kit::routing::Fidelity::Documented;

use crate::app::App;
use crate::{idp, mail};

/// The rows.
#[rustfmt::skip] // a row a line
fn table() -> Table<App> {
    Table::default()
        .group("Mail")
        .row("GET", "/__sim__/v1/outbox", mail::outbox, "", Documented)
        .doc(doc("The newest 1000 mails, newest first, and how many there are").gives("200 Outbox"))
        .row("DELETE", "/__sim__/v1/outbox", mail::clear, "", Documented)
        .doc(doc("Take all mails away, sent or not").gives("204"))
        .group("Identity provider")
        .row("GET", "/__sim__/v1/idp/users", idp::control::users, "", Documented)
        .doc(doc("The people of the built-in identity provider").gives("200 People").fails("404"))
        .row("POST", "/__sim__/v1/idp/users", idp::control::add, "", Documented)
        .doc(doc("Add somebody, or change who has that name").body("PersonDraft").gives("200 Person").fails("404 413"))
        .row("DELETE", "/__sim__/v1/idp/users/{username}", idp::control::remove, "", Documented)
        .doc(doc("Take somebody away").gives("200 Done").fails("404"))
        .row("POST", "/__sim__/v1/idp/choose", idp::control::choose, "", Documented)
        .doc(doc("Who is signed in from now on without being asked; null: nobody").body("Choice").gives("200 Chosen").fails("404 413"))
        .row("POST", "/__sim__/v1/idp/tokens", idp::control::tokens, "", Documented)
        .doc(doc("An identity token that says just that, and `iss`, `iat`, `exp` unless it does").body("Claims").gives("200 IdentityToken").fails("404 413"))
}

/// The part of the control plane.
#[must_use]
pub fn control(app: App) -> Control {
    Control::of(table(), app, include_str!("../openapi/control.json"))
}
