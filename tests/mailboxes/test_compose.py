"""Composing from an account: a real SMTP server takes it, a real Dovecot keeps the copy."""

from __future__ import annotations

import base64
from datetime import datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from accounts.models import EmailAccount
from mailboxes.models import OutboxLane, OutboxMessage
from mailboxes.outbox.sending import send_due
from mailboxes.outbox.sent_copies import file_due
from mailhub.mail.server import Encryption
from mailhub.mail.stores.base import RemoteMessage
from mailhub.mail.stores.imap import ImapStore
from tests.mailboxes.conftest import Mailbox, raw_message
from tests.people import People
from tests.servers.dovecot import DovecotUser
from tests.servers.smtp import SmtpReceiver


@pytest.fixture
def account(
    people: People, smtp_receiver: SmtpReceiver, dovecot_user: DovecotUser, settings: Settings
) -> EmailAccount:
    """It reads from Dovecot and sends to the receiver, whose users are Dovecot's."""
    settings.MAILHUB_MAIL_TIMEOUT = 2.0
    smtp_receiver.users = {dovecot_user.name: dovecot_user.password}
    return people.connect_mailbox(
        people.member,
        dovecot_user,
        email_address="joe@example.org",
        smtp_port=smtp_receiver.port,
        smtp_encryption="none",
    )


def compose(people: People, account: EmailAccount, **changes: Any) -> Any:
    body = {
        "accountId": str(account.pk),
        "to": ["bo@example.org"],
        "subject": "Hello",
        "textBody": "Hi there.",
        **changes,
    }
    return people.member.api.post("/api/compose", body)


def sent(receiver: SmtpReceiver) -> EmailMessage:
    [message] = receiver.messages
    parsed = message_from_bytes(message.content, policy=policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def kept(user: DovecotUser) -> list[RemoteMessage]:
    """What another program finds in Sent."""
    with ImapStore(user.settings(encryption=Encryption.NONE)) as store:
        store.select("Sent")
        return list(store.fetch(store.uids()))


def milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def test_a_message_is_sent_from_the_account_and_kept_in_sent(
    people: People, account: EmailAccount, smtp_receiver: SmtpReceiver, dovecot_user: DovecotUser
) -> None:
    data = base64.b64encode(b"%PDF-1.4").decode()
    answer = compose(
        people,
        account,
        cc=["cy@example.org"],
        bcc=["di@example.org"],
        htmlBody="<p>Hi</p>",
        attachments=[{"filename": "a.pdf", "contentType": "application/pdf", "data": data}],
    )
    assert answer.status_code == 202, answer.content
    assert (answer.json()["status"], answer.json()["sendAt"]) == ("queued", None)
    send_due()
    message = sent(smtp_receiver)
    assert message["From"] == "joe@example.org"
    assert message["Message-ID"] == answer.json()["messageId"]
    assert smtp_receiver.messages[0].envelope.recipients == (
        *("bo@example.org", "cy@example.org", "di@example.org"),
    )
    [attachment] = message.iter_attachments()
    assert (attachment.get_filename(), attachment.get_content()) == ("a.pdf", b"%PDF-1.4")
    file_due()
    file_due()
    [copy] = kept(dovecot_user)
    content = message_from_bytes(copy.content, policy=policy.default)
    assert (content["Subject"], content["Bcc"]) == ("Hello", "di@example.org")
    assert "\\Seen" in copy.flags


def test_a_copy_that_the_server_has_filed_itself_is_not_doubled(
    people: People, account: EmailAccount, smtp_receiver: SmtpReceiver, dovecot_user: DovecotUser
) -> None:
    compose(people, account)
    send_due()
    dovecot_user.deliver(smtp_receiver.messages[0].content, "Sent")
    file_due()
    assert len(kept(dovecot_user)) == 1


def test_a_scheduled_message_waits_for_its_moment(
    people: People, account: EmailAccount, smtp_receiver: SmtpReceiver
) -> None:
    moment = timezone.now() + timedelta(hours=2)
    answer = compose(people, account, sendAt=milliseconds(moment)).json()
    assert (answer["status"], answer["sendAt"]) == ("scheduled", milliseconds(moment))
    send_due()
    assert smtp_receiver.messages == []
    OutboxMessage.objects.update(next_try_at=timezone.now())
    OutboxLane.objects.update(due_at=timezone.now())
    send_due()
    message = sent(smtp_receiver)
    assert message["Subject"] == "Hello"
    assert message["Date"].datetime == moment.replace(microsecond=0), "not when it was written"


def test_a_scheduled_message_can_be_cancelled(
    people: People, account: EmailAccount, smtp_receiver: SmtpReceiver
) -> None:
    moment = timezone.now() + timedelta(hours=2)
    answer = compose(people, account, sendAt=moment.isoformat()).json()
    cancelled = people.member.api.delete(f"/api/outbox/{answer['id']}")
    assert cancelled.json()["status"] == "cancelled"
    OutboxLane.objects.update(due_at=timezone.now())
    send_due()
    assert smtp_receiver.messages == []


def test_a_reply_is_threaded(people: People, account: EmailAccount) -> None:
    mailbox = Mailbox(account)
    mailbox.remote.deliver(
        raw_message("A question", message_id="<two@example.org>", references="<one@example.org>")
    )
    mailbox.sync()
    question = mailbox.message("A question")
    answer = compose(people, account, inReplyTo=str(question.pk), subject="")
    assert answer.status_code == 202, answer.content
    row = OutboxMessage.objects.get(pk=answer.json()["id"])
    message = message_from_bytes(bytes(row.content.wire), policy=policy.default)
    assert message["Subject"] == "Re: A question"
    assert message["In-Reply-To"] == "<two@example.org>"
    assert message["References"] == "<one@example.org> <two@example.org>"


def test_a_foreign_message_cannot_be_answered(people: People, account: EmailAccount) -> None:
    theirs = Mailbox(people.connect_account(people.teammate))
    theirs.remote.deliver(raw_message("Secret"))
    theirs.sync()
    answer = compose(people, account, inReplyTo=str(theirs.message("Secret").pk))
    assert answer.status_code == 400
    assert answer.json()["details"]["fields"] == {"inReplyTo": ["There is no such message."]}


def test_a_login_that_is_refused_is_said_and_can_be_tried_again(
    people: People, account: EmailAccount, smtp_receiver: SmtpReceiver
) -> None:
    right, smtp_receiver.users = smtp_receiver.users, {"somebody": "else"}
    queued = compose(people, account).json()
    send_due()
    seen = people.member.api.get(f"/api/outbox/{queued['id']}").json()
    assert (seen["status"], seen["errorCode"]) == ("failed", "login_failed")
    smtp_receiver.users = right
    assert people.member.api.post(f"/api/outbox/{queued['id']}/retry", {}).status_code == 202
    send_due()
    assert len(smtp_receiver.messages) == 1


def test_an_account_that_is_switched_off_sends_nothing(
    people: People, account: EmailAccount
) -> None:
    EmailAccount.objects.update(is_enabled=False)
    refused = compose(people, account)
    assert (refused.status_code, refused.json()["error"]) == (409, "account_disabled")


def test_a_line_break_in_the_subject_is_refused(people: People, account: EmailAccount) -> None:
    refused = compose(people, account, subject="Hello\r\nBcc: all@example.org")
    assert refused.status_code == 400
    assert not OutboxMessage.objects.exists()
