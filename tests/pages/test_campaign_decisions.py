"""The pages on which a person decides about uncertain and failed recipients; held-up campaigns."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from campaigns.models import Campaign, CampaignStatus, Delivery, DeliveryState
from tests.pages.conftest import Visit
from tests.pages.mailings import make_campaign
from tests.people import People

WORDS = "Connection refused by mx.example.net"


def make_ended(people: People, **fields: Any) -> Campaign:
    """A completed one with 4 sent, 3 uncertain and 2 failed."""
    values = {
        "status": CampaignStatus.COMPLETED,
        "completed_at": timezone.now(),
        "sent": 4,
        "uncertain": 3,
        "failed": 2,
        **fields,
    }
    return make_campaign(people.member, **values)


def count(campaign: Campaign, state: DeliveryState) -> int:
    return Delivery.objects.filter(campaign=campaign, state=state).count()


@pytest.mark.parametrize(
    ("address", "question", "leaves"),
    [
        ("resend", "<strong>3 recipients</strong> are uncertain", (DeliveryState.QUEUED, 3)),
        ("mark-sent", "<strong>3 recipients</strong> are uncertain", (DeliveryState.SENT, 7)),
        ("retry", "<strong>2 recipients</strong> failed", (DeliveryState.QUEUED, 2)),
    ],
)
def test_it_asks_once_and_acts(
    people: People, visit: Visit, address: str, question: str, leaves: tuple[DeliveryState, int]
) -> None:
    state, number = leaves
    campaign = make_ended(people)
    client = visit(people.member)
    path = f"/campaigns/{campaign.campaign_id}"
    assert f'href="{path}/{address}"' in client.get(path).text
    before = count(campaign, state)
    asked = client.get(f"{path}/{address}").text
    assert question in asked
    assert "smtp_password" not in asked
    assert count(campaign, state) == before
    done = client.post(f"{path}/{address}", follow=True)
    assert done.status_code == 200
    assert count(campaign, state) == number
    assert f'href="{path}/{address}"' not in done.text


def test_it_says_that_somebody_may_get_it_twice(people: People, visit: Visit) -> None:
    campaign = make_ended(people)
    client = visit(people.member)
    path = f"/campaigns/{campaign.campaign_id}"
    assert "some may get the message twice" in client.get(path).text
    assert "would get it a second time" in client.get(f"{path}/resend").text


def test_an_erased_password_is_asked_for(people: People, visit: Visit) -> None:
    campaign = make_ended(
        people,
        sender="server",
        smtp_host="smtp.example.net",
        smtp_port=25,
        smtp_encryption="none",
        smtp_username="mary",
    )
    client = visit(people.member)
    for address in ("resend", "retry"):
        path = f"/campaigns/{campaign.campaign_id}/{address}"
        assert "Password of mary on smtp.example.net" in client.get(path).text
        refused = client.post(path)
        assert refused.status_code == 400
        assert "password again" in refused.text
    assert count(campaign, DeliveryState.QUEUED) == 0
    client.post(path, {"smtp_password": "secret word"})
    campaign.refresh_from_db()
    assert (campaign.status, count(campaign, DeliveryState.QUEUED)) == ("in_progress", 2)
    assert campaign.reveal_smtp_password() == "secret word"


def test_a_cancelled_one_is_not_sent_again(people: People, visit: Visit) -> None:
    campaign = make_ended(people, status=CampaignStatus.CANCELLED)
    client = visit(people.member)
    path = f"/campaigns/{campaign.campaign_id}"
    page = client.get(path).text
    assert f"{path}/mark-sent" in page
    assert f"{path}/resend" not in page
    assert f"{path}/retry" not in page
    assert "This campaign is cancelled." in client.post(f"{path}/resend", follow=True).text


def test_where_nobody_is_left_there_is_no_question(people: People, visit: Visit) -> None:
    campaign = make_ended(people, uncertain=0, failed=0)
    client = visit(people.member)
    path = f"/campaigns/{campaign.campaign_id}"
    for address in ("resend", "mark-sent", "retry"):
        assert client.get(f"{path}/{address}")["Location"] == path
        assert f"{path}/{address}" not in client.get(path).text


def test_who_may_decide(people: People, visit: Visit) -> None:
    campaign = make_ended(people)
    path = f"/campaigns/{campaign.campaign_id}"
    viewer, stranger = visit(people.viewer), visit(people.stranger)
    assert f"{path}/resend" not in viewer.get(path).text
    for address in ("resend", "mark-sent", "retry"):
        assert viewer.get(f"{path}/{address}").status_code == 403
        assert viewer.post(f"{path}/{address}").status_code == 403
        assert stranger.get(f"{path}/{address}").status_code == 404
        assert stranger.post(f"{path}/{address}").status_code == 404
    assert count(campaign, DeliveryState.UNCERTAIN) == 3


def make_held_up(people: People, **fields: Any) -> Campaign:
    now = timezone.now()
    trouble: dict[str, Any] = {
        "last_error": WORDS,
        "trouble_since": now,
        "retry_at": now + timedelta(seconds=40),
    }
    return make_campaign(people.member, name="Held letter", queued=3, **trouble, **fields)


def test_one_whose_server_has_trouble_is_held_up_in_words(people: People, visit: Visit) -> None:
    campaign = make_held_up(people)
    client = visit(people.viewer)
    for page in ("/campaigns", f"/campaigns/{campaign.campaign_id}"):
        text = client.get(page).text
        assert "Held up</span>" in text
        assert "In progress</span>" not in text
        assert WORDS in text
    measures = f"/campaigns/{campaign.campaign_id}/measures"
    assert "HX-Retarget" not in client.get(measures, {"status": "held_up", "failed": "0"})
    Campaign.objects.update(last_error="", trouble_since=None, retry_at=None)
    gone_on = client.get(measures, {"status": "held_up", "failed": "0"})
    assert gone_on["HX-Retarget"] == "#campaign"
    assert "Held up" not in gone_on.text


def test_one_that_is_held_up_is_on_home_once(people: People, visit: Visit) -> None:
    make_held_up(people)
    text = visit(people.member).get("/").text
    assert text.count("Held letter") == 1
    assert text.count(WORDS) == 1
    assert "Held up</span>" in text


def test_one_that_was_given_up_needs_attention(people: People, visit: Visit) -> None:
    make_held_up(people, status=CampaignStatus.PAUSED)
    text = visit(people.member).get("/").text
    assert text.count("Held letter") == 1
    assert "Needs attention" in text
    assert "Held up</span>" not in text
