"""Sending: who gets what, once, and what is written down about it."""

from __future__ import annotations

from email import message_from_bytes
from email.policy import default

import pytest
from pytest_django.fixtures import Settings

from campaigns.audience import Recipients
from campaigns.lifecycle import cancel_campaign, pause_campaign, resume_campaign
from campaigns.models import Campaign, CampaignStatus, Delivery, DeliveryState, SendShift
from campaigns.progress import measure_progress
from campaigns.tasks import revive_campaigns
from contacts.models import Contact, ContactStatus, Suppression
from mailhub.mail.transports.in_memory import Disturbance, Step
from tests.campaigns.conftest import Campaigns, states


def test_each_contact_gets_its_own_message_once(campaigns: Campaigns) -> None:
    campaigns.add_contacts(120, attributes={"city": "Ulm"})
    campaign = campaigns.finish(
        campaigns.create(
            subject="For {{ contact.first_name }}",
            html_body="<p>{{ first_name }} of {{ attributes.city }}, {{ city }}</p>",
        )
    )
    assert campaign.status == CampaignStatus.COMPLETED
    assert campaigns.received() == {f"person{n}@example.com": 1 for n in range(120)}
    by_recipient = {
        each.envelope.recipients[0]: message_from_bytes(each.content, policy=default)
        for each in campaigns.server.messages
    }
    message = by_recipient["person7@example.com"]
    assert message["Subject"] == "For First7"
    assert message["To"] == "First7 Last <person7@example.com>"
    assert message["From"] == "Shop <shop@example.org>"
    assert message["Feedback-ID"].startswith(campaign.campaign_id)
    assert message["List-Id"] == "<acme.example.org>"
    body = message.get_body(("html",))
    assert body is not None
    assert "<p>First7 of Ulm, Ulm</p>" in body.get_content()


def test_outcomes_are_in_the_rows_and_in_the_contacts(campaigns: Campaigns) -> None:
    contacts = campaigns.add_contacts(3)
    campaigns.server.script.answer(
        Step.RCPT, "550 5.1.1 No such user", address="person1@example.com"
    )
    campaign = campaigns.finish(campaigns.create())
    rows = {row.email: row for row in Delivery.objects.filter(campaign=campaign)}
    assert rows["person0@example.com"].state == DeliveryState.SENT
    assert rows["person0@example.com"].reply == "250 2.0.0 OK"
    assert rows["person0@example.com"].attempts == 1
    assert rows["person1@example.com"].state == DeliveryState.FAILED
    assert rows["person1@example.com"].reply == "550 5.1.1 No such user"
    progress = measure_progress(campaign)
    assert (progress.sent, progress.failed, progress.remaining, progress.total) == (2, 1, 0, 3)
    assert progress.percent == 100
    assert [(each.email, each.words) for each in progress.latest_failures] == [
        ("person1@example.com", "550 5.1.1 No such user")
    ]
    written_to, not_reached = Contact.objects.get(pk=contacts[0].pk), contacts[1]
    assert written_to.last_campaign == campaign.campaign_id
    assert written_to.email_count == 1
    assert written_to.last_email_sent is not None
    assert Contact.objects.get(pk=not_reached.pk).email_count == 0
    assert not SendShift.objects.exists()


def test_message_ids_are_unique_and_those_of_the_messages(campaigns: Campaigns) -> None:
    campaigns.add_contacts(20)
    campaign = campaigns.finish(campaigns.create())
    stored = set(Delivery.objects.filter(campaign=campaign).values_list("message_id", flat=True))
    sent = {message_from_bytes(each.content)["Message-ID"] for each in campaigns.server.messages}
    assert len(sent) == 20
    assert stored == sent


def test_a_deferred_recipient_is_tried_again(campaigns: Campaigns) -> None:
    campaigns.add_contacts(5)
    campaigns.server.script.answer(
        Step.RCPT, "451 4.7.1 Greylisted", address="person2@example.com", times=3
    )
    campaign = campaigns.finish(campaigns.create())
    assert states(campaign) == {"sent": 5}
    assert Delivery.objects.get(campaign=campaign, email="person2@example.com").attempts == 4
    assert campaigns.received()["person2@example.com"] == 1


