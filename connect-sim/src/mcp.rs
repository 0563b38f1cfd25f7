//! The built-in MCP server at `/mcp/`: what an assistant may look up, as the user whose key or access token it has.
//!
//! Streamable HTTP of the Model Context Protocol without sessions or streams: a request is answered with JSON, and nothing is
//! sent unasked. That the product has such a server is known; its tools are not, so that these are this simulator's own. Each
//! stands for a read of the API, which decides what the user may see.

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::ALLOW;
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};

use crate::app::App;
use crate::auth::{Caller, Principal, Via};
use crate::error::{Code, Error, Result};
use crate::input::Raw;
use crate::ui::api::{Api, Routes};

/// Versions of the protocol that are spoken, newest first.
const VERSIONS: [&str; 3] = ["2025-06-18", "2025-03-26", "2024-11-05"];

/// Numbers of JSON-RPC.
const PARSE_ERROR: i64 = -32_700;
const INVALID_REQUEST: i64 = -32_600;
const METHOD_NOT_FOUND: i64 = -32_601;
const INVALID_PARAMS: i64 = -32_602;

/// A read of the API. Arguments that the path names in braces are required, the others make its query.
struct Tool {
    name: &'static str,
    about: &'static str,
    path: &'static str,
    arguments: &'static [(&'static str, &'static str, &'static str)],
}

const GUID: (&str, &str, &str) = ("guid", "string", "GUID of the content item");

const TOOLS: &[Tool] = &[
    Tool {
        name: "search_content",
        about: "Finds content that you may open; newest deployed first",
        path: "/v1/search/content",
        arguments: &[
            (
                "q",
                "string",
                "words of name, title or description; also owner:@me, type:shiny, tag:a/b, is:locked, r:4.4",
            ),
            ("page_number", "integer", "page, from 1"),
            ("page_size", "integer", "items of a page, 20 unless you say so, at most 500"),
        ],
    },
    Tool {
        name: "get_content",
        about: "A content item: its settings, its versions of R and Python, its addresses",
        path: "/v1/content/{guid}",
        arguments: &[GUID],
    },
    Tool {
        name: "list_bundles",
        about: "The bundles of a content item that you may change, newest first",
        path: "/v1/content/{guid}/bundles",
        arguments: &[GUID],
    },
    Tool {
        name: "list_jobs",
        about: "What ran for a content item that you may change, newest first",
        path: "/v1/content/{guid}/jobs",
        arguments: &[GUID],
    },
    Tool {
        name: "get_job_log",
        about: "The log of a job",
        path: "/v1/content/{guid}/jobs/{key}/log",
        arguments: &[GUID, ("key", "string", "key of the job")],
    },
    Tool {
        name: "get_task",
        about: "The state and the log of a deployment",
        path: "/v1/tasks/{id}",
        arguments: &[("id", "string", "id of the task")],
    },
    Tool { name: "get_current_user", about: "Who you are here", path: "/v1/user", arguments: &[] },
];

impl Tool {
    fn requires(&self, argument: &str) -> bool {
        self.path.contains(&format!("{{{argument}}}"))
    }

    fn shown(&self) -> Value {
        let property = |(name, kind, about): &(&str, &str, &str)| {
            ((*name).to_owned(), json!({"type": kind, "description": about}))
        };
        let required: Vec<&str> = self.arguments.iter().map(|one| one.0).filter(|name| self.requires(name)).collect();
        json!({
            "name": self.name, "description": self.about,
            "inputSchema": {
                "type": "object", "properties": self.arguments.iter().map(property).collect::<Map<_, _>>(),
                "required": required, "additionalProperties": false,
            },
            "annotations": {"readOnlyHint": true},
        })
    }

    /// The path of the API that `given` asks for.
    ///
    /// # Errors
    /// What is wrong with an argument.
    fn path(&self, given: &Map<String, Value>) -> std::result::Result<String, String> {
        if let Some(name) = given.keys().find(|name| self.arguments.iter().all(|one| one.0 != name.as_str())) {
            return Err(format!("`{name}` is no argument of {}", self.name));
        }
        let mut path = self.path.to_owned();
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, kind, _) in self.arguments {
            let text = match given.get(*name) {
                None | Some(Value::Null) if self.requires(name) => return Err(format!("`{name}` is missing")),
                None | Some(Value::Null) => continue,
                Some(Value::String(text)) if *kind == "string" => text.clone(),
                Some(Value::Number(number)) if *kind == "integer" && number.is_i64() => number.to_string(),
                Some(_) => return Err(format!("`{name}` must be of the type {kind}")),
            };
            if self.requires(name) {
                // Percent-encoded whole: an argument is one part of the path, whatever it holds.
                let part: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
                if part.is_empty() || matches!(text.as_str(), "." | "..") || text.contains('\0') {
                    return Err(format!("`{name}` names nothing"));
                }
                path = path.replace(&format!("{{{name}}}"), &part);
            } else {
                query.append_pair(name, &text);
            }
        }
        let query = query.finish();
        Ok(if query.is_empty() { path } else { format!("{path}?{query}") })
    }
}

/// An error of JSON-RPC.
struct Failure(i64, String);

