"""Walks through the dashboard with a browser: sign in, list, content, logs, draft, sign out, an API call as VIP makes it.

Arguments: URL, user name, password, guid of deployed content titled "Walked" with a second, undeployed bundle 2.
Prints "walked" at the end.
"""

import os
import sys

from playwright.sync_api import expect, sync_playwright

url, username, password, guid = sys.argv[1:]

with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=os.environ["CHROMIUM"], args=["--no-sandbox"])
    page = browser.new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))

    # The link that clients print lands on the content, by way of the sign-in page.
    page.goto(f"{url}/connect/#/apps/{guid}/access")
    page.wait_for_url("**/__login__**")
    page.fill("[name='username']", username)
    page.fill("[name='password']", "wrong")
    page.click("[data-automation='login-panel-submit']")
    expect(page.locator("[data-automation='login-panel-error']")).to_be_visible()
    page.goto(f"{url}/connect/#/apps/{guid}/access")
    page.fill("[name='username']", username)
    page.fill("[name='password']", password)
    page.click("[data-automation='login-panel-submit']")
    page.wait_for_url(lambda at: "/__login__" not in at)
    expect(page.locator("[data-automation='app-title']")).to_have_text("Walked")
    expect(page.get_by_text("its owner and those listed here")).to_be_visible()

    page.click("[data-automation='app-settings__logs-tab']")
    expect(page.locator("[data-automation='app-logs']")).to_contain_text("Launching static content...")
    page.click("[data-automation='app-settings__info-tab']")
    expect(page.frame_locator("[data-automation='app-frame']").locator("body")).to_have_text("first")
    page.goto(f"{url}/connect/#/apps/{guid}/draft/2")
    expect(page.frame_locator("[data-automation='app-frame']").locator("body")).to_have_text("second")

    page.click("[data-automation='menu-content-link']")
    expect(page.locator("[data-automation='content-table']")).to_contain_text("Walked")

    status = page.evaluate("async () => (await fetch('/__api__/v1/user')).status")
    assert status == 403, f"a call without the XSRF header is answered with {status}"
    name = page.evaluate(
        """async () => {
            const xsrf = document.cookie.match(/RSC-XSRF=([^;]+)/)[1];
            const answer = await fetch('/__api__/v1/user', { headers: { 'X-Rsc-Xsrf': xsrf } });
            return (await answer.json()).username;
        }"""
    )
    assert name == username, name

    page.click("[data-automation='menu-logout']")
    page.wait_for_url("**/__login__**")
    assert not errors, errors
    browser.close()

print("walked")
