"""What a Prometheus sees, and who may see it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families
from pytest_django.fixtures import Settings

from accounts.models import EmailAccount
from mailboxes.models import OutboxMessage
from tests.people import People

KEY = "a monitor's own key"


@pytest.fixture
def monitor(settings: Settings) -> Client:
    settings.MAILHUB_METRICS_KEY = KEY
    return Client(headers={"Authorization": f"Bearer {KEY}"})


def read(response: Any) -> dict[tuple[str, ...], float]:
    """Each sample by its name and the values of its labels."""
    assert response.status_code == 200
    families = text_string_to_metric_families(response.content.decode())
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }


def schedule(people: People, account: EmailAccount) -> None:
    body = {
        "accountId": str(account.pk),
        "to": ["bo@example.org"],
        "subject": "Hello",
        "textBody": "Hi there.",
        "sendAt": (timezone.now() + timedelta(hours=1)).isoformat(),
    }
    assert people.member.api.post("/api/compose", body).status_code == 202


def test_counts_what_there_is(monitor: Client, people: People) -> None:
    account = people.connect_account(people.member)
    people.connect_account(people.teammate, is_enabled=False)
    schedule(people, account)
    campaign = {
        "campaign_name": "Spring", "subject": "Hi", "body": "<p>Hi</p>",
        "from_email": "mary@acme.example", "account_id": str(account.pk),
        "emails": ["bo@example.org"],
        "scheduled_at": (timezone.now() + timedelta(days=1)).isoformat(),
    }  # fmt: skip
    answer = people.member.api.post("/api/smtp-campaign", campaign)
    assert answer.status_code == 202, answer.content
    seen = read(monitor.get("/metrics"))
    assert seen[("mailhub_up", "database")] == 1
    assert seen[("mailhub_up", "workers")] == 0
    assert seen[("mailhub_accounts",)] == 1
    assert seen[("mailhub_accounts_disabled",)] == 1
    assert seen[("mailhub_outbox_messages", "scheduled")] == 1
    assert seen[("mailhub_outbox_messages", "deferred")] == 0
    assert seen[("mailhub_outbox_late_seconds",)] == 0
    assert seen[("mailhub_campaigns", "scheduled")] == 1
    assert seen[("mailhub_dead_letters",)] == 0


def test_a_message_that_should_have_left_is_told_of(monitor: Client, people: People) -> None:
    schedule(people, people.connect_account(people.member))
    OutboxMessage.objects.update(next_try_at=timezone.now() - timedelta(minutes=5))
    assert read(monitor.get("/metrics"))[("mailhub_outbox_late_seconds",)] >= 300


def test_without_a_database_it_still_says_so(monitor: Client) -> None:
    # Outside of a test that may use the database, every query is refused.
    seen = read(monitor.get("/metrics"))
    assert seen[("mailhub_up", "database")] == 0
    assert ("mailhub_accounts",) not in seen


@pytest.mark.django_db
def test_other_networks_and_keys_see_nothing(settings: Settings, people: People) -> None:
    def status(client: Client, **extra: Any) -> int:
        return client.get("/metrics", **extra).status_code

    owner = Client(headers={"Authorization": f"Token {people.owner.key}"})
    for stranger in (Client(), owner, Client(headers={"Authorization": "Bearer "})):
        assert status(stranger) == 403
    settings.MAILHUB_METRICS_KEY = KEY
    for stranger in (Client(), owner, Client(headers={"Authorization": f"Bearer {KEY}é"})):
        assert status(stranger) == 403
    settings.MAILHUB_METRICS_NETWORKS = ["10.1.0.0/16", "fd00::/8"]
    assert status(Client(), REMOTE_ADDR="10.1.2.3") == 200
    assert status(Client(), REMOTE_ADDR="fd00::7") == 200
    assert status(Client(), REMOTE_ADDR="10.2.2.3", HTTP_X_FORWARDED_FOR="10.1.2.3") == 403
    assert status(Client(), REMOTE_ADDR="") == 403
