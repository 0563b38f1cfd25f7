"""A publisher stops a process, has people mailed about a document, and an administrator finds the mail.

Arguments: URL, the guid of an application, that of a document. Prints "went round" at the end.
"""

import sys

from dashboard import URL, at, browser, expect, visit

application, document = sys.argv[2:]

with browser() as sign_in:
    page = sign_in("publisher")

    # A visit starts a process; it is told to end, and ends.
    assert page.request.get(f"{URL}/content/{application}/").ok
    visit(page, f"apps/{application}/logs")
    row = at(page, "jobs-table").locator("tr", has_text="active")
    expect(row).to_have_count(1)
    key = row.locator("code").inner_text()
    row.locator("[data-automation='job-kill']").click()
    page.get_by_role("dialog").get_by_role("button", name="Kill").click()
    expect(page.locator("#toast")).to_have_text("It was told to end")
    ended = at(page, "jobs-table").locator("tr", has_text=key)
    expect(ended.locator("[data-automation='job-kill']")).to_have_count(0, timeout=20_000)
    expect(ended).to_contain_text("143")
    visit(page, f"apps/{application}/logs/{key}")
    expect(page.locator("pre").first).to_contain_text("Stopped: its end was ordered")

    # Subscribers come and go.
    visit(page, f"apps/{document}/schedule")
    expect(at(page, "no-subscribers")).to_be_visible()
    name = at(page, "subscriber-select").locator("option").last.inner_text()
    at(page, "subscriber-select").select_option(label=name)
    at(page, "subscriber-add").click()
    expect(page.locator("#toast")).to_have_text("Subscribed")
    expect(at(page, "subscribers").locator("li")).to_contain_text(name)
    sent = page.evaluate(
        """async (guid) => {
            const xsrf = document.cookie.split("; ").find((one) => one.startsWith("RSC-XSRF=")).slice(9);
            const answer = await fetch(`/__api__/v1/content/${guid}/email`, {
                method: "POST", headers: {"X-RSC-XSRF": decodeURIComponent(xsrf)}, body: JSON.stringify({recipients: "subscribers"}),
            });
            return answer.status;
        }""",
        document,
    )
    assert sent == 202, sent
    at(page, "subscriber-remove").click()
    expect(page.locator("#toast")).to_have_text("Unsubscribed")
    expect(at(page, "no-subscribers")).to_be_visible()

    other = sign_in("admin")
    visit(other, "system/mail")
    mail = at(other, "mails").locator("details", has_text="was rendered")
    expect(mail).to_have_count(1)
    mail.locator("summary").click()
    expect(mail.locator("pre")).to_contain_text("The document")
    expect(mail.locator("[data-automation='mail-state']")).to_have_text("kept")

print("went round")
