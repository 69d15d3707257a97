"""What a person decides: uncertain ones sent again or counted as sent, failed ones retried."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from campaigns.lifecycle import cancel_campaign, pause_campaign
from campaigns.models import Campaign, Delivery, DeliveryState, SendShift
from campaigns.servers import way_of
from contacts.models import Contact
from mailhub.mail.transports.in_memory import Disturbance, Step
from tests.campaigns.conftest import Campaigns, states
from tests.campaigns.test_api import payload
from tests.pages.conftest import log_in
from tests.servers.smtp import SmtpReceiver

COUNTS = ("sent_count", "failed_count", "skipped_count", "uncertain_count", "remaining_count")


def decide(campaigns: Campaigns, campaign: Campaign, what: str, **body: Any) -> Any:
    """POST, and hold the answer to the sum."""
    path = f"/api/campaigns/{campaign.campaign_id}/{what}"
    answer = campaigns.people.member.api.post(path, body)
    if answer.status_code == 200:
        shown = answer.json()
        assert shown["total_contacts"] == sum(shown[name] for name in COUNTS)
    return answer


def with_one_uncertain(campaigns: Campaigns) -> Campaign:
    """A completed campaign of five, of whom person2's answer was lost."""
    campaigns.add_contacts(5)
    campaigns.server.script.answer(
        Step.CONTENT, Disturbance.ACCEPT_AND_DROP, address="person2@example.com", times=1
    )
    campaign = campaigns.finish(campaigns.create())
    assert states(campaign) == {"sent": 4, "uncertain": 1}
    return campaign


def test_who_is_uncertain_is_sent_again_once(campaigns: Campaigns) -> None:
    campaign = with_one_uncertain(campaigns)
    answer = decide(campaigns, campaign, "resolve-uncertain", action="resend").json()
    assert (answer["status"], answer["remaining_count"], answer["completed_at"]) == (
        "in_progress",
        1,
        None,
    )
    again = decide(campaigns, campaign, "resolve-uncertain", action="resend").json()
    assert again["remaining_count"] == 1
    campaign = campaigns.finish(campaign)
    assert campaign.status == "completed"
    assert states(campaign) == {"sent": 5}
    expected = {f"person{number}@example.com": 1 for number in range(5)}
    assert campaigns.received() == {**expected, "person2@example.com": 2}


def test_who_is_uncertain_counts_as_sent_in_the_words_of_who_decided(
    campaigns: Campaigns,
) -> None:
    campaign = with_one_uncertain(campaigns)
    for _ in range(2):
        answer = decide(campaigns, campaign, "resolve-uncertain", action="mark_sent").json()
        assert (answer["status"], answer["sent_count"]) == ("completed", 5)
    row = Delivery.objects.get(email="person2@example.com")
    name = campaigns.people.member.user.get_username()
    assert row.reply.startswith(f"{name} marked it as sent. ")
    assert "lost" in row.reply
    contact = Contact.objects.get(email="person2@example.com")
    assert (contact.email_count, contact.last_campaign) == (1, campaign.campaign_id)
    assert len(campaigns.server.messages) == 5
    assert not SendShift.objects.exists()


def test_who_failed_is_tried_again(campaigns: Campaigns) -> None:
    campaigns.add_contacts(5)
    # Not that there is nobody: such an address is suppressed, and skipped the next time.
    campaigns.server.script.answer(Step.RCPT, "550 5.7.1 No", address="person3@example.com")
    campaign = campaigns.finish(campaigns.create())
    campaigns.server.script.clear()
    assert decide(campaigns, campaign, "retry-failed").json()["remaining_count"] == 1
    campaign = campaigns.finish(campaign)
    assert states(campaign) == {"sent": 5}
    assert set(campaigns.received().values()) == {1}
    assert decide(campaigns, campaign, "retry-failed").json()["status"] == "completed"


def test_who_was_refused_for_good_stays_failed_in_the_servers_words(campaigns: Campaigns) -> None:
    campaigns.add_contacts(4)
    for number, words in ((1, "550 5.1.1 No such user"), (3, "550 5.7.1 No")):
        address = f"person{number}@example.com"
        campaigns.server.script.answer(Step.RCPT, words, address=address)
    campaign = campaigns.finish(campaigns.create())
    before = Delivery.objects.get(email="person1@example.com")
    campaigns.server.script.clear()
    answer = decide(campaigns, campaign, "retry-failed").json()
    assert (answer["retried_count"], answer["not_retried_count"]) == (1, 1)
    campaign = campaigns.finish(campaign)
    assert states(campaign) == {"sent": 3, "failed": 1}
    after = Delivery.objects.get(email="person1@example.com")
    assert (after.reply, after.message_id) == (before.reply, before.message_id)
    assert "No such user" in after.reply
    again = log_in(campaigns.people.member).post(
        f"/campaigns/{campaign.campaign_id}/retry", follow=True
    )
    assert "1 recipient may not be written to any more" in again.content.decode()
    campaign.refresh_from_db()
    assert (campaign.status, states(campaign)) == ("completed", {"sent": 3, "failed": 1})


