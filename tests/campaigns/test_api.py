"""The campaign endpoints: what they take, refuse and answer."""

from __future__ import annotations

import base64
from datetime import timedelta
from email import message_from_bytes
from email.policy import default
from typing import Any

import pytest
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from pytest_django.fixtures import Settings

from accounts.models import AccountEncryption
from campaigns.models import Campaign, CampaignAttachment, Delivery, SendShift
from campaigns.servers import way_of
from contacts.models import Contact
from tests.campaigns.conftest import Campaigns
from tests.people import People
from tests.servers.smtp import SmtpReceiver


def payload(**fields: Any) -> dict[str, Any]:
    """As in the documents, by a server on loopback that nobody talks to."""
    values = {
        "subject": "Welcome {{first_name}}!",
        "body": "<h1>Hello {{first_name}}</h1>",
        "campaign_name": "Welcome Campaign",
        "from_email": "sender@example.org",
        "smtp_server": "127.0.0.1",
        "smtp_port": 2525,
        "smtp_encryption": "none",
        "smtp_username": "user@example.org",
        "smtp_password": "app-password",
        "attachments": [
            {
                "filename": "document.pdf",
                "content": base64.b64encode(b"%PDF-1.4 hello").decode(),
                "content_type": "application/pdf",
            }
        ],
        **fields,
    }
    return {name: value for name, value in values.items() if value is not None}


def test_the_documents_example_is_sent_with_its_attachment(
    campaigns: Campaigns, start_smtp_receiver: Any
) -> None:
    receiver: SmtpReceiver = start_smtp_receiver(users={"user@example.org": "app-password"})
    campaigns.add_contacts(30)
    api = campaigns.people.member.api
    answer = api.post("/api/smtp-campaign", payload(smtp_port=receiver.port))
    assert answer.status_code == 202, answer.json()
    started = answer.json()
    campaign = Campaign.objects.get()
    assert started == {
        "campaign_id": campaign.campaign_id,
        "status": "pending",
        "total_contacts": 30,
        "status_url": f"http://localhost:8000/api/campaign-status/{campaign.campaign_id}",
        "progress_url": f"http://localhost:8000/campaigns/{campaign.campaign_id}",
    }
    assert started["campaign_id"].startswith("campaign_")
    before = api.get(f"/api/campaign-status/{campaign.campaign_id}").json()
    assert (before["status"], before["remaining_count"]) == ("pending", 30)
    campaigns.finish(campaign, way_of)
    status = api.get(f"/v1/campaign-status/{campaign.campaign_id}").json()
    assert status["status"] == "completed"
    assert status["campaign_name"] == "Welcome Campaign"
    assert (status["total_contacts"], status["sent_count"], status["failed_count"]) == (30, 30, 0)
    assert parse_datetime(status["created_at"]) == campaign.created_at
    assert len({message.envelope.recipients[0] for message in receiver.messages}) == 30
    message = message_from_bytes(receiver.messages[0].content, policy=default)
    assert message["Subject"].startswith("Welcome First")
    [attachment] = message.iter_attachments()
    assert attachment.get_filename() == "document.pdf"
    assert attachment.get_content() == b"%PDF-1.4 hello"
    deliveries = api.get(f"/api/campaigns/{campaign.campaign_id}/deliveries?state=sent&limit=20")
    page = deliveries.json()
    assert len(page["deliveries"]) == 20
    assert page["next_cursor"]
    assert page["deliveries"][0]["reply"].startswith("250")


