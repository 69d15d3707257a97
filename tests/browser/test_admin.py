"""The admin's lists, as wide as they are, on a laptop and on a phone."""

from __future__ import annotations

import pytest
from django.utils import timezone

from mailboxes.models import OutboxState, SyncRun, SyncState
from tests.browser.conftest import Desk, enter
from tests.mailboxes.outgoing import put_out
from tests.people import People
from tests.servers.chromium import ARTEFACTS

SIZES = [(1280, 800), (390, 844)]


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_a_wide_list_scrolls_in_its_box_above_its_filters(
    desk: Desk, people: People, width: int, height: int
) -> None:
    people.owner.user.is_staff = people.owner.user.is_superuser = True
    people.owner.user.save()
    for number in range(3):
        people.connect_account(
            people.owner,
            email_address=f"a.rather.long.name.{number}@company-name.example",
            hostname="imap.mail-server.company-name.example",
            is_enabled=bool(number % 2),
        )
    enter(desk, people.owner)
    desk.page.set_viewport_size({"width": width, "height": height})
    page = desk.open("/admin/accounts/emailaccount/")
    shown, whole = page.evaluate(
        "[document.documentElement.clientWidth, document.documentElement.scrollWidth]"
    )
    assert whole <= shown
    box = page.locator("#changelist-form .results")
    table, filters = box.bounding_box(), page.locator("#changelist-filter").bounding_box()
    assert table is not None
    assert filters is not None
    assert table["x"] + table["width"] <= width
    assert filters["y"] >= table["y"] + table["height"]
    box.evaluate("box => { box.scrollLeft = box.scrollWidth; }")
    last = box.locator("thead th").last.bounding_box()
    assert last is not None
    assert last["x"] + last["width"] <= table["x"] + table["width"] + 1


def test_lists_of_mailboxes_passes_and_outgoing_mail_fit_a_laptop(
    desk: Desk, people: People
) -> None:
    people.owner.user.is_staff = people.owner.user.is_superuser = True
    people.owner.user.save()
    account = people.connect_account(
        people.owner,
        account_name="Letters to the company",
        email_address="a.rather.long.name@company-name.example",
        hostname="imap.mail-server.company-name.example",
    )
    SyncRun.objects.create(
        account=account,
        state=SyncState.FAILED,
        started_at=timezone.now(),
        finished_at=timezone.now(),
        error="imap.mail-server.company-name.example:993 refused the connection. " * 3,
    )
    for state in (OutboxState.DEFERRED, OutboxState.FAILED):
        put_out(
            people.owner,
            "The minutes of Thursday, with everything that was said about the roof",
            state,
            account=account,
            to=("another.rather.long.name@company-name.example",) * 3,
            reply="451 4.7.1 Greylisted, come back later; see https://example.org/?id=4711 " * 3,
        )
    enter(desk, people.owner)
    desk.page.set_viewport_size({"width": 1280, "height": 800})
    for name in ("mailbox", "syncrun", "outboxmessage", "sendattempt", "deadletter", "outboxlane"):
        page = desk.open(f"/admin/mailboxes/{name}/")
        shown, whole = page.locator("#changelist-form .results").evaluate(
            "box => [box.clientWidth, box.scrollWidth]"
        )
        desk.page.screenshot(path=str(ARTEFACTS / f"admin-{name}.png"))
        assert whole <= shown, name
