//! The OpenAPI document of a product, written from its table of routes.
//!
//! A row says by itself its method, path, release and fidelity. What else there is to know hangs on it as a [`Doc`], in
//! notations short enough for a table:
//!
//! | part | notation | example |
//! |---|---|---|
//! | query | names; `!` after those that must be there | `"snapshot name_like _limit"`, `"repo! version!"` |
//! | body | a shape; `?` before one that may be left out | `"RepoDraft"`, `"?SyncRequest"`, `"text/plain"` |
//! | answer | a status and a shape | `"200 [Repo]"`, `"204"`, `"200 application/x-ndjson PackageRow"` |
//! | failures | statuses | `"403 404"` |
//!
//! A shape is a content type, a schema of the product's components (`[Name]` for a list of them), or both; a schema alone is
//! JSON, and `a/b|c/d` stands for several content types. The meaning of a parameter, in the path or in the query, is said
//! once, in the components, under its name. A row without a [`Doc`] says nothing of its answers and takes any body.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::routing::Route;

/// What is known of a row beyond what its columns say.
#[derive(Debug, Clone, Default)]
pub struct Doc {
    summary: &'static str,
    detail: &'static str,
    query: &'static str,
    body: &'static str,
    needs: &'static str,
    gives: Vec<&'static str>,
    fails: &'static str,
}

/// A [`Doc`] that says what the row does, in a few words.
#[must_use]
pub fn doc(summary: &'static str) -> Doc {
    Doc { summary, ..Doc::default() }
}

impl Doc {
    /// A sentence or two more.
    #[must_use]
    pub fn detail(self, detail: &'static str) -> Self {
        Self { detail, ..self }
    }

    /// The names in its query.
    #[must_use]
    pub fn query(self, query: &'static str) -> Self {
        Self { query, ..self }
    }

    /// The shape of its body.
    #[must_use]
    pub fn body(self, body: &'static str) -> Self {
        Self { body, ..self }
    }

    /// What a caller needs, in the product's own word; with it goes a credential of one of the components' security schemes.
    #[must_use]
    pub fn needs(self, needs: &'static str) -> Self {
        Self { needs, ..self }
    }

    /// A status that it answers with when all is well, and the shape of that answer. May be said several times.
    #[must_use]
    pub fn gives(mut self, answer: &'static str) -> Self {
        self.gives.push(answer);
        self
    }

    /// The statuses of its refusals, besides [`Api::always`].
    #[must_use]
    pub fn fails(self, fails: &'static str) -> Self {
        Self { fails, ..self }
    }
}

/// What the document of a product says besides its rows.
#[derive(Debug, Clone, Copy)]
pub struct Api {
    /// Its name.
    pub title: &'static str,
    /// Its release.
    pub version: &'static str,
    /// What it is.
    pub description: &'static str,
    /// Rows below this path are in the document even without a [`Doc`]; refusals there are JSON, elsewhere plain text.
    pub prefix: &'static str,
    /// The schema of a refusal below the prefix.
    pub error: &'static str,
    /// Statuses with which any row may refuse, such as `"400 401"`.
    pub always: &'static str,
    /// The document's `components`: `parameters` by their names, `schemas`, `securitySchemes`.
    pub components: &'static str,
    /// More of them, of whoever adds rows; empty when nobody does.
    pub more: &'static str,
}

/// A reason why there is no document: `components` is not the JSON it should be.
#[derive(Debug, thiserror::Error)]
#[error("the components of the OpenAPI document: {0}")]
pub struct BadComponents(String);

/// The document: OpenAPI 3.1.
///
/// # Errors
/// When the components are no JSON object, or lack a schema that a row names.
pub fn document(api: &Api, routes: &[Route]) -> Result<Value, BadComponents> {
    let mut components = parsed(api.components)?;
    if !api.more.is_empty() {
        add(&mut components, parsed(api.more)?)?;
    }
    let mut paths = Map::new();
    let mut groups: Vec<&str> = Vec::new();
    for route in routes {
        if route.doc.is_none() && !route.path.starts_with(api.prefix) {
            continue;
        }
        if !route.group.is_empty() && !groups.contains(&route.group) {
            groups.push(route.group);
        }
        let path = route.path.replace("{*", "{");
        let item = paths.entry(path.clone()).or_insert_with(|| json!({}));
        let method = if route.method == "*" { "get".to_owned() } else { route.method.to_lowercase() };
        item[&method] = operation(api, &components, route, &path, &method);
    }
    if let Some(components) = components.as_object_mut() {
        // They were put where they are meant.
        components.remove("parameters");
    }
    let document = json!({
        "openapi": "3.1.0",
        "info": { "title": api.title, "version": api.version, "description": api.description },
        "tags": groups.iter().map(|name| json!({ "name": name })).collect::<Vec<_>>(),
        "paths": paths,
        "components": components,
    });
    match dangling(&document) {
        missing if missing.is_empty() => Ok(document),
        missing => {
            Err(BadComponents(format!("nothing is named {}", missing.into_iter().collect::<Vec<_>>().join(", "))))
        }
    }
}

