"""SES's own suppression list, read and written."""

from __future__ import annotations

import pytest
from django.core.cache import cache
from pytest_django.fixtures import Settings

from accounts.models import Credential, CredentialKind, EmailAccount
from campaigns.feedback.ses_suppressions import exchange_all
from contacts.models import Contact, Suppression, SuppressionReason
from tests.people import People
from tests.servers.ses import KEYS, REGION, SesFake


@pytest.fixture
def account(people: People, ses_fake: SesFake, settings: Settings) -> EmailAccount:
    """One of the member's that sends by SES with keys of its own."""
    settings.AWS_SES_REGION_NAME, settings.AWS_SES_REGION_ENDPOINT_URL = REGION, ses_fake.url
    account = people.connect_account(people.member)
    keys = Credential(tenant=account.tenant, user=account.user, kind=CredentialKind.AWS)
    keys.keep_secret(
        {"access_key_id": KEYS.access_key_id, "secret_access_key": KEYS.secret_access_key}
    )
    keys.save()
    account.aws_credential, account.ses_region = keys, REGION
    account.save()
    cache.clear()
    return account


def test_what_either_side_knows_the_other_learns(
    people: People, account: EmailAccount, ses_fake: SesFake
) -> None:
    contact = Contact.objects.create(tenant=people.tenant, email="gone@example.org")
    ses_fake.account.suppressed = {"Gone@Example.org": "BOUNCE", "angry@example.org": "COMPLAINT"}
    for email, reason in (
        ("dead@example.net", SuppressionReason.BOUNCED),
        ("cross@example.net", SuppressionReason.COMPLAINED),
        ("left@example.net", SuppressionReason.UNSUBSCRIBED),
    ):
        Suppression.objects.suppress(people.tenant, [email], reason)
    exchange_all()
    here = dict(Suppression.objects.values_list("email", "reason"))
    assert here["gone@example.org"] == "bounced"
    assert here["angry@example.org"] == "complained"
    contact.refresh_from_db()
    assert contact.status == "bounced"
    there = ses_fake.account.suppressed
    assert there["dead@example.net"] == "BOUNCE"
    assert there["cross@example.net"] == "COMPLAINT"
    assert "left@example.net" not in there
    written = sum(request.startswith("PUT") for request in ses_fake.requests)
    assert written == 2
    exchange_all()
    assert not Suppression.objects.filter(tenant=people.other_tenant).exists()


def test_keys_that_may_not_do_it_stop_nobody_else(
    people: People, account: EmailAccount, ses_fake: SesFake
) -> None:
    ses_fake.keys.clear()
    exchange_all()
    assert not Suppression.objects.exists()
