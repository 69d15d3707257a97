"""A real login."""

from __future__ import annotations

from tests.browser.conftest import Desk, allow_to_log_in
from tests.people import People


def test_a_wrong_password_then_the_right_one(desk: Desk, people: People) -> None:
    allow_to_log_in(people.member)
    page = desk.open("/")
    assert page.url == f"{desk.url}/login?next=/"
    desk.look("login")
    desk.log_in(people.member, "wrong")
    page.get_by_text("do not belong together").wait_for()
    assert page.get_by_label("Name").input_value() == "mary@acme"
    desk.look("login-refused")
    desk.log_in(people.member)
    page.get_by_role("heading", name="Home").wait_for()
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url(f"{desk.url}/login")


def test_too_many_wrong_passwords(desk: Desk, people: People) -> None:
    allow_to_log_in(people.member)
    page = desk.open("/login")
    for _ in range(9):
        desk.log_in(people.member, "wrong")
        page.get_by_text("do not belong together").wait_for()
    desk.log_in(people.member, "wrong")
    page.get_by_text("may not log in from here for 15 minutes").wait_for()
    desk.forgive("429")
    desk.look("login-locked")


def test_the_menu_of_a_phone(members_desk: Desk) -> None:
    page = members_desk.page
    page.set_viewport_size({"width": 390, "height": 844})
    contacts = page.get_by_role("link", name="Contacts", exact=True)
    assert not contacts.is_visible()
    page.get_by_role("button", name="Menu").click()
    contacts.wait_for()
    members_desk.look("menu")
    page.set_viewport_size({"width": 390, "height": 844})
    page.keyboard.press("Escape")
    assert not contacts.is_visible()


def test_the_keyboard_alone_reaches_the_content(members_desk: Desk) -> None:
    page = members_desk.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"


def test_a_password_is_changed(members_desk: Desk, people: People) -> None:
    page = members_desk.open("/password")
    members_desk.look("password")
    page.get_by_label("Old password").fill("wrong")
    page.get_by_label("New password", exact=True).fill("another long phrase")
    page.get_by_label("New password confirmation").fill("another long phrase")
    page.get_by_role("button", name="Change password").click()
    page.get_by_text("entered incorrectly").wait_for()
    members_desk.forgive("400")
    members_desk.look("password-refused")


def test_a_wrong_address(desk: Desk) -> None:
    desk.open("/no/such/page")
    desk.forgive("404")
    desk.look("not-found")
