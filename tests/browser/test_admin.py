"""The admin's lists, as wide as they are, on a laptop and on a phone."""

from __future__ import annotations

import pytest

from tests.browser.conftest import Desk, enter
from tests.people import People

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
