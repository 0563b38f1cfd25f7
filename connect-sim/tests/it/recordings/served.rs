//! A server of a release with one of everything, and what it is asked for a recording.

use axum::body::Body;
use connect_sim::Config;
use serde_json::{Value, json};

use super::super::app::{Answer, Caller, TestApp, document_bundle, python_bundle, r_bundle};
use super::super::git::{Remote, STATIC};
use super::super::index::Index;
use super::super::sign_in;
use super::Recording;

/// A server with one of everything.
pub(super) struct Served {
    /// What works in the background ends with it.
    _app: TestApp,
    publisher: Caller,
    admin: Caller,
    /// An API with everything that an item can have.
    content: String,
    /// An item of a repository; empty where none is needed.
    from_git: String,
    document: String,
    variant: Value,
    permission: Value,
    job: String,
    task: String,
    viewer: String,
    group: String,
    tag: String,
    category: String,
    integration: String,
    session: String,
    environment: String,
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A member of an answer; nothing where the release has no such route.
fn member(answer: &Answer, name: &str) -> String {
    match answer.text() == "404 page not found" {
        true => String::new(),
        false => text(&answer.ok()[name]),
    }
}

fn custom(auth_type: &str) -> Value {
    json!({"name": "i", "description": "d", "template": "custom", "config": {
        "auth_mode": "Confidential", "auth_type": auth_type, "authorization_uri": "https://id.example/auth",
        "client_id": "c", "scopes": "email", "token_endpoint_auth_method": "client_secret_basic",
        "token_uri": "https://id.example/token", "use_pkce": true,
    }})
}

/// An item of a repository, whose second commit could not be deployed.
async fn broken(publisher: &Caller, remote: &Remote) -> String {
    remote.commit("main", &[("manifest.json", STATIC), ("index.html", "one")]);
    let guid = publisher.create("from-git").await;
    let location = json!({"repository": remote.url, "branch": "main", "directory": ".", "polling": true});
    publisher.put(&format!("/v1/content/{guid}/repository"), &location).await.ok();
    assert_eq!(publisher.deploy(&guid, &json!({})).await["code"], 0);
    remote.commit("main", &[("manifest.json", "{")]);
    assert_ne!(publisher.deploy(&guid, &json!({})).await["code"], 0);
    guid
}

impl Served {
    /// Of the newest release when none is named.
    pub(super) async fn start(release: &str, index: &Index, remote: Option<&Remote>) -> Self {
        let mut config = Config { identity_provider: sign_in::config().identity_provider, ..index.config() };
        if !release.is_empty() {
            config.version = release.parse().unwrap();
        }
        let app = TestApp::with(config).await;
        let (publisher, admin) = (app.publisher(), app.admin());
        let content = publisher.publish("recorded", python_bundle("python-api", "flask")).await;
        let viewer = text(&app.viewer().get("/v1/user").await.ok()["guid"]);
        let grant = json!({"principal_guid": viewer, "principal_type": "user", "role": "viewer"});
        let permission = publisher.post(&format!("/v1/content/{content}/permissions"), &grant).await.ok()["id"].clone();
        publisher.put(&format!("/v1/content/{content}/vanity"), &json!({"path": "/vanity/"})).await.ok();
        let group = text(&publisher.post("/v1/groups", &json!({"name": "group"})).await.ok()["guid"]);
        let member_of = json!({"user_guid": viewer});
        assert_eq!(publisher.post(&format!("/v1/groups/{group}/members"), &member_of).await.status, 204);
        let grant = json!({"principal_guid": group, "principal_type": "group", "role": "viewer"});
        publisher.post(&format!("/v1/content/{content}/permissions"), &grant).await.ok();
        let category = text(&admin.post("/v1/tags", &json!({"name": "c"})).await.ok()["id"]);
        let tag = text(&admin.post("/v1/tags", &json!({"name": "t", "parent_id": category})).await.ok()["id"]);
        let document = publisher.publish("document", document_bundle()).await;
        publisher.page(&format!("/content/{document}/doc.html")).await;
        let variant = publisher.get(&format!("/applications/{document}/variants")).await.ok()[0]["id"].clone();

        let shiny = publisher.publish("shiny", r_bundle("shiny", &[("shiny", "1.8.0")])).await;
        publisher.page(&format!("/content/{shiny}/")).await;

        let integration = member(&admin.post("/v1/oauth/integrations", &custom("Viewer")).await, "guid");
        let associations = format!("/v1/content/{content}/oauth/integrations/associations");
        publisher.put(&associations, &json!([{"oauth_integration_guid": integration}])).await;
        publisher.page(&format!("/__oauth__/integrations/{integration}/login")).await;
        let session = match integration.is_empty() {
            true => String::new(),
            false => text(&publisher.get("/v1/oauth/sessions").await.ok()[0]["guid"]),
        };
        let image = json!({"name": "image", "cluster_name": "Kubernetes", "title": "t", "description": "d"});
        let environment = member(&admin.post("/v1/environments", &image).await, "guid");

        let from_git = match remote {
            Some(remote) => broken(&publisher, remote).await,
            None => String::new(),
        };
        // An item without tags does not tell any; all recorded lists have some that do.
        for item in publisher.get("/v1/content").await.ok().as_array().unwrap() {
            let path = format!("/v1/content/{}/tags", item["guid"].as_str().unwrap());
            publisher.post(&path, &json!({"tag_id": tag})).await.ok();
        }
        let task = text(&publisher.deploy(&content, &json!({})).await["id"]);
        // The visit starts a process.
        publisher.get(&format!("/content/{content}/")).await.ok();
        let jobs = publisher.get(&format!("/v1/content/{content}/jobs")).await.ok();
        let job = text(&jobs[0]["key"]);
        Self {
            _app: app,
            publisher,
            admin,
            content,
            from_git,
            document,
            variant,
            permission,
            job,
            task,
            viewer,
            group,
            tag,
            category,
            integration,
            session,
            environment,
        }
    }