def test_the_password_is_sealed_while_it_runs_and_erased_afterwards(
    campaigns: Campaigns, start_smtp_receiver: Any
) -> None:
    receiver: SmtpReceiver = start_smtp_receiver(users={"user@example.org": "another"})
    campaigns.add_contacts(1)
    answer = campaigns.people.member.api.post(
        "/api/smtp-campaign", payload(smtp_port=receiver.port)
    )
    assert "app-password" not in answer.content.decode()
    campaign = Campaign.objects.get()
    assert campaign.reveal_smtp_password() == "app-password"
    row = Campaign.objects.values().get()
    assert not any("app-password" in str(value) for value in row.values())
    campaign = campaigns.finish(campaign, way_of)
    assert campaign.status == "failed"
    assert campaign.last_error.startswith("535")
    assert not campaign.smtp_password
    assert not receiver.messages


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"subject": "Hello\r\nBcc: all@example.com"}, "subject"),
        ({"from_email": "a@b.example\r\nBcc: c@d.example"}, "from_email"),
        ({"from_email": "nobody"}, "from_email"),
        ({"from_email": None}, "from_email"),
        ({"reply_to": "a@b.example, c@d.example"}, "reply_to"),
        ({"campaign_name": "x\ny"}, "campaign_name"),
        ({"body": None}, "body"),
        ({"headers": {"X-A": "b\r\nBcc: c@d.example"}}, "headers"),
        ({"headers": {"Bcc": "c@d.example"}}, "headers"),
        ({"emails": ["a@b.example", "nonsense"]}, "emails"),
        ({"emails": []}, "emails"),
        ({"smtp_encryption": "ssl"}, "smtp_encryption"),
        ({"smtp_port": 70_000}, "smtp_port"),
        ({"smtp_server": None}, "smtp_server"),
        ({"smtp_server": "a b"}, "smtp_server"),
        ({"smtp_server": "[smtp.example.org]"}, "smtp_server"),
        ({"smtp_server": "smtp.example.org:25"}, "smtp_server"),
        ({"smtp_server": "http://smtp.example.org"}, "smtp_server"),
        ({"smtp_server": "a..b"}, "smtp_server"),
        ({"account_id": "5ff7bb1c-3f4d-4e39-9d1c-7ac4f6d33f9f"}, "smtp_server"),
        ({"list_ids": [1]}, "list_ids"),
        ({"segment": {}}, "segment"),
        ({"rate_limit": 5}, "rate_limit"),
        ({"tracking": {"pixels": True}}, "tracking"),
        ({"scheduled_at": "tomorrow"}, "scheduled_at"),
        ({"attachments": [{"filename": "a.txt", "content": "not base64!"}]}, "attachments"),
        ({"attachments": [{"filename": "a\r\nb.txt", "content": ""}]}, "attachments"),
    ],
)
def test_bad_input_is_refused_by_name_and_nothing_is_stored(
    people: People, fields: dict[str, Any], field: str
) -> None:
    Contact.objects.create(tenant=people.tenant, email="a@example.com")
    answer = people.member.api.post("/api/smtp-campaign", payload(**fields))
    assert answer.status_code == 400
    assert field in answer.json()["details"]["fields"]
    assert nothing_is_stored()


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("[::1]", "::1"),
        (" SMTP.Example.ORG. ", "smtp.example.org"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("there-is-no-such-host.invalid", "there-is-no-such-host.invalid"),
    ],
)
def test_a_host_is_stored_as_it_goes_on_the_wire(people: People, given: str, stored: str) -> None:
    Contact.objects.create(tenant=people.tenant, email="a@example.com")
    answer = people.member.api.post("/api/smtp-campaign", payload(smtp_server=given))
    assert answer.status_code == 202, answer.json()
    assert Campaign.objects.get().smtp_host == stored


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"smtp_server": "10.0.0.1"}, 400, "host_not_allowed"),
        ({"smtp_server": "169.254.169.254"}, 400, "host_not_allowed"),
        (
            {"attachments": [{"filename": "run.EXE. ", "content": "AAAA"}]},
            400,
            "attachment_refused",
        ),
        ({"attachments": [{"filename": "big.bin", "content": "AAAA" * 700}]}, 413, "too_large"),
        ({"subject": "{{ unclosed"}, 400, "template_error"),
    ],
)
def test_what_must_not_be_sent_is_refused(
    people: People, settings: Settings, fields: dict[str, Any], status: int, code: str
) -> None:
    settings.MAILHUB_MESSAGE_LIMIT = 2_000
    Contact.objects.create(tenant=people.tenant, email="a@example.com")
    answer = people.member.api.post("/api/smtp-campaign", payload(**fields))
    assert (answer.status_code, answer.json()["error"]) == (status, code)
    assert nothing_is_stored()


