"""What comes back of messages that were sent: found in mailboxes, and shown with the message."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from accounts.event_webhooks import add_webhook
from accounts.models import EmailAccount, Event
from mailboxes.models import DeliveryReport, Message, OutboxMessage, OutboxState, SuspectedReport
from mailboxes.outbox.lanes import claim_due
from mailboxes.outbox.outcomes import record
from mailboxes.outbox.sending import send_due
from mailboxes.raw_store import RawStore
from mailboxes.reports.reading import read_suspects
from mailboxes.signals import report_found
from mailboxes.sync.requesting import request_sync
from mailboxes.sync.running import carry_out
from mailhub.mail.bounce import Verdict
from mailhub.mail.server import Encryption
from mailhub.mail.stores.imap import ImapStore
from mailhub.mail.transports.base import Outcome, Result
from mailhub.mail.transports.in_memory import Disturbance, Step
from tests.mailboxes.conftest import PASSWORD, Mailbox, raw_message
from tests.people import People
from tests.servers.dovecot import DovecotUser
from tests.servers.smtp import SmtpReceiver

UNKNOWN = "550 5.1.1 User unknown"
BO, CY = "bo@example.com", "cy@example.com"


def field(
    recipient: str, action: str = "failed", status: str = "5.1.1", words: str = UNKNOWN
) -> str:
    """What a DSN says of one recipient."""
    return (
        f"Final-Recipient: rfc822; {recipient}\r\nAction: {action}\r\nStatus: {status}\r\n"
        f"Diagnostic-Code: smtp; {words}\r\n"
    )


def dsn(sent: bytes, *fields: str, message_id: str = "") -> bytes:
    """A DSN that brings back the header of a message as it was sent."""
    header = sent.partition(b"\r\n\r\n")[0]
    start = (
        "Return-Path: <>\r\nFrom: MAILER-DAEMON@relay.example\r\nTo: mary@acme.example\r\n"
        "Subject: Undelivered Mail Returned to Sender\r\nAuto-Submitted: auto-replied\r\n"
        f"Date: Tue, 3 Nov 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\n"
        f"Message-ID: <{message_id or uuid.uuid4().hex}@relay.example>\r\n"
        "Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n"
        "--b\r\nContent-Type: text/plain\r\n\r\nSorry.\r\n"
        "--b\r\nContent-Type: message/delivery-status\r\n\r\n"
        "Reporting-MTA: dns; relay.example\r\n\r\n" + "\r\n".join(fields) + "\r\n"
        "--b\r\nContent-Type: text/rfc822-headers\r\n\r\n"
    )
    return start.encode() + header + b"\r\n\r\n--b--\r\n"


@dataclass
class Desk:
    """A person who sends from an account, and the mailbox into which reports about it come."""

    people: People
    account: EmailAccount
    receiver: SmtpReceiver
    mailbox: Mailbox

    def send(self, *to: str) -> str:
        """Send a message to them; its id in the outbox."""
        body = {
            "accountId": str(self.account.pk),
            "to": list(to or [BO]),
            "subject": "Hello",
            "textBody": "Hi there.",
        }
        answer = self.people.member.api.post("/api/compose", body)
        assert answer.status_code == 202, answer.content
        send_due()
        return str(answer.json()["id"])

    @property
    def wire(self) -> bytes:
        """The message that left last."""
        return self.receiver.messages[-1].content

    def receive(self, *contents: bytes, mailbox: Mailbox | None = None) -> int:
        """Let these come into the mailbox, and be read; how many were reports."""
        mailbox = mailbox or self.mailbox
        for content in contents:
            mailbox.remote.deliver(content)
        mailbox.sync()
        count = 0
        while SuspectedReport.objects.filter(due_at__lte=timezone.now()).exists():
            count += read_suspects()
        return count

    def look(self, outbox_id: str) -> Any:
        return self.people.member.api.get(f"/api/outbox/{outbox_id}").json()


@pytest.fixture
def desk(people: People, smtp_receiver: SmtpReceiver, settings: Settings) -> Desk:
    settings.MAILHUB_MAIL_TIMEOUT = 2.0
    account = people.connect_account(
        people.member, password=PASSWORD, smtp_port=smtp_receiver.port, smtp_encryption="none"
    )
    smtp_receiver.users = {account.username: PASSWORD}
    return Desk(people, account, smtp_receiver, Mailbox(account))


def test_a_report_in_a_real_mailbox_marks_what_was_sent(
    people: People, smtp_receiver: SmtpReceiver, dovecot_user: DovecotUser, settings: Settings
) -> None:
    settings.MAILHUB_MAIL_TIMEOUT = 5.0
    smtp_receiver.users = {dovecot_user.name: dovecot_user.password}
    account = people.connect_mailbox(
        people.member, dovecot_user, smtp_port=smtp_receiver.port, smtp_encryption="none"
    )
    desk = Desk(people, account, smtp_receiver, Mailbox(account))
    sent = desk.send(BO)
    assert desk.look(sent)["status"] == "sent"
    dovecot_user.deliver(dsn(desk.wire, field(BO)))
    dovecot_user.deliver(raw_message("An ordinary letter"))
    carry_out(request_sync(account).run.pk)
    assert read_suspects() == 1
    seen = desk.look(sent)
    assert (seen["status"], seen["reply"], seen["errorCode"]) == ("bounced", UNKNOWN, "bounced")
    assert seen["bounced"] == [{"address": BO, "reason": UNKNOWN}]
    [report] = seen["reports"]
    assert {name: report[name] for name in ("recipient", "verdict", "action", "status")} == {
        "recipient": BO,
        "verdict": "hard",
        "action": "failed",
        "status": "5.1.1",
    }
    source = people.member.api.get(f"/api/messages/{report['sourceId']}").json()
    assert source["subject"] == "Undelivered Mail Returned to Sender"
    with ImapStore(dovecot_user.settings(encryption=Encryption.NONE)) as store:
        store.select("INBOX")
        # Nothing happens to the report itself.
        assert [row.flags for row in store.flags()] == [frozenset(), frozenset()]
    assert people.member.api.get("/api/email-log", {"status": "bounced"}).json()["emailLog"][0][
        "bounced"
    ] == [{"address": BO, "reason": UNKNOWN}]


def test_a_message_has_bounced_once_it_came_back_from_all(desk: Desk) -> None:
    sent = desk.send(BO, CY)
    desk.receive(dsn(desk.wire, field(BO)))
    seen = desk.look(sent)
    assert (seen["status"], seen["bounced"]) == ("sent", [{"address": BO, "reason": UNKNOWN}])
    full = "552 5.2.2 Mailbox full"
    desk.receive(dsn(desk.wire, field(CY.upper(), "failed", "5.2.2", full)))
    seen = desk.look(sent)
    assert (seen["status"], seen["reply"]) == ("bounced", UNKNOWN)
    assert seen["bounced"][1] == {"address": CY, "reason": full}
    assert [row["verdict"] for row in seen["reports"]] == ["hard", "soft"]


def test_who_was_refused_at_once_does_not_keep_it_from_having_bounced(desk: Desk) -> None:
    desk.receiver.script.answer(Step.RCPT, "550 5.1.1 No", address=CY)
    sent = desk.send(BO, CY)
    desk.receive(dsn(desk.wire, field(BO)))
    seen = desk.look(sent)
    assert seen["status"] == "bounced"
    assert [each["address"] for each in (*seen["rejected"], *seen["bounced"])] == [CY, BO]


def test_news_of_a_message_is_shown_and_changes_nothing(desk: Desk) -> None:
    sent = desk.send(BO)
    vacation = raw_message(
        "Automatic reply: Hello",
        sender="",
        auto_submitted="auto-replied",
        in_reply_to=desk.look(sent)["messageId"],
        **{"from": f"Bo <{BO}>"},
    )
    desk.receive(
        dsn(desk.wire, field(BO, "delayed", "4.4.1", "connection timed out")),
        dsn(desk.wire, field(BO, "relayed", "2.0.0", "250 queued")),
        vacation,
    )
    seen = desk.look(sent)
    assert (seen["status"], seen["bounced"]) == ("sent", [])
    assert {row["verdict"] for row in seen["reports"]} == {"delayed", "relayed", "auto_reply"}
    assert {row["recipient"] for row in seen["reports"]} == {BO}


def test_reports_that_come_twice_or_in_another_order_do_no_harm(desk: Desk) -> None:
    add_webhook(desk.people.admin.caller, url="https://127.0.0.1:1/", events=["message.bounced"])
    sent = desk.send(BO)
    failed = dsn(desk.wire, field(BO), message_id="one")
    delayed = dsn(desk.wire, field(BO, "delayed", "4.4.1", "timed out"))
    other = Mailbox(desk.people.connect_account(desk.people.member, password=PASSWORD))
    desk.receive(failed, failed)
    desk.receive(delayed)
    desk.receive(b"Delivered-To: another\r\n" + failed, mailbox=other)
    desk.mailbox.sync(full=True)
    read_suspects()
    seen = desk.look(sent)
    assert (seen["status"], seen["bounced"]) == ("bounced", [{"address": BO, "reason": UNKNOWN}])
    assert [row["verdict"] for row in seen["reports"]] == ["hard", "delayed"]
    assert list(Event.objects.values_list("data", flat=True)) == [
        {"accountId": str(desk.account.pk), "outboxId": sent, "status": "bounced"}
    ]
    assert not SuspectedReport.objects.exists()


def test_a_message_id_that_a_server_replaced_is_made_good_by_our_own_field(desk: Desk) -> None:
    sent = desk.send(BO)
    message_id = desk.look(sent)["messageId"].encode()
    desk.receive(dsn(desk.wire.replace(message_id, b"<0102@ses.example>"), field(BO)))
    assert desk.look(sent)["status"] == "bounced"


def test_a_report_that_brings_nothing_back_may_answer_the_message(desk: Desk) -> None:
    sent = desk.send(BO)
    report = dsn(b"Subject: none\r\n\r\n", field(BO.upper()))
    answer = f"In-Reply-To: {desk.look(sent)['messageId']}\r\n".encode()
    desk.receive(answer + report)
    seen = desk.look(sent)
    assert (seen["status"], seen["bounced"][0]["address"]) == ("bounced", BO)


def test_what_came_back_from_another_address_is_noted_and_is_no_bounce(desk: Desk) -> None:
    sent = desk.send(BO)
    desk.receive(dsn(desk.wire, field("forwarded@elsewhere.example")))
    assert desk.look(sent)["status"] == "sent"
    assert DeliveryReport.objects.get().recipient == "forwarded@elsewhere.example"
    rewritten = field("bo@inside.example") + f"Original-Recipient: rfc822;{BO}\r\n"
    desk.receive(dsn(desk.wire, rewritten))
    assert desk.look(sent)["status"] == "bounced"


def test_a_forged_report_marks_nothing(desk: Desk) -> None:
    sent = desk.send(BO, CY)
    wire = desk.wire
    row = OutboxMessage.objects.get(pk=sent)
    guessed = wire.replace(row.report_token.encode(), b"0" * 32).replace(
        row.message_id.encode(), b"<guessed@acme.example>"
    )
    theirs = Mailbox(desk.people.connect_account(desk.people.stranger, password=PASSWORD))
    desk.receive(dsn(guessed, field(BO)), dsn(b"To: bo@example.com\r\n\r\n", field(BO)))
    desk.receive(dsn(wire, field("nobody@example.com")))
    # A person who knows it quotes it.
    desk.receive(raw_message("Undeliverable: Hello", text=wire.decode()))
    # Another tenant got the message, and writes itself reports about it.
    desk.receive(dsn(wire, field(BO), field(CY)), mailbox=theirs)
    seen = desk.look(sent)
    assert (seen["status"], seen["bounced"]) == ("sent", [])
    assert [row["recipient"] for row in seen["reports"]] == ["nobody@example.com"]


def test_who_floods_a_message_with_reports_is_heard_so_often_and_no_more(desk: Desk) -> None:
    sent = desk.send(BO, CY)
    fields = [field(f"r{number}@example.com") for number in range(150)]
    desk.receive(*(dsn(desk.wire, *fields) for _ in range(3)))
    assert len(desk.look(sent)["reports"]) == 200


def test_what_has_bounced_is_sent_again_and_an_old_report_says_nothing_of_that(desk: Desk) -> None:
    sent = desk.send(BO)
    first = desk.wire
    desk.receive(dsn(first, field(BO), message_id="one"))
    answer = desk.people.member.api.post(f"/api/outbox/{sent}/retry", {})
    assert (answer.status_code, answer.json()["status"]) == (202, "queued")
    send_due()
    assert len(desk.receiver.messages) == 2
    desk.mailbox.inbox.deliver(
        dsn(first, field(BO)), received_at=datetime.now(UTC) - timedelta(hours=2)
    )
    desk.receive(dsn(first, field(BO), message_id="one"))
    seen = desk.look(sent)
    assert (seen["status"], seen["bounced"], seen["accepted"]) == ("sent", [], [BO])
    desk.receive(dsn(desk.wire, field(BO)))
    assert desk.look(sent)["status"] == "bounced"


def test_a_report_may_be_quicker_than_the_servers_answer(desk: Desk) -> None:
    sent = desk.send(BO)
    wire = desk.wire
    # As it was while the worker waited for the answer to its last octet.
    row = OutboxMessage.objects.get(pk=sent)
    row.state, row.accepted, row.outstanding = OutboxState.QUEUED, [], [BO]
    row.next_try_at = timezone.now()
    row.save()
    row.lane.due_at = timezone.now()
    row.lane.save()
    [lane] = claim_due(5)
    row.state, row.worker, row.has_begun = OutboxState.SENDING, lane.worker, True
    row.save()
    desk.receive(dsn(wire, field(BO)))
    assert desk.look(sent)["status"] == "sending"
    assert record(row, lane.worker, Outcome(Result.SENT, accepted=(BO,)))
    assert desk.look(sent)["status"] == "bounced"


def test_a_report_ends_the_doubt_about_an_uncertain_message(desk: Desk) -> None:
    desk.receiver.script.answer(Step.CONTENT, Disturbance.ACCEPT_AND_DROP, times=1)
    sent = desk.send(BO)
    assert desk.look(sent)["status"] == "uncertain"
    desk.receive(dsn(desk.wire, field(BO)))
    assert desk.look(sent)["status"] == "bounced"


@contextmanager
def listening(listener: Any) -> Iterator[None]:
    report_found.connect(listener)
    try:
        yield
    finally:
        report_found.disconnect(listener)


def test_others_hear_of_every_report_once(desk: Desk) -> None:
    heard: list[dict[str, Any]] = []

    def listen(**told: Any) -> None:
        heard.append(told)

    sent = desk.send(BO)
    with listening(listen):
        desk.receive(dsn(desk.wire, field(BO)), dsn(b"Message-ID: <a@b>\r\n\r\n", field(CY)))
        desk.mailbox.sync(full=True)
        read_suspects()
    assert [each["outbox_id"] for each in heard] == [int(sent), None]
    assert {each["tenant_id"] for each in heard} == {desk.account.tenant_id}
    assert {each["account_id"] for each in heard} == {desk.account.pk}
    assert [each["report"].recipients[0].address for each in heard] == [BO, CY]
    assert Message.objects.filter(pk__in=[each["message_id"] for each in heard]).count() == 2


@pytest.mark.django_db(transaction=True)
def test_what_a_listener_cannot_do_is_done_later(desk: Desk) -> None:
    def refuse(**told: Any) -> None:
        raise RuntimeError("not now")

    sent = desk.send(BO)
    with listening(refuse):
        assert desk.receive(dsn(desk.wire, field(BO))) == 0
    assert (desk.look(sent)["status"], desk.look(sent)["reports"]) == ("sent", [])
    assert read_suspects() == 0, "it is not tried again at once"
    SuspectedReport.objects.update(due_at=timezone.now())
    assert read_suspects() == 1
    assert desk.look(sent)["status"] == "bounced"


def test_ordinary_mail_is_not_suspected_and_what_stays_away_is_forgotten(desk: Desk) -> None:
    desk.receive(raw_message("A letter"))
    desk.mailbox.remote.deliver(dsn(b"\r\n", field(BO)))
    desk.mailbox.sync()
    assert [row.message.subject for row in SuspectedReport.objects.all()] == [
        "Undelivered Mail Returned to Sender"
    ]
    RawStore(desk.account.pk).delete_all()
    for tries in (1, 2, 3, 4, 5):
        assert read_suspects() == 0
        assert [row.tries for row in SuspectedReport.objects.all()] == [tries]
        SuspectedReport.objects.update(due_at=timezone.now())
    assert read_suspects() == 0
    assert not SuspectedReport.objects.exists()


def test_a_report_whose_message_is_deleted_is_still_shown(desk: Desk) -> None:
    sent = desk.send(BO)
    desk.receive(dsn(desk.wire, field(BO)))
    Message.objects.all().delete()
    [report] = desk.look(sent)["reports"]
    assert (report["reason"], report["sourceId"]) == (UNKNOWN, None)


def test_every_verdict_fits_its_column() -> None:
    longest = max(len(verdict) for verdict in Verdict)
    assert DeliveryReport._meta.get_field("verdict").max_length == longest