    /// Our answer to the request of a recording.
    pub(super) async fn ask(&self, recording: &Recording) -> Answer {
        let (content, document, integration) = (&self.content, &self.document, &self.integration);
        let of = |path: &str| recording.path.replacen("{}", path, 1);
        let of_item = || format!("/{}", of(content));
        let of_job = || of_item().replace("{}", &self.job);
        let nothing = Value::Null;
        let (path, body) = match (recording.method, recording.path.as_str()) {
            ("GET", "__ping__" | "v1/system/caches/runtime" | "v1/vanities" | "v1/packages" | "v1/environments")
            | ("GET", "server_settings" | "v1/user" | "v1/users" | "v1/groups" | "v1/tags" | "v1/oauth/integrations")
            | ("GET", "v1/instrumentation/content/hits" | "v1/instrumentation/content/visits")
            | ("GET", "v1/instrumentation/shiny/usage") => (format!("/{}", recording.path), nothing),
            ("GET", "v1/groups/groups") => ("/v1/groups".to_owned(), nothing),
            ("GET", "v1/groups/remote") => ("/v1/groups/remote?prefix=eng".to_owned(), nothing),
            ("GET", "v1/search/content") => ("/v1/search/content?q=recorded".to_owned(), nothing),
            ("GET", "v1/oauth/sessions") => ("/v1/oauth/sessions?all=true".to_owned(), nothing),
            ("GET", "v1/content") => ("/v1/content?include=owner,tags".to_owned(), nothing),
            ("GET", "v1/content/{}") => (format!("/v1/content/{content}?include=owner,tags"), nothing),
            ("GET", "v1/content/{}/repository") => (format!("/v1/content/{}/repository", self.from_git), nothing),
            ("GET", "v1/content/{}/bundles/{}") => (of_item().replace("{}", "1"), nothing),
            ("GET", "v1/content/{}/permissions/{}") => (of_item().replace("{}", &text(&self.permission)), nothing),
            ("GET", "v1/content/{}/jobs/{}" | "v1/content/{}/jobs/{}/log" | "applications/{}/job/{}") => {
                (of_job(), nothing)
            }
            ("GET", "applications/{}/variants") => (format!("/applications/{document}/variants"), nothing),
            ("GET", path) if path.starts_with("v1/content/{}/") || path == "applications/{}/jobs" => {
                (of_item(), nothing)
            }
            ("GET", "v1/environments/{}") => (format!("/{}", of(&self.environment)), nothing),
            ("GET", "v1/oauth/integrations/{}" | "v1/oauth/integrations/{}/associations") => {
                (format!("/{}", of(integration)), nothing)
            }
            ("GET", "v1/oauth/sessions/{}") => (format!("/{}", of(&self.session)), nothing),
            ("GET", "v1/tags/{}" | "v1/tags/{}/content") => (format!("/{}", of(&self.tag)), nothing),
            ("GET", "v1/tasks/{}") => (format!("/{}", of(&self.task)), nothing),
            ("GET", "v1/users/{}") => (format!("/{}", of(&self.viewer)), nothing),
            ("GET", "v1/groups/{}" | "v1/groups/{}/members" | "v1/experimental/groups/{}/content") => {
                (format!("/{}", of(&self.group)), nothing)
            }
            ("POST", "variants/{}/render" | "variants/{}/sender") => {
                (format!("/{}", of(&text(&self.variant))), json!({}))
            }
            ("POST", "v1/content/{}/tags") => (of_item(), json!({"tag_id": self.tag})),
            ("POST" | "PATCH", "v1/oauth/integrations" | "v1/oauth/integrations/{}") => {
                return self.integration(recording).await;
            }
            ("POST", "v1/oauth/integrations/credentials") => return self.credentials(&recording.answer).await,
            ("PATCH", "v1/content/{}/environment") => {
                let value = if recording.answer == json!([]) { Value::Null } else { json!("x") };
                (of_item(), json!([{"name": "_CONNECT_RESTART_1", "value": value}]))
            }
            ("PATCH", "v1/content/{}/repository") => {
                (format!("/v1/content/{}/repository", self.from_git), json!({"branch": "other"}))
            }
            ("PATCH", "v1/tags/{}") => (format!("/{}", of(&self.tag)), json!({"parent_id": self.category})),
            ("PUT", "v1/content/{}/vanity") => (of_item(), json!({"path": "/new/"})),
            ("PUT", "v1/groups") => {
                let found = self.publisher.get("/v1/groups/remote?prefix=eng").await.ok();
                ("/v1/groups".to_owned(), json!({"temp_ticket": found["results"][0]["temp_ticket"]}))
            }
            ("DELETE", "v1/content/{}/jobs/{}") => {
                // What was changed meanwhile has ended the process of the first visit.
                self.publisher.get(&format!("/content/{content}/")).await.ok();
                let jobs = self.publisher.get(&format!("/v1/content/{content}/jobs")).await.ok();
                (of_item().replace("{}", &text(&jobs[0]["key"])), nothing)
            }
            ("DELETE", "v1/system/caches/runtime") => {
                let cache = self.admin.get("/v1/system/caches/runtime").await.ok()["caches"][0].clone();
                let mut body = cache;
                body["dry_run"] = json!(recording.answer["task_id"].is_null());
                ("/v1/system/caches/runtime".to_owned(), body)
            }
            other => panic!("{}: nothing is known to compare {other:?} with", recording.file),
        };
        // Who published may do everything here that is no administrator's.
        let all_see = [
            "server_settings",
            "v1/system",
            "v1/vanities",
            "v1/instrumentation",
            "v1/packages",
            "v1/environments",
            "v1/tags",
        ];
        let is_admins = all_see.iter().any(|own| recording.path.starts_with(own)) || path.contains("all=true");
        let caller = if is_admins { &self.admin } else { &self.publisher };
        match body {
            Value::Null => caller.raw(recording.method, &path, &[], Body::empty()).await,
            body => caller.send(recording.method, &path, &body).await,
        }
    }

