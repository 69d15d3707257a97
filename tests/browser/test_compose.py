"""Writing a message in a browser, which a real SMTP server gets and a Dovecot keeps."""

from __future__ import annotations

from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect
from pytest_django.fixtures import Settings
from pytest_django.live_server_helper import LiveServer

from accounts.models import EmailAccount
from mailboxes.models import Draft, OutboxLane, OutboxMessage, OutboxState
from mailboxes.outbox.sending import send_due
from tests.browser.conftest import Desk, enter
from tests.browser.letters import fill, ids, sync
from tests.people import People
from tests.servers.dovecot import DovecotUser
from tests.servers.processes import wait_until
from tests.servers.smtp import SmtpReceiver


@pytest.fixture
def account(
    people: People, smtp_receiver: SmtpReceiver, dovecot_user: DovecotUser, settings: Settings
) -> EmailAccount:
    """Mary's, with mail in it: read from a Dovecot, sent by the receiver."""
    settings.MAILHUB_MAIL_TIMEOUT = 5.0
    smtp_receiver.users = {dovecot_user.name: dovecot_user.password}
    fill(dovecot_user)
    account = people.connect_mailbox(
        people.member, dovecot_user, smtp_port=smtp_receiver.port, smtp_encryption="none"
    )
    sync(account, dovecot_user)
    return account


def let_it_leave() -> None:
    """The seconds in which it can be taken back are over."""
    now = timezone.now()
    OutboxMessage.objects.waiting().update(next_try_at=now)
    OutboxLane.objects.update(due_at=now)
    send_due()


def sent(receiver: SmtpReceiver) -> EmailMessage:
    [message] = receiver.messages
    parsed = message_from_bytes(message.content, policy=policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def saved(page: Page) -> None:
    expect(page.get_by_text("Saved as a draft.")).to_be_visible()


def kept_recipients() -> list[str]:
    """Of the drafts that are kept."""
    kept = Draft.objects.values_list("to", flat=True)
    return [person["address"] for people in kept for person in people]


def test_a_message_is_written_sent_undone_and_sent(
    members_desk: Desk, account: EmailAccount, smtp_receiver: SmtpReceiver, tmp_path: Path
) -> None:
    offer, notes = tmp_path / "offer.pdf", tmp_path / "notes.txt"
    offer.write_bytes(b"%PDF-1.4 offer")
    notes.write_text("Notes")
    page = members_desk.open(f"/mail/{account.pk}")
    page.get_by_role("link", name="Compose").first.click()
    expect(page.get_by_text("Not saved yet.")).to_be_visible()
    members_desk.look("compose-empty")
    page.get_by_label("To", exact=True).fill("bo@example.org")
    page.get_by_label("Subject").fill("The offer")
    page.get_by_label("Text").fill("Dear Bo,\n\nhere it is.\n")
    saved(page)
    assert "/mail/compose/" in page.url
    page.get_by_label("Attach").set_input_files([offer, notes])
    expect(page.get_by_role("link", name="notes.txt")).to_be_visible()
    page.get_by_role("button", name="Remove notes.txt").click()
    expect(page.get_by_role("link", name="notes.txt")).to_have_count(0)
    expect(page.get_by_role("link", name="offer.pdf")).to_be_visible()
    members_desk.look("compose")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_role("heading", name="Your message is about to leave")).to_be_visible()
    members_desk.look("compose-outgoing")
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("It was not sent.")).to_be_visible()
    expect(page.get_by_label("Text")).to_have_value("Dear Bo,\n\nhere it is.\n")
    assert smtp_receiver.messages == []
    page.get_by_label("Subject").fill("The offer, corrected")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_role("heading", name="Your message is about to leave")).to_be_visible()
    let_it_leave()
    expect(page.get_by_role("heading", name="Your message is sent")).to_be_visible()
    message = sent(smtp_receiver)
    assert (message["Subject"], message["To"]) == ("The offer, corrected", "bo@example.org")
    [file] = message.iter_attachments()
    assert (file.get_filename(), file.get_content()) == ("offer.pdf", b"%PDF-1.4 offer")
    page.get_by_role("link", name="Back to mail").click()
    expect(page.locator("#mail")).to_be_visible()