def test_a_syntax_error_says_where(people: People) -> None:
    answer = people.member.api.post("/api/smtp-campaign", payload(body="<p>\n  {% nonsense %}</p>"))
    details = answer.json()["details"]
    assert (answer.status_code, details["line"], details["column"]) == (400, 2, 3)
    assert list(details["fields"]) == ["body"]


def test_nobody_to_write_to(people: People) -> None:
    answer = people.member.api.post("/api/smtp-campaign", payload())
    assert (answer.status_code, answer.json()["error"]) == (400, "no_recipients")


def test_addresses_are_written_to_once_contacts_or_not(campaigns: Campaigns) -> None:
    campaigns.add_contacts(2)
    emails = ["New@Example.com", "new@example.com", "person1@example.com"]
    answer = campaigns.people.member.api.post("/api/smtp-campaign", payload(emails=emails))
    assert answer.json()["total_contacts"] == 2
    campaigns.finish(Campaign.objects.get())
    assert campaigns.received() == {"new@example.com": 1, "person1@example.com": 1}
    contacts = Delivery.objects.order_by("pk").values_list("contact__email", flat=True)
    assert list(contacts) == [None, "person1@example.com"]


def test_the_same_key_starts_one_campaign(campaigns: Campaigns) -> None:
    campaigns.add_contacts(1)
    api = campaigns.people.member.api
    first = api.post("/api/smtp-campaign", payload(), HTTP_IDEMPOTENCY_KEY="k")
    again = api.post("/api/smtp-campaign", payload(), HTTP_IDEMPOTENCY_KEY="k")
    assert again.json() == first.json()
    assert again["Idempotent-Replayed"] == "true"
    assert Campaign.objects.count() == 1


def test_it_goes_by_an_account_that_the_caller_may_send_from(
    campaigns: Campaigns, start_smtp_receiver: Any
) -> None:
    people = campaigns.people
    address = "mary@acme.example"
    receiver: SmtpReceiver = start_smtp_receiver(users={address: "correct horse"})
    account = people.connect_account(
        people.member, smtp_port=receiver.port, smtp_encryption=AccountEncryption.NONE
    )
    people.delegate(account, people.reader)
    campaigns.add_contacts(2)
    by_account = payload(
        account_id=str(account.pk),
        from_email=None,
        **dict.fromkeys(
            ("smtp_server", "smtp_port", "smtp_encryption", "smtp_username", "smtp_password")
        ),
    )
    for person in (people.teammate, people.reader, people.admin):
        answer = person.api.post("/api/smtp-campaign", by_account)
        assert answer.status_code == 400
        assert "account_id" in answer.json()["details"]["fields"]
    assert people.member.api.post("/api/smtp-campaign", by_account).status_code == 202
    campaign = campaigns.finish(Campaign.objects.get(), way_of)
    assert campaign.status == "completed"
    assert {message.envelope.sender for message in receiver.messages} == {address}


def test_without_a_server_it_goes_by_the_installations(
    campaigns: Campaigns, smtp_receiver: SmtpReceiver, settings: Settings
) -> None:
    campaigns.add_contacts(2)
    bare = payload(
        **dict.fromkeys(
            ("smtp_server", "smtp_port", "smtp_encryption", "smtp_username", "smtp_password")
        )
    )
    api = campaigns.people.member.api
    settings.SMTP_SERVER = ""
    assert api.post("/api/smtp-campaign", bare).json()["error"] == "no_mail_server"
    settings.SMTP_SERVER, settings.SMTP_PORT = "127.0.0.1", smtp_receiver.port
    settings.SMTP_ENCRYPTION, settings.MAILHUB_ALLOWED_NETWORKS = "none", []
    assert api.post("/api/smtp-campaign", bare).status_code == 202
    campaigns.finish(Campaign.objects.get(), way_of)
    assert len(smtp_receiver.messages) == 2


