"""What was answered or passed on is marked on its server, where every program sees it, and here."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from accounts.models import EmailAccount
from mailboxes.drafts.sending import retire_sent
from mailboxes.models import Message
from mailboxes.outbox.sending import send_due
from mailboxes.outbox.sent_copies import file_due
from mailboxes.sync.control import Control, Progress
from mailboxes.sync.engine import Order, Pass
from mailhub.mail.stores.base import FolderStatus
from mailhub.mail.stores.imap import ImapStore
from mailhub.mail.transports.in_memory import Disturbance, Step
from tests.mail.gmail_server import GmailMessage
from tests.mailboxes.conftest import GmailAccount, Mailbox, raw_message
from tests.people import People, Person
from tests.servers.dovecot import DovecotUser
from tests.servers.smtp import SmtpReceiver


@pytest.fixture
def smtp(smtp_receiver: SmtpReceiver, settings: Settings) -> SmtpReceiver:
    settings.MAILHUB_MAIL_TIMEOUT = 2.0
    return smtp_receiver


class Correspondence:
    """One account with one message, and what is written about it."""

    def __init__(self, people: People, user: DovecotUser, smtp: SmtpReceiver) -> None:
        self.people, self.user = people, user
        smtp.users = {user.name: user.password}
        self.account = connect(people, people.member, user, smtp)
        user.deliver(raw_message("A question"))
        self.sync()
        self.question = Message.objects.get()

    def sync(self) -> None:
        with ImapStore(self.user.settings()) as store:
            order = Order(uuid.uuid4(), timezone.now())
            Pass(store, self.account.pk, order, Control(Progress())).run()

    def send(self, **fields: Any) -> None:
        """Write about it and have that sent and filed."""
        ask(self.people.member, self.account, **fields)
        send_due()
        file_due()

    def there(self) -> frozenset[str]:
        """Its flags on the server."""
        with ImapStore(self.user.settings()) as store:
            store.select("INBOX")
            [found] = store.flags()
            return found.flags - {"\\Recent"}

    def here(self) -> tuple[bool, list[str]]:
        """Whether it is answered, and its keywords."""
        seen = self.people.member.api.get(f"/api/messages/{self.question.pk}").json()
        return seen["isAnswered"], seen["keywords"]


def connect(
    people: People, person: Person, user: DovecotUser, smtp: SmtpReceiver, **fields: Any
) -> EmailAccount:
    return people.connect_account(
        person,
        password=user.password,
        username=user.name,
        email_address="joe@example.org",
        smtp_port=smtp.port,
        smtp_encryption="none",
        encryption="none",
        **{"port": user.server.port, **fields},
    )


def ask(person: Person, account: EmailAccount, **fields: Any) -> None:
    body = {"accountId": str(account.pk), "to": ["bo@example.org"], "textBody": "Yes.", **fields}
    answer = person.api.post("/api/compose", body)
    assert answer.status_code == 202, answer.content


@pytest.fixture(params=["dovecot_user", "plain_dovecot_user"])
def letters(request: pytest.FixtureRequest, people: People, smtp: SmtpReceiver) -> Correspondence:
    return Correspondence(people, request.getfixturevalue(request.param), smtp)


@pytest.fixture
def rich(people: People, smtp: SmtpReceiver, dovecot_user: DovecotUser) -> Correspondence:
    return Correspondence(people, dovecot_user, smtp)


def test_what_was_answered_is_marked_once_the_answer_was_accepted(letters: Correspondence) -> None:
    ask(letters.people.member, letters.account, inReplyTo=str(letters.question.pk))
    file_due()
    assert (letters.there(), letters.here()) == (frozenset(), (False, []))
    send_due()
    file_due()
    assert (letters.there(), letters.here()) == (frozenset({"\\Answered"}), (True, []))
    letters.sync()
    assert letters.here() == (True, [])


def test_what_was_passed_on_is_marked(letters: Correspondence) -> None:
    letters.send(forwardOf=str(letters.question.pk), subject="Fwd: A question")
    assert (letters.there(), letters.here()) == (
        frozenset({"$Forwarded"}),
        (False, ["$Forwarded"]),
    )
    letters.sync()
    assert letters.here() == (False, ["$Forwarded"])


def test_an_answer_that_began_as_a_draft_leaves_the_mark_too(rich: Correspondence) -> None:
    api = rich.people.member.api
    body = {
        "accountId": str(rich.account.pk),
        "to": ["bo@example.org"],
        "inReplyTo": str(rich.question.pk),
    }
    draft = api.post("/api/compose/drafts", body).json()
    assert api.post(f"/api/compose/drafts/{draft['id']}/send").status_code == 202
    send_due()
    retire_sent()
    file_due()
    assert (rich.there(), rich.here()) == (frozenset({"\\Answered"}), (True, []))


def test_an_answer_that_nobody_got_leaves_no_mark(rich: Correspondence, smtp: SmtpReceiver) -> None:
    smtp.script.answer(Step.RCPT, "550 5.1.1 No such user", times=1)
    rich.send(inReplyTo=str(rich.question.pk))
    smtp.script.answer(Step.CONTENT, Disturbance.DROP, times=1)
    rich.send(inReplyTo=str(rich.question.pk))
    assert (rich.there(), rich.here()) == (frozenset(), (False, []))


def test_one_that_went_meanwhile_keeps_no_answer_from_being_filed(rich: Correspondence) -> None:
    with ImapStore(rich.user.settings()) as store:
        store.select("INBOX", read_only=False)
        store.expunge(store.uids())
    rich.send(inReplyTo=str(rich.question.pk))
    with ImapStore(rich.user.settings()) as store:
        assert store.select("Sent").messages == 1
    assert not rich.people.member.api.get("/api/outbox?status=sent").json()["outbox"][0]["bounced"]


def test_a_reader_leaves_no_mark_by_an_answer_from_elsewhere(
    rich: Correspondence, people: People, smtp: SmtpReceiver
) -> None:
    people.delegate(rich.account, people.reader)
    own = connect(people, people.reader, rich.user, smtp)
    ask(people.reader, own, inReplyTo=str(rich.question.pk))
    send_due()
    file_due()
    assert (rich.there(), rich.here()) == (frozenset(), (False, []))


def test_mail_that_is_read_over_pop3_is_marked_here(
    people: People, smtp: SmtpReceiver, dovecot_user: DovecotUser
) -> None:
    smtp.users = {dovecot_user.name: dovecot_user.password}
    account = connect(people, people.member, dovecot_user, smtp, protocol="pop3")
    mailbox = Mailbox(account)
    mailbox.inbox.deliver(raw_message("A question"))
    mailbox.sync()
    question = mailbox.message("A question")
    ask(people.member, account, inReplyTo=str(question.pk))
    send_due()
    file_due()
    seen = people.member.api.get(f"/api/messages/{question.pk}").json()
    assert seen["isAnswered"] is True


def test_gmail_is_told_once_for_all_labels(
    people: People, gmail: GmailAccount, smtp: SmtpReceiver
) -> None:
    message: GmailMessage = gmail.server.deliver(raw_message("A question"), "\\Inbox", "Arbeit")
    gmail.sync()
    account = gmail.account
    smtp.users = {account.username: "correct horse"}
    EmailAccount.objects.update(smtp_port=smtp.port, smtp_encryption="none")
    question = Message.objects.get()
    ask(people.member, account, inReplyTo=str(question.pk))
    ask(people.member, account, forwardOf=str(question.pk))
    send_due()
    file_due()
    assert message.flags == {"\\Answered", "$Forwarded"}
    entries = question.entries.values_list("is_answered", "keywords")
    assert list(entries) == [(True, ["$Forwarded"])] * 3


def test_a_keyword_goes_only_where_the_folder_keeps_it() -> None:
    def folder(*flags: str) -> FolderStatus:
        return FolderStatus("INBOX", 1, 1, 0, permanent_flags=frozenset(flags) or None)

    kept = [folder(), folder("\\Seen", "\\*"), folder("$Forwarded"), folder("\\Seen", "other")]
    assert [each.keeps("$Forwarded") for each in kept] == [True, True, True, False]
    assert all(each.keeps("\\Answered") for each in kept)