def test_a_recipient_deferred_too_often_has_failed(
    campaigns: Campaigns, settings: Settings
) -> None:
    settings.MAILHUB_SEND_ATTEMPTS = 3
    campaigns.add_contacts(2)
    campaigns.server.script.answer(
        Step.RCPT, "452 4.2.2 Mailbox full", address="person1@example.com"
    )
    campaign = campaigns.finish(campaigns.create())
    row = Delivery.objects.get(campaign=campaign, email="person1@example.com")
    assert (row.state, row.attempts, row.reply) == ("failed", 3, "452 4.2.2 Mailbox full")
    assert campaign.status == CampaignStatus.COMPLETED


def test_a_message_whose_answer_was_lost_is_uncertain_and_not_sent_again(
    campaigns: Campaigns,
) -> None:
    campaigns.add_contacts(30)
    campaigns.server.script.answer(
        Step.CONTENT, Disturbance.ACCEPT_AND_DROP, address="person4@example.com"
    )
    campaign = campaigns.finish(campaigns.create())
    assert states(campaign) == {"sent": 29, "uncertain": 1}
    assert set(campaigns.received().values()) == {1}
    assert campaign.status == CampaignStatus.COMPLETED


def test_who_must_not_be_written_to_is_not(campaigns: Campaigns) -> None:
    campaigns.add_contacts(6)
    Contact.objects.filter(email="person0@example.com").update(status=ContactStatus.UNSUBSCRIBED)
    Suppression.objects.suppress(campaigns.people.tenant, ["person1@example.com"])
    campaign = campaigns.finish(campaigns.create())
    assert set(campaigns.received()) == {f"person{number}@example.com" for number in range(2, 6)}
    assert campaign.total_contacts == 4


def test_who_unsubscribes_after_the_start_is_skipped(campaigns: Campaigns) -> None:
    campaigns.add_contacts(4)
    campaign = campaigns.create(
        recipients=Recipients(
            emails=tuple(f"{name}@example.com" for name in ("person0", "person1", "new", "bad"))
        )
    )
    Suppression.objects.suppress(campaigns.people.tenant, ["bad@example.com"])
    Contact.objects.filter(email="person1@example.com").update(status=ContactStatus.COMPLAINED)
    campaign = campaigns.finish(campaign)
    assert set(campaigns.received()) == {"person0@example.com", "new@example.com"}
    progress = measure_progress(campaign)
    assert (progress.sent, progress.skipped, progress.total) == (2, 2, 4)
    skipped = Delivery.objects.get(campaign=campaign, email="bad@example.com")
    assert skipped.reply == "The address is on the suppression list."


def test_a_login_that_is_refused_fails_the_campaign(campaigns: Campaigns) -> None:
    campaigns.add_contacts(3)

    campaigns.server.script.answer(Step.LOGIN, "535 5.7.8 Wrong password")
    campaign = campaigns.finish(campaigns.create())
    assert campaign.status == CampaignStatus.FAILED
    assert campaign.last_error == "535 5.7.8 Wrong password"
    progress = measure_progress(campaign)
    assert (progress.sent, progress.remaining) == (0, 3)
    assert not campaign.smtp_password


def test_nobody_is_lost_while_the_server_is_away(campaigns: Campaigns) -> None:
    campaigns.add_contacts(10)
    campaign = campaigns.create()
    campaigns.server.script.answer(Step.CONNECT, Disturbance.DROP)
    revive_and_work(campaigns)
    campaign.refresh_from_db()
    assert campaign.status == CampaignStatus.IN_PROGRESS
    assert "lost" in campaign.last_error
    assert campaign.retry_at is not None
    assert states(campaign) == {"queued": 10}
    campaigns.server.script.clear()
    Campaign.objects.filter(pk=campaign.pk).update(retry_at=campaign.trouble_since)
    campaign = campaigns.finish(campaign)
    assert states(campaign) == {"sent": 10}
    assert campaign.last_error == ""