def test_who_is_refused_while_sending_is_a_part_of_those_who_were_tried(
    campaigns: Campaigns,
) -> None:
    campaigns.add_contacts(4)
    for number in (1, 2, 3):
        address = f"person{number}@example.com"
        campaigns.server.script.answer(Step.RCPT, "550 5.1.1 No such user", address=address)
    campaign = campaigns.finish(campaigns.create())
    visitor = log_in(campaigns.people.member)
    for address in ("/campaigns", f"/campaigns/{campaign.campaign_id}"):
        page = visitor.get(address).content.decode()
        assert "75.0 %" in page
        assert "300.0 %" not in page


def test_who_used_up_all_tries_has_as_many_again(campaigns: Campaigns, settings: Settings) -> None:
    settings.MAILHUB_SEND_ATTEMPTS = 3
    campaigns.add_contacts(2)
    full = "452 4.2.2 Mailbox full"
    campaigns.server.script.answer(Step.RCPT, full, address="person1@example.com", times=5)
    campaign = campaigns.finish(campaigns.create())
    assert states(campaign) == {"sent": 1, "failed": 1}
    decide(campaigns, campaign, "retry-failed")
    campaign = campaigns.finish(campaign)
    assert states(campaign) == {"sent": 2}
    assert Delivery.objects.get(email="person1@example.com").attempts == 6


def test_who_is_tried_again_has_not_bounced_until_refused_again(
    campaigns: Campaigns, settings: Settings
) -> None:
    settings.MAILHUB_SEND_ATTEMPTS = 3
    campaigns.add_contacts(12)
    for number in range(2, 12):
        address = f"person{number}@example.com"
        campaigns.server.script.answer(Step.RCPT, "451 4.7.1 Later", address=address)
    campaign = campaigns.finish(campaigns.create())
    assert bounces_told_of(campaigns, campaign) == (10, 10, ["10 83.3 %"])
    assert decide(campaigns, campaign, "retry-failed").json()["bounced_count"] == 0
    assert bounces_told_of(campaigns, campaign) == (0, 0, ["0 0.0 %"])
    campaign = campaigns.finish(campaign)
    assert bounces_told_of(campaigns, campaign) == (10, 10, ["10 83.3 %"])
    decide(campaigns, campaign, "retry-failed")
    assert decide(campaigns, campaign, "cancel").json()["bounced_count"] == 0
    assert bounces_told_of(campaigns, campaign) == (0, 0, ["0 0.0 %"])
    breakdown = log_in(campaigns.people.member).get(f"/campaigns/{campaign.campaign_id}/breakdown")
    assert "Came back" not in breakdown.content.decode()
    rows = campaigns.people.member.api.get(
        f"/api/campaigns/{campaign.campaign_id}/deliveries"
    ).json()["deliveries"]
    assert {(row["bounced_at"], row["bounce_class"]) for row in rows} == {(None, "")}


def bounces_told_of(campaigns: Campaigns, campaign: Campaign) -> tuple[int, int, list[str]]:
    """As its status, the statistics by campaign and its page have them."""
    api = campaigns.people.member.api
    status = api.get(f"/api/campaign-status/{campaign.campaign_id}").json()
    [line] = api.get("/api/statistics", {"by": "campaign"}).json()["rows"]
    page = log_in(campaigns.people.member).get(f"/campaigns/{campaign.campaign_id}")
    shown = re.findall(r"Bounced</a></dt><dd>(.*?)</dd>", page.content.decode())
    return status["bounced_count"], line["bounced"], [re.sub("<[^>]+>", "", each) for each in shown]


def test_many_are_resolved_in_pieces(campaigns: Campaigns) -> None:
    campaigns.add_contacts(1_201)
    campaign = campaigns.finish(campaigns.create())
    Delivery.objects.update(state=DeliveryState.FAILED)
    assert decide(campaigns, campaign, "retry-failed").json()["remaining_count"] == 1_201
    Delivery.objects.update(state=DeliveryState.UNCERTAIN)
    answer = decide(campaigns, campaign, "resolve-uncertain", action="mark_sent").json()
    assert answer["sent_count"] == 1_201


