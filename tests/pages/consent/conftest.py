"""Visits to a provider's consent page and back, over a real provider and mail servers."""

from __future__ import annotations

import pytest
from django.test import Client

from tests.pages.conftest import Visit
from tests.people import People
from tests.servers.dovecot import DovecotUser
from tests.servers.mail_provider import MailProvider

CONNECT = "/oauth2/acme/connect"


@pytest.fixture
def mailbox(mail_provider: MailProvider) -> DovecotUser:
    return mail_provider.new_mailbox()


@pytest.fixture
def client(people: People, visit: Visit) -> Client:
    return visit(people.member)


def set_out(client: Client, address: str = CONNECT) -> str:
    """Where the person is sent."""
    answer = client.get(address)
    assert answer.status_code == 302, answer.text
    return answer["Location"]


def consent(client: Client, provider: MailProvider, user: str, address: str = CONNECT) -> str:
    """Set out and say yes; the address that the browser is sent to then."""
    back = provider.tokens.consent(set_out(client, address), user)
    return back.removeprefix("http://localhost:8000")


def told(client: Client, path: str) -> str:
    """What the page says to which the answer at `path` leads."""
    answer = client.get(path)
    assert answer.status_code == 302, answer.text
    assert answer["Location"].startswith("/mail")
    return client.get(answer["Location"]).text
