"""A publisher's day: an empty item, a deploy by rsconnect-python watched live, content in its frame, access, older
bundles, variables, a key; and what a viewer gets of it.

Arguments: URL, the package index whose `/open` lets the build go on, the program rsconnect, the publisher's key.
Prints "walked" at the end.
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import urllib.request

from dashboard import URL, at, browser, expect, visit

index, rsconnect, key = sys.argv[2:]


def deploy(folder: pathlib.Path, guid: str) -> subprocess.Popen:
    """rsconnect-python, at work in the background."""
    manifest = {
        "version": 1,
        "metadata": {"appmode": "python-fastapi", "entrypoint": "app"},
        "python": {"version": "3.11.2", "package_manager": {"name": "pip", "version": "24", "package_file": "requirements.txt"}},
        "files": {"app.py": {"checksum": "0"}, "requirements.txt": {"checksum": "0"}},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "app.py").write_text("app = None\n")
    command = [rsconnect, "deploy", "manifest", "--server", URL, "--api-key", key, "--app-id", guid, "manifest.json"]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


with browser() as sign_in, tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    page = sign_in("publisher")

    # The help page is filled with this server's address, and makes an empty item.
    at(page, "publish-button").click()
    expect(at(page, "server-url")).to_have_text(URL)
    at(page, "new-content-name").fill("walked")
    at(page, "new-content-create").click()
    expect(at(page, "app-title")).to_have_text("walked")
    guid = page.url.split("/apps/")[1].split("/")[0]

    # The build is watched while it runs: it waits for the index.
    at(page, "app-settings__logs-tab").click()
    expect(page.get_by_text("Nothing has been deployed yet.")).to_be_visible()
    (folder / "requirements.txt").write_text("werkzeug==3.0.1\n")
    client = deploy(folder, guid)
    expect(at(page, "app-logs")).to_contain_text("Collecting werkzeug==3.0.1", timeout=60_000)
    expect(at(page, "task-state")).to_have_text("running")
    expect(page.locator(".steps .now")).to_have_text("Packages")
    urllib.request.urlopen(urllib.request.Request(f"{index}/open", method="POST"))
    said, _ = client.communicate(timeout=120)
    assert client.returncode == 0, said
    expect(at(page, "task-state")).to_have_text("finished", timeout=30_000)
    expect(at(page, "app-logs")).to_contain_text("Launching FastAPI application...")
    expect(at(page, "jobs-table")).to_contain_text("python restore")
    at(page, "jobs-table").get_by_role("link").first.click()
    expect(at(page, "job-log")).not_to_be_empty()

    # Content in its frame; it stays there while settings change beside it.
    at(page, "app-settings__info-tab").click()
    shown = page.frame_locator("#contentIFrame").locator("[data-automation='simulated']")
    expect(shown).to_contain_text("is simulated")
    page.evaluate("() => { document.querySelector('#contentIFrame').contentWindow.mark = 1 }")
    at(page, "app-title-input").fill("Walked")
    at(page, "app-info-save").click()
    expect(at(page, "app-title")).to_have_text("Walked")
    at(page, "app-settings__access-tab").click()
    expect(page.get_by_text("its owner and those listed here")).to_be_visible()
    assert page.evaluate("() => document.querySelector('#contentIFrame').contentWindow.mark") == 1

    # A viewer is refused, then let in by name, and gets no publisher's controls.
    viewer = sign_in("viewer")
    answer = viewer.request.get(f"{URL}/content/{guid}/", headers={"Accept": "text/html"})
    assert answer.status == 403, answer.status
    option = at(page, "permission-principal").locator("option", has_text="viewer").first
    at(page, "permission-principal").select_option(option.get_attribute("value"))
    at(page, "permission-add").click()
    expect(at(page, "permissions-table")).to_contain_text("viewer")
    visit(viewer, "content/listing")
    at(viewer, "content-table__row__display-name").first.click()
    expect(viewer.frame_locator("#contentIFrame").locator("h1")).to_have_text("Walked")
    for name in ("publish-button", "menu-system", "app-delete", "app-info-save", "app-settings__access-tab", "app-settings__logs-tab"):
        expect(at(viewer, name)).to_have_count(0)
    at(page, "permission-remove").click()
    expect(at(page, "permission-remove")).to_have_count(0)
    answer = viewer.request.get(f"{URL}/content/{guid}/", headers={"Accept": "text/html"})
    assert answer.status == 403, answer.status
    at(page, "access-logged_in").check()
    expect(page.locator("#toast")).to_have_text("Saved")
    answer = viewer.request.get(f"{URL}/content/{guid}/")
    assert answer.status == 200, answer.status

    # A path of its own; a bad one is refused in the API's words.
    at(page, "vanity-path").fill("/connect/")
    at(page, "vanity-save").click()
    expect(page.get_by_role("alert")).to_be_visible()
    at(page, "vanity-path").fill("/walked/")
    at(page, "vanity-save").click()
    expect(page.get_by_role("link", name=f"{URL}/walked/")).to_be_visible()

    # Settings, and variables whose values nobody gets to see.
    at(page, "app-settings__runtime-tab").click()
    at(page, "runtime-max_processes").fill("7")
    at(page, "runtime-save").click()
    expect(page.locator("#toast")).to_have_text("Saved")
    at(page, "app-settings__variables-tab").click()
    at(page, "variable-name").fill("TOKEN")
    at(page, "variable-value").fill("secret-value")
    at(page, "variable-set").click()
    expect(at(page, "variable-list")).to_contain_text("TOKEN")
    assert "secret-value" not in page.content()

    # A second bundle, uploaded here, is looked at, downloaded, activated; then the first one again.
    at(page, "app-settings__history-tab").click()
    with page.expect_download() as download:
        at(page, "bundle-download").first.click()
    archive = folder / "bundle.tar.gz"
    download.value.save_as(archive)
    at(page, "bundle-file").set_input_files(archive)
    at(page, "bundle-upload").click()
    page.get_by_role("link", name="Look").click()
    expect(at(page, "draft-activate")).to_be_visible()
    expect(page.frame_locator("#contentIFrame").locator("h1")).to_have_text("Walked")
    at(page, "draft-activate").click()
    expect(at(page, "task-state")).to_have_text("finished")
    at(page, "app-settings__history-tab").click()
    expect(at(page, "bundle-history").locator("tr", has_text="active").first).to_contain_text("2")
    at(page, "bundle-activate-1").click()
    expect(at(page, "app-logs")).to_contain_text("has been built before")
    expect(at(page, "task-state")).to_have_text("finished")
    at(page, "app-settings__history-tab").click()
    expect(at(page, "bundle-activate-2")).to_be_visible()

    # A build that fails says why.
    (folder / "requirements.txt").write_text("no-such-package\n")
    client = deploy(folder, guid)
    said, _ = client.communicate(timeout=120)
    assert client.returncode != 0, said
    at(page, "app-settings__logs-tab").click()
    expect(at(page, "task-state")).to_have_text("failed")
    expect(at(page, "task-error")).to_contain_text("Error code: python-package-version-not-available")
    expect(at(page, "app-logs")).to_contain_text("No matching distribution found for no-such-package")

    # A key: shown once, good for the API, gone when deleted.
    at(page, "user-menu").locator("summary").click()
    page.get_by_text("Manage Your API Keys").click()
    page.locator("text=New API Key").first.click()
    page.locator("input[type='text']").first.fill("walk")
    page.locator("button:has-text('Create')").first.click()
    made = page.locator("input[readonly]").first.input_value()
    page.get_by_role("button", name="Done").click()
    expect(at(page, "keys-table")).to_contain_text("walk")
    assert made not in page.content()
    me = page.request.get(f"{URL}/__api__/v1/user", headers={"Authorization": f"Key {made}"})
    assert me.json()["username"] == "publisher", me.text()
    row = at(page, "keys-table").locator("tr", has_text="walk")
    row.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(row).to_have_count(0)
    assert page.request.get(f"{URL}/__api__/v1/user", headers={"Authorization": f"Key {made}"}).status == 401

    # A call of the API without the XSRF header is refused, as VIP knows.
    status = page.evaluate("async () => (await fetch('/__api__/v1/user')).status")
    assert status == 403, status

    # Deleting asks first; then it is gone.
    visit(page, f"apps/{guid}/info")
    at(page, "app-delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect(at(page, "app-title")).to_be_visible()
    at(page, "app-delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("No content yet")).to_be_visible()

    # A link that clients print leads by way of the sign-in page to where it points.
    at(page, "user-menu").locator("summary").click()
    at(page, "menu-logout").click()
    page.wait_for_url("**/__login__**")
    page.goto(f"{URL}/connect/#/people/groups")
    page.wait_for_url("**/__login__**")
    page.fill("#username", "publisher")
    page.fill("#password", "publisher-password")
    at(page, "login-panel-submit").click()
    expect(page.get_by_role("heading", name="Groups", exact=True)).to_be_visible()

print("walked")
