"""Walks through a Workbench as a person with a browser does: sign in, new session, console, terminal, quit, sign out.

    python walk.py URL USER PASSWORD [FOLDER FOR SCREENSHOTS]

Needs the Python package playwright and a Chromium (CHROMIUM, else /usr/bin/chromium). Every step asserts; the last line
printed is `walked`.
"""

import os
import re
import sys
import time
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

URL, USER, PASSWORD = sys.argv[1:4]
SHOTS = Path(sys.argv[4]) if len(sys.argv) > 4 else None
NAME = "walk test_x.py - main-1"


def shot(page, name):
    if SHOTS:
        SHOTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SHOTS / f"{name}.png")


def sign_in(page, password):
    page.fill("#username", USER)
    page.fill("#password", password)
    with page.expect_navigation():
        page.click("#signinbutton")


def row(page, name):
    return page.locator(f"tr[aria-label$='{name}']")


def launch(page, name, join):
    page.locator("button:text-is('New Session')").first.click()
    dialog = page.locator("[role='dialog']")
    expect(page.locator("[data-slot='dialog-title']")).to_have_text("New Session")
    for title in ["RStudio Pro", "Positron", "VS Code", "JupyterLab", "Jupyter Notebook"]:
        expect(page.get_by_role("tab", name=title)).to_have_count(1)
    # What is not installed offers nothing to launch.
    page.locator("[id*='trigger-VSCode']").click()
    expect(page.locator("button:text-is('Launch')")).to_have_count(0)
    page.locator("[id*='trigger-RStudioPro']").click()
    expect(page.locator("button:text-is('Launch')")).to_have_count(1)
    page.fill("input#rstudio_label_session_name", name)
    assert page.locator("#rstudio_label_r_version option").count() >= 1
    # The list of profiles is in the page only while it is open.
    page.click("#rstudio_label_resource_profile")
    expect(page.locator("[role='option']:has-text('Default')")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("[role='option']:not(option)")).to_have_count(0)
    expect(dialog).to_be_visible()
    if not join:
        page.locator("#modal-auto-join-button").uncheck()
    shot(page, "new-session")
    page.locator("button:text-is('Launch')").click()
    expect(dialog).to_be_hidden()


def screen(page):
    """The rows that xterm.js shows."""
    return page.locator("#terminal .xterm-rows")


