"""Calls every method of posit-sdk that is documented, against a Connect of any release.

What the library itself refuses for a release, and what such a server does not have, is expected and checked. At the end
every public method must have been called, except for DECLARATIONS and what is OUT_OF_REACH. The files beside it were put there by the test.
"""

import importlib
import inspect
import io
import os
import pkgutil
import sys
import tarfile
import warnings

warnings.simplefilter("ignore")
os.environ.pop("CONNECT_CONTENT_SESSION_TOKEN_FILE", None)

CALLED = set()


def trace(frame, event, _):
    if event == "call" and "/posit/connect/" in frame.f_code.co_filename:
        CALLED.add(frame.f_code)


sys.setprofile(trace)

import posit.connect
import requests
from packaging.version import Version
from posit.connect import Client
from posit.connect.errors import ClientError
from posit.connect.external import aws
from posit.connect.external.snowflake import PositAuthenticator

# They need the packages of other vendors.
OUT_OF_REACH = {"posit.connect.external.databricks"}
# They are declarations; what they declare is implemented elsewhere, and called.
DECLARATIONS = [
    "posit.connect.environments.Environment.destroy",
    "posit.connect.environments.Environment.update",
    "posit.connect.tags._RelatedTagsBase.find",
]


def public():
    """Code and name of every public method."""
    for module in pkgutil.walk_packages(posit.connect.__path__, "posit.connect."):
        if module.name in OUT_OF_REACH:
            continue
        module = importlib.import_module(module.name)
        for name, one in vars(module).items():
            if not inspect.isclass(one) or one.__module__ != module.__name__ or getattr(one, "_is_protocol", False):
                continue
            for member, value in vars(one).items():
                if member.startswith("_"):
                    continue
                parts = [value]
                if isinstance(value, property):
                    parts = [part for part in (value.fget, value.fset, value.fdel) if part]
                if isinstance(value, (staticmethod, classmethod)):
                    parts = [value.__func__]
                for part in parts:
                    part = inspect.unwrap(part)
                    if inspect.isfunction(part) and "/posit/connect/" in part.__code__.co_filename:
                        yield part.__code__, f"{module.__name__}.{one.__name__}.{member}"


client = Client()
url = os.environ["CONNECT_SERVER"]
admin = Client(url, os.environ["ADMIN_KEY"])
release = Version(client.version)
assert client.version == os.environ["RELEASE"], client.version
client._ctx.version = client.version


def has(since):
    return release >= Version(since)


def refused(since, call):
    """Whether the library refuses a call, as it does for releases before `since`."""
    if has(since):
        return False
    try:
        call()
    except RuntimeError as error:
        assert f"version {since} or later" in str(error), error
        return True
    raise AssertionError(f"posit-sdk did not refuse what came with {since}")


def unknown(since, call):
    """Whether a server before `since` does not know a route."""
    if has(since):
        return False
    try:
        call()
    except requests.HTTPError as error:
        assert error.response.status_code == 404 and error.response.text == "404 page not found"
        return True
    raise AssertionError(f"{release} has a route of {since}")


def fails(code, call):
    try:
        call()
    except ClientError as error:
        assert error.error_code == code, error
        return True
    raise AssertionError(f"no error {code}")


def pack(folder):
    archive = folder + ".tar.gz"
    if not os.path.exists(archive):
        with tarfile.open(archive, "w:gz") as tar:
            tar.add(folder, arcname=".")
    return archive


def publish(folder, **more):
    item = client.content.create(name=folder, **more)
    task = item.bundles.create(pack(folder)).deploy()
    task.wait_for()
    assert task.is_finished and task.error_code == 0 and not task.error_message, dict(task)
    item = client.content.get(item["guid"])
    assert item["bundle_id"], dict(item)
    return item