fn parsed(text: &str) -> Result<Value, BadComponents> {
    serde_json::from_str(text).map_err(|error| BadComponents(error.to_string()))
}

/// Adds components to others. What both have under one name would be one of the two by chance.
fn add(components: &mut Value, more: Value) -> Result<(), BadComponents> {
    let Value::Object(kinds) = more else { return Err(BadComponents("what is added is no object".to_owned())) };
    for (kind, named) in kinds {
        for (name, one) in named.as_object().into_iter().flatten() {
            let before = components[&kind].as_object_mut().and_then(|known| known.insert(name.clone(), one.clone()));
            if before.is_some() || components[&kind][name] != *one {
                return Err(BadComponents(format!("{kind} has {name} already, or is no place for it")));
            }
        }
    }
    Ok(())
}

fn operation(api: &Api, components: &Value, route: &Route, path: &str, method: &str) -> Value {
    let unknown = Doc::default();
    let doc = route.doc.as_ref().unwrap_or(&unknown);
    let mut out = Map::new();
    let summary = if doc.summary.is_empty() { spoken(method, path) } else { doc.summary.to_owned() };
    out.insert("summary".into(), summary.into());
    let mut detail = doc.detail.to_owned();
    if !doc.needs.is_empty() {
        let gap = if detail.is_empty() { "" } else { " " };
        detail = format!("{detail}{gap}Needs {}.", doc.needs);
        let schemes = components["securitySchemes"].as_object().into_iter().flatten();
        out.insert("security".into(), schemes.map(|(name, _)| json!({ name: [] })).collect());
    }
    if !detail.is_empty() {
        out.insert("description".into(), detail.into());
    }
    out.insert("operationId".into(), operation_id(method, path).into());
    if !route.group.is_empty() {
        out.insert("tags".into(), json!([route.group]));
    }
    let parameters = parameters(components, path, doc.query);
    if !parameters.is_empty() {
        out.insert("parameters".into(), parameters.into());
    }
    let takes_any = route.doc.is_none() && matches!(method, "post" | "put" | "patch");
    if takes_any {
        out.insert("requestBody".into(), json!({ "required": false, "content": content("application/json") }));
    } else if !doc.body.is_empty() {
        let (shape, required) = doc.body.strip_prefix('?').map_or((doc.body, true), |shape| (shape, false));
        out.insert("requestBody".into(), json!({ "required": required, "content": content(shape) }));
    }
    out.insert("responses".into(), answers(api, route, doc));
    out.insert("x-fidelity".into(), json!(route.fidelity));
    if !route.since.is_empty() {
        out.insert("x-since".into(), route.since.into());
    }
    out.into()
}

/// `get /__api__/repos/{repo}` as `get_api_repos_repo`; a slash at the end counts.
fn operation_id(method: &str, path: &str) -> String {
    let words = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let end = if path.len() > 1 && path.ends_with('/') { Some("index") } else { None };
    std::iter::once(method).chain(words).chain(end).collect::<Vec<_>>().join("_")
}

/// What a row without words does: its method and the fixed parts of its path.
fn spoken(method: &str, path: &str) -> String {
    let parts = path.split('/').filter(|part| !part.is_empty() && !part.starts_with(['{', '_']) && *part != "v1");
    std::iter::once(method).chain(parts).collect::<Vec<_>>().join(" ")
}

fn parameters(components: &Value, path: &str, query: &str) -> Vec<Value> {
    let of_path = path.split('/').filter_map(|part| {
        let name = part.split_once('{')?.1.split_once('}')?.0;
        Some((name, "path", true))
    });
    let of_query = query.split_whitespace().map(|name| match name.strip_suffix('!') {
        Some(name) => (name, "query", true),
        None => (name, "query", false),
    });
    let parameter = |(name, place, required): (&str, &str, bool)| {
        // Written out, not referred to: one name may be a segment here and part of a query there.
        let mut out =
            components["parameters"].get(name).cloned().unwrap_or_else(|| json!({ "schema": { "type": "string" } }));
        out["name"] = name.into();
        out["in"] = place.into();
        out["required"] = required.into();
        out
    };
    of_path.chain(of_query).map(parameter).collect()
}

fn answers(api: &Api, route: &Route, doc: &Doc) -> Value {
    let mut out = Map::new();
    for answer in &doc.gives {
        let (status, shape) = answer.split_once(' ').unwrap_or((answer, ""));
        let mut response = json!({ "description": reason(status) });
        if !shape.is_empty() {
            response["content"] = content(shape);
        }
        out.insert(status.to_owned(), response);
    }
    let refusal = match route.path.starts_with(api.prefix) {
        true => content(api.error),
        false => content("text/plain"),
    };
    for status in doc.fails.split_whitespace().chain(api.always.split_whitespace()) {
        out.insert(status.to_owned(), json!({ "description": reason(status), "content": refusal }));
    }
    if doc.gives.is_empty() {
        out.insert("default".to_owned(), json!({ "description": "Not described" }));
    }
    out.into()
}

fn reason(status: &str) -> &'static str {
    let known = status.parse::<u16>().ok().and_then(|code| http::StatusCode::from_u16(code).ok());
    known.and_then(|status| status.canonical_reason()).unwrap_or("Answer")
}

