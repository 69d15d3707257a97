"""Campaigns over Amazon SES: the documents' call, its limits, and what is lost: nothing."""

from __future__ import annotations

import base64
from datetime import timedelta
from email import message_from_bytes
from email.policy import default
from typing import Any

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from accounts.event_webhooks import add_webhook
from accounts.models import Credential, CredentialKind, EmailAccount, Event, SesQuota
from campaigns.models import Campaign, Delivery
from campaigns.servers import way_of
from campaigns.tasks import revive_campaigns
from mailhub.mail.transports.in_memory import Disturbance, Step
from tests.campaigns.conftest import Campaigns, states
from tests.servers.aws import MotoServer
from tests.servers.ses import FAILED, KEYS, REGION, Limits, Refusal, SesFake


@pytest.fixture
def ses(ses_fake: SesFake, settings: Settings) -> SesFake:
    """The installation's own account of SES."""
    settings.AWS_SES_REGION_NAME, settings.AWS_SES_REGION_ENDPOINT_URL = REGION, ses_fake.url
    settings.AWS_SES_ACCESS_KEY_ID = KEYS.access_key_id
    settings.AWS_SES_SECRET_ACCESS_KEY = KEYS.secret_access_key
    settings.AWS_SES_CONFIGURATION_SET = "mailhub"
    settings.MAILHUB_MAIL_TIMEOUT = 0.5
    return ses_fake


def payload(**fields: Any) -> dict[str, Any]:
    """As in the documents."""
    return {
        "subject": "Welcome {{first_name}}!",
        "body": "<h1>Hello {{first_name}}</h1>",
        "campaign_name": "SES Welcome Campaign",
        "from_email": "verified-sender@example.org",
        "attachments": [
            {
                "filename": "welcome.pdf",
                "content": base64.b64encode(b"%PDF-1.4 hello").decode(),
                "content_type": "application/pdf",
            }
        ],
        **fields,
    }


def start(campaigns: Campaigns, **fields: Any) -> Campaign:
    answer = campaigns.people.member.api.post("/api/ses-campaign", payload(**fields))
    assert answer.status_code == 202, answer.json()
    return Campaign.objects.get(campaign_id=answer.json()["campaign_id"])


def add_ses_account(campaigns: Campaigns) -> EmailAccount:
    """An account of the member's that sends by SES with keys of its own."""
    member = campaigns.people.member
    account = campaigns.people.connect_account(member)
    keys = Credential(tenant=account.tenant, user=account.user, kind=CredentialKind.AWS)
    keys.keep_secret(
        {"access_key_id": KEYS.access_key_id, "secret_access_key": KEYS.secret_access_key}
    )
    keys.save()
    account.aws_credential, account.ses_region = keys, REGION
    account.ses_configuration_set = "theirs"
    account.save()
    return account


def test_the_documents_example_is_sent_by_ses(campaigns: Campaigns, ses: SesFake) -> None:
    campaigns.add_contacts(30)
    campaign = start(campaigns)
    assert campaign.campaign_id.startswith("ses_campaign_")
    assert campaigns.finish(campaign, way_of).status == "completed"
    status = campaigns.people.member.api.get(f"/api/campaign-status/{campaign.campaign_id}").json()
    assert (status["sent_count"], status["failed_count"]) == (30, 0)
    assert len(ses.accepted) == 30
    first = ses.accepted[0]
    assert first.configuration_set == "mailhub"
    assert first.tags == {"tenant": "acme", "campaign": campaign.campaign_id}
    [recipient] = first.received.envelope.recipients
    message = message_from_bytes(first.received.content, policy=default)
    assert message["To"].addresses[0].addr_spec == recipient
    [file] = message.iter_attachments()
    assert (file.get_filename(), file.get_content()) == ("welcome.pdf", b"%PDF-1.4 hello")
    kept = dict(Delivery.objects.values_list("email", "provider_id"))
    assert kept == {each.received.envelope.recipients[0]: each.message_id for each in ses.accepted}


