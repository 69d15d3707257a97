"""The delivery log as a person uses it, over a mail server that says what it is told to."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Browser, expect
from pytest_django.fixtures import Settings
from pytest_django.live_server_helper import LiveServer

from accounts.models import EmailAccount
from mailboxes.models import DeliveryReport, OutboxMessage, OutboxState
from mailboxes.outbox.sending import send_due
from mailhub.mail.transports.in_memory import Disturbance, Step
from tests.browser.conftest import Desk, enter
from tests.mailboxes.outgoing import put_out
from tests.people import People
from tests.servers.smtp import SmtpReceiver


@pytest.fixture
def account(people: People, smtp_receiver: SmtpReceiver, settings: Settings) -> EmailAccount:
    """Mary's, which sends by the receiver."""
    settings.MAILHUB_MAIL_TIMEOUT = 2.0
    account = people.connect_account(
        people.member, smtp_port=smtp_receiver.port, smtp_encryption="none", protocol="pop3"
    )
    smtp_receiver.users = {account.username: "correct horse"}
    return account


def test_empty_lists(members_desk: Desk) -> None:
    page = members_desk.page
    page.get_by_role("link", name="Delivery log").click()
    expect(page.get_by_text("Nothing was sent yet")).to_be_visible()
    members_desk.look("delivery-empty")
    for name in ("Outbox", "Scheduled", "Dead letters"):
        page.locator("#shelves").get_by_role("link", name=name).click()
        expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible()
    members_desk.look("delivery-dead-letters-empty")


def test_the_log_and_what_is_looked_for_in_it(
    members_desk: Desk, people: People, account: EmailAccount
) -> None:
    people.connect_account(people.member, email_address="sales@acme.example")
    put_out(people.member, "Order 17", OutboxState.SENT, reply="250 2.0.0 Ok: queued as 4XyZ")
    put_out(
        people.member,
        "The minutes of Thursday, with everything that was said about the roof and the garden",
        OutboxState.SENT,
        account=account,
        to=("ann@example.org", "no@example.org", "cy@example.org", "di@example.org"),
        accepted=["ann@example.org", "cy@example.org", "di@example.org"],
        refused={"no@example.org": "550 5.1.1 No such user here"},
        reply="250 2.0.0 Ok: queued as 4XyZ",
    )
    put_out(
        people.member,
        "Offer",
        OutboxState.DEFERRED,
        account=account,
        reply="451 4.7.1 Greylisted, come back later; see https://example.org/greylisting?id=4711",
    )
    put_out(people.member, "Invoice", OutboxState.UNCERTAIN, reply="The connection was lost.")
    put_out(people.member, "", OutboxState.CANCELLED)
    put_out(people.member, "Next week", OutboxState.SCHEDULED, account=account)
    page = members_desk.open("/delivery")
    expect(page.get_by_text("1 of 4 refused")).to_be_visible()
    members_desk.look("delivery-log")
    page.get_by_label("Address of a recipient or sender").fill("no@example.org")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_role("link", name="The minutes of Thursday").click()
    expect(page.get_by_text("550 5.1.1 No such user here")).to_be_visible()
    members_desk.look("delivery-message")
    page.go_back()
    page.get_by_role("link", name="Cancelled").click()
    expect(page.get_by_text("No message here is like that.")).to_be_visible()
    page.get_by_role("link", name="Show all of Email log").click()
    expect(page.locator("tbody tr")).to_have_count(6)
    page.locator("#shelves").get_by_role("link", name="Outbox").click()
    expect(page.locator("tbody tr")).to_have_count(2)
    members_desk.look("delivery-outbox")


def test_what_is_under_way_moves_by_itself_and_keeps_what_is_chosen(
    members_desk: Desk, people: People, account: EmailAccount, smtp_receiver: SmtpReceiver
) -> None:
    smtp_receiver.script.answer(Step.RCPT, "550 5.1.1 No such user", address="no@example.org")
    put_out(people.member, "Wrong", account=account, to=("no@example.org",))
    put_out(people.member, "Right", account=account)
    put_out(people.member, "Held", OutboxState.UNCERTAIN)
    page = members_desk.open("/delivery/outbox")
    expect(page.locator("tbody tr")).to_have_count(3)
    page.get_by_label("Choose Held").check()
    expect(page.get_by_text("1 chosen")).to_be_visible()
    send_due()
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.get_by_label("Choose Held")).to_be_checked()
    expect(page.get_by_text("1 chosen")).to_be_visible()
    expect(page.locator("#to-dead-letters")).to_have_text("Dead letters 1")
    # One message's page moves as well.
    later = put_out(people.member, "Later", account=account)
    members_desk.open(f"/delivery/messages/{later.pk}")
    expect(page.get_by_text("It was not tried yet.")).to_be_visible()
    send_due()
    expect(page.get_by_text("Accepted")).to_be_visible()


