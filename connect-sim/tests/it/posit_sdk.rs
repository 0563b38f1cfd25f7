//! posit-sdk against a real socket. It is found beside rsconnect-python, in one environment.

use super::git::{Remote, STATIC};
use super::index::Index;
use super::site::{Site, newest_tools};

/// Routes that posit-sdk is seen to succeed with.
pub(crate) const SDK: &[&str] = &[
    "DELETE /__api__/schedules/{id}",
    "DELETE /__api__/v1/content/{guid}",
    "DELETE /__api__/v1/content/{guid}/bundles/{id}",
    "DELETE /__api__/v1/content/{guid}/jobs/{key}",
    "DELETE /__api__/v1/content/{guid}/permissions/{id}",
    "DELETE /__api__/v1/content/{guid}/repository",
    "DELETE /__api__/v1/content/{guid}/tags/{tag_id}",
    "DELETE /__api__/v1/content/{guid}/vanity",
    "DELETE /__api__/v1/environments/{guid}",
    "DELETE /__api__/v1/groups/{guid}",
    "DELETE /__api__/v1/groups/{guid}/members/{user_guid}",
    "DELETE /__api__/v1/oauth/integrations/{guid}",
    "DELETE /__api__/v1/oauth/sessions/{guid}",
    "DELETE /__api__/v1/system/caches/runtime",
    "DELETE /__api__/v1/tags/{id}",
    "GET /__api__/applications/{id}/variants",
    "GET /__api__/v1/content/{guid}/bundles",
    "GET /__api__/v1/content/{guid}/bundles/{id}",
    "GET /__api__/v1/content/{guid}/environment",
    "GET /__api__/v1/content/{guid}/jobs",
    "GET /__api__/v1/content/{guid}/jobs/{key}",
    "GET /__api__/v1/content/{guid}/oauth/integrations/associations",
    "GET /__api__/v1/content/{guid}/packages",
    "GET /__api__/v1/content/{guid}/permissions",
    "GET /__api__/v1/content/{guid}/permissions/{id}",
    "GET /__api__/v1/content/{guid}/tags",
    "GET /__api__/v1/content/{guid}/vanity",
    "GET /__api__/v1/environments",
    "GET /__api__/v1/environments/{guid}",
    "GET /__api__/v1/groups",
    "GET /__api__/v1/groups/{guid}",
    "GET /__api__/v1/groups/{guid}/members",
    "GET /__api__/v1/instrumentation/content/hits",
    "GET /__api__/v1/instrumentation/content/visits",
    "GET /__api__/v1/instrumentation/shiny/usage",
    "GET /__api__/v1/oauth/integrations",
    "GET /__api__/v1/oauth/integrations/{guid}",
    "GET /__api__/v1/oauth/integrations/{guid}/associations",
    "GET /__api__/v1/oauth/sessions",
    "GET /__api__/v1/oauth/sessions/{guid}",
    "GET /__api__/v1/packages",
    "GET /__api__/v1/system/caches/runtime",
    "GET /__api__/v1/tags",
    "GET /__api__/v1/tags/{id}",
    "GET /__api__/v1/tags/{id}/content",
    "GET /__api__/v1/users",
    "GET /__api__/v1/users/{guid}",
    "GET /__api__/v1/vanities",
    "GET /__api__/variants/{id}/schedules",
    "PATCH /__api__/v1/oauth/integrations/{guid}",
    "PATCH /__api__/v1/tags/{id}",
    "POST /__api__/schedules",
    "POST /__api__/schedules/{id}",
    "POST /__api__/v1/content/{guid}/permissions",
    "POST /__api__/v1/content/{guid}/tags",
    "POST /__api__/v1/environments",
    "POST /__api__/v1/groups",
    "POST /__api__/v1/groups/{guid}/members",
    "POST /__api__/v1/oauth/integrations",
    "POST /__api__/v1/oauth/integrations/credentials",
    "POST /__api__/v1/tags",
    "POST /__api__/v1/users",
    "POST /__api__/v1/users/{guid}/lock",
    "POST /__api__/variants/{id}/render",
    "POST /__api__/variants/{id}/sender",
    "PUT /__api__/v1/content/{guid}/environment",
    "PUT /__api__/v1/content/{guid}/oauth/integrations/associations",
    "PUT /__api__/v1/content/{guid}/permissions/{id}",
    "PUT /__api__/v1/content/{guid}/vanity",
    "PUT /__api__/v1/environments/{guid}",
    "PUT /__api__/v1/users/{guid}",
];

