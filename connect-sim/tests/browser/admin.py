"""An administrator's rounds: users, groups, tags, checks, integrations, mail, the audit log.

Argument: URL. Prints "administered" at the end.
"""

from dashboard import at, browser, expect, visit

with browser() as sign_in:
    page = sign_in("admin")

    visit(page, "people/users")
    at(page, "new-user").click()
    at(page, "new-user-username").fill("newcomer")
    page.get_by_label("Password").fill("a-password")
    page.get_by_role("dialog").get_by_role("button", name="Create").click()
    row = page.locator("[data-user='newcomer']")
    expect(row).to_be_visible()
    row.locator("[data-automation='user-role']").select_option("publisher")
    expect(page.locator("#toast")).to_have_text("Role changed")
    row.locator("[data-automation='user-lock']").click()
    page.get_by_role("dialog").get_by_role("button", name="Lock").click()
    expect(row.get_by_text("locked", exact=True)).to_be_visible()
    # The only administrator stays one; the page says why, and shows the role that it has.
    own = page.locator("[data-user='admin']")
    own.locator("[data-automation='user-role']").select_option("viewer")
    expect(own.get_by_role("alert")).to_contain_text("only administrator")
    expect(own.locator("[data-automation='user-role']")).to_have_value("administrator")
    at(page, "user-search").fill("newc")
    page.keyboard.press("Enter")
    expect(at(page, "users-table").locator("tbody tr")).to_have_count(1)

    at(page, "people-groups").click()
    at(page, "new-group-name").fill("Analysts")
    at(page, "new-group-create").click()
    expect(page.get_by_role("heading", name="Analysts")).to_be_visible()
    at(page, "member-select").select_option(label="viewer")
    at(page, "member-add").click()
    expect(at(page, "members-table")).to_contain_text("viewer")

    at(page, "menu-system").click()
    expect(at(page, "system-facts")).to_contain_text("simulated")
    at(page, "system-tags").click()
    at(page, "new-category").fill("Topics")
    at(page, "new-category-create").click()
    page.get_by_label("New tag below Topics").fill("Sales")
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_label("Name of Topics/Sales")).to_be_visible()
    at(page, "menu-content").click()
    page.get_by_role("link", name="Sales").click()
    expect(page.get_by_text("Nothing matches")).to_be_visible()

    visit(page, "system/checks")
    at(page, "run-checks").click()
    expect(at(page, "check-results")).to_contain_text("database")
    at(page, "system-mail").click()
    at(page, "test-mail-to").fill("somebody@example.com")
    at(page, "test-mail-send").click()
    expect(at(page, "mails")).to_contain_text("somebody@example.com")

    at(page, "system-integrations").click()
    page.get_by_role("link", name="GitHub").click()
    page.get_by_label("client id").fill("an-id")
    page.get_by_label("client secret").fill("a-secret")
    page.get_by_role("button", name="Save").click()
    expect(at(page, "integrations-table")).to_contain_text("GitHub")
    at(page, "integrations-table").get_by_role("link").click()
    expect(page.get_by_label("client id")).to_have_value("an-id")
    assert "a-secret" not in page.content()

    at(page, "system-audit").click()
    expect(at(page, "audit-table")).to_contain_text("admin")
    at(page, "audit-search").fill("nothing-like-this")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Nothing found")).to_be_visible()

    # What is for administrators says so to others, and shows nothing.
    other = sign_in("viewer")
    answer = other.request.get(page.url.split("/connect/")[0] + "/connect/view/system/audit")
    assert answer.status == 403 and "audit-table" not in answer.text(), answer.status

print("administered")