def test_a_scheduled_campaign_waits_for_its_time(campaigns: Campaigns) -> None:
    campaigns.add_contacts(2)
    later = (timezone.now() + timedelta(hours=1)).isoformat()
    answer = campaigns.people.member.api.post("/api/smtp-campaign", payload(scheduled_at=later))
    assert answer.json()["status"] == "scheduled"
    assert not SendShift.objects.exists()
    campaign = Campaign.objects.get()
    Campaign.objects.update(scheduled_at=timezone.now())
    assert campaigns.finish(campaign).status == "completed"


def test_pause_resume_and_cancel(campaigns: Campaigns) -> None:
    campaigns.add_contacts(2)
    api = campaigns.people.member.api
    path = f"/api/campaigns/{api.post('/api/smtp-campaign', payload()).json()['campaign_id']}"
    assert api.post(f"{path}/pause").json()["status"] == "paused"
    refused = api.post(f"{path}/pause")
    assert (refused.status_code, refused.json()["error"]) == (409, "campaign_status")
    assert api.post(f"{path}/resume").json()["status"] == "pending"
    assert api.post(f"{path}/cancel").json()["status"] == "cancelled"
    assert api.post(f"{path}/resume").status_code == 409
    assert not Campaign.objects.get().smtp_password


def test_lists_and_details_show_no_secret(campaigns: Campaigns) -> None:
    campaigns.add_contacts(2)
    api = campaigns.people.member.api
    for _ in range(3):
        assert api.post("/api/smtp-campaign", payload()).status_code == 202
    page = api.get("/api/campaigns?limit=2").json()
    assert [each["total_contacts"] for each in page["campaigns"]] == [2, 2]
    rest = api.get(f"/api/campaigns?limit=2&cursor={page['next_cursor']}").json()
    assert len(rest["campaigns"]) == 1
    assert rest["next_cursor"] is None
    assert api.get("/api/campaigns?status=completed").json()["campaigns"] == []
    assert api.get("/api/campaigns?status=nonsense").status_code == 400
    one = api.get(f"/api/campaigns/{page['campaigns'][0]['campaign_id']}")
    assert one.json()["subject"] == "Welcome {{first_name}}!"
    assert "password" not in one.content.decode()


def test_who_may_do_what(campaigns: Campaigns) -> None:
    campaigns.add_contacts(1)
    people = campaigns.people
    created = people.member.api.post("/api/smtp-campaign", payload()).json()
    status, path = created["status_url"], f"/api/campaigns/{created['campaign_id']}"
    for person in (people.viewer, people.teammate, people.admin, people.owner):
        assert person.api.get(status).status_code == 200
        assert person.api.get(path).status_code == 200
        assert person.api.get(f"{path}/deliveries").status_code == 200
    for person in (people.stranger, people.namesake):
        for address in (status, path, f"{path}/deliveries"):
            assert person.api.get(address).status_code == 404
        assert person.api.post(f"{path}/cancel").status_code == 404
        assert person.api.get("/api/campaigns").json()["campaigns"] == []
    assert people.viewer.api.post("/api/smtp-campaign", payload()).status_code == 403
    assert people.viewer.api.post(f"{path}/pause").status_code == 403
    assert people.service_acting_for(people.member).post(f"{path}/pause").status_code == 200


def nothing_is_stored() -> bool:
    """No campaign, no file, nobody to work on it."""
    tables = (Campaign, CampaignAttachment, Delivery, SendShift)
    return not any(table._default_manager.exists() for table in tables)