#[tokio::test(flavor = "multi_thread")]
async fn posit_sdk_works() {
    let index = Index::start().await;
    let Some(tools) = newest_tools() else { return };
    let site = Site::new(index.config(), tools).await;
    site.write("bundle/index.html", "<p>sdk</p>");
    site.write("bundle/manifest.json", r#"{"version":1,"metadata":{"appmode":"static","primary_html":"index.html"}}"#);
    site.write("api/app.py", "");
    site.write("api/requirements.txt", "flask==3.0.0\n");
    site.write(
        "api/manifest.json",
        r#"{"version":1,"metadata":{"appmode":"python-api","entrypoint":"app:app"},"python":{"version":"3.11.4",
        "package_manager":{"name":"pip","version":"24.0","package_file":"requirements.txt"}}}"#,
    );
    site.write("document/doc.qmd", "# Document");
    site.write(
        "document/manifest.json",
        r#"{"version":1,"metadata":{"appmode":"quarto-static","primary_rmd":"doc.qmd"},
        "quarto":{"version":"1.4.557","engines":["markdown"]}}"#,
    );
    site.write("script.py", SCRIPT);
    let Some(remote) = Remote::start().await else { return };
    remote.commit("main", &[("site/manifest.json", STATIC), ("site/index.html", "backed")]);
    site.write("repository", &remote.url);
    let output = site.run("python", &["script.py"]).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "all is well");
    site.proves(SDK);
    site.running.stop().await;
}

const SCRIPT: &str = r#"
import tarfile
from posit.connect import Client

client = Client()
assert client.version == "2026.06.0", client.version
assert client.me["username"] == "publisher"
assert {u["username"] for u in client.users.find()} == {"admin", "publisher", "viewer"}
with tarfile.open("bundle.tar.gz", "w:gz") as tar:
    tar.add("bundle", arcname=".")
content = client.content.create(name="from-sdk", title="From the SDK")
bundle = content.bundles.create("bundle.tar.gz")
task = bundle.deploy()
task.wait_for()
assert task.is_finished and task.error_code == 0, dict(task)
content = client.content.get(content["guid"])
assert content["app_mode"] == "static" and content.owner["username"] == "publisher"
assert [b["id"] for b in content.bundles.find()] == [bundle["id"]]
assert client.content.find_one(name="from-sdk")["guid"] == content["guid"]
content.environment_variables.create("A", "1")
content.environment_variables.update({"B": "2"})
assert sorted(content.environment_variables.find()) == ["A", "B"]
content.environment_variables.delete("A")
viewer = next(u for u in client.users.find() if u["username"] == "viewer")
content.permissions.create(viewer, role="viewer")
assert [p["principal_guid"] for p in content.permissions.find()] == [viewer["guid"]]
content.permissions.find_one().destroy()
content.create_vanity(path="/vanity/sdk/")
assert content.find_vanity()["path"] == "/vanity/sdk/"
group = client.groups.create(name="sdk-group")
assert client.groups.get(group["guid"])["name"] == "sdk-group"
assert [g["name"] for g in client.groups.find(prefix="sdk")] == ["sdk-group"]
group.members.add(viewer)
assert [m["guid"] for m in group.members.find()] == [viewer["guid"]] and group.members.count() == 1
group.members.delete(viewer)
group.delete()
assert client.users.get(viewer["guid"])["username"] == "viewer"
client.me.update(first_name="Patricia")
content.vanity = "/vanity/other/"
del content.vanity
assert content.vanity is None
content.environment_variables.clear()
assert content.environment_variables.find() == []
second = content.bundles.create("bundle.tar.gz")
assert content.bundles.get(second["id"])["size"] == bundle["size"]
assert content.bundles.active()["id"] == bundle["id"]
second.delete()
assert client.tags.find() == [] and content.tags.find() == []
content.update(description="Described")
assert client.content.get(content["guid"])["description"] == "Described"
bundle.download("copy.tar.gz")
assert open("copy.tar.gz", "rb").read() == open("bundle.tar.gz", "rb").read()
assert list(content.jobs) == []
assert list(client.packages) == []
content.delete()
assert client.content.find(name="from-sdk") == []

import os, warnings
warnings.simplefilter("ignore")
url = os.environ["CONNECT_SERVER"]
admin = Client(url, os.environ["ADMIN_KEY"])

def publish(folder):
    with tarfile.open(folder + ".tar.gz", "w:gz") as tar:
        tar.add(folder, arcname=".")
    item = client.content.create(name=folder)
    item.bundles.create(folder + ".tar.gz").deploy().wait_for()
    item = client.content.get(item["guid"])
    assert item["bundle_id"], dict(item)
    return item

document = publish("document")
assert document.is_rendered
task = document.render()
task.wait_for()
assert task.error_code == 0, dict(task)
job = document.jobs.find(next(iter(document.jobs))["key"])
assert job["tag"] == "build_report"
document._default_variant.send_mail(to="collaborators")
schedule = document.schedule
assert schedule.find_one() is None
made = schedule.create(type="dayofweek", days=["monday"], timezone="Europe/Berlin")
assert made.rule == {"Days": [1]}
assert schedule.create(type="hour", n=2)["timezone"] == "Europe/Berlin"
schedule.delete()
assert schedule.find_one() is None

