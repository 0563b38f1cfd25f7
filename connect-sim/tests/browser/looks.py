"""Every view as everybody sees it: on a desk and on a phone, light and dark, with hostile names, and by keyboard alone.

Arguments: URL, the routes of all views as JSON, with the highest role that is refused: null, "viewer" or "publisher".
Prints "looked" at the end.
"""

import json
import sys

from dashboard import at, browser, expect, fits, visit

ROUTES = json.loads(sys.argv[2])
PHONE = {"viewport": {"width": 375, "height": 740}, "has_touch": True, "is_mobile": True}
DESK = {"viewport": {"width": 1280, "height": 800}}
DARK = DESK | {"color_scheme": "dark"}
ORDER = ["viewer", "publisher", "admin"]

with browser() as sign_in:
    for user, context in [("admin", PHONE), ("admin", DARK), ("publisher", PHONE), ("viewer", DARK)]:
        page = sign_in(user, **context)
        for route, refused in ROUTES:
            if refused and ORDER.index(user) <= ORDER.index(refused):
                continue
            visit(page, route)
            expect(page.locator("main h1, main h2").first).to_be_visible()
            fits(page)
            assert not page.evaluate("() => window.hacked"), f"{route}: a name was run as a script"
            unnamed = page.evaluate(
                """() => [...document.querySelectorAll("main :is(button, a, input:not([type=hidden]), select, textarea, iframe)")]
                    .filter((one) => one.checkVisibility() && !(one.innerText || one.ariaLabel || one.title || one.labels?.length))
                    .map((one) => one.outerHTML)"""
            )
            assert not unnamed, f"{route}: without a name: {unnamed}"
        page.context.close()

    # By keyboard alone: skip to the content, search, open an item, change who may open it, come back, sign out.
    page = sign_in("publisher", **DESK)
    visit(page, "content/listing")
    page.keyboard.press("Tab")

    def go_to(selector: str) -> None:
        """Presses Tab until the element has the focus."""
        for _ in range(200):
            if page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
                return
            page.keyboard.press("Tab")
        raise AssertionError(f"{selector} cannot be reached by keyboard")

    go_to("[data-automation='content-search']")
    visible = page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle")
    assert visible == "solid", f"the focus is not visible: {visible}"
    page.keyboard.type("plain name")
    page.keyboard.press("Enter")
    expect(at(page, "content-count")).to_have_text("1 item")
    go_to("[data-automation='content-table__row__display-name']")
    page.keyboard.press("Enter")
    expect(at(page, "app-title")).to_have_text("Plain name")
    go_to("[data-automation='app-settings__access-tab']")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Who may open it")).to_be_visible()
    go_to("[data-automation='access-acl'], [data-automation='access-all'], [data-automation='access-logged_in']")
    page.keyboard.press("ArrowUp")
    expect(page.locator("#toast")).to_have_text("Saved")
    page.go_back()
    expect(at(page, "app-settings__info-tab")).to_have_attribute("aria-current", "page")
    go_to("[data-automation='app-delete']")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    visit(page, "content/listing")
    go_to(".user > summary")
    page.keyboard.press("Enter")
    expect(at(page, "menu-logout")).to_be_visible()
    page.keyboard.press("Escape")
    expect(at(page, "menu-logout")).to_be_hidden()
    page.keyboard.press("Enter")
    go_to("[data-automation='menu-logout']")
    page.keyboard.press("Enter")
    page.wait_for_url("**/__login__**")

print("looked")