def test_over_moto_as_well(
    campaigns: Campaigns, ses: SesFake, aws: MotoServer, settings: Settings
) -> None:
    settings.AWS_SES_REGION_ENDPOINT_URL = aws.url
    settings.AWS_SES_CONFIGURATION_SET = ""
    settings.MAILHUB_MAIL_TIMEOUT = 10.0
    aws.client("sesv2").create_email_identity(EmailIdentity="example.org")
    campaigns.add_contacts(3)
    campaign = campaigns.finish(start(campaigns), way_of)
    assert (campaign.status, states(campaign)) == ("completed", {"sent": 3})
    assert all(Delivery.objects.values_list("provider_id", flat=True))


def test_an_account_sends_with_keys_and_a_configuration_set_of_its_own(
    campaigns: Campaigns, ses: SesFake, settings: Settings
) -> None:
    account = add_ses_account(campaigns)
    settings.AWS_SES_ACCESS_KEY_ID = settings.AWS_SES_SECRET_ACCESS_KEY = "nobody"
    campaigns.add_contacts(3)
    body = payload(account_id=str(account.pk))
    del body["from_email"]
    for name in ("ses-campaign", "smtp-campaign"):
        answer = campaigns.people.member.api.post(f"/api/{name}", body)
        assert answer.status_code == 202, answer.json()
        campaign = Campaign.objects.get(campaign_id=answer.json()["campaign_id"])
        assert campaigns.finish(campaign, way_of).status == "completed"
    assert {each.configuration_set for each in ses.accepted} == {"theirs"}
    assert {each.received.envelope.sender for each in ses.accepted} == {account.email_address}


def test_what_cannot_go_by_ses_is_refused(
    campaigns: Campaigns, ses: SesFake, settings: Settings
) -> None:
    campaigns.add_contacts(1)
    api = campaigns.people.member.api
    account = campaigns.people.connect_account(campaigns.people.member)
    answer = api.post("/api/ses-campaign", payload(account_id=str(account.pk)))
    assert answer.status_code == 400
    assert "account_id" in answer.json()["details"]["fields"]
    assert api.post("/api/ses-campaign", payload(smtp_server="x.example")).status_code == 400
    large = {"filename": "a.pdf", "content": base64.b64encode(bytes(8 << 20)).decode()}
    assert api.post("/api/ses-campaign", payload(attachments=[large])).status_code == 413
    settings.AWS_SES_REGION_NAME = ""
    assert api.post("/api/ses-campaign", payload()).json()["error"] == "no_ses_region"
    assert not Campaign.objects.exists()


def test_throttling_and_failures_lose_nobody(campaigns: Campaigns, ses: SesFake) -> None:
    ses.throttle_share = 0.2
    ses.answers.extend([FAILED] * 10)
    campaigns.add_contacts(60)
    campaign = campaigns.finish(start(campaigns), way_of)
    assert states(campaign) == {"sent": 60}
    assert ses.throttled
    assert len({each.received.envelope.recipients for each in ses.accepted}) == 60
    assert len(ses.accepted) == 60


def test_a_lost_answer_after_the_message_leaves_it_uncertain(
    campaigns: Campaigns, ses: SesFake
) -> None:
    campaigns.add_contacts(20)
    for number in (3, 11):
        recipient = f"person{number}@example.com"
        ses.script.answer(Step.CONTENT, Disturbance.ACCEPT_AND_DROP, address=recipient)
    campaign = campaigns.finish(start(campaigns), way_of)
    assert states(campaign) == {"sent": 18, "uncertain": 2}
    assert len(ses.accepted) == 20