def test_a_reply_to_a_message_and_what_is_wrong_with_it(
    members_desk: Desk, account: EmailAccount, smtp_receiver: SmtpReceiver
) -> None:
    page = members_desk.open(f"/mail/{account.pk}")
    page.locator(f"#line-{ids()['Lunch on Thursday?']}").get_by_role("link").click()
    expect(page.get_by_role("link", name="Reply", exact=True)).to_be_visible()
    members_desk.look("mail-with-answers")
    page.keyboard.press("r")
    expect(page.get_by_role("heading", name="Reply")).to_be_visible()
    expect(page.get_by_label("Subject")).to_have_value("Re: Lunch on Thursday?")
    to = page.get_by_label("To", exact=True).input_value()
    page.get_by_label("To", exact=True).fill(f"{to}, nonsense")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_text("nonsense is no address.")).to_be_visible()
    expect(page.get_by_label("To", exact=True)).to_have_attribute("aria-invalid", "true")
    members_desk.look("compose-wrong")
    page.get_by_label("To", exact=True).fill(to)
    page.get_by_label("Text").press("ControlOrMeta+Enter")
    expect(page.get_by_role("heading", name="Your message is about to leave")).to_be_visible()
    let_it_leave()
    expect(page.get_by_role("heading", name="Your message is sent")).to_be_visible()
    message = sent(smtp_receiver)
    assert message["Subject"] == "Re: Lunch on Thursday?"
    assert message["In-Reply-To"]


def test_people_are_offered_by_keys_and_by_mouse(
    members_desk: Desk, account: EmailAccount, dovecot_user: DovecotUser
) -> None:
    for to in ("Zora Lee <zora@example.org>", '"Zoltan, Bo" <bo@example.org>'):
        raw = f"From: mary@acme.example\r\nTo: {to}\r\nSubject: x\r\n\r\nx\r\n"
        dovecot_user.deliver(raw.encode(), "Sent")
    sync(account, dovecot_user)
    page = members_desk.open("/mail/compose")
    field = page.get_by_label("To", exact=True)
    offered = page.get_by_role("listbox").get_by_role("option")
    field.press_sequentially("zo")
    expect(offered).to_have_count(2)
    members_desk.look("compose-people")
    field.press_sequentially("r")
    expect(offered).to_have_count(1)
    field.press("ArrowDown")
    field.press("Enter")
    expect(field).to_have_value("Zora Lee <zora@example.org>, ")
    field.press_sequentially("zol")
    offered.click()
    expect(field).to_have_value('Zora Lee <zora@example.org>, "Zoltan, Bo" <bo@example.org>, ')
    # "Saved" was said of what was typed first already.
    both = ["zora@example.org", "bo@example.org"]
    wait_until(lambda: kept_recipients() == both, "the draft is to both")


def test_drafts_sending_later_and_throwing_away(members_desk: Desk, account: EmailAccount) -> None:
    page = members_desk.open("/mail/drafts")
    expect(page.get_by_role("heading", name="No drafts")).to_be_visible()
    members_desk.look("drafts-empty")
    for subject in ("The first one", "The second one"):
        members_desk.open("/mail/compose")
        page.get_by_label("To", exact=True).fill("bo@example.org")
        page.get_by_label("Subject").fill(subject)
        saved(page)
    members_desk.open("/mail/drafts")
    expect(page.locator("tbody tr")).to_have_count(2)
    members_desk.look("drafts")
    page.get_by_role("link", name="The first one").click()
    page.get_by_text("Send later").click()
    page.get_by_label("When").fill("2031-07-01T09:30")
    members_desk.look("compose-later")
    page.get_by_role("button", name="Schedule").click()
    expect(page.get_by_role("heading", name="Your message is scheduled")).to_be_visible()
    members_desk.look("compose-scheduled")
    assert OutboxMessage.objects.get().state == OutboxState.SCHEDULED
    members_desk.open("/mail/drafts")
    page.get_by_role("link", name="The second one").click()
    page.get_by_role("button", name="Discard").click()
    expect(page.get_by_role("heading", name="Throw this draft away?")).to_be_visible()
    members_desk.look("draft-discard")
    page.get_by_role("button", name="Throw it away").click()
    expect(page.get_by_role("heading", name="No drafts")).to_be_visible()


def test_a_forward_without_scripts(
    browser: Browser,
    people: People,
    account: EmailAccount,
    live_server: LiveServer,
    smtp_receiver: SmtpReceiver,
) -> None:
    context = browser.new_context(java_script_enabled=False)
    desk = Desk(context, live_server.url)
    enter(desk, people.member)
    page = desk.open(f"/mail/compose?forward={ids()['Offer for the summer fair']}")
    expect(page.get_by_label("offer.pdf")).to_be_checked()
    page.get_by_label("To", exact=True).fill("bo@example.org")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_role("heading", name="Your message is about to leave")).to_be_visible()
    let_it_leave()
    page.reload()
    expect(page.get_by_role("heading", name="Your message is sent")).to_be_visible()
    [file] = sent(smtp_receiver).iter_attachments()
    assert file.get_filename() == "offer.pdf"
    context.close()
    assert not desk.complaints