def test_dead_letters_one_by_one_and_several_at_once(
    members_desk: Desk, people: People, account: EmailAccount, smtp_receiver: SmtpReceiver
) -> None:
    smtp_receiver.script.answer(Step.CONTENT, "554 5.7.1 We do not like it", times=4)
    for number in range(4):
        put_out(people.member, f"Letter {number}", account=account)
    send_due()
    page = members_desk.open("/")
    expect(page.get_by_text("4 messages reached nobody")).to_be_visible()
    page.get_by_role("link", name="Send them again, or delete them").click()
    page.get_by_label("Choose Letter 1").check()
    page.get_by_label("Choose Letter 2").check()
    expect(page.get_by_text("2 chosen")).to_be_visible()
    members_desk.look("delivery-dead-letters")
    page.get_by_role("button", name="Requeue").click()
    expect(page.get_by_text("2 messages queued again.")).to_be_visible()
    send_due()
    assert len(smtp_receiver.messages) == 2
    page.get_by_role("link", name="Letter 3").click()
    members_desk.look("delivery-dead-letter")
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", name="Delete 1 dead letter?")).to_be_visible()
    members_desk.look("delivery-delete")
    page.get_by_role("button", name="Delete 1 dead letter").click()
    expect(page.get_by_text("Its text is kept no more.")).to_be_visible()
    members_desk.open("/delivery/dead-letters")
    page.get_by_role("button", name="All of this page").click()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Delete 1 dead letter").click()
    expect(page.get_by_text("No dead letters")).to_be_visible()


def test_an_uncertain_message_is_sent_again_by_a_persons_word(
    members_desk: Desk, people: People, account: EmailAccount, smtp_receiver: SmtpReceiver
) -> None:
    smtp_receiver.script.answer(Step.CONTENT, Disturbance.ACCEPT_AND_DROP, times=1)
    row = put_out(people.member, "Invoice", account=account)
    send_due()
    page = members_desk.open("/")
    page.get_by_role("link", name="Decide what becomes of it").click()
    page.get_by_role("link", name="Invoice").click()
    expect(page.get_by_text("Nobody knows whether it arrived.")).to_be_visible()
    members_desk.look("delivery-uncertain")
    page.get_by_role("button", name="Send again").click()
    expect(page.get_by_text("Somebody may get it twice.")).to_be_visible()
    members_desk.look("delivery-send-again")
    page.get_by_role("button", name="Send again").click()
    expect(page.get_by_text("1 message queued again.")).to_be_visible()
    send_due()
    expect(page.get_by_text("Accepted")).to_be_visible()
    assert OutboxMessage.objects.get(pk=row.pk).state == OutboxState.SENT


def test_what_came_back_is_shown_with_the_message(
    members_desk: Desk, people: People, account: EmailAccount
) -> None:
    words = "550 5.1.1 <no@example.org>: Recipient address rejected: User unknown in table"
    row = put_out(
        people.member,
        "Minutes",
        OutboxState.SENT,
        account=account,
        to=("ann@example.org", "no@example.org"),
        accepted=["ann@example.org", "no@example.org"],
        bounced={"no@example.org": words},
        reply="250 2.0.0 Ok",
    )
    for address, verdict, reason in (
        ("ann@example.org", "delayed", "4.4.1 Connection timed out"),
        ("ann@example.org", "auto_reply", ""),
        ("no@example.org", "hard", words),
    ):
        DeliveryReport.objects.create(
            outbox=row,
            report_key=verdict,
            recipient=address,
            verdict=verdict,
            reason=reason,
            received_at=timezone.now(),
        )
    page = members_desk.open("/delivery")
    expect(page.get_by_text("1 of 2 came back")).to_be_visible()
    page.get_by_role("link", name="Minutes").click()
    recipients = page.get_by_role("region", name="Recipients")
    expect(recipients.get_by_role("row", name="no@example.org")).to_contain_text("Came back")
    expect(recipients.get_by_role("row", name="ann@example.org")).to_contain_text("Accepted")
    reports = page.get_by_role("region", name="What came back")
    expect(reports.get_by_text("Delayed, still being tried")).to_be_visible()
    expect(reports.get_by_text("No such address")).to_be_visible()
    expect(reports.get_by_text("Answered automatically")).to_be_visible()
    members_desk.look("delivery-came-back")


def test_a_scheduled_message_is_cancelled_without_scripts(
    browser: Browser, people: People, account: EmailAccount, live_server: LiveServer
) -> None:
    row = put_out(
        people.member,
        "Next week",
        OutboxState.SCHEDULED,
        account=account,
        send_at=timezone.now() + timedelta(days=7),
    )
    context = browser.new_context(java_script_enabled=False)
    desk = Desk(context, live_server.url)
    enter(desk, people.member)
    page = desk.open("/delivery/scheduled")
    page.get_by_label("Choose Next week").check()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Cancel 1 message").click()
    expect(page.get_by_text("1 message cancelled.")).to_be_visible()
    expect(page.get_by_text("Nothing is scheduled")).to_be_visible()
    context.close()
    assert not desk.complaints
    assert OutboxMessage.objects.get(pk=row.pk).state == OutboxState.CANCELLED
