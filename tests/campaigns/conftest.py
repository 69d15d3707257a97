"""Campaigns in tests: people to write to, a receiver, and workers run in this process."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from campaigns.creation import CampaignPlan, PlannedServer, create_campaign
from campaigns.engine.shifts import take_shift
from campaigns.engine.work import Connect, work_shift
from campaigns.models import Campaign, Delivery, SendShift
from campaigns.servers import way_of
from campaigns.tasks import revive_campaigns
from contacts.models import Contact
from mailhub.mail.server import Encryption
from mailhub.mail.transports.in_memory import InMemoryServer, InMemoryTransport
from tests.people import People


@dataclass
class Campaigns:
    """Makes campaigns of the member's tenant and works them."""

    people: People
    server: InMemoryServer = field(default_factory=InMemoryServer)

    def add_contacts(self, count: int, **fields: Any) -> list[Contact]:
        """`person0@example.com` and so on, subscribed."""
        return Contact.objects.bulk_create(
            Contact(
                tenant=self.people.tenant,
                email=f"person{number}@example.com",
                first_name=f"First{number}",
                last_name="Last",
                **fields,
            )
            for number in range(count)
        )

    def create(self, **fields: Any) -> Campaign:
        """A campaign by a server of its own, started."""
        plan = {
            "name": "Spring",
            "subject": "Hello {{ first_name }}",
            "html_body": "<p>Dear {{ first_name }} {{ last_name }}</p>",
            "from_email": "Shop <shop@example.org>",
            "server": PlannedServer("127.0.0.1", 2525, Encryption.NONE),
            **fields,
        }
        return create_campaign(self.people.member.caller, CampaignPlan(**plan))

    def connect(self, campaign: Campaign) -> Callable[[], InMemoryTransport]:
        """In place of SMTP: the server in memory."""
        return lambda: InMemoryTransport(self.server)

    def work(self, connect: Connect | None = None) -> int:
        """Work every shift that waits, one after the other; how many there were."""
        count = 0
        for pk in SendShift.objects.filter(process="").values_list("pk", flat=True):
            shift = take_shift(pk)
            if shift is not None:
                work_shift(shift, connect or self.connect)
                count += 1
        return count

    def finish(self, campaign: Campaign, connect: Connect | None = None) -> Campaign:
        """Do what dispatcher and workers do until the campaign is over."""
        deadline = time.monotonic() + 60
        campaign.refresh_from_db()
        while not campaign.is_over:
            assert time.monotonic() < deadline, f"still {campaign.status}: {states(campaign)}"
            revive_campaigns()
            if not self.work(connect):
                time.sleep(0.02)
            campaign.refresh_from_db()
        return campaign

    def received(self) -> Counter[str]:
        """How often each recipient got a message."""
        return Counter(
            recipient
            for message in self.server.messages
            for recipient in message.envelope.recipients
        )


def states(campaign: Campaign) -> dict[str, int]:
    """How many deliveries are shown in each state."""
    rows = Delivery.objects.filter(campaign=campaign).only("state", "shift")
    return dict(Counter(row.shown_state for row in rows))


@pytest.fixture
def campaigns(transactional_db: None, settings: Settings) -> Campaigns:
    settings.MAILHUB_FIRST_RETRY_SECONDS = 0.02
    settings.MAILHUB_LONGEST_RETRY_SECONDS = 0.05
    return Campaigns(People())


@pytest.fixture
def by_smtp() -> Connect:
    return way_of
