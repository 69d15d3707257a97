"""An owner lets people and programs in."""

from __future__ import annotations

from django.test import Client

from tests.browser.conftest import Desk, enter
from tests.people import People


def test_a_member_is_added_and_a_key_is_made_and_revoked(desk: Desk, people: People) -> None:
    enter(desk, people.owner)
    page = desk.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("link", name="Settings").click()
    page.get_by_role("heading", name="Members").wait_for()
    page.get_by_role("link", name="Add a member").click()
    page.get_by_label("Name", exact=True).fill("bea")
    page.get_by_label("First password").fill("bea")
    page.get_by_role("button", name="Add").click()
    page.get_by_text("This password is too short").wait_for()
    desk.forgive("400")
    desk.look("member-refused")
    page.get_by_label("First password").fill("seven red kites")
    page.get_by_role("button", name="Add").click()
    page.get_by_text("logs in as bea@acme").wait_for()
    desk.look("members")

    page.get_by_role("link", name="API keys").click()
    page.get_by_role("link", name="New key").click()
    page.get_by_label("What it is for").fill("The CRM")
    page.get_by_label("contacts:read").check()
    page.get_by_label("It expires").select_option(label="in 90 days")
    desk.look("key-form")
    page.get_by_role("button", name="Make the key").click()
    page.get_by_role("button", name="Copy the key").click()
    page.get_by_text("Copied.").wait_for()
    desk.look("key-shown-once")
    key = page.evaluate("navigator.clipboard.readText()")
    program = Client(headers={"Authorization": f"Token {key}"})
    assert program.get("/api/contacts").status_code == 200

    page.get_by_role("link", name="I have copied it").click()
    row = page.get_by_role("row", name="The CRM")
    row.get_by_text("contacts:read").wait_for()
    desk.look("keys")
    row.get_by_role("link", name="Revoke").click()
    page.get_by_role("button", name="Revoke").click()
    page.get_by_text("is revoked").wait_for()
    assert program.get("/api/contacts").status_code == 401