def main():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"), args=["--no-sandbox"]
        )
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        page = context.new_page()
        problems = []
        page.on("pageerror", lambda error: problems.append(str(error)))

        # A wrong password, then the right one.
        page.goto(f"{URL}/home")
        assert "auth-sign-in" in page.url and "appUri=%2Fhome" in page.url, page.url
        shot(page, "sign-in")
        sign_in(page, "wrong")
        expect(page.locator("#errorpanel")).to_be_visible()
        expect(page.locator("#errortext")).to_have_text("Error: Incorrect or invalid username/password")
        shot(page, "sign-in-refused")
        # Two sign-ins of one user within the throttle; real automation tries again too.
        deadline = time.monotonic() + 60
        sign_in(page, PASSWORD)
        while "sign-in" in page.url and time.monotonic() < deadline:
            expect(page.locator("#errortext")).to_contain_text("Temporary server error")
            sign_in(page, PASSWORD)
        assert page.url.endswith("/home"), page.url
        expect(page.locator("#posit-logo")).to_be_visible()
        expect(page.locator("#current-user")).to_have_text(USER)
        assert re.search(r"Posit Workbench 20\d\d\.\d\d\.\d+", page.locator("footer").inner_text())
        expect(page.locator("button:text-is('New Session')")).to_have_count(2)
        shot(page, "home-empty")

        # A session, without joining it: its state changes in place.
        launch(page, NAME, join=False)
        expect(row(page, NAME)).to_have_count(1, timeout=15_000)
        expect(page.locator(f"tr[aria-label$='{NAME}'] button[aria-label='Active']")).to_be_visible(timeout=90_000)
        status = page.locator(f"//*[text()='{NAME}']//..//..//..//..//td[8]//div")
        expect(status).to_have_text("Active")
        expect(row(page, NAME).locator(f"text='{NAME}'")).to_have_count(1)
        expect(page.locator(f"[aria-label='select {NAME}']")).to_have_count(1)
        expect(page.locator("tbody > tr:first-of-type > td:nth-of-type(3) div div a")).to_have_text(NAME)
        shot(page, "home-one-session")

        # Details, rename.
        page.locator("td[data-testid*='cell-actions'] > button").click()
        expect(page.locator("[data-slot='dialog-content']")).to_be_visible()
        shot(page, "details")
        page.keyboard.press("Escape")
        renamed = NAME + " renamed"
        row(page, NAME).locator("button[aria-label='Rename session']").click()
        page.fill("#new-name", renamed)
        page.locator("button:text-is('Rename')").click()
        expect(row(page, renamed)).to_have_count(1)

        # Suspend and resume.
        page.locator(f"[aria-label='select {renamed}']").click()
        page.locator("button:text-is('Suspend')").click()
        expect(page.locator(f"tr[aria-label$='{renamed}'] button[aria-label='Suspended']")).to_be_visible(timeout=30_000)
        expect(page.locator(f"a[title='join {renamed}']")).to_have_count(0)
        row(page, renamed).locator(f"text='{renamed}'").click()
        page.locator("button:text-is('Launch')").click()
        page.wait_for_url(re.compile(r"/s/[0-9a-f]{21}/"))
        expect(page.locator("#rstudio_rstudio_logo")).to_be_visible()
        expect(page.locator("#rstudio_container")).to_be_visible()
        expect(page.locator("#rstudio_project_menubutton_toolbar")).to_be_visible()

        # The console.
        expect(page.locator("#waiting")).to_be_hidden(timeout=30_000)
        expect(page.locator("#rstudio_console_output")).to_contain_text(">", timeout=60_000)
        page.click("#rstudio_console_input")
        page.keyboard.type('cat(paste0("begin", "-of-output"), getOption("repos"), paste0("end", "-of-output"))')
        page.keyboard.press("Enter")
        expect(page.locator("#rstudio_workbench_panel_console")).to_contain_text("end-of-output", timeout=30_000)
        shot(page, "console")

        # The terminal.
        expect(page.locator(".xterm-helper-textarea:visible")).to_have_count(0)
        page.click("#rstudio_workbench_tab_terminal")
        page.locator(".xterm-helper-textarea:visible").click(force=True)
        page.keyboard.type('ls samples; echo "terminal"-works')
        page.keyboard.press("Enter")
        expect(screen(page)).to_contain_text("terminal-works", timeout=30_000)
        expect(screen(page)).to_contain_text("flask-hello")
        shot(page, "terminal")
        # Another load of the page shows what was there.
        page.reload()
        page.click("#rstudio_workbench_tab_terminal")
        expect(screen(page)).to_contain_text("terminal-works", timeout=30_000)

        # Small screen.
        page.set_viewport_size({"width": 390, "height": 780})
        shot(page, "terminal-phone")
        page.click("button[title='Posit Workbench']")
        expect(row(page, renamed)).to_have_count(1)
        shot(page, "home-phone")
        page.set_viewport_size({"width": 1280, "height": 800})

        # Auto-join, quit in the session, then from the list.
        launch(page, "second", join=True)
        page.wait_for_url(re.compile(r"/s/[0-9a-f]{21}/"), timeout=90_000)
        page.click("#rstudio_tb_quitsession")
        page.wait_for_url(re.compile(r"/home"))
        expect(row(page, "second")).to_have_count(0, timeout=30_000)
        page.locator(f"[aria-label='select {renamed}']").click()
        page.locator("button:has-text('Quit (')").click()
        expect(page.locator(f"a[title='{renamed}']")).to_have_count(0, timeout=30_000)

        # Dark.
        page.emulate_media(color_scheme="dark")
        shot(page, "home-dark")

        # Out.
        page.click("#current-user")
        page.locator("form[action*='sign-out'] button").click()
        expect(page.locator("#username")).to_be_visible()
        page.goto(f"{URL}/")
        assert "auth-sign-in" in page.url, page.url
        assert not problems, problems
        browser.close()
    print("walked")


main()