# Plain requests.
assert client.get("v1/user").json()["username"] == "publisher"
made = client.post("v1/content", json={"name": "by-hand"}).json()
assert client.patch(f"v1/content/{made['guid']}", json={"title": "By hand"}).json()["title"] == "By hand"
assert client.put(f"v1/content/{made['guid']}/environment", json=[]).json() == []
assert client.request("GET", f"v1/content/{made['guid']}").json()["title"] == "By hand"
assert client.delete(f"v1/content/{made['guid']}").status_code == 204
with Client() as scoped:
    assert scoped.me["username"] == "publisher"

# Users and groups.
assert client.me["username"] == "publisher"
assert {u["username"] for u in client.users.find()} == {"admin", "publisher", "viewer"}
assert client.users.count() == 3
assert client.users.find(prefix="view", user_role="viewer", account_status="licensed")[0]["username"] == "viewer"
viewer = client.users.find_one(prefix="viewer")
assert client.users.get(viewer["guid"])["username"] == "viewer"
client.me.update(first_name="Patricia")
group = client.groups.create(name="sdk-group")
assert client.groups.get(group["guid"])["name"] == "sdk-group"
assert [g["name"] for g in client.groups.find(prefix="sdk")] == ["sdk-group"]
assert client.groups.find_one(prefix="sdk")["guid"] == group["guid"] and client.groups.count() == 1
group.members.add(viewer)
assert [m["guid"] for m in group.members.find()] == [viewer["guid"]] and group.members.count() == 1
assert [g["guid"] for g in viewer.groups.find()] == [group["guid"]]
group.members.delete(viewer)
viewer_of_admin = admin.users.get(viewer["guid"])
viewer_of_admin.groups.add(group["guid"])
viewer_of_admin.groups.delete(group["guid"])
assert viewer_of_admin.groups.find() == []
group.delete()
viewer_of_admin.lock()
assert admin.users.get(viewer["guid"])["locked"]
viewer_of_admin.unlock()
assert admin.users.create(username="fresh", email="f@example.com", password="a-password", user_role="viewer")

# Content and bundles.
content = client.content.create(name="from-sdk", title="From the SDK")
bundle = content.bundles.create(pack("bundle"))
task = bundle.deploy()
task.update(first=0, wait=1)
task.wait_for()
assert task.is_finished and task.error_code == 0 and client.tasks.get(task["id"]).is_finished
content = client.content.get(content["guid"])
assert content["app_mode"] == "static" and not content.is_interactive and not content.is_rendered
assert content.owner["username"] == "publisher"
assert client.me.content.find_one(name="from-sdk")["guid"] == content["guid"]
assert client.content.count() == 1 and client.content.find_by(title="From the SDK")["guid"] == content["guid"]
assert client.content.find(include=["owner", "tags"])[0]["owner"]["username"] == "publisher"
assert [b["id"] for b in content.bundles.find()] == [bundle["id"]]
assert content.bundles.find_one()["id"] == bundle["id"] and isinstance(dict(bundle.metadata), dict)
content.environment_variables.create("A", "1")
content.environment_variables.update({"B": "2"})
assert sorted(content.environment_variables.find()) == ["A", "B"]
content.environment_variables.delete("A")
try:
    content.environment_variables.items()
    raise AssertionError("values are told")
except NotImplementedError:
    pass
content.environment_variables.clear()
assert content.environment_variables.find() == []
second = content.bundles.create(open(pack("bundle"), "rb").read())
assert content.bundles.get(second["id"])["size"] == bundle["size"]
if not refused("2025.02.0", content.bundles.active):
    assert content.bundles.active()["id"] == bundle["id"]
second.delete()
content.update(description="Described")
assert client.content.get(content["guid"])["description"] == "Described"
bundle.download("copy.tar.gz")
assert open("copy.tar.gz", "rb").read() == open("bundle.tar.gz", "rb").read()
whole = io.BytesIO()
bundle.download(whole)
assert whole.getvalue() == open("bundle.tar.gz", "rb").read()
content.deploy().wait_for()
assert list(content.jobs) == []
for wrong in (content.render, content.restart):
    try:
        wrong()
        raise AssertionError("static content is neither rendered nor restarted")
    except ValueError:
        pass

