"""Files beside messages: one content is held once, and goes when nothing names it."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from campaigns.models import Campaign, CampaignAttachment, StoredFile
from campaigns.tasks import drop_unused_files
from mailhub.mail.message import Attachment
from tests.campaigns.conftest import Campaigns

LOGO = Attachment("logo.png", b"\x89PNG same octets", "image/png", "logo", inline=True)


def age_files() -> None:
    StoredFile.objects.update(used_at=timezone.now() - timedelta(hours=25))


def test_the_same_content_is_held_once(campaigns: Campaigns) -> None:
    campaigns.add_contacts(1)
    renamed = Attachment("copy.png", LOGO.content, "image/png")
    first = campaigns.create(attachments=(LOGO, renamed))
    campaigns.create(attachments=(LOGO,), html_body='<img src="cid:logo" alt="">')
    assert StoredFile.objects.count() == 1
    assert CampaignAttachment.objects.count() == 3
    assert [row.content_id for row in first.attachments.all()] == ["logo", ""]


def test_a_file_goes_a_day_after_its_last_use(campaigns: Campaigns) -> None:
    campaigns.add_contacts(1)
    campaign = campaigns.create(attachments=(LOGO,))
    age_files()
    drop_unused_files()
    assert StoredFile.objects.count() == 1
    Campaign.objects.filter(pk=campaign.pk).delete()
    StoredFile.objects.update(used_at=timezone.now())
    drop_unused_files()
    assert StoredFile.objects.count() == 1
    age_files()
    drop_unused_files()
    assert not StoredFile.objects.exists()


def test_an_image_of_the_html_is_sent_beside_it(campaigns: Campaigns) -> None:
    campaigns.add_contacts(2)
    campaign = campaigns.create(
        attachments=(LOGO,), html_body='<p><img src="cid:logo" alt="Us"></p>'
    )
    campaigns.finish(campaign)
    content = campaigns.server.messages[0].content
    assert b"multipart/related" in content
    assert b"Content-ID: <logo>" in content


def test_a_deleted_tenant_takes_its_files_along(campaigns: Campaigns) -> None:
    campaigns.add_contacts(1)
    campaigns.create(attachments=(LOGO,))
    campaigns.people.tenant.delete()
    assert not StoredFile.objects.exists()


def test_a_file_without_a_type_is_what_its_name_says(campaigns: Campaigns) -> None:
    campaigns.add_contacts(1)
    files = [
        {"filename": "logo.png", "content": "AAAA", "content_id": "logo"},
        {"filename": "terms.unheard", "content": "AAAA"},
        {"filename": "notes.txt", "content": "AAAA", "content_type": "text/x-notes"},
    ]
    made = campaigns.people.member.api.post("/api/campaigns", {"attachments": files})
    assert made.status_code == 201, made.json()
    rows = CampaignAttachment.objects.values_list("content_type", flat=True)
    assert list(rows) == ["image/png", "application/octet-stream", "text/x-notes"]
