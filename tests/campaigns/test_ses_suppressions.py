"""SES's own suppression list, read and written."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django.fixtures import Settings

from accounts.models import Credential, CredentialKind, EmailAccount
from campaigns.feedback.ses_suppressions import exchange_all, lift_all
from contacts.models import Contact, LiftedSuppression, Suppression, SuppressionReason
from tests.people import People
from tests.servers.ses import KEYS, REGION, Refusal, SesFake


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


def test_what_is_too_much_for_one_hour_is_written_in_the_next(
    people: People, account: EmailAccount, ses_fake: SesFake
) -> None:
    emails = [f"gone-{number}@example.net" for number in range(620)]
    Suppression.objects.suppress(people.tenant, emails, SuppressionReason.BOUNCED)
    Suppression.objects.update(created_at=timezone.now() - timedelta(days=2))
    exchange_all()
    assert len(ses_fake.account.suppressed) == 500
    exchange_all()
    assert len(ses_fake.account.suppressed) == 620
    written = sum(request.startswith("PUT") for request in ses_fake.requests)
    assert written == 620


@pytest.mark.parametrize(
    ("refusal", "goes_on"),
    [
        (Refusal(400, "BadRequestException", "Email address is not valid"), True),
        (Refusal(429, "TooManyRequestsException", "Rate exceeded"), False),
        (Refusal(403, "AccessDeniedException", "ses:PutSuppressedDestination"), False),
        (Refusal(500, "InternalFailure", "Try again"), False),
    ],
)
def test_an_address_that_is_refused_holds_up_no_other(
    people: People, account: EmailAccount, ses_fake: SesFake, refusal: Refusal, goes_on: bool
) -> None:
    emails = [f"gone-{number}@example.net" for number in range(3)]
    for email in emails:
        Suppression.objects.suppress(people.tenant, [email], SuppressionReason.BOUNCED)
    ses_fake.refused_addresses[emails[1]] = refusal
    exchange_all()
    assert list(ses_fake.account.suppressed) == ([emails[0], emails[2]] if goes_on else emails[:1])
    ses_fake.refused_addresses.clear()
    exchange_all()
    assert set(ses_fake.account.suppressed) == set(emails)


@pytest.mark.parametrize("by", ["api", "page", "admin"])
def test_what_a_person_lifts_is_taken_from_the_list_of_ses(
    people: People, account: EmailAccount, ses_fake: SesFake, client: Client, by: str
) -> None:
    ses_fake.account.suppressed = {"back@example.org": "BOUNCE", "gone@example.org": "BOUNCE"}
    exchange_all()
    row = Suppression.objects.get(email="back@example.org")
    if by == "api":
        answer = people.admin.api.delete("/api/suppressions/back@example.org")
        assert answer.status_code == 204
    elif by == "page":
        client.force_login(people.admin.user)
        assert client.post(reverse("lift-suppression", args=[row.pk])).status_code == 302
    else:
        get_user_model().objects.filter(pk=people.admin.user.pk).update(
            is_staff=True, is_superuser=True
        )
        client.force_login(get_user_model().objects.get(pk=people.admin.user.pk))
        path = reverse("admin:contacts_suppression_delete", args=[row.pk])
        assert client.post(path, {"post": "yes"}).status_code == 302
    # As long as SES cannot be told, its word on the address is not taken again.
    keys, ses_fake.keys = ses_fake.keys, {}
    lift_all()
    ses_fake.keys = keys
    exchange_all()
    assert not Suppression.objects.filter(email="back@example.org").exists()
    LiftedSuppression.objects.update(due_at=timezone.now())
    lift_all()
    assert ses_fake.account.suppressed == {"gone@example.org": "BOUNCE"}
    assert not LiftedSuppression.objects.exists()
    exchange_all()
    assert [each.email for each in Suppression.objects.all()] == ["gone@example.org"]
