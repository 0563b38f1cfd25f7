//! The list of content, and how to add to it.

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};

use super::dashboard::Visit;
use crate::content_type::ContentType;
use crate::error::{Error, Result};
use crate::input::Query;
use crate::{access::Role, search};

/// Items on a page.
const PAGE: usize = 25;

/// What a type is called on a badge, and in one or two letters.
#[must_use]
pub fn kind(app_mode: &str) -> (&'static str, &'static str) {
    let kind = ContentType::of(app_mode).unwrap_or(ContentType::Unknown);
    let short = match kind {
        ContentType::Unknown => "?",
        ContentType::Static => "<>",
        ContentType::Api | ContentType::PythonApi | ContentType::FastApi | ContentType::TensorFlow => "API",
        ContentType::RmdStatic | ContentType::RmdShiny => "Rmd",
        ContentType::QuartoStatic | ContentType::QuartoShiny => "Qmd",
        ContentType::JupyterStatic | ContentType::Voila => "Nb",
        ContentType::NodeJs => "JS",
        ContentType::Shiny => "R",
        _ => "Py",
    };
    (kind.noun(), short)
}

/// A term of the search's language; a value with blanks needs quotes, and cannot hold any itself.
fn term(key: &str, value: Option<&str>) -> Option<String> {
    value.map(|value| format!("{key}:\"{}\"", value.replace('"', "")))
}

/// The tags below `parent`, each with the path that the search knows it by.
#[must_use]
pub fn tree(tags: &[Value], parent: Option<&str>, path: &str) -> Vec<Value> {
    let below = tags.iter().filter(|tag| tag["parent_id"].as_str() == parent);
    below
        .map(|tag| {
            let name = tag["name"].as_str().unwrap_or_default();
            let path = if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
            let children = tree(tags, tag["id"].as_str(), &path);
            json!({"id": tag["id"], "name": name, "path": path, "children": children})
        })
        .collect()
}

/// `content/listing`: what the user may open, searched, filtered, sorted.
///
/// # Errors
/// 400 for a sort or page that is none.
pub async fn list(visit: &Visit) -> Result<Response> {
    let asked = &visit.query;
    let show = asked.text("show").unwrap_or("all");
    let more = match show {
        "mine" => "owner:@me",
        "bookmarked" => "is:bookmarked",
        "scheduled" => "is:scheduled",
        "locked" => "is:locked",
        "drafts" => "not:published",
        _ => "",
    };
    let terms = [
        asked.text("q").map(str::to_owned),
        Some(more.to_owned()),
        term("type", asked.text("type")),
        term("owner", asked.text("owner")),
        term("tag", asked.text("tag")),
    ];
    let (sort, order) = asked.text("sort").unwrap_or("last_deployed_time:desc").split_once(':').unwrap_or_default();
    let page = asked.text("page").unwrap_or("1");
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("q", terms.into_iter().flatten().collect::<Vec<_>>().join(" ").trim())
        .append_pair("include", "owner,tags,bookmarked")
        .append_pair("page_size", &PAGE.to_string())
        .append_pair("page_number", page)
        .append_pair("sort", sort)
        .append_pair("order", order)
        .finish();
    // Not by the API's route, which old releases do not have.
    let (app, origin, principal) = (visit.app.clone(), visit.origin.clone(), visit.principal.clone());
    let found = search::content(State(app), origin, principal, Query::parse(&query)).await?.0;
    let items: Vec<Value> = found["results"].as_array().into_iter().flatten().map(with_kind).collect();
    let users = visit.api.maybe("/v1/users?page_size=500&user_role=publisher|administrator").await?;
    let tags = visit.api.maybe("/v1/tags").await?;
    let types: Vec<_> = ContentType::ALL
        .iter()
        .map(|one| {
            json!({
                "name": one.name(), "noun": one.noun(),
            })
        })
        .collect();
    let filters: serde_json::Map<String, Value> = asked
        .pairs()
        .filter(|(name, _)| *name != "page")
        .map(|(name, value)| (name.to_owned(), json!(value)))
        .collect();
    let link = |without: &str| {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(asked.pairs().filter(|(name, _)| *name != "page" && *name != without));
        query.finish()
    };
    visit.page(
        "listing.html",
        json!({
            "items": items, "total": found["total"], "warnings": found["warnings"], "types": types, "show": show,
            "filters": filters, "page_size": PAGE, "owners": users["results"],
            "tags": tree(tags.as_array().map_or(&[], Vec::as_slice), None, ""),
            "number": page.parse::<usize>().unwrap_or(1), "pages": link(""), "tags_link": link("tag"),
            "filtered": filters.keys().any(|name| name != "sort"),
        }),
    )
}

fn with_kind(item: &Value) -> Value {
    let (noun, short) = kind(item["app_mode"].as_str().unwrap_or_default());
    let mut item = item.clone();
    item["noun"] = json!(noun);
    item["short"] = json!(short);
    item
}

/// `content/new`: how to publish here.
///
/// # Errors
/// 403 for viewers.
pub fn publish(visit: &Visit) -> Result<Response> {
    if visit.principal.role < Role::Publisher {
        return Err(Error::forbidden());
    }
    visit.page("publish.html", json!({}))
}