def test_a_used_up_quota_pauses_until_it_frees_and_says_so(
    campaigns: Campaigns, ses: SesFake
) -> None:
    add_webhook(
        campaigns.people.admin.caller, url="http://127.0.0.1:9/hook", events=["campaign.paused"]
    )
    ses.limits = Limits(rate=200, daily=4)
    campaigns.add_contacts(10)
    campaign = start(campaigns)
    campaigns.work(way_of)
    revive_campaigns()
    campaigns.work(way_of)
    campaign.refresh_from_db()
    assert campaign.status == "paused"
    assert campaign.resumes_at is not None and campaign.resumes_at > timezone.now()
    api = campaigns.people.member.api
    status = api.get(f"/api/campaign-status/{campaign.campaign_id}").json()
    assert "Some of it is free at" in status["last_error"]
    assert status["resumes_at"]
    assert (status["sent_count"], status["remaining_count"]) == (4, 6)
    # Asked again in vain: nobody is told twice, and no try is used up.
    Campaign.objects.update(resumes_at=timezone.now())
    revive_campaigns()
    campaigns.work(way_of)
    campaign.refresh_from_db()
    assert campaign.status == "paused"
    assert Event.objects.filter(type="campaign.paused").count() == 1
    assert len(ses.accepted) == 4
    # A day later.
    ses.limits = Limits(rate=200, daily=100)
    SesQuota.objects.update(read_due_at=timezone.now() - timedelta(seconds=1))
    Campaign.objects.update(resumes_at=timezone.now())
    campaign = campaigns.finish(campaign, way_of)
    assert (campaign.status, states(campaign)) == ("completed", {"sent": 10})
    assert campaign.last_error == "" and campaign.resumes_at is None
    assert set(Delivery.objects.values_list("attempts", flat=True)) == {1}


def test_whoever_resumes_it_after_the_quota_was_raised_has_it_go_on(
    campaigns: Campaigns, ses: SesFake
) -> None:
    ses.limits = Limits(rate=200, daily=4)
    campaigns.add_contacts(10)
    campaign = start(campaigns)
    campaigns.work(way_of)
    revive_campaigns()
    campaigns.work(way_of)
    campaign.refresh_from_db()
    assert campaign.status == "paused"
    ses.limits = Limits(rate=200, daily=100)
    api = campaigns.people.member.api
    answer = api.post(f"/api/campaigns/{campaign.campaign_id}/resume")
    assert answer.status_code == 200, answer.json()
    campaign = campaigns.finish(campaign, way_of)
    assert (campaign.status, states(campaign)) == ("completed", {"sent": 10})


def test_a_quota_that_ses_alone_knows_of_costs_nobody_and_leaves_nobody_uncertain(
    campaigns: Campaigns, ses: SesFake
) -> None:
    ses.answers.append(Refusal(400, "ThrottlingException", "Daily message quota exceeded."))
    campaigns.add_contacts(1)
    campaign = start(campaigns)
    campaigns.work(way_of)
    revive_campaigns()
    campaigns.work(way_of)
    campaign.refresh_from_db()
    assert campaign.status == "paused"
    assert states(campaign) == {"deferred": 1}
    assert Delivery.objects.get().attempts == 0


def test_whoever_pauses_it_meanwhile_keeps_it_paused(campaigns: Campaigns, ses: SesFake) -> None:
    ses.limits = Limits(rate=200, daily=1)
    campaigns.add_contacts(3)
    campaign = start(campaigns)
    campaigns.work(way_of)
    campaigns.work(way_of)
    api = campaigns.people.member.api
    answer = api.post(f"/api/campaigns/{campaign.campaign_id}/pause")
    assert answer.status_code == 200, answer.json()
    assert answer.json()["resumes_at"] is None
    revive_campaigns()
    campaign.refresh_from_db()
    assert campaign.status == "paused"


def test_keys_that_aws_does_not_know_fail_it_and_leave_nobody_uncertain(
    campaigns: Campaigns, ses: SesFake, settings: Settings
) -> None:
    settings.AWS_SES_ACCESS_KEY_ID = "AKIASTRANGER"
    campaigns.add_contacts(5)
    campaign = campaigns.finish(start(campaigns), way_of)
    assert campaign.status == "failed"
    assert "uncertain" not in states(campaign)
    assert "security token included in the request is invalid" in campaign.last_error
