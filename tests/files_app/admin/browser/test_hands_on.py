"""What people come for, done as they do it: with a mouse, and the clicks counted."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from playwright.sync_api import Browser, Locator, Page, expect

from tests.files_app.admin.browser.conftest import OpenPage
from tests.files_app.admin.browser.test_admin import choose_disk, drop, serious_findings
from tests.stack import Stack

PASSWORD = "a-long-enough-password-of-janes"
GOOD = {
    "custom_id": "1",
    "method": "POST",
    "url": "/v1/chat/completions",
    "body": {"model": "m", "messages": []},
}


@dataclass
class Mouse:
    """Clicks, and counts them."""

    clicks: int = 0

    def __call__(self, place: Locator) -> None:
        self.clicks += 1
        place.click()


def answers(gateway: Stack, key: str) -> int:
    """Return the status of a list that is asked for with a key."""
    request = Request(f"{gateway.url}/v1/files?limit=1", headers={"Authorization": f"Bearer {key}"})
    try:
        with urlopen(request, timeout=30) as answer:  # our own server
            return int(answer.status)
    except HTTPError as error:
        return error.code


def sign_in(page: Page, name: str, password: str) -> None:
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


def is_leaving_warned_of(page: Page) -> bool:
    return bool(
        page.evaluate(
            "() => !window.dispatchEvent(new Event('beforeunload', {cancelable: true}))"  # false: prevented
        )
    )


def test_a_leaked_key_is_found_and_rotated_in_four_clicks(gateway: Stack, open_page: OpenPage) -> None:
    page, mouse = open_page("/admin/files_app/apikey/add/"), Mouse()
    page.get_by_label("Organization").select_option(label="initech")
    page.get_by_label("Name").fill("leaked")
    page.get_by_role("button", name="Save").click()
    leaked = page.locator("#new-key").inner_text()
    assert answers(gateway, leaked) == 200
    page.goto("/admin/")
    mouse(page.get_by_role("link", name="API keys").first)
    page.keyboard.press("/")
    page.keyboard.type(leaked[:12])
    page.keyboard.press("Enter")
    mouse(page.locator("#result_list tbody a").first)
    assert serious_findings(page) == []
    mouse(page.get_by_label("is refused at once"))
    mouse(page.get_by_role("button", name="Rotate"))
    fresh = page.locator("#new-key").inner_text()
    expect(page.get_by_text("The old secret is refused within five seconds")).to_be_visible()
    assert mouse.clicks == 4
    assert answers(gateway, fresh) == 200
    assert answers(gateway, leaked) in {200, 401}  # a worker may have it in its cache for five seconds
    page.goto(f"/admin/files_app/auditevent/?q={leaked[:12]}")
    expect(page.locator("#result_list")).to_contain_text("key.rotate")


def test_an_overlap_is_ended_after_a_question(open_page: OpenPage) -> None:
    page = open_page("/admin/files_app/apikey/?q=production")
    page.locator("#result_list tbody a").first.click()
    page.get_by_label("works for 24 hours").check()
    page.get_by_role("button", name="Rotate").click()
    page.get_by_role("link", name="I have copied it").click()
    page.get_by_text("old secret works").first.locator("xpath=ancestor::tr").locator("th a").click()
    page.get_by_role("button", name="Refuse it now").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("stop working within five seconds")
    assert serious_findings(page) == []
    dialog.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("also works, until")).to_be_visible()
    page.get_by_role("button", name="Refuse it now").click()
    dialog.get_by_role("button", name="Refuse it now").click()
    expect(page.get_by_text("also works, until")).to_have_count(0)


def test_somebody_gets_read_only_access_in_five_clicks(
    gateway: Stack, browser: Browser, open_page: OpenPage
) -> None:
    page, mouse = open_page("/admin/"), Mouse()
    mouse(page.get_by_role("link", name="Staff").first)
    mouse(page.get_by_role("link", name="New member of staff"))
    assert serious_findings(page) == []
    page.locator("#id_username").fill("jane")
    mouse(page.get_by_label("Read-only"))
    mouse(page.get_by_label("initech"))
    mouse(page.get_by_role("button", name="Save"))
    link = page.locator("#new-secret").inner_text()
    assert mouse.clicks == 5
    context = browser.new_context(base_url=gateway.url)
    person = context.new_page()
    person.goto(link)
    assert "#" not in person.url  # nobody who looks over the shoulder can read it
    person.get_by_label("Password").fill(PASSWORD)
    person.get_by_label("The same again").fill(PASSWORD)
    person.get_by_role("button", name="Set the password").click()
    person.get_by_role("link", name="Sign in").click()
    sign_in(person, "jane", PASSWORD)
    person.goto("/admin/files_app/organization/")
    expect(person.locator("#result_list tbody tr")).to_have_count(1)
    expect(person.locator("#result_list")).to_contain_text("initech")
    assert person.get_by_role("link", name="Upload", exact=True).count() == 0
    context.close()


def test_twenty_files_of_which_one_fails(open_page: OpenPage) -> None:
    page = open_page("/admin/upload/", expected_errors=(400,))
    choose_disk(page)
    page.get_by_label("Purpose").select_option("batch")
    lines = [json.dumps(GOOD)] * 19 + ["this is no JSON"]
    drop(
        page,
        *((f"part-{number}.jsonl", line + "\n") for number, line in enumerate(lines)),
        ("notes.txt", "x"),
    )
    expect(page.locator("#upload-count")).to_have_text("19 of 21 done, 2 failed")
    assert not is_leaving_warned_of(page)
    expect(page.locator(".fg-transfer").nth(0)).to_contain_text("The batch file is not valid")
    expect(page.locator(".fg-transfer").nth(1)).to_contain_text(
        "needs a name that ends in .jsonl"
    )  # not sent
    page.get_by_role("button", name="Retry 2 failed").click()
    expect(page.locator(".fg-transfer.is-bad")).to_have_count(2)
    page.get_by_role("button", name="Clear what is done").click()
    expect(page.locator(".fg-transfer")).to_have_count(2)


def test_an_upload_is_cancelled_and_retried(open_page: OpenPage) -> None:
    page = open_page("/admin/upload/")
    choose_disk(page)
    page.route("**/upload/send/**", lambda route: None)  # on its way for ever
    chosen = [("slow.txt", b"one"), ("behind-it.txt", b"two")]
    page.set_input_files(
        "#upload-files", [{"name": name, "mimeType": "text/plain", "buffer": text} for name, text in chosen]
    )
    expect(page.locator(".fg-transfer").first).to_contain_text("sending")
    assert is_leaving_warned_of(page)
    page.get_by_role("button", name="Cancel all").click()
    expect(page.locator(".fg-transfer.is-off")).to_have_count(2)
    assert not is_leaving_warned_of(page)
    page.unroute("**/upload/send/**")
    page.get_by_role("button", name="Retry the upload of slow.txt").click()
    expect(page.locator(".fg-transfer.is-done")).to_contain_text("slow.txt")
    expect(page.locator("#upload-count")).to_have_text("1 of 2 done, 1 cancelled")


def test_whoever_is_signed_out_is_told_and_goes_on(gateway: Stack, open_page: OpenPage) -> None:
    page = open_page("/admin/upload/", expected_errors=(401, 403))
    choose_disk(page)
    page.context.clear_cookies()
    drop(page, ("later.txt", "one"))
    expect(page.get_by_text("You are signed out.")).to_be_visible()
    other = page.context.new_page()
    other.goto("/admin/")
    sign_in(other, "admin", gateway.admin_password)
    other.wait_for_url(f"{gateway.url}/admin/")
    page.get_by_role("button", name="Go on").click()
    expect(page.locator(".fg-transfer.is-done")).to_contain_text("stored as file-")


def test_hostile_content_stays_text_in_every_preview(open_page: OpenPage) -> None:
    hostile = "<img src=x onerror=document.title=1>"
    page = open_page("/admin/upload/")
    choose_disk(page)
    drop(
        page,
        ("hostile.csv", f"name,note\n{hostile},=cmd()\n"),
        ("hostile.json", json.dumps({hostile: [hostile]})),
    )
    expect(page.locator(".fg-transfer.is-done")).to_have_count(2)
    for name, panel in (("hostile.csv", "Table"), ("hostile.json", "Structure")):
        page.goto(f"/admin/files_app/file/?q={name}")
        page.locator("#result_list tbody th a").first.click()
        page.get_by_role("button", name="Show the content").click()
        expect(page.get_by_role("button", name=panel)).to_be_visible()
        expect(page.locator('[data-panel="formatted"]')).to_contain_text(hostile)
        page.get_by_role("button", name="As it stands").click()
        expect(page.locator('[data-panel="plain"] .fg-line').first).to_be_visible()
        assert page.locator("img[src='x']").count() == 0
        assert serious_findings(page) == []


def test_a_pdf_is_shown_by_the_browser_in_a_sandbox(open_page: OpenPage) -> None:
    page = open_page("/admin/upload/")
    choose_disk(page)
    drop(page, ("paper.pdf", "%PDF-1.1\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF"))
    expect(page.locator(".fg-transfer.is-done")).to_have_count(1)
    page.goto("/admin/files_app/file/?q=paper.pdf")
    page.locator("#result_list tbody th a").first.click()
    with page.expect_event("framenavigated", lambda frame: frame.url.startswith("chrome-extension:")):
        page.get_by_role("button", name="Show the content").click()  # the browser's viewer has taken it
    page.get_by_role("button", name="Copy link").click()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.endswith("/change/") and copied in page.url


def test_times_are_those_of_the_viewers_zone(open_page: OpenPage) -> None:
    page = open_page("/admin/")
    page.context.add_cookies([{"name": "timezone", "value": "Asia%2FKathmandu", "url": page.url}])
    page.add_init_script(
        "Intl.DateTimeFormat = () => ({resolvedOptions: () => ({timeZone: 'Asia/Kathmandu'})})"
    )
    page.reload()
    expect(page.get_by_text(re.compile(r"Figures of .+ \+0545"))).to_be_visible()


def test_the_keyboard_leads_past_the_sidebar(open_page: OpenPage) -> None:
    page = open_page("/admin/files_app/file/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
