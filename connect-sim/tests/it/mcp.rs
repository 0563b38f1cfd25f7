//! The built-in MCP server.

use serde_json::{Value, json};

use super::app::{Caller, TestApp, static_bundle};

async fn ask(caller: &Caller, method: &str, params: Value) -> Value {
    let message = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params});
    let answer = caller.raw("POST", "/mcp/", &[("content-type", "application/json")], message.to_string().into());
    let answer = answer.await.ok();
    assert_eq!((&answer["jsonrpc"], &answer["id"]), (&json!("2.0"), &json!(7)));
    answer
}

/// What a tool found, or why not.
async fn call(caller: &Caller, tool: &str, arguments: Value) -> Result<Value, String> {
    let answer = ask(caller, "tools/call", json!({"name": tool, "arguments": arguments})).await;
    let text = answer["result"]["content"][0]["text"].as_str().unwrap();
    match answer["result"]["isError"].as_bool().unwrap() {
        true => Err(text.to_owned()),
        false => Ok(serde_json::from_str(text).unwrap()),
    }
}

#[tokio::test]
async fn an_assistant_reads_what_its_user_may() {
    let app = TestApp::new().await;
    let publisher = app.publisher();
    let guid = publisher.publish("report", static_bundle("x")).await;
    let begun = ask(&publisher, "initialize", json!({"protocolVersion": "2025-03-26", "capabilities": {}})).await;
    assert_eq!(begun["result"]["protocolVersion"], "2025-03-26");
    let begun = ask(&publisher, "initialize", json!({"protocolVersion": "1999-01-01"})).await;
    assert_eq!(begun["result"]["protocolVersion"], "2025-06-18");
    let note = json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string();
    assert_eq!(publisher.raw("POST", "/mcp/", &[], note.into()).await.status, 202);
    let tools = ask(&publisher, "tools/list", Value::Null).await["result"]["tools"].clone();
    let names: Vec<&str> = tools.as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    for (tool, arguments) in [
        ("search_content", json!({"q": "report", "page_size": 5})),
        ("get_content", json!({"guid": guid})),
        ("list_bundles", json!({"guid": guid})),
        ("list_jobs", json!({"guid": guid})),
        ("get_current_user", json!({})),
    ] {
        assert!(names.contains(&tool), "{names:?}");
        call(&publisher, tool, arguments).await.unwrap();
    }
    let found = call(&publisher, "search_content", json!({"q": "report"})).await.unwrap();
    assert_eq!((&found["total"], &found["results"][0]["guid"]), (&json!(1), &json!(guid)));
    let viewer = app.viewer();
    assert_eq!(call(&viewer, "search_content", json!({})).await.unwrap()["total"], 0);
    assert!(call(&viewer, "get_content", json!({"guid": guid})).await.unwrap_err().contains("permission"));
    assert!(call(&publisher, "get_content", json!({"guid": "../users"})).await.is_err());
}

#[tokio::test]
async fn what_is_no_call_is_refused_with_a_reason() {
    let app = TestApp::new().await;
    let publisher = app.publisher();
    for (params, named) in [
        (json!({"name": "drop_everything"}), "drop_everything"),
        (json!({"name": "get_content"}), "`guid` is missing"),
        (json!({"name": "get_content", "arguments": {"guid": 1}}), "`guid` must be"),
        (json!({"name": "get_content", "arguments": {"guid": ".."}}), "`guid` names nothing"),
        (json!({"name": "get_content", "arguments": {"guid": "x", "as": "admin"}}), "`as` is no argument"),
        (json!({"name": "search_content", "arguments": []}), "`arguments` must be"),
    ] {
        let error = ask(&publisher, "tools/call", params).await["error"].clone();
        assert_eq!(error["code"], -32_602);
        assert!(error["message"].as_str().unwrap().contains(named), "{error}");
    }
    assert_eq!(ask(&publisher, "resources/list", json!({})).await["error"]["code"], -32_601);
    for bad in ["", "{", "[]", "{}", "1", "{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"ping\"}"] {
        let answer = publisher.raw("POST", "/mcp/", &[], bad.into()).await;
        let code = serde_json::from_slice::<Value>(&answer.body).unwrap()["error"]["code"].as_i64().unwrap();
        assert!(answer.status == 400 && matches!(code, -32_700 | -32_600), "{bad}: {}", answer.text());
    }
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}).to_string();
    let old = publisher.raw("POST", "/mcp/", &[("mcp-protocol-version", "1")], ping.clone().into()).await;
    assert_eq!(old.status, 400);
    let browser = app.sign_in("publisher", "publisher-password").await;
    assert_eq!(browser.raw("POST", "/mcp/", &[], ping.into()).await.code(), (403, 95));
}
