"""Connecting an account as a newcomer does, over a whole mailhub with its workers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PASSWORD, Desk
from tests.browser.letters import fill, letter
from tests.servers.dovecot import DovecotUser
from tests.servers.smtp import SmtpReceiver

WORKERS_TAKE = 40_000


@pytest.fixture
def outgoing(dovecot_user: DovecotUser) -> Iterator[SmtpReceiver]:
    """A server that sends for the user of the mailbox."""
    with SmtpReceiver(users={dovecot_user.name: dovecot_user.password}) as running:
        yield running


def fill_in(page: Page, user: DovecotUser, outgoing: SmtpReceiver, password: str) -> None:
    page.get_by_label("Password").fill(password)
    page.get_by_label("Name of the account").fill("Alice at Acme")
    reading = page.get_by_role("group", name="Reading")
    reading.get_by_label("Server").fill("127.0.0.1")
    reading.get_by_label("Port").fill(str(user.server.port))
    reading.get_by_label("Encryption").select_option("none")
    reading.get_by_label("Login name").fill(user.name)
    sending = page.get_by_role("group", name="Sending")
    sending.get_by_label("Server").fill("127.0.0.1")
    sending.get_by_label("Port").fill(str(outgoing.port))
    sending.get_by_label("Encryption").select_option("none")
    page.get_by_role("button", name="Check and connect").click()


def test_from_an_address_to_mail_that_comes_in(
    alices_desk: Desk, dovecot_user: DovecotUser, outgoing: SmtpReceiver
) -> None:
    fill(dovecot_user)
    page = alices_desk.open("/")
    page.get_by_label("Name").fill("alice@acme")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("link", name="Connect an account").click()
    page.get_by_label("Mail address").fill("alice@127.0.0.1")
    page.get_by_role("button", name="Find its servers").click()
    expect(page.get_by_text("This is no mail address")).to_be_visible()
    alices_desk.forgive("400")
    page.get_by_label("Mail address").fill("alice@gmail.com")
    page.get_by_role("button", name="Find its servers").click()
    expect(page.get_by_text("app password")).to_be_visible()
    expect(page.get_by_role("group", name="Reading").get_by_label("Server")).to_have_value(
        "imap.gmail.com"
    )
    # A wrong password: both servers say so, and what was typed is still there.
    fill_in(page, dovecot_user, outgoing, "wrong")
    expect(page.get_by_text("Reading does not work:")).to_be_visible()
    expect(page.get_by_text("Sending does not work:")).to_be_visible()
    expect(page.get_by_role("button", name="Connect anyway")).to_be_visible()
    expect(page.get_by_label("Password")).to_have_value("wrong")
    alices_desk.look("mail-servers")
    page.get_by_label("Password").fill(dovecot_user.password)
    page.get_by_role("button", name="Check and connect").click()
    expect(page.get_by_text("alice@gmail.com is connected.")).to_be_visible()
    # Its mail is fetched at once, and seen without reloading.
    expect(page.get_by_text("Up to date")).to_be_visible(timeout=WORKERS_TAKE)
    expect(page.get_by_text("14 messages in all folders, 6 unread")).to_be_visible()
    page.get_by_role("link", name="Alice at Acme").click()
    expect(page.locator(".line")).to_have_count(9)
    dovecot_user.deliver(letter("Ink", text="Still wet."))
    page.get_by_role("link", name="Accounts and sync").click()
    page.get_by_role("button", name="Sync now").click()
    page.get_by_role("link", name="Read mail").click()
    expect(page.locator(".line-subject").first).to_have_text("Ink", timeout=WORKERS_TAKE)
    # The settings know all but the password; then it is all forgotten.
    page.get_by_role("link", name="Accounts and sync").click()
    page.locator(".card").get_by_role("link", name="Settings").click()
    expect(page.get_by_label("Password")).to_have_value("")
    page.get_by_label("Name of the account").fill("Alice")
    page.get_by_role("button", name="Check and save").click()
    expect(page.get_by_role("heading", name="Alice", exact=True)).to_be_visible()
    page.get_by_role("link", name="Disconnect").click()
    expect(page.get_by_text("15 messages of this account are forgotten here")).to_be_visible()
    alices_desk.look("mail-disconnect")
    page.get_by_role("button", name="Disconnect and forget 15 messages").click()
    expect(page.get_by_text("No mail account yet")).to_be_visible()
