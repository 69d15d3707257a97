"""Several accounts send one campaign: by their shares, and for each other."""

from __future__ import annotations

import csv
import threading
from collections import Counter
from collections.abc import Callable
from email import message_from_bytes

import pytest
from django.db import connection

from accounts.models import EmailAccount
from campaigns.drafting import Changes, create_draft, launch
from campaigns.engine.lanes import divide, open_lanes
from campaigns.lifecycle import resume_campaign
from campaigns.models import Campaign, CampaignStatus, SendAllowance, SenderShare
from mailhub.mail.transports.in_memory import InMemoryServer, InMemoryTransport, Step
from tests.campaigns.conftest import Campaigns, states
from tests.pages.conftest import log_in
from tests.servers.processes import wait_until


class Senders:
    """Two accounts with a server each, and campaigns that both send."""

    def __init__(self, campaigns: Campaigns) -> None:
        self.campaigns = campaigns
        people = campaigns.people
        self.accounts = [
            people.connect_account(people.member, email_address=f"{name}@acme.example")
            for name in ("one", "two")
        ]
        self.servers = {account.pk: InMemoryServer() for account in self.accounts}

    def connect(self, campaign: Campaign) -> Callable[[], InMemoryTransport]:
        assert campaign.account is not None
        server = self.servers[campaign.account.pk]
        return lambda: InMemoryTransport(server)

    def server(self, account: EmailAccount) -> InMemoryServer:
        return self.servers[account.pk]

    def start(self, *shares: SenderShare) -> Campaign:
        changes = Changes(
            fields={"subject": "Hi", "html_body": "<p>Hi {{ first_name }}</p>"},
            everyone=True,
            senders=shares,
        )
        return launch(create_draft(self.campaigns.people.member.caller, changes))

    def sent(self) -> Counter[str]:
        """How many messages came from each address."""
        return Counter(
            str(message_from_bytes(message.content)["From"])
            for server in self.servers.values()
            for message in server.messages
        )

    def received(self) -> Counter[str]:
        return Counter(
            recipient
            for server in self.servers.values()
            for message in server.messages
            for recipient in message.envelope.recipients
        )


@pytest.fixture
def senders(campaigns: Campaigns) -> Senders:
    return Senders(campaigns)


def test_each_writes_to_its_share_from_its_own_address(senders: Senders) -> None:
    one, two = senders.accounts
    senders.campaigns.add_contacts(200)
    campaign = senders.start(
        SenderShare(account=one, weight=3),
        SenderShare(account=two, weight=1, from_email="Two <two@acme.example>"),
    )
    senders.campaigns.finish(campaign, senders.connect)
    assert senders.sent() == {"one@acme.example": 150, "Two <two@acme.example>": 50}
    assert set(senders.received().values()) == {1}


def test_one_that_cannot_send_is_left_out_and_the_other_does_its_part(senders: Senders) -> None:
    one, two = senders.accounts
    senders.campaigns.add_contacts(60)
    senders.server(one).script.answer(Step.LOGIN, "535 5.7.8 Wrong password")
    campaign = senders.start(SenderShare(account=one), SenderShare(account=two))
    senders.campaigns.finish(campaign, senders.connect)
    assert states(campaign) == {"sent": 60}
    assert senders.sent() == {"two@acme.example": 60}
    share = campaign.senders.get(account=one)
    assert "Wrong password" in share.trouble
    assert campaign.senders.get(account=two).trouble == ""


def test_where_none_can_send_the_campaign_says_so(senders: Senders) -> None:
    senders.campaigns.add_contacts(5)
    for account in senders.accounts:
        senders.server(account).script.answer(Step.LOGIN, "535 5.7.8 Wrong password")
    campaign = senders.start(*(SenderShare(account=account) for account in senders.accounts))
    senders.campaigns.finish(campaign, senders.connect)
    assert campaign.status == CampaignStatus.FAILED
    assert "Wrong password" in campaign.last_error


def test_a_resumed_campaign_asks_everybody_again(senders: Senders) -> None:
    one, two = senders.accounts
    senders.campaigns.add_contacts(5)
    campaign = senders.start(SenderShare(account=one), SenderShare(account=two))
    campaign.senders.filter(account=one).update(trouble="535")
    Campaign.objects.update(status=CampaignStatus.PAUSED)
    campaign.refresh_from_db()
    resume_campaign(campaign)
    assert not campaign.senders.exclude(trouble="").exists()


def test_what_one_may_not_send_any_more_the_other_does(senders: Senders) -> None:
    one, two = senders.accounts
    senders.campaigns.add_contacts(60)
    campaign = senders.start(
        SenderShare(account=one, rate_per_day=10), SenderShare(account=two, weight=1)
    )
    senders.campaigns.finish(campaign, senders.connect)
    assert senders.sent() == {"one@acme.example": 10, "two@acme.example": 50}
    [used] = SendAllowance.objects.filter(pk=f"account:{one.pk}")
    assert sum(used.ledger["quarters"].values()) == 10


def test_what_one_may_not_send_in_a_moment_the_other_does_within_the_campaign_s_rate(
    senders: Senders,
) -> None:
    one, two = senders.accounts
    senders.campaigns.add_contacts(5)
    campaign = senders.start(
        SenderShare(account=one, weight=3, rate_per_second=2), SenderShare(account=two, weight=1)
    )
    lanes = open_lanes(campaign, senders.connect)
    assert [grant.count for grant in divide(lanes, 4)] == [1, 3]
    assert [grant.count for grant in divide(lanes, 4)] == [0, 4]


