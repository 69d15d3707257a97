"""Leaving by a message to the address beside the link."""

from __future__ import annotations

import re

import pytest
from pytest_django.fixtures import Settings

from contacts.models import Contact, ContactStatus
from tests.campaigns.conftest import Campaigns
from tests.campaigns.test_unsubscribing import messages_of
from tests.mailboxes.conftest import PASSWORD, Mailbox, raw_message


@pytest.fixture
def asked(campaigns: Campaigns, settings: Settings) -> Mailbox:
    """The mailbox to which such messages go."""
    settings.MAILHUB_PUBLIC_URL = "https://mail.example.org"
    people = campaigns.people
    mailbox = Mailbox(people.connect_account(people.member, password=PASSWORD))
    settings.MAILHUB_UNSUBSCRIBE_ADDRESS = mailbox.account.email_address
    mailbox.inbox.deliver(raw_message("Earlier"))
    mailbox.sync()
    return mailbox


def subject_of(campaigns: Campaigns, email: str) -> str:
    """The subject that a mail program is told to use."""
    field = messages_of(campaigns)[email]["List-Unsubscribe"]
    link, mailto = (each.strip() for each in field.split(","))
    assert re.fullmatch(r"<https://mail\.example\.org/u/[\w-]+>", link)
    found = re.fullmatch(r"<mailto:[^?]+@[^?]+\?subject=unsubscribe%20([\w-]{36})>", mailto)
    assert found, mailto
    return f"unsubscribe {found[1]}"


def statuses() -> dict[str, str]:
    return dict(Contact.objects.values_list("email", "status"))


def test_a_message_with_the_links_token_is_enough(campaigns: Campaigns, asked: Mailbox) -> None:
    campaigns.add_contacts(2)
    campaigns.finish(campaigns.create())
    asked.inbox.deliver(raw_message(subject_of(campaigns, "person1@example.com")))
    asked.sync()
    assert statuses() == {
        "person0@example.com": ContactStatus.SUBSCRIBED,
        "person1@example.com": ContactStatus.UNSUBSCRIBED,
    }


@pytest.mark.parametrize(
    "subject", ["unsubscribe", "Re: unsubscribe me", f"unsubscribe {'A' * 36}"]
)
def test_a_message_without_it_changes_nothing(
    campaigns: Campaigns, asked: Mailbox, subject: str
) -> None:
    campaigns.add_contacts(1)
    campaigns.finish(campaigns.create())
    asked.inbox.deliver(raw_message(subject))
    asked.sync()
    assert set(statuses().values()) == {ContactStatus.SUBSCRIBED}


def test_the_same_message_elsewhere_changes_nothing(
    campaigns: Campaigns, asked: Mailbox, settings: Settings
) -> None:
    campaigns.add_contacts(1)
    campaigns.finish(campaigns.create())
    subject = subject_of(campaigns, "person0@example.com")
    settings.MAILHUB_UNSUBSCRIBE_ADDRESS = "unsubscribe@elsewhere.example"
    asked.inbox.deliver(raw_message(subject))
    asked.sync()
    assert set(statuses().values()) == {ContactStatus.SUBSCRIBED}
