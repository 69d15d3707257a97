"""The first page after the login."""

from __future__ import annotations

from playwright.sync_api import expect

from accounts.models import Membership, Role
from campaigns.models import CampaignStatus, DeliveryState
from contacts.models import Contact, ImportJob, ImportStatus
from mailboxes.models import OutboxState, SyncRun, SyncState
from tests.browser.conftest import Desk
from tests.mailboxes.outgoing import put_out
from tests.pages.mailings import make_campaign, settle
from tests.people import People


def test_a_newcomer_is_led_on(members_desk: Desk, people: People) -> None:
    page = members_desk.page
    expect(page.locator(".step-next h3")).to_have_text("Connect a mail account")
    members_desk.look("home-newcomer")
    people.connect_account(people.member)
    Contact.objects.create(tenant=people.tenant, email="ann@example.com")
    members_desk.open("/")
    expect(page.locator(".step-next h3")).to_have_text("Send a campaign")
    expect(page.locator(".step-done")).to_have_count(2)


def test_what_runs_and_what_needs_attention(members_desk: Desk, people: People) -> None:
    account = people.connect_account(people.member)
    SyncRun.objects.create(
        account=account, state=SyncState.RUNNING, messages_done=300, messages_total=1000
    )
    people.connect_account(
        people.member,
        email_address="old@acme.example",
        is_enabled=False,
        disabled_reason="535 5.7.8 Authentication credentials invalid",
    )
    ImportJob.objects.create(
        tenant=people.tenant,
        filename="people.csv",
        status=ImportStatus.IN_PROGRESS,
        total=1000,
        imported=420,
        failed=30,
    )
    make_campaign(
        people.member,
        name="Summer letter",
        status=CampaignStatus.PAUSED,
        queued=1,
        last_error="454 4.7.0 Too many messages today",
    )
    put_out(people.member, "Offer", OutboxState.DEAD, reply="452 4.2.2 The mailbox is full")
    put_out(people.member, "Invoice", OutboxState.UNCERTAIN, reply="The connection was lost.")
    running = make_campaign(people.member, sent=10, failed=1, queued=20)
    Membership.objects.create(
        tenant=people.other_tenant, user=people.member.user, name="mary", role=Role.VIEWER
    )
    page = members_desk.open("/")
    expect(page.get_by_text("10 of 31 sent")).to_be_visible()
    expect(page.get_by_text("535 5.7.8 Authentication credentials invalid")).to_be_visible()
    expect(page.get_by_text("300 of 1,000 messages")).to_be_visible()
    expect(page.get_by_text("450 of 1,000 rows")).to_be_visible()
    members_desk.look("home")
    settle(running, DeliveryState.SENT, 5)
    expect(page.get_by_text("15 of 31 sent")).to_be_visible()