# Permissions.
permission = content.permissions.create(viewer, role="viewer")
assert [p["principal_guid"] for p in content.permissions.find()] == [viewer["guid"]]
assert content.permissions.count() == 1 and content.permissions.find_one()["id"] == permission["id"]
permission.update(role="viewer")
assert content.permissions.get(permission["id"])["role"] == "viewer"
assert fails(33, lambda: permission.update(role="owner"))
permission.destroy()
content.permissions.create(principal_guid=viewer["guid"], principal_type="user", role="viewer")
content.permissions.destroy(viewer)
assert content.permissions.find() == []

# Vanity URLs.
content.create_vanity(path="/vanity/sdk/")
assert content.find_vanity()["path"] == "/vanity/sdk/" and content.vanity == "/vanity/sdk/"
assert [v["path"] for v in admin.vanities.all()] == ["/vanity/sdk/"]
content.vanity = "/vanity/other/"
content.reset_vanity()
del content.vanity
assert content.vanity is None
content.create_vanity(path="/vanity/last/")
admin.vanities.all()[0].destroy()
assert admin.vanities.all() == []

# Tags.
category = admin.tags.create(name="Category")
tag = admin.tags.create(name="Tag", parent=category)
leaf = admin.tags.create(name="Leaf", parent_id=tag["id"])
assert category.parent_tag is None and tag.parent_tag["id"] == category["id"]
assert [t["name"] for t in category.child_tags.find()] == ["Tag"]
assert {t["name"] for t in category.descendant_tags.find()} == {"Tag", "Leaf"}
assert [t["id"] for t in client.tags.find(parent=category)] == [tag["id"]] and len(client.tags.find(name="Leaf")) == 1
content.tags.add(tag)
assert [t["name"] for t in content.tags.find()] == ["Tag"]
assert [c["guid"] for c in tag.content_items.find()] == [content["guid"]]
assert admin.tags.get(tag["id"])["name"] == "Tag"
tag.update(name="Other")
tag.update(parent_id=None)
assert admin.tags.get(tag["id"]).parent_tag is None
tag.update(parent_id=category["id"])
content.tags.delete(tag["id"])
category.destroy()
assert client.tags.find() == []
content.delete()
assert client.content.find(name="from-sdk") == []

# Documents.
document = publish("document")
assert document.is_rendered
task = document.render()
task.wait_for()
assert task.error_code == 0, dict(task)
job = document.jobs.find(next(iter(document.jobs))["key"])
assert job["tag"] == "build_report" and document.jobs.find_by(key=job["key"])["key"] == job["key"]
assert len(list(document.jobs.fetch())) >= 2
assert [v["is_default"] for v in document._variants.find()] == [True]
document._default_variant.send_mail(to="collaborators")
assert document._default_variant.schedules.find_one() is None
schedule = document.schedule
made = schedule.create(type="dayofweek", days=["monday"], timezone="Europe/Berlin")
assert made.rule == {"Days": [1]}
assert schedule.create(type="hour", n=2)["timezone"] == "Europe/Berlin"
schedule.delete()
made = schedule.create(type="semimonth", first=True)
made.destroy()
assert schedule.find_one() is None

# Content of a repository.
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

# An API, its packages and processes.
api = publish("api", access_type="logged_in")
assert api.is_interactive
if not refused("2024.11.0", lambda: api.packages):
    assert {p["name"] for p in api.packages} >= {"flask"}
    assert api.packages.find_by(name="flask")["version"] == "3.0.0" and list(api.packages.fetch())
if not refused("2024.11.0", lambda: client.packages):
    assert {p["name"] for p in client.packages} >= {"flask"}
    assert client.packages.find_by(name="flask")["content_guid"] == api["guid"]
    assert list(client.packages.fetch(name="flask"))