backed = client.content.create(name="backed")
assert backed.repository is None
backed.create_repository(repository=open("repository").read(), branch="main", directory="site", polling=False)
assert backed.repository["directory"] == "site" and not backed.repository["polling"]
backed.repository.update(polling=True)
assert backed.repository["polling"]
backed.deploy().wait_for()
assert len(backed.repository["last_known_commit"]) == 40
assert client.session.get(url + "/content/" + backed["guid"] + "/").text == "backed"
assert backed.bundles.find()[0]["metadata"]["source"] == "git"
backed.repository.destroy()
assert backed.repository is None
backed.delete()

api = publish("api")
assert {p["name"] for p in api.packages} >= {"flask"}
assert {p["name"] for p in client.packages} >= {"flask"}
client.session.get(url + "/content/" + api["guid"] + "/")
processes = lambda: [j for j in api.jobs if j["tag"] == "run_python_api" and j["status"] == 0]
before = processes()
assert len(before) == 1, before
api.restart()
assert api.environment_variables.find() == []
after = processes()
assert len(after) == 1 and after[0]["key"] != before[0]["key"], after
after[0].destroy()
assert client.session.get(url + "/content/" + api["guid"] + "/").json()["simulated"]
assert client.session.get(url + "/content/" + document["guid"] + "/").status_code == 200
assert {u["content_guid"] for u in client.metrics.usage.find()} == {api["guid"], document["guid"]}
assert len(list(client.metrics.hits.fetch(content_guid=api["guid"]))) >= 1

category = admin.tags.create(name="Category")
tag = admin.tags.create(name="Tag", parent=category)
api.tags.add(tag)
assert [t["name"] for t in api.tags.find()] == ["Category", "Tag"]
assert [c["guid"] for c in tag.content_items.find()] == [api["guid"]]
assert admin.tags.get(tag["id"])["name"] == "Tag"
tag.update(name="Other")
api.tags.delete(tag)
category.destroy()
assert client.tags.find() == []

api.create_vanity(path="/vanity/api/")
assert [v["path"] for v in admin.vanities.all()] == ["/vanity/api/"]
permission = api.permissions.create(viewer, role="viewer")
permission.update(role="viewer")
assert api.permissions.get(permission["id"])["role"] == "viewer"
user = admin.users.get(viewer["guid"])
user.lock()
user.unlock()
assert admin.users.create(username="fresh", email="f@example.com", password="a-password", user_role="viewer")

environment = admin.environments.create(title="T", name="image", cluster_name="Kubernetes", matching="any")
environment.update(title="U")
assert [e["title"] for e in client.environments] == ["U"]
assert admin.environments.find(environment["guid"])["name"] == "image"
environment.destroy()
assert list(client.environments) == []

caches = admin.system.caches.runtime.find()
assert [c["language"] for c in caches] == ["Python"], caches
caches[0].destroy(dry_run=True)
caches[0].destroy().wait_for()
assert admin.system.caches.runtime.find() == []

integration = admin.oauth.integrations.create(
    name="service", description="d", template="custom",
    config={"client_id": "c", "client_secret": "s", "authorization_uri": "https://id.example/auth",
            "token_uri": "https://id.example/token"},
)
integration.update(name="renamed")
assert admin.oauth.integrations.get(integration["guid"])["name"] == "renamed"
assert [i["guid"] for i in client.oauth.integrations.find()] == [integration["guid"]]
api.oauth.associations.update(integration["guid"])
assert [a["oauth_integration_guid"] for a in api.oauth.associations.find()] == [integration["guid"]]
assert [a["app_guid"] for a in integration.associations.find()] == [api["guid"]]
answer = client.session.get(url + "/content/" + api["guid"] + "/").json()
token = answer["headers"]["Posit-Connect-User-Session-Token"]
client.session.get(url + "/__oauth__/integrations/" + integration["guid"] + "/login", allow_redirects=False)
credentials = client.oauth.get_credentials(token)
assert credentials["token_type"] == "Bearer" and credentials["access_token"].startswith("simulated-")
api.oauth.associations.delete()
assert api.oauth.associations.find() == []
client.session.get(url + "/__oauth__/integrations/" + integration["guid"] + "/login", allow_redirects=False)
session = client.oauth.sessions.find()[0]
assert client.oauth.sessions.get(session["guid"])["oauth_integration_guid"] == integration["guid"]
assert admin.oauth.sessions.find(all=True)
session.delete()
assert client.oauth.sessions.find() == []
integration.delete()
assert admin.oauth.integrations.find() == []
print("all is well")
"#;
