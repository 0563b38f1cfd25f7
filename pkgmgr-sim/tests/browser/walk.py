"""A visitor's and an administrator's day: the hooks that browser tests of the real product look for, search while typing, the
setup page, administration, the keyboard alone, and a phone.

Arguments: URL, an administrator's token. Prints "walked" at the end.
"""

import os
import re
import sys

from playwright.sync_api import expect, sync_playwright

URL, TOKEN = sys.argv[1:]
wrong = []


def at(page, name):
    return page.locator(f"[data-automation='{name}']")


def visitor(browser, **options):
    page = browser.new_context(**options).new_page()
    page.on("pageerror", lambda error: wrong.append(str(error)))
    # Nothing is loaded from elsewhere, and no page breaks its own rules.
    page.on("request", lambda request: request.url.startswith((URL, "data:")) or wrong.append(request.url))
    page.on("console", lambda said: "Content Security" in said.text and wrong.append(said.text))
    return page


def picture(page, name):
    """For people who look at the pages: PICTURES names a folder for them."""
    if folder := os.environ.get("PICTURES"):
        page.screenshot(path=os.path.join(folder, name + ".png"), full_page=True)


def hooks(page):
    page.goto(URL)
    expect(at(page, "home-title")).to_be_visible()
    # One, as VIP wants it, with all repositories.
    expect(at(page, "repository-selection-card")).to_be_visible()
    assert at(page, "repository-selection-card").get_by_role("link").count() >= 2
    at(page, "search-input-home-package-search").press_sequentially("alpha")
    expect(at(page, "package-link-alpha-py")).to_be_visible()
    expect(page).to_have_url(re.compile(r"#/home\?search=alpha$"))

    page.goto(f"{URL}/#/repos/cran/packages")
    search = at(page, "search-input-package-search")
    expect(page.locator("[data-automation^='package-link-']")).to_have_count(2)
    search.press_sequentially("alp")
    expect(page).to_have_url(re.compile(r"#/repos/cran/packages\?search=alp$"))
    expect(page.locator("[data-automation^='package-link-']")).to_have_count(1)
    expect(search).to_be_focused()
    search.fill("nothing like it")
    expect(page.get_by_text("No package in cran")).to_be_visible()
    page.go_back()
    page.goto(f"{URL}/client/#/repos/cran/packages?search=alp")
    at(page, "package-link-alpha").click()
    expect(at(page, "package-title")).to_have_text("alpha")
    expect(page).to_have_url(re.compile(r"#/repos/cran/packages/alpha$"))
    expect(at(page, "package-versions")).to_contain_text("1.0")
    expect(at(page, "package-dependencies").get_by_role("link", name="beta")).to_be_visible()
    expect(at(page, "package-binaries")).to_contain_text("alpha_2.0.tar.gz")
    expect(at(page, "package-vulnerabilities")).to_contain_text("critical 9.8")
    expect(page.locator("pre").first).to_have_text(f'install.packages("alpha", repos = "{URL}/cran/latest")')
    at(page, "package-versions").get_by_role("link", name="1.0").click()
    expect(page.get_by_text("archived", exact=True)).to_be_visible()
    # What the file's link leads to is the file.
    link = at(page, "package-binaries").get_by_role("link").first.get_attribute("href")
    assert page.request.get(link).body()[:2] == b"\x1f\x8b", link

    page.goto(f"{URL}/#/repos/pypi/packages/Alpha_Py")
    expect(at(page, "package-title")).to_have_text("alpha-py")
    page.goto(f"{URL}/#/repos/cran/packages/nobody")
    expect(at(page, "message")).to_contain_text("Not found")
    page.goto(f"{URL}/#/no/such/page")
    expect(at(page, "message")).to_contain_text("Not found")
    page.goto(f"{URL}/#/activity")
    expect(at(page, "transactions")).to_contain_text("Sync")


def setup(page):
    page.goto(f"{URL}/#/repos/cran/setup?os=noble")
    commands = at(page, "setup-commands")
    url = page.locator("#results pre").first
    at(page, "setup-language").select_option("4.5")
    expect(url).to_have_text(f"{URL}/cran/latest/bin/linux/noble-x86_64/4.5")
    at(page, "setup-os").select_option("jammy")
    expect(url).to_have_text(f"{URL}/cran/latest/bin/linux/jammy-x86_64/4.5")
    expect(commands).to_contain_text('"' + f"{URL}/cran/latest/bin/linux/jammy-x86_64/4.5" + '"')
    at(page, "setup-os").select_option("windows")
    expect(url).to_have_text(f"{URL}/cran/latest")
    at(page, "setup-client").select_option("renv")
    expect(commands).to_contain_text("renv::restore()")
    calendar = at(page, "snapshot-calendar")
    expect(calendar).to_contain_text("January 2024")
    calendar.get_by_role("link", name=re.compile("^2024-01-12")).click()
    expect(url).to_have_text(f"{URL}/cran/2024-01-12")
    expect(at(page, "setup-snapshot")).to_have_value("2024-01-12")
    expect(page).to_have_url(re.compile(r"os=windows.*snapshot=2024-01-12"))
    at(page, "setup-snapshot").fill("2031-01-01")
    expect(at(page, "setup-problem")).to_contain_text("2031-01-01")

    page.goto(f"{URL}/#/repos/pypi/setup?os=linux")
    at(page, "setup-language").select_option("3.12")
    expect(at(page, "setup-commands")).to_contain_text("python3.12 -m venv")
    expect(at(page, "setup-commands")).to_contain_text(f"index-url {URL}/pypi/latest/simple")
    at(page, "setup-client").select_option("uv")
    expect(at(page, "setup-commands")).to_contain_text(f"UV_DEFAULT_INDEX={URL}/pypi/latest/simple")