if not refused("2025.12.0", api.get_lockfile):
    lockfile = api.get_lockfile()
    assert "flask==3.0.0" in lockfile.text and lockfile.python_version.startswith("3.11."), lockfile
    lockfile.write("lockfile.txt")
    assert "flask==3.0.0" in open("lockfile.txt").read()
page = lambda: client.session.get(url + "/content/" + api["guid"] + "/")
page()
processes = lambda: [j for j in api.jobs if j["tag"] == "run_python_api" and j["status"] == 0]
before = processes()
assert len(before) == 1, before
api.restart()
assert api.environment_variables.find() == []
after = processes()
assert len(after) == 1 and after[0]["key"] != before[0]["key"], after
after[0].destroy()
assert page().json()["simulated"]
assert client.session.get(url + "/content/" + document["guid"] + "/").status_code == 200

# Who looked at what.
from posit.connect.metrics.shiny_usage import ShinyUsage
from posit.connect.metrics.visits import Visits

publish("app")
client.session.get(url + "/content/" + client.content.find_one(name="app")["guid"] + "/")
# This release of the library wants the paths of visits, which servers of 2023 do not tell.
if has("2024.01.0"):
    usage = client.metrics.usage.find()
    assert {api["guid"], document["guid"]} <= {u.content_guid for u in usage}, usage
    for event in usage:
        assert event.user_guid and event.started and event.data_version
        event.variant_key, event.rendering_id, event.bundle_id, event.ended, event.path
    assert client.metrics.usage.find_one(content_guid=api["guid"])["content_guid"] == api["guid"]
for kind in (Visits(client._ctx), ShinyUsage(client._ctx)):
    event = kind.find()[0]
    assert event.content_guid and event.user_guid and event.data_version and kind.find_one()
    getattr(event, "time", None), getattr(event, "started", None), getattr(event, "ended", None)
    if isinstance(kind, Visits) and has("2024.01.0"):
        event.rendering_id, event.bundle_id, event.variant_key, event.path
if not refused("2025.04.0", lambda: client.metrics.hits):
    assert len(list(client.metrics.hits.fetch(content_guid=api["guid"]))) >= 1
    hit = next(iter(client.metrics.hits))
    assert client.metrics.hits.find_by(content_guid=hit["content_guid"])

# Environments.
if not refused("2023.05.0", lambda: client.environments):
    environment = admin.environments.create(title="T", name="image", cluster_name="Kubernetes", matching="any")
    environment.update(title="U")
    assert [e["title"] for e in client.environments] == ["U"]
    assert admin.environments.find(environment["guid"])["name"] == "image"
    assert admin.environments.find_by(title="U")["guid"] == environment["guid"]
    environment.destroy()
    assert list(client.environments) == []

# Caches.
runtime = admin.system.caches.runtime
if not unknown("2024.05.0", runtime.find):
    caches = runtime.find()
    assert [c["language"] for c in caches] == ["R", "Python"], caches
    caches[0].destroy(dry_run=True)
    key = {name: caches[0][name] for name in ("language", "version", "image_name")}
    assert runtime.destroy(**key, dry_run=True) is None
    for cache in caches:
        cache.destroy().wait_for()
    assert runtime.find() == []

