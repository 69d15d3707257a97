"""A worker's loop over real connections: whole messages, however they are carried and cut."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from email import message_from_bytes
from email.policy import default
from functools import partial
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from campaigns.models import DeliveryState
from mailhub.mail.message import Attachment
from mailhub.mail.server import Encryption
from mailhub.mail.transports.in_memory import Disturbance, Step
from mailhub.mail.transports.smtp import SmtpTransport
from tests.campaigns.conftest import Campaigns, states
from tests.servers.certificates import make_certificate
from tests.servers.smtp import SmtpReceiver

PRICES = Attachment("prices.pdf", bytes(range(256)) * 1200, "application/pdf")


@pytest.mark.parametrize("encryption", list(Encryption))
def test_each_gets_a_large_message_whole(
    campaigns: Campaigns,
    start_smtp_receiver: Callable[..., SmtpReceiver],
    tmp_path: Path,
    settings: Settings,
    encryption: Encryption,
) -> None:
    settings.MAILHUB_CAMPAIGN_CONNECTIONS = 3
    certificate, key = make_certificate(tmp_path, "127.0.0.1")
    receiver = start_smtp_receiver(encryption=encryption, certificate=certificate, key=key)
    campaigns.add_contacts(12)
    campaign = campaigns.create(attachments=(PRICES,))
    campaigns.finish(campaign, lambda _: lambda: SmtpTransport(receiver.settings(timeout=30)))
    assert states(campaign) == {DeliveryState.SENT: 12}
    assert receiver.connections == 3
    named = Counter(each.envelope.recipients[0] for each in receiver.messages)
    assert named == Counter(f"person{number}@example.com" for number in range(12))
    for each in receiver.messages:
        message = message_from_bytes(each.content, policy=default)
        number = each.envelope.recipients[0].removeprefix("person").partition("@")[0]
        assert message["Subject"] == f"Hello First{number}"
        [attached] = message.iter_attachments()
        assert attached.get_content() == PRICES.content


def test_a_connection_that_is_lost_or_silent_stops_no_other(
    campaigns: Campaigns, smtp_receiver: SmtpReceiver, settings: Settings
) -> None:
    settings.MAILHUB_CAMPAIGN_CONNECTIONS = 4
    campaigns.add_contacts(200)
    campaign = campaigns.create()
    for number, what in enumerate((Disturbance.DROP, Disturbance.ACCEPT_AND_DROP)):
        address = f"person{40 + number}@example.com"
        smtp_receiver.script.answer(Step.CONTENT, what, address=address)
    smtp_receiver.script.answer(Step.CONTENT, Disturbance.HANG, address="person90@example.com")
    connect = partial(SmtpTransport, smtp_receiver.settings(), verdict_timeout=1)
    campaigns.finish(campaign, lambda _: connect)
    assert states(campaign) == {DeliveryState.SENT: 197, DeliveryState.UNCERTAIN: 3}
    received = Counter(each.envelope.recipients[0] for each in smtp_receiver.messages)
    assert set(received.values()) == {1}
    assert len(received) == 198