    /// Makes or changes an integration of the template of the recorded one.
    async fn integration(&self, recording: &Recording) -> Answer {
        let template = recording.answer["template"].as_str().unwrap();
        let body = json!({
            "name": "recorded", "description": "d", "template": template, "config": recording.answer["config"],
        });
        let made = self.admin.post("/v1/oauth/integrations", &body).await;
        if recording.method == "POST" {
            return made;
        }
        let path = format!("/v1/oauth/integrations/{}", text(&made.ok()["guid"]));
        self.admin.patch(&path, &body).await
    }

    /// Exchanges a token for a credential of the recorded kind, with an item and an integration of its own.
    async fn credentials(&self, recorded: &Value) -> Answer {
        let for_content = text(&recorded["access_token"]).starts_with("content");
        let integration = match recorded["token_type"].as_str().unwrap() {
            "Key" => json!({"name": "k", "template": "connect", "config": {"max_role": "Publisher"}}),
            "aws_credentials" => json!({"name": "a", "template": "aws", "config": {"client_id": "c"}}),
            _ => custom(if for_content { "Service Account" } else { "Viewer" }),
        };
        let made = self.admin.post("/v1/oauth/integrations", &integration).await;
        // What a release does not know is asked of the newest.
        if made.text() == "404 page not found" || made.json()["code"] == 227 {
            return self.publisher.get("/v1/none").await;
        }
        let integration = text(&made.ok()["guid"]);
        let content = self.publisher.create("").await;
        let bundle = self.publisher.upload(&content, python_bundle("python-api", "flask")).await.ok();
        assert_eq!(self.publisher.deploy(&content, &json!({"bundle_id": bundle["id"]})).await["code"], 0);
        let associations = format!("/v1/content/{content}/oauth/integrations/associations");
        let list = json!([{"oauth_integration_guid": integration}]);
        assert_eq!(self.publisher.put(&associations, &list).await.status, 204);
        self.publisher.page(&format!("/__oauth__/integrations/{integration}/login")).await;
        let seen = self.publisher.get(&format!("/content/{content}/")).await.ok();
        let visitor = &seen["headers"]["Posit-Connect-User-Session-Token"];
        let (kind, token) = match for_content {
            true => ("content", &seen["environment"]["CONNECT_CONTENT_SESSION_TOKEN"]),
            false => ("user", visitor),
        };
        let form = format!(
            "grant_type=urn:ietf:params:oauth:grant-type:token-exchange&subject_token={}\
             &subject_token_type=urn:posit:connect:{kind}-session-token&requested_token_type={}",
            text(token),
            text(&recorded["issued_token_type"]),
        );
        let answer = self.publisher.raw("POST", "/v1/oauth/integrations/credentials", &[], form.into()).await;
        match answer.json()["code"] == 242 {
            true => self.publisher.get("/v1/none").await,
            false => answer,
        }
    }
}