def administration(page):
    page.goto(f"{URL}/#/admin/tokens")
    expect(at(page, "sign-in-form")).to_be_visible()
    at(page, "sign-in-token").fill("wrong")
    at(page, "sign-in-submit").click()
    expect(at(page, "sign-in-problem")).to_be_visible()
    at(page, "sign-in-token").fill(TOKEN)
    at(page, "sign-in-submit").click()
    expect(at(page, "admin-tokens-table")).to_be_visible()
    cookie = next(c for c in page.context.cookies() if c["value"] == TOKEN)
    assert cookie["httpOnly"] and cookie["sameSite"] == "Strict", cookie
    assert TOKEN not in page.evaluate("document.cookie + document.documentElement.outerHTML")

    at(page, "admin-repos").click()
    form = at(page, "create-repo")
    form.get_by_label("Name").fill("client")
    form.get_by_role("button").click()
    expect(at(page, "admin-problem")).to_contain_text("cannot be a name")
    form.get_by_label("Name").fill("prod")
    form.get_by_label("Description").fill("<b>For</b> production")
    form.get_by_role("button").click()
    expect(at(page, "admin-done")).to_have_text("Created.")
    at(page, "subscribe").get_by_label("Source").select_option("cran")
    at(page, "subscribe").get_by_role("button").click()
    expect(at(page, "subscriptions")).to_contain_text("cran")
    page.goto(URL)
    expect(at(page, "repository-card-prod")).to_contain_text("<b>For</b> production")

    # A URL for one state of every source, locked; another that can go again.
    page.goto(f"{URL}/#/admin/repos/prod")
    form = at(page, "create-url")
    form.get_by_label("Date").fill("2024-02-31")
    form.get_by_role("button").click()
    expect(at(page, "admin-problem")).to_contain_text("2024-02-31")
    # Nothing has come on the day before.
    form.get_by_label("Date").fill("2024-01-12")
    form.get_by_label("Lock").check()
    form.get_by_role("button").click()
    expect(at(page, "created-urls")).to_contain_text("cran as of 2024-01-11")
    expect(at(page, "created-urls")).to_contain_text("locked")
    locked = at(page, "created-urls").locator("code").inner_text()
    assert page.request.get(f"{locked}/src/contrib/PACKAGES").ok, locked
    form.get_by_role("button").click()
    expect(at(page, "created-urls").get_by_role("row")).to_have_count(2)
    page.once("dialog", lambda dialog: dialog.accept())
    at(page, "created-urls").get_by_role("button", name=re.compile("^Delete URL")).click()
    expect(at(page, "admin-done")).to_have_text("Deleted.")
    expect(at(page, "created-urls").get_by_role("row")).to_have_count(1)
    page.goto(f"{URL}/#/repos/prod/setup?os=source")
    at(page, "setup-created-urls").get_by_role("link", name=locked.rsplit("/", 1)[1]).click()
    expect(page.locator("#results pre").first).to_have_text(locked)

    page.goto(f"{URL}/#/admin/sources")
    at(page, "admin-sources-table").get_by_role("link", name="git").click()
    expect(at(page, "git-builders")).to_contain_text("own")
    expect(at(page, "git-builds")).to_contain_text("succeeded")
    at(page, "git-builds").get_by_role("link", name=re.compile("^Log of own")).click()
    expect(at(page, "build-log")).to_contain_text("simulated")
    page.go_back()
    page.get_by_role("button", name="Look now: own").click()
    expect(at(page, "admin-done")).to_contain_text("looked at")
    form = at(page, "create-builder")
    form.get_by_label("Address").fill("file:///etc")
    form.get_by_role("button").click()
    expect(at(page, "admin-problem")).to_contain_text("file")
    expect(form.get_by_label("Address")).to_have_value("file:///etc")

    page.goto(f"{URL}/#/admin/sync")
    page.get_by_role("button", name="Synchronise cran now").click()
    expect(at(page, "sync-state-cran")).to_have_text("synced")
    expect(at(page, "admin-done")).to_have_text("The synchronisation has begun.")

    at(page, "admin-tokens").click()
    form = at(page, "create-token")
    form.get_by_label("repos:read", exact=True).check()
    form.get_by_label("Repositories").fill("prod")
    form.get_by_label("Description").fill("for the walk")
    form.get_by_role("button").click()
    token = at(page, "new-token").locator("pre").inner_text()
    answer = page.request.get(f"{URL}/__api__/repos/prod/packages", headers={"Authorization": f"Bearer {token}"})
    assert answer.ok and token.count(".") == 2, token
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Revoke for the walk").click()
    expect(at(page, "admin-done")).to_have_text("Revoked.")
    answer = page.request.get(f"{URL}/__api__/repos", headers={"Authorization": f"Bearer {token}"})
    assert answer.status == 401, answer.status

    at(page, "admin-blocklist").click()
    form = at(page, "create-rule")
    form.get_by_label("Package").fill("alpha")
    form.get_by_label("Only versions with known vulnerabilities").check()
    form.get_by_label("Least severity").select_option("critical")
    form.get_by_label("Repository").select_option("prod")
    form.get_by_role("button").click()
    expect(at(page, "admin-rules-table")).to_contain_text("of severity critical or more")
    assert "Package: alpha" not in page.request.get(f"{URL}/prod/latest/src/contrib/PACKAGES").text()
    at(page, "admin-rules-table").get_by_role("button", name=re.compile("^Delete rule")).click()
    expect(at(page, "admin-done")).to_have_text("Deleted.")
    form.get_by_label("Package").fill("beta")
    form.get_by_label("Repository").select_option("prod")
    form.get_by_role("button").click()
    expect(at(page, "admin-rules-table")).to_contain_text("beta")
    index = page.request.get(f"{URL}/prod/latest/src/contrib/PACKAGES").text()
    assert "Package: alpha" in index and "Package: beta" not in index, index
    page.goto(f"{URL}/#/repos/prod/packages/beta")
    expect(at(page, "package-blocked")).to_be_visible()

    # A form of another site, or without the word of this session, does nothing.
    forged = page.request.post(f"{URL}/client/admin/repos", form={"do": "create", "name": "forged"})
    assert forged.status == 403, forged.status
    other = page.request.post(f"{URL}/client/sign-in", form={"token": TOKEN}, headers={"Origin": "https://evil.example"})
    assert other.status == 403, other.status
    assert page.request.get(f"{URL}/__api__/repos/forged").status == 404

    at(page, "user-name").click()
    at(page, "sign-out").click()
    expect(at(page, "sign-in-link")).to_be_visible()
    page.goto(f"{URL}/client/view/admin/repos")
    expect(at(page, "sign-in-form")).to_be_visible()