def test_an_account_that_is_deleted_meanwhile_sends_nothing_more(senders: Senders) -> None:
    one, two = senders.accounts
    senders.campaigns.add_contacts(200)
    campaign = senders.start(
        SenderShare(account=one, rate_per_second=20), SenderShare(account=two, rate_per_second=20)
    )
    deleting = threading.Thread(target=lambda: delete_once_used(senders, one))
    deleting.start()
    campaign = senders.campaigns.finish(campaign, senders.connect)
    deleting.join()
    assert states(campaign) == {"sent": 200}
    assert set(senders.received().values()) == {1}
    assert 5 <= senders.sent()["one@acme.example"] < 80


def delete_once_used(senders: Senders, account: EmailAccount) -> None:
    try:
        wait_until(lambda: len(senders.server(account).messages) >= 5, "some are sent")
        path = f"/api/accounts/{account.pk}"
        assert senders.campaigns.people.member.api.delete(path).status_code == 204
    finally:
        connection.close()


def test_an_account_s_limit_counts_every_campaign(senders: Senders) -> None:
    one, _ = senders.accounts
    senders.campaigns.add_contacts(8)
    first = senders.start(SenderShare(account=one, rate_per_day=10))
    senders.campaigns.finish(first, senders.connect)
    second = senders.start(SenderShare(account=one, rate_per_day=10))
    senders.campaigns.work(senders.connect)
    senders.campaigns.work(senders.connect)
    assert states(second) == {"sent": 2, "queued": 6}
    second.refresh_from_db()
    assert second.paced_until is not None


def test_what_each_sent_is_told_apart_in_every_place(senders: Senders) -> None:
    people = senders.campaigns.people
    one, two = senders.accounts
    senders.campaigns.add_contacts(40)
    senders.server(two).script.answer(Step.DATA, "554 5.7.1 Not from here", times=1)
    campaign = senders.start(
        SenderShare(account=one, weight=3),
        SenderShare(account=two, weight=1, from_email="Two <news@other.example>"),
    )
    senders.campaigns.finish(campaign, senders.connect)
    rows = people.viewer.api.get(f"/api/campaigns/{campaign.campaign_id}/deliveries").json()
    by_account = Counter((row["account_id"], row["state"]) for row in rows["deliveries"])
    assert by_account == {
        (str(one.pk), "sent"): 30,
        (str(two.pk), "sent"): 9,
        (str(two.pk), "failed"): 1,
    }
    lines = people.viewer.api.get("/api/statistics?by=sender").json()["rows"]
    assert [(line["key"], line["sent"], line["failed"]) for line in lines] == [
        ("one@acme.example", 30, 0),
        ("news@other.example", 9, 1),
    ]
    browser = log_in(people.viewer)
    page = browser.get(f"/campaigns/{campaign.campaign_id}/recipients?show=failed").text
    assert "Two &lt;news@other.example&gt;" in page
    assert "one@acme.example" not in page
    file = browser.get(f"/campaigns/{campaign.campaign_id}/recipients.csv").getvalue().decode()
    found = Counter(row["sender"] for row in csv.DictReader(file.splitlines()))
    assert found == {"one@acme.example": 30, "Two <news@other.example>": 10}
    parts = browser.get(f"/campaigns/{campaign.campaign_id}/breakdown").context["senders"]
    assert [(part.name, part.recipients, part.sent, part.failed) for part in parts] == [
        ("one@acme.example", 30, 30, 0),
        ("Two <news@other.example>", 10, 9, 1),
    ]


def test_what_the_other_does_counts_for_the_other(senders: Senders) -> None:
    one, two = senders.accounts
    senders.campaigns.add_contacts(20)
    senders.server(one).script.answer(Step.LOGIN, "535 5.7.8 Wrong password")
    campaign = senders.start(SenderShare(account=one), SenderShare(account=two))
    senders.campaigns.finish(campaign, senders.connect)
    assert set(campaign.deliveries.values_list("account", flat=True)) == {two.pk}


def test_what_an_account_sent_is_known_when_the_account_is_gone(senders: Senders) -> None:
    one, two = senders.accounts
    senders.campaigns.add_contacts(4)
    campaign = senders.start(SenderShare(account=one), SenderShare(account=two))
    senders.campaigns.finish(campaign, senders.connect)
    two.delete()
    path = f"/campaigns/{campaign.campaign_id}/recipients"
    page = log_in(senders.campaigns.people.viewer).get(path).text
    assert (page.count("one@acme.example"), page.count("an account that was removed")) == (2, 2)


def test_a_campaign_by_one_account_names_it(senders: Senders) -> None:
    people, one = senders.campaigns.people, senders.accounts[0]
    senders.campaigns.add_contacts(2)
    fields = {"subject": "Hi", "html_body": "<p>Hi</p>", "from_email": "one@acme.example"}
    changes = Changes(fields=fields, everyone=True, account=one)
    campaign = launch(create_draft(people.member.caller, changes))
    senders.campaigns.finish(campaign, senders.connect)
    rows = people.viewer.api.get(f"/api/campaigns/{campaign.campaign_id}/deliveries").json()
    assert {row["account_id"] for row in rows["deliveries"]} == {str(one.pk)}
