"""Pages that others made, in this house: the admin, the API's document, the browsable API."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Desk, enter
from tests.people import People
from tests.servers.chromium import ARTEFACTS


@pytest.fixture
def staff_desk(desk: Desk, people: People) -> Desk:
    user = people.owner.user
    user.is_staff = user.is_superuser = True
    user.save()
    enter(desk, people.owner)
    return desk


def test_the_api_is_documented_interactively(members_desk: Desk) -> None:
    page = members_desk.open("/api/docs")
    expect(page.get_by_role("heading", name="mailhub")).to_be_visible()
    page.locator(".opblock-summary").first.click()
    expect(page.locator(".opblock-body").first).to_be_visible()
    page.screenshot(path=ARTEFACTS / "api-docs.png")


def test_the_api_is_browsed(members_desk: Desk) -> None:
    page = members_desk.open("/api/accounts")
    expect(page.get_by_text("HTTP 200 OK")).to_be_visible()
    page.screenshot(path=ARTEFACTS / "api-browsable.png")


def test_the_admin(staff_desk: Desk) -> None:
    page = staff_desk.page
    page.get_by_role("link", name="Admin", exact=True).click()
    expect(page.get_by_role("link", name="mailhub")).to_be_visible()
    page.screenshot(path=ARTEFACTS / "admin.png", full_page=True)
    for app in ("accounts", "contacts", "mailboxes", "campaigns"):
        links = page.locator(f".app-{app} th[scope=row] a")
        pages = links.evaluate_all("links => links.map(link => link.href)")
        assert pages
        for address in pages:
            page.goto(address)
        page.goto(f"{staff_desk.url}/admin/")
    page.goto(f"{staff_desk.url}/admin/accounts/emailaccount/add/")
    expect(page.get_by_label("Email address:")).to_be_visible()


def test_the_login_of_the_admin(desk: Desk) -> None:
    page = desk.open("/admin/")
    expect(page.get_by_role("link", name="mailhub")).to_be_visible()
    page.screenshot(path=ARTEFACTS / "admin-login.png")
