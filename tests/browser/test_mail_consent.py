"""Connecting an account by a provider's consent page, as a person does, and once more."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect
from pytest_django.fixtures import Settings
from pytest_django.live_server_helper import LiveServer

from accounts.models import EmailAccount
from accounts.oauth2.refreshing import fresh_access_token
from mailhub.mail.errors import ConsentRevoked
from tests.browser.conftest import Desk
from tests.servers.mail_provider import MailProvider


def connect_page(desk: Desk) -> Page:
    page = desk.open("/mail")
    page.get_by_role("link", name="Connect an account").first.click()
    return page


def revoke(provider: MailProvider, account: EmailAccount) -> None:
    """As a person does in the settings at the provider; the next login finds it out."""
    provider.tokens.revoke(account.username)
    account.credential.keep_secret({**account.credential.reveal_secret(), "expires_at": 0.0})
    account.credential.save()
    with pytest.raises(ConsentRevoked):
        fresh_access_token(account.credential)


def test_from_the_button_to_an_account_and_back_after_it_was_revoked(
    members_desk: Desk, mail_provider: MailProvider, live_server: LiveServer, settings: Settings
) -> None:
    settings.MAILHUB_PUBLIC_URL = live_server.url
    settings.MAILHUB_OAUTH2 = {**mail_provider.settings, "GOOGLE_CLIENT_ID": "known"}
    mail_provider.tokens.redirect_uris = {f"{live_server.url}/oauth2/acme/callback"}
    mailbox = mail_provider.new_mailbox()

    page = connect_page(members_desk)
    expect(page.get_by_role("link", name="Connect with Google")).to_be_visible()
    members_desk.look("mail-connect-by-consent")
    # A person who thinks better of it is told that nothing happened.
    page.get_by_role("link", name="Connect with Acme Mail").click()
    expect(page.get_by_role("heading", name="mailhub wants to read")).to_be_visible()
    page.get_by_role("button", name="Deny").click()
    expect(page.get_by_text("was not given the permission: nothing was connected")).to_be_visible()
    members_desk.look("mail-connect-denied")
    page.get_by_role("link", name="Connect with Acme Mail").click()
    page.get_by_label("Who are you?").fill(mailbox.name)
    page.get_by_role("button", name="Allow").click()
    expect(page.get_by_text(f"{mailbox.name} is connected.")).to_be_visible()
    assert page.url == f"{live_server.url}/mail"
    # The answer was used up: to reload it connects nothing again.
    page.go_back()
    page.go_forward()
    account = EmailAccount.objects.get()

    revoke(mail_provider, account)
    page = members_desk.open("/mail")
    expect(page.get_by_text("Switched off")).to_be_visible()
    expect(page.get_by_text("was revoked or has run out")).to_be_visible()
    members_desk.look("mail-revoked")
    members_desk.open("/")
    expect(page.get_by_role("link", name="Connect it again at Acme Mail")).to_be_visible()
    members_desk.look("home-revoked")
    page = members_desk.open("/mail")
    page.get_by_role("link", name="Settings").last.click()
    expect(page.get_by_role("link", name="Reconnect with Acme Mail")).to_be_visible()
    members_desk.look("mail-revoked-settings")
    page = members_desk.open("/mail")
    page.get_by_role("link", name="Reconnect").click()
    expect(page.get_by_label("Who are you?")).to_have_value(mailbox.name)
    page.get_by_role("button", name="Allow").click()
    expect(page.get_by_text(f"{mailbox.name} is connected again.")).to_be_visible()
    expect(page.get_by_text("Switched off")).to_be_hidden()


def test_an_address_of_a_provider_is_led_to_its_consent_page(
    members_desk: Desk, settings: Settings
) -> None:
    settings.MAILHUB_OAUTH2 = {"MICROSOFT_CLIENT_ID": "known"}
    page = connect_page(members_desk)
    page.get_by_label("Mail address").fill("ann@outlook.com")
    page.get_by_role("button", name="Find its servers").click()
    link = page.get_by_role("link", name="Connect with Microsoft")
    expect(link).to_have_attribute("href", "/oauth2/microsoft/connect?email=ann%40outlook.com")
    members_desk.look("mail-servers-by-consent")