async fn call(api: &Api, params: &Value) -> Result<std::result::Result<Value, Failure>> {
    let name = params["name"].as_str().unwrap_or_default();
    let Some(tool) = TOOLS.iter().find(|tool| tool.name == name) else {
        return Ok(Err(Failure(INVALID_PARAMS, format!("there is no tool {name:.100}; ask for tools/list"))));
    };
    let given = match &params["arguments"] {
        Value::Null => Map::new(),
        Value::Object(given) => given.clone(),
        _ => return Ok(Err(Failure(INVALID_PARAMS, "`arguments` must be an object".to_owned()))),
    };
    let path = match tool.path(&given) {
        Ok(path) => path,
        Err(text) => return Ok(Err(Failure(INVALID_PARAMS, text))),
    };
    // What the API refuses is a result that says so, which an assistant can act on.
    let (text, is_error) = match api.get(&path).await {
        Ok(found) => (found.to_string(), false),
        Err(Error::Refused { text, .. }) => (text, true),
        Err(Error::NoRoute) => ("This release has no such thing.".to_owned(), true),
        Err(failure) => return Err(failure),
    };
    Ok(Ok(json!({"content": [{"type": "text", "text": text}], "isError": is_error})))
}

async fn respond(app: &App, api: &Api, method: &str, params: &Value) -> Result<std::result::Result<Value, Failure>> {
    Ok(match method {
        "initialize" => {
            let asked = params["protocolVersion"].as_str().unwrap_or_default();
            let version = VERSIONS.into_iter().find(|version| *version == asked).unwrap_or(VERSIONS[0]);
            Ok(json!({
                "protocolVersion": version, "capabilities": {"tools": {"listChanged": false}},
                "serverInfo": {"name": "connect-sim", "version": app.config().version.to_string()},
                "instructions": "Reads content of a simulated Connect as the user whose key is used. Nothing can be changed.",
            }))
        }
        "ping" => Ok(json!({})),
        "tools/list" => Ok(json!({"tools": TOOLS.iter().map(Tool::shown).collect::<Vec<_>>()})),
        "tools/call" => call(api, params).await?,
        other => Err(Failure(METHOD_NOT_FOUND, format!("there is no method {other:.100}"))),
    })
}

fn refused(code: i64, text: &str) -> Response {
    let error = json!({"jsonrpc": "2.0", "id": null, "error": {"code": code, "message": text}});
    (StatusCode::BAD_REQUEST, axum::Json(error)).into_response()
}

/// `POST /mcp/`: one message of JSON-RPC 2.0.
///
/// # Errors
/// 401 without a key or an access token, 403 for the session of a browser.
pub async fn message(
    State(app): State<App>,
    Extension(routes): Extension<Routes>,
    principal: Principal,
    headers: HeaderMap,
    Raw(body): Raw,
) -> Result<Response> {
    // So that no page of another site can speak for who is signed in here.
    if matches!(principal.via, Via::Session { .. }) {
        let text = "The MCP server takes an API key or an access token, not the session of a browser.";
        return Err(Error::forbidden_because(Code::ProhibitedAuthType, text));
    }
    let spoken = headers.get("mcp-protocol-version").map(|value| value.to_str().unwrap_or_default());
    if spoken.is_some_and(|version| !VERSIONS.contains(&version)) {
        let text = format!("MCP-Protocol-Version must be one of {}", VERSIONS.join(", "));
        return Ok(refused(INVALID_REQUEST, &text));
    }
    let Ok(message) = serde_json::from_slice::<Value>(&body) else {
        return Ok(refused(PARSE_ERROR, "the body is not valid JSON"));
    };
    let is_answer = message.get("result").or(message.get("error")).is_some();
    let (method, id) = (message["method"].as_str(), message.get("id"));
    match (message["jsonrpc"] == "2.0", method, id) {
        // Nothing was asked, so that an answer answers nothing.
        (true, None, _) if is_answer => Ok(StatusCode::ACCEPTED.into_response()),
        (true, Some(_), None) => Ok(StatusCode::ACCEPTED.into_response()),
        (true, Some(method), Some(id)) if id.is_string() || id.is_number() => {
            let api = Api::new(routes, Caller::User(principal), headers);
            let answer = match respond(&app, &api, method, &message["params"]).await? {
                Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
                Err(Failure(code, text)) => {
                    json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": text}})
                }
            };
            Ok(axum::Json(answer).into_response())
        }
        _ => Ok(refused(INVALID_REQUEST, "the body must be one request of JSON-RPC 2.0 with a method and an id")),
    }
}

/// `GET /mcp/`: where a server that sends unasked would begin to; this one does not.
pub async fn stream(_: Principal) -> Response {
    (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "POST")]).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_argument_is_one_part_of_a_path(text in "\\PC{0,30}") {
            let tool = &TOOLS[1];
            let given = Map::from_iter([("guid".to_owned(), json!(text))]);
            if let Ok(path) = tool.path(&given) {
                let part = path.strip_prefix("/v1/content/").unwrap();
                prop_assert!(part.bytes().all(|byte| byte == b'%' || byte.is_ascii_hexdigit()), "{part}");
            }
        }
    }
}