/// The `content` of a shape. A schema said with it is that of every content type; without one, text is text.
fn content(shape: &str) -> Value {
    let (mut types, mut schema) = ("application/json", None);
    for word in shape.split_whitespace() {
        if word.contains('/') {
            types = word;
        } else {
            schema = Some(schema_of(word));
        }
    }
    let of = |name: &str| match &schema {
        Some(schema) => schema.clone(),
        None if name.starts_with("text/") => json!({ "type": "string" }),
        None => json!({}),
    };
    types.split('|').map(|name| (name.to_owned(), json!({ "schema": of(name) }))).collect::<Map<_, _>>().into()
}

fn schema_of(word: &str) -> Value {
    match word.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(item) => json!({ "type": "array", "items": schema_of(item) }),
        None => json!({ "$ref": format!("#/components/schemas/{word}") }),
    }
}

/// The references in `document` that lead nowhere.
fn dangling(document: &Value) -> BTreeSet<String> {
    fn walk(value: &Value, document: &Value, missing: &mut BTreeSet<String>) {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(to)) = members.get("$ref")
                    && to.strip_prefix('#').and_then(|pointer| document.pointer(pointer)).is_none()
                {
                    missing.insert(to.clone());
                }
                members.values().for_each(|value| walk(value, document, missing));
            }
            Value::Array(items) => items.iter().for_each(|value| walk(value, document, missing)),
            _ => {}
        }
    }
    let mut missing = BTreeSet::new();
    walk(document, document, &mut missing);
    missing
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::Fidelity;

    const API: Api = Api {
        title: "Shop",
        version: "1",
        description: "",
        prefix: "/api/",
        error: "Error",
        always: "400",
        components: r#"{
            "parameters": { "id": { "description": "A number", "schema": { "type": "integer" } } },
            "schemas": { "Error": {}, "Item": { "type": "object" } },
            "securitySchemes": { "key": { "type": "http", "scheme": "bearer" } }
        }"#,
        more: "",
    };

    fn row(method: &'static str, path: &'static str, doc: Option<Doc>) -> Route {
        Route { method, path, since: "", fidelity: Fidelity::Documented, group: "Items", doc }
    }

    #[test]
    fn rows_become_operations() {
        let change = doc("Change an item").detail("All of it.").query("dry id!").body("Item").needs("a key");
        let rows = [
            row("PUT", "/api/items/{id}", Some(change.gives("200 [Item]").gives("204").fails("404"))),
            row("GET", "/api/items/{id}/{*path}", None),
            row("GET", "/files/{name}", Some(doc("A file").gives("200 a/b|c/d").fails("404"))),
            row("GET", "/pages", None),
        ];
        let out = document(&API, &rows).unwrap();
        assert_eq!(out["paths"].as_object().unwrap().len(), 3);
        let put = &out["paths"]["/api/items/{id}"]["put"];
        assert_eq!(put["operationId"], "put_api_items_id");
        assert_eq!(put["description"], "All of it. Needs a key.");
        assert_eq!(put["security"], json!([{ "key": [] }]));
        assert_eq!(put["parameters"][0]["schema"]["type"], "integer");
        assert_eq!(put["parameters"][0]["in"], "path");
        assert_eq!(
            put["parameters"][1],
            json!({ "name": "dry", "in": "query", "required": false, "schema": { "type": "string" } })
        );
        assert_eq!(put["parameters"][2]["required"], true);
        assert_eq!(put["requestBody"]["content"]["application/json"]["schema"]["$ref"], "#/components/schemas/Item");
        let list = &put["responses"]["200"]["content"]["application/json"]["schema"];
        assert_eq!(list["items"]["$ref"], "#/components/schemas/Item");
        assert_eq!(put["responses"]["404"]["description"], "Not Found");
        assert_eq!(put["responses"].as_object().unwrap().len(), 4);
        let unsaid = &out["paths"]["/api/items/{id}/{path}"]["get"];
        assert_eq!((&unsaid["summary"], unsaid["responses"].get("default").is_some()), (&json!("get api items"), true));
        let file = &out["paths"]["/files/{name}"]["get"]["responses"];
        assert!(file["200"]["content"].get("c/d").is_some() && file["404"]["content"].get("text/plain").is_some());
    }

    #[test]
    fn names_without_a_schema_are_refused() {
        let rows = [row("GET", "/api/x", Some(doc("x").gives("200 Nobody")))];
        assert!(document(&API, &rows).unwrap_err().to_string().contains("schemas/Nobody"));
        assert!(document(&Api { components: "{", ..API }, &[]).is_err());
        let added = Api { more: r#"{ "schemas": { "Nobody": {} } }"#, ..API };
        assert!(document(&added, &rows).unwrap()["components"]["schemas"].get("Item").is_some());
        for bad in [r#"{ "schemas": { "Item": {} } }"#, r#"{ "headers": { "x": {} } }"#, "[]", "{"] {
            assert!(document(&Api { more: bad, ..API }, &[]).is_err(), "{bad}");
        }
    }
}