def test_a_password_that_was_erased_is_asked_for_and_erased_again(
    campaigns: Campaigns, start_smtp_receiver: Any
) -> None:
    receiver: SmtpReceiver = start_smtp_receiver(users={"user@example.org": "app-password"})
    receiver.script.answer(
        Step.CONTENT, Disturbance.ACCEPT_AND_DROP, address="person1@example.com", times=1
    )
    receiver.script.answer(Step.RCPT, "550 5.7.1 No", address="person2@example.com", times=1)
    campaigns.add_contacts(3)
    campaigns.people.member.api.post("/api/smtp-campaign", payload(smtp_port=receiver.port))
    campaign = campaigns.finish(Campaign.objects.get(), way_of)
    assert states(campaign) == {"sent": 1, "failed": 1, "uncertain": 1}
    for what, body in (("resolve-uncertain", {"action": "resend"}), ("retry-failed", {})):
        refused = decide(campaigns, campaign, what, **body)
        assert (refused.status_code, refused.json()["error"]) == (400, "smtp_password_needed")
        assert "smtp_password" in refused.json()["details"]["fields"]
        answer = decide(campaigns, campaign, what, **body, smtp_password="app-password")
        assert answer.status_code == 200
        assert "app-password" not in answer.content.decode()
        campaign.refresh_from_db()
        assert campaign.reveal_smtp_password() == "app-password"
        campaign = campaigns.finish(campaign, way_of)
        assert not campaign.smtp_password
    assert states(campaign) == {"sent": 3}


def test_a_campaign_whose_login_was_refused_goes_on_with_another_password(
    campaigns: Campaigns, start_smtp_receiver: Any
) -> None:
    receiver: SmtpReceiver = start_smtp_receiver(users={"user@example.org": "right"})
    campaigns.add_contacts(3)
    campaigns.people.member.api.post("/api/smtp-campaign", payload(smtp_port=receiver.port))
    campaign = campaigns.finish(Campaign.objects.get(), way_of)
    assert (campaign.status, states(campaign)) == ("failed", {"queued": 3})
    answer = decide(campaigns, campaign, "retry-failed", smtp_password="right")
    assert answer.json()["status"] == "in_progress"
    campaign = campaigns.finish(campaign, way_of)
    assert (campaign.status, states(campaign)) == ("completed", {"sent": 3})


def test_one_that_is_paused_stays_so_and_one_that_was_cancelled_is_left(
    campaigns: Campaigns,
) -> None:
    campaign = with_one_uncertain(campaigns)
    Campaign.objects.update(status="in_progress", completed_at=None)
    Delivery.objects.filter(email="person0@example.com").update(state=DeliveryState.QUEUED)
    campaign.refresh_from_db()
    pause_campaign(campaign)
    answer = decide(campaigns, campaign, "resolve-uncertain", action="resend").json()
    assert (answer["status"], answer["remaining_count"]) == ("paused", 2)
    Delivery.objects.filter(state="queued").update(state=DeliveryState.UNCERTAIN)
    cancel_campaign(campaign)
    refused = decide(campaigns, campaign, "resolve-uncertain", action="resend")
    assert (refused.status_code, refused.json()["error"]) == (409, "campaign_status")
    assert states(campaign) == {"sent": 3, "uncertain": 2}
    marked = decide(campaigns, campaign, "resolve-uncertain", action="mark_sent").json()
    assert (marked["status"], marked["sent_count"]) == ("cancelled", 5)


@pytest.mark.parametrize(
    "body", [{}, {"action": "forget"}, {"action": None}, {"action": "resend", "force": True}]
)
def test_what_is_not_understood_is_refused(campaigns: Campaigns, body: dict[str, Any]) -> None:
    campaign = with_one_uncertain(campaigns)
    answer = campaigns.people.member.api.post(
        f"/api/campaigns/{campaign.campaign_id}/resolve-uncertain", body
    )
    assert answer.status_code == 400
    assert states(campaign) == {"sent": 4, "uncertain": 1}


def test_the_same_key_sends_again_once(campaigns: Campaigns) -> None:
    campaign = with_one_uncertain(campaigns)
    path = f"/api/campaigns/{campaign.campaign_id}/resolve-uncertain"
    api = campaigns.people.member.api
    first = api.post(path, {"action": "resend"}, HTTP_IDEMPOTENCY_KEY="once")
    campaign.refresh_from_db()
    campaigns.finish(campaign)
    Delivery.objects.filter(email="person2@example.com").update(state=DeliveryState.UNCERTAIN)
    again = api.post(path, {"action": "resend"}, HTTP_IDEMPOTENCY_KEY="once")
    assert again.json() == first.json()
    assert states(campaign) == {"sent": 4, "uncertain": 1}