def keyboard(page):
    page.goto(URL)
    expect(at(page, "home-title")).to_be_visible()
    press = page.keyboard.press
    press("Tab")
    expect(page.get_by_text("Skip to the content")).to_be_focused()
    press("Enter")
    expect(page.locator("#main")).to_be_focused()
    press("Tab")
    expect(at(page, "search-input-home-package-search")).to_be_focused()
    page.keyboard.type("alpha-py")
    expect(at(page, "package-link-alpha-py")).to_be_visible()
    for _ in range(4):
        if page.evaluate("document.activeElement.dataset.automation") == "package-link-alpha-py":
            break
        press("Tab")
    press("Enter")
    expect(at(page, "package-title")).to_have_text("alpha-py")
    expect(page.locator("#main")).to_be_focused()


def everywhere(page, most):
    views = ["home", "repos/cran/packages", "repos/cran/packages/alpha", "repos/pypi/packages/alpha-py", "repos/cran/setup"]
    views += ["repos/pypi/setup", "activity", "repos/cran/activity", "sign-in", "admin/repos", "admin/repos/prod"]
    views += ["admin/sources", "admin/sources/git", "admin/sync", "admin/tokens", "admin/blocklist", "no-such-page"]
    page.goto(f"{URL}/client/view/sign-in")
    at(page, "sign-in-token").fill(TOKEN)
    at(page, "sign-in-submit").click()
    for path in [f"/client/view/{view}" for view in views] + ["/", "/__api__/swagger/index.html"]:
        page.goto(URL + path)
        picture(page, f"{most}-{path.strip('/').replace('/', '-')}")
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= most, f"{path} is {width} wide"
        assert "not affiliated with Posit" in page.locator("footer").inner_text()
        unnamed = page.locator("input:not([type=hidden]), select").evaluate_all(
            "all => all.filter(e => !e.labels?.length && !e.getAttribute('aria-label')).map(e => e.outerHTML)"
        )
        assert not unnamed, f"{path}: {unnamed}"


with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=os.environ["CHROMIUM"], args=["--no-sandbox"])
    hooks(visitor(browser))
    setup(visitor(browser))
    administration(visitor(browser))
    keyboard(visitor(browser))
    everywhere(visitor(browser, viewport={"width": 360, "height": 740}, is_mobile=True), 360)
    everywhere(visitor(browser, viewport={"width": 1280, "height": 800}), 1280)
    # Without scripts everything can be reached all the same.
    page = visitor(browser, java_script_enabled=False)
    page.goto(URL)
    at(page, "repository-card-cran").click()
    at(page, "search-input-package-search").fill("alp")
    page.get_by_role("button", name="Search").click()
    at(page, "package-link-alpha").click()
    expect(at(page, "package-title")).to_have_text("alpha")
    browser.close()
assert not wrong, wrong
print("walked")