@pytest.mark.parametrize(
    ("step", "answer"),
    [(Step.CONTENT, Disturbance.DROP), (Step.MAIL, "421 4.3.2 Closing"), (Step.MAIL, "550 No")],
)
def test_a_server_that_fails_again_and_again_costs_few_recipients(
    campaigns: Campaigns, settings: Settings, step: Step, answer: str
) -> None:
    campaigns.add_contacts(200)
    campaign = campaigns.create(pacing={"failure_limit": None})
    campaigns.server.script.answer(step, answer)
    revive_and_work(campaigns)
    campaign.refresh_from_db()
    found = states(campaign)
    if answer == "550 No":
        assert found == {"failed": 200}
        assert campaign.status == CampaignStatus.FAILED
        assert campaign.last_error.endswith("550 No")
        return
    most = 4 * settings.MAILHUB_CAMPAIGN_CONNECTIONS
    assert 200 - found["queued"] <= most
    assert "sending" not in found
    assert campaign.status == CampaignStatus.IN_PROGRESS
    assert campaign.last_error
    assert campaign.retry_at is not None


def test_a_server_that_stays_away_is_given_up(campaigns: Campaigns, settings: Settings) -> None:
    settings.MAILHUB_UNREACHABLE_SECONDS = 0
    campaigns.add_contacts(10)
    campaigns.server.script.answer(Step.CONNECT, Disturbance.DROP)
    campaign = campaigns.finish(campaigns.create())
    assert campaign.status == CampaignStatus.FAILED
    assert "lost" in campaign.last_error


def test_a_login_refused_in_the_middle_pauses_the_campaign(
    campaigns: Campaigns, settings: Settings
) -> None:
    settings.MAILHUB_CAMPAIGN_CONNECTIONS = 1
    campaigns.add_contacts(10)
    campaign = campaigns.create()
    campaigns.server.script.answer(Step.MAIL, "421 4.3.2 Closing", after=5, times=2)
    campaigns.server.script.answer(Step.LOGIN, "535 5.7.8 Password changed", after=1)
    revive_and_work(campaigns)
    campaign.refresh_from_db()
    assert campaign.status == CampaignStatus.PAUSED
    assert campaign.last_error == "535 5.7.8 Password changed"
    assert campaign.smtp_host
    campaigns.server.script.clear()
    resume_campaign(campaign)
    assert campaigns.finish(campaign).status == CampaignStatus.COMPLETED
    assert set(campaigns.received().values()) == {1}
    assert len(campaigns.received()) == 10


def test_a_message_that_cannot_be_made_fails_alone(campaigns: Campaigns) -> None:
    campaigns.add_contacts(3, attributes={"day": "2026-01-02", "pattern": "%d"})
    broken = {"day": "2026-01-02", "pattern": "%9999999d"}
    Contact.objects.filter(email="person1@example.com").update(attributes=broken)
    campaign = campaigns.finish(
        campaigns.create(html_body="<p>{{ attributes.day | date: attributes.pattern }}</p>")
    )
    assert states(campaign) == {"sent": 2, "failed": 1}
    assert "date format" in Delivery.objects.get(state=DeliveryState.FAILED).reply


def test_pause_and_resume(campaigns: Campaigns) -> None:
    campaigns.add_contacts(10)
    campaign = campaigns.create()
    pause_campaign(campaign)
    revive_and_work(campaigns)
    assert not campaigns.server.messages
    resume_campaign(campaign)
    assert campaigns.finish(campaign).status == CampaignStatus.COMPLETED
    assert len(campaigns.server.messages) == 10


def test_a_cancelled_campaign_sends_nothing_more(campaigns: Campaigns) -> None:
    campaigns.add_contacts(10)
    campaign = campaigns.create()
    cancel_campaign(campaign)
    revive_and_work(campaigns)
    assert not campaigns.server.messages
    progress = measure_progress(campaign)
    assert (progress.status, progress.remaining, progress.total) == ("cancelled", 10, 10)


def revive_and_work(campaigns: Campaigns) -> None:
    revive_campaigns()
    campaigns.work()
