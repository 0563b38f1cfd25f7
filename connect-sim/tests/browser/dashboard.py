"""What the walks through the dashboard share: a browser, people who sign in with it, and a look at how pages fit."""

import os
import sys
from contextlib import contextmanager

from playwright.sync_api import Page, expect, sync_playwright

URL = sys.argv[1]
PASSWORDS = {name: f"{name}-password" for name in ("admin", "publisher", "viewer")}


@contextmanager
def browser():
    """A browser. What its pages' scripts complain about, and what of a page could not be had, fails the walk at the end.

    Requests of the API that are refused are none of that: walks look for what the page says then.
    """
    problems = []
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=os.environ["CHROMIUM"], args=["--no-sandbox"])

        def complain(page: Page, message) -> None:
            if message.type == "error" and not message.text.startswith("Failed to load resource"):
                problems.append(f"{page.url}: {message.text}")

        def sign_in(user: str, **context) -> Page:
            page = chromium.new_context(accept_downloads=True, **context).new_page()
            page.on("pageerror", lambda error: problems.append(f"{page.url}: {error}"))
            page.on("console", lambda message: complain(page, message))
            page.on("response", lambda answer: answer.status >= 400 and "/__api__/" not in answer.url
                    and problems.append(f"{page.url}: {answer.status} {answer.url}"))
            page.goto(f"{URL}/")
            # As tests of the product do: the link first, then the form.
            page.click("[data-automation='signin']")
            page.fill("[name='username'], #username", user)
            page.fill("[name='password'], #password", PASSWORDS[user])
            page.click("[data-automation='login-panel-submit']")
            page.wait_for_url(lambda at: "/__login__" not in at)
            expect(page.locator("[data-automation='content-list-title']")).to_have_text("Your Content")
            return page

        yield sign_in
        chromium.close()
    assert not problems, "\n".join(problems)


def visit(page: Page, route: str) -> None:
    """Goes to a hash route and waits until its view is there."""
    page.goto(f"{URL}/connect/#/{route}")
    expect(page.locator("main:not([aria-busy])")).to_have_count(1)


def at(page: Page, name: str):
    """The element of that name."""
    return page.locator(f"[data-automation='{name}']")


def fits(page: Page) -> None:
    """The page is not wider than its window, and nothing sticks out of its card."""
    wide = page.evaluate(
        """() => {
            const root = document.documentElement;
            const out = [...document.querySelectorAll("main *")].filter((one) => one.getBoundingClientRect().right > root.clientWidth + 1
                && !one.closest(".scroll, pre, .visually-hidden, thead"));
            return [root.scrollWidth - root.clientWidth, out.slice(0, 3).map((one) => one.outerHTML.slice(0, 200))];
        }"""
    )
    assert wide[0] <= 0 and not wide[1], f"{page.url} is too wide: {wide}"