# Integrations and credentials.
if not refused("2024.08.0", lambda: client.oauth):
    integrations = admin.oauth.integrations
    config = {
        "client_id": "c",
        "client_secret": "s",
        "authorization_uri": "https://id.example/auth",
        "token_uri": "https://id.example/token",
    }
    integration = integrations.create(name="service", description="d", template="custom", config=config)
    integration.update(name="renamed")
    guid = integration["guid"]
    assert integrations.get(guid)["name"] == "renamed"
    assert [i["guid"] for i in client.oauth.integrations.find()] == [guid]
    assert integrations.find_by(name="renamed", integration_type="custom", auth_type="Viewer")["guid"] == guid
    api.oauth.associations.update(guid)
    assert [a["oauth_integration_guid"] for a in api.oauth.associations.find()] == [guid]
    assert api.oauth.associations.find_by(name="renamed")["oauth_integration_guid"] == guid
    assert [a["app_guid"] for a in integration.associations.find()] == [api["guid"]]
    sign_in = lambda guid: client.session.get(url + "/__oauth__/integrations/" + guid + "/login", allow_redirects=False)
    token = page().json()["headers"]["Posit-Connect-User-Session-Token"]
    assert fails(220, lambda: client.oauth.get_credentials(token))
    sign_in(guid)
    credentials = client.oauth.get_credentials(token)
    assert credentials["token_type"] == "Bearer" and credentials["access_token"].startswith("simulated-")
    session = client.oauth.sessions.find()[0]
    assert client.oauth.sessions.get(session["guid"])["oauth_integration_guid"] == guid
    assert admin.oauth.sessions.find(all=True)

    # A service account: the content's own token, from a file where the release has one.
    account = integrations.create(
        name="account", description="", template="custom", config={**config, "auth_type": "Service Account"}
    )
    api.oauth.associations.update([account["guid"]])
    found = page().json()["environment"]
    assert ("CONNECT_CONTENT_SESSION_TOKEN_FILE" in found) == has("2026.02.0"), found
    assert not client.oauth.has_content_credentials() and client.oauth.get_content_credentials() is None
    os.environ.update(found)
    if has("2026.02.0"):
        del os.environ["CONNECT_CONTENT_SESSION_TOKEN"]
    assert client.oauth.has_content_credentials()
    assert client.oauth.get_content_credentials()["access_token"].startswith("simulated-")

    # Keys of AWS.
    for kind in ("Viewer", "Service Account"):
        keys = integrations.create(name="aws", description="", template="aws", config={"auth_type": kind})
        api.oauth.associations.update(keys["guid"])
        answer = page().json()
        if kind == "Viewer":
            sign_in(keys["guid"])
            call = lambda: aws.get_credentials(client, answer["headers"]["Posit-Connect-User-Session-Token"])
        else:
            call = lambda: aws.get_content_credentials(client)
        if has("2025.03.0"):
            assert call()["aws_access_key_id"].startswith("simulated-")
        else:
            assert fails(242, call)

    # What Snowflake's connector is told, outside of Connect and on it.
    snowflake = PositAuthenticator(local_authenticator="externalbrowser", client=client)
    assert (snowflake.authenticator, snowflake.token) == ("externalbrowser", None)
    api.oauth.associations.update(guid)
    token = page().json()["headers"]["Posit-Connect-User-Session-Token"]
    os.environ["POSIT_PRODUCT"] = os.environ["RSTUDIO_PRODUCT"] = "CONNECT"
    snowflake = PositAuthenticator(client=client, user_session_token=token)
    assert snowflake.authenticator == "oauth" and snowflake.token.startswith("simulated-")

    # Keys of visitors.
    os.environ["CONNECT_CONTENT_GUID"] = api["guid"]
    if not refused("2025.01.0", lambda: client.with_user_session_token(token)):
        visitor = integrations.create(
            name="visitor", description="", template="connect", config={"max_role": "Publisher"}
        )
        api.oauth.associations.update([visitor["guid"]])
        token = page().json()["headers"]["Posit-Connect-User-Session-Token"]
        assert client.with_user_session_token(token).me["username"] == "publisher"
    else:
        config = {"max_role": "Publisher"}
        call = lambda: integrations.create(name="visitor", description="", template="connect", config=config)
        assert fails(227, call)
    api.oauth.associations.delete()
    assert api.oauth.associations.find() == []
    session.delete()
    integration.delete()
    assert guid not in [i["guid"] for i in integrations.find()]

sys.setprofile(None)
uncalled = sorted({name for code, name in public() if code not in CALLED})
if release >= Version(os.environ["NEWEST"]):
    assert uncalled == DECLARATIONS, uncalled
print("all is well")
