"""Goes to the address it is given, signs in, and lets the application act for the user."""

import os
import sys

from playwright.sync_api import expect, sync_playwright

with sync_playwright() as p:
    browser = p.chromium.launch(executable_path=os.environ["CHROMIUM"], args=["--no-sandbox"])
    page = browser.new_page()
    page.goto(sys.argv[1])
    page.fill("[name=username]", os.environ["USERNAME"])
    page.fill("[name=password]", os.environ["PASSWORD"])
    page.click("[data-automation=login-panel-submit]")
    page.click("[data-automation=oauth-allow]")
    # What rsconnect shows when it has its code, or what the server shows when a device has been let in.
    expect(page.locator("h1")).to_have_text(["Authentication successful!"] if "authorize" in sys.argv[1] else ["Connected"])
    browser.close()
