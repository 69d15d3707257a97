"""Accounts whose drafts are written, with somewhere to send them to."""

from __future__ import annotations

import pytest
from pytest_django.fixtures import Settings

from accounts.models import EmailAccount
from tests.mailboxes.drafts.desk import Desk
from tests.people import People
from tests.servers.dovecot import DovecotUser
from tests.servers.smtp import SmtpReceiver


@pytest.fixture
def account(people: People, smtp_receiver: SmtpReceiver, settings: Settings) -> EmailAccount:
    """It sends to the receiver; nothing answers where it reads."""
    settings.MAILHUB_MAIL_TIMEOUT = 2.0
    account = people.connect_account(
        people.member,
        email_address="joe@example.org",
        username="joe@example.org",
        port=1,
        encryption="none",
        smtp_port=smtp_receiver.port,
        smtp_encryption="none",
    )
    smtp_receiver.users = {account.username: "correct horse"}
    return account


KINDS = {
    "qresync": "dovecot_user",
    "condstore": "condstore_dovecot_user",
    "poor": "plain_dovecot_user",
}


@pytest.fixture
def smtp(smtp_receiver: SmtpReceiver, settings: Settings) -> SmtpReceiver:
    settings.MAILHUB_MAIL_TIMEOUT = 5.0
    return smtp_receiver


@pytest.fixture(params=KINDS)
def desk(request: pytest.FixtureRequest, people: People, smtp: SmtpReceiver) -> Desk:
    """On each kind of server."""
    return Desk(people, request.getfixturevalue(KINDS[request.param]), smtp)


@pytest.fixture
def rich(people: People, smtp: SmtpReceiver, dovecot_user: DovecotUser) -> Desk:
    """On a server with every extension, where the kind of server does not matter."""
    return Desk(people, dovecot_user, smtp)
