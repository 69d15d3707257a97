"""Drafts in the account's Drafts folder, on real servers, with another program at work there."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from accounts.models import EmailAccount
from mailboxes.drafts.copies import copy_due, keep_copies
from mailboxes.drafts.sending import retire_sent
from mailboxes.models import Draft, DraftPiece, DraftRemoval
from mailboxes.outbox.sending import send_due
from mailboxes.sync.control import Control, Progress
from mailboxes.sync.engine import Order, Pass
from mailhub.mail.stores.base import RemoteMessage, Store
from mailhub.mail.stores.imap import ImapStore
from tests.access.test_who_may_do_what import content_of
from tests.mailboxes.conftest import raw_message
from tests.mailboxes.test_drafts import at, upload
from tests.mailboxes.test_drafts import begin as begin_on
from tests.people import People
from tests.servers.dovecot import DovecotUser
from tests.servers.smtp import SmtpReceiver

KINDS = {
    "qresync": "dovecot_user",
    "condstore": "condstore_dovecot_user",
    "poor": "plain_dovecot_user",
}


class Desk:
    """One account, written from here (`api`) and from another mail program (`other_…`)."""

    def __init__(self, people: People, user: DovecotUser, receiver: SmtpReceiver) -> None:
        self.user, self.people, self.api = user, people, people.member.api
        receiver.users = {user.name: user.password}
        self.account = people.connect_account(
            people.member,
            password=user.password,
            username=user.name,
            email_address="joe@example.org",
            port=user.server.port,
            encryption="none",
            smtp_port=receiver.port,
            smtp_encryption="none",
        )

    def begin(self, **fields: Any) -> Any:
        return begin_on(self.people, self.account, **fields)

    def change(self, draft: Any, **fields: Any) -> Any:
        answer = self.api.put(at(draft), fields)
        assert answer.status_code == 200, answer.content
        return answer.json()

    def look(self, draft: Any) -> Any:
        answer = self.api.get(at(draft))
        return answer.json() if answer.status_code == 200 else None

    def drafts(self) -> list[Any]:
        listed: list[Any] = self.api.get("/api/compose/drafts").json()["drafts"]
        return listed

    def sync(self, *, began: datetime | None = None) -> None:
        order = Order(uuid.uuid4(), began or timezone.now())
        with ImapStore(self.user.settings()) as store:
            Pass(store, self.account.pk, order, Control(Progress())).run()

    def there(self, folder: str = "Drafts") -> list[EmailMessage]:
        """What another program finds in the folder."""
        return [parsed(message.content) for message in self.raw(folder)]

    def raw(self, folder: str = "Drafts") -> list[RemoteMessage]:
        with ImapStore(self.user.settings()) as store:
            store.select(folder)
            return list(store.fetch(store.uids("UNDELETED")))

    def subjects(self) -> list[str]:
        return [str(message["Subject"]) for message in self.there()]

    def other_writes(self, content: bytes) -> None:
        with ImapStore(self.user.settings()) as store:
            store.append("Drafts", content, flags=["\\Draft", "\\Seen"])

    def other_deletes(self, uids: Sequence[int] = ()) -> None:
        with ImapStore(self.user.settings()) as store:
            store.select("Drafts", read_only=False)
            store.expunge(uids or store.uids("UNDELETED"))

    def other_edits(self, content: bytes) -> None:
        """As mail programs do: another message, then the old one goes."""
        old = [message.uid for message in self.raw()]
        self.other_writes(content)
        self.other_deletes(old)


def parsed(content: bytes) -> EmailMessage:
    found = message_from_bytes(content, policy=policy.default)
    assert isinstance(found, EmailMessage)
    return found


@pytest.fixture
def smtp(smtp_receiver: SmtpReceiver, settings: Settings) -> SmtpReceiver:
    settings.MAILHUB_MAIL_TIMEOUT = 5.0
    return smtp_receiver


@pytest.fixture(params=KINDS)
def desk(request: pytest.FixtureRequest, people: People, smtp: SmtpReceiver) -> Desk:
    """On each kind of server."""
    return Desk(people, request.getfixturevalue(KINDS[request.param]), smtp)


@pytest.fixture
def rich(people: People, smtp: SmtpReceiver, dovecot_user: DovecotUser) -> Desk:
    """On a server with every extension, where the kind of server does not matter."""
    return Desk(people, dovecot_user, smtp)


def test_each_version_replaces_the_older_one(desk: Desk) -> None:
    draft = desk.begin(to=["bo@example.org"], bcc=["di@example.org"], subject="One", textBody="Hi.")
    upload(desk.people, draft, b"%PDF")
    copy_due()
    [message] = desk.there()
    assert (message["Subject"], message["Bcc"]) == ("One", "di@example.org")
    [file] = message.iter_attachments()
    assert (file.get_filename(), file.get_content()) == ("a.pdf", b"%PDF")
    assert {"\\Draft", "\\Seen"} <= desk.raw()[0].flags
    assert (desk.look(draft)["copy"], desk.look(draft)["version"]) == ("kept", 2)
    desk.user.deliver(raw_message("Another's"), "Drafts")
    desk.change(draft, subject="Two")
    assert desk.look(draft)["copy"] == "waiting"
    copy_due()
    copy_due()
    assert sorted(desk.subjects()) == ["Another's", "Two"]


def test_a_sync_finds_the_copy_and_makes_nothing_of_it(desk: Desk) -> None:
    draft = desk.begin(to=["bo@example.org"], subject="One", htmlBody="<p>Hi  <b>you</b></p>")
    upload(desk.people, draft, bytes(range(256)))
    copy_due()
    before = desk.look(draft)
    for _ in range(2):
        desk.sync()
    [after] = desk.drafts()
    assert after == {**before, "copyMessageId": after["copyMessageId"]}
    message = desk.api.get(f"/api/messages/{after['copyMessageId']}").json()
    assert (message["subject"], message["isDraft"]) == ("One", True)
    copy_due()
    assert desk.subjects() == ["One"]


def test_a_draft_of_another_program_can_be_changed_and_sent(desk: Desk, smtp: SmtpReceiver) -> None:
    letter = EmailMessage()
    letter["From"], letter["To"] = "Joe <joe@example.org>", "Bo <bo@example.org>"
    letter["Bcc"], letter["Subject"] = "di@example.org", "Begun elsewhere"
    letter["In-Reply-To"], letter["References"] = "<two@x.org>", "<one@x.org> <two@x.org>"
    letter.set_content("Dear Bo,")
    letter.add_attachment(b"\x00\x01", maintype="image", subtype="png", filename="a.png")
    desk.other_writes(letter.as_bytes(policy=policy.SMTP))
    desk.sync()
    [draft] = desk.drafts()
    assert draft["from"] == {"name": "Joe", "address": "joe@example.org"}
    assert draft["bcc"] == [{"name": "", "address": "di@example.org"}]
    assert (draft["copy"], draft["textBody"].strip()) == ("kept", "Dear Bo,")
    assert draft["references"] == ["<one@x.org>", "<two@x.org>"]
    [file] = draft["attachments"]
    assert content_of(desk.api.get(at(draft, f"/attachments/{file['id']}"))) == b"\x00\x01"
    assert not DraftPiece.objects.exists(), "its file lies in the stored message, once"
    desk.sync()
    assert desk.drafts() == [draft]
    changed = desk.change(draft, textBody="Dear Bo, how are you?")
    copy_due()
    [there] = desk.there()
    assert [part.get_content() for part in there.iter_attachments()] == [b"\x00\x01"]
    assert there["In-Reply-To"] == "<two@x.org>"
    desk.sync()
    [same] = desk.drafts()
    assert (same["id"], same["version"]) == (draft["id"], changed["version"])
    assert desk.api.post(at(draft, "/send"), {}).status_code == 202
    send_due()
    [message] = smtp.messages
    assert message.envelope.recipients == ("bo@example.org", "di@example.org")
    sent = parsed(message.content)
    assert [part.get_content() for part in sent.iter_attachments()] == [b"\x00\x01"]
    retire_sent()
    copy_due()
    assert desk.there() == []
    desk.sync()
    assert desk.drafts() == []


def test_an_edit_of_another_program_is_taken_in_under_the_same_id(desk: Desk) -> None:
    draft = desk.begin(to=["bo@example.org"], subject="Lunch", textBody="At noon?")
    upload(desk.people, draft, b"%PDF")
    copy_due()
    desk.sync()
    letter = parsed(desk.raw()[0].content)
    for name in ("X-Mailhub-Draft", "Message-ID"):
        del letter[name]
    letter["Message-ID"] = "<other@program.example>"
    body = letter.get_body(("plain",))
    assert body is not None
    body.set_content("At one?")
    desk.other_edits(letter.as_bytes(policy=policy.SMTP))
    desk.sync()
    [edited] = desk.drafts()
    assert (edited["id"], edited["version"]) == (draft["id"], 3)
    assert (edited["subject"], edited["textBody"].strip()) == ("Lunch", "At one?")
    assert [each["size"] for each in edited["attachments"]] == [4]
    assert edited["copy"] == "kept"
    desk.change(draft, textBody="At two?")
    copy_due()
    assert [message.get_body(("plain",)).get_content().strip() for message in desk.there()] == [  # type: ignore[union-attr]
        "At two?"
    ]


def test_an_edit_that_keeps_our_marks_is_told_from_our_copy(rich: Desk) -> None:
    draft = rich.begin(subject="Lunch", textBody="At noon?")
    copy_due()
    rich.sync()
    rich.other_edits(rich.raw()[0].content.replace(b"At noon?", b"Or never at all"))
    rich.sync()
    [edited] = rich.drafts()
    assert (edited["id"], edited["textBody"].strip()) == (draft["id"], "Or never at all")


def test_a_draft_that_was_deleted_elsewhere_is_gone_here(desk: Desk) -> None:
    draft = desk.begin(subject="One")
    copy_due()
    desk.sync()
    desk.other_deletes()
    desk.sync()
    assert desk.look(draft) is None
    assert desk.drafts() == []


def test_one_that_was_deleted_before_any_sync_saw_it_is_gone_too(rich: Desk) -> None:
    rich.begin(subject="One")
    copy_due()
    rich.other_deletes()
    rich.sync()
    assert rich.drafts() == []


def test_a_pass_that_began_before_the_copy_came_concludes_nothing(rich: Desk) -> None:
    began = timezone.now()
    draft = rich.begin(subject="One")
    rich.sync()
    copy_due()
    Draft.objects.update(copied_at=timezone.now())
    rich.other_deletes()
    rich.sync(began=began)
    assert rich.look(draft) is not None


def test_what_was_changed_on_both_sides_is_kept_twice(desk: Desk) -> None:
    draft = desk.begin(to=["bo@example.org"], subject="Lunch", textBody="At noon?")
    copy_due()
    desk.sync()
    desk.other_edits(raw_message("Lunch", text="At one?", to="bo@example.org"))
    desk.change(draft, textBody="At two?")
    desk.sync()
    copy_due()
    desk.sync()
    ours = desk.look(draft)
    [theirs] = [each for each in desk.drafts() if each["id"] != draft["id"]]
    assert (ours["textBody"], theirs["textBody"].strip()) == ("At two?", "At one?")
    assert (ours["conflictWith"], theirs["conflictWith"]) == (theirs["id"], ours["id"])
    bodies = sorted(str(message.get_content()).strip() for message in desk.there())
    assert bodies == ["At one?", "At two?"]
    desk.api.delete(at(theirs))
    assert desk.look(draft)["conflictWith"] is None


def test_the_same_where_our_version_was_there_before_the_sync(rich: Desk) -> None:
    draft = rich.begin(to=["bo@example.org"], subject="Lunch", textBody="At noon?")
    copy_due()
    rich.sync()
    rich.other_edits(raw_message("Lunch", text="At one?", to="bo@example.org"))
    rich.change(draft, textBody="At two?")
    copy_due()
    rich.sync()
    rich.sync()
    ours = rich.look(draft)
    [theirs] = [each for each in rich.drafts() if each["id"] != draft["id"]]
    assert (ours["textBody"], theirs["textBody"].strip()) == ("At two?", "At one?")
    assert (ours["conflictWith"], theirs["conflictWith"]) == (theirs["id"], ours["id"])


def test_what_was_changed_here_and_deleted_there_is_kept(rich: Desk) -> None:
    draft = rich.begin(subject="One")
    copy_due()
    rich.sync()
    rich.other_deletes()
    rich.change(draft, subject="Two")
    rich.sync()
    assert rich.look(draft)["subject"] == "Two"
    copy_due()
    rich.sync()
    assert rich.subjects() == ["Two"]
    assert rich.look(draft)["copy"] == "kept"


def test_a_server_that_is_away_delays_the_copy_and_not_the_save(rich: Desk) -> None:
    EmailAccount.objects.update(port=1)
    draft = rich.begin(subject="One")
    assert (draft["copy"], draft["copyError"]) == ("waiting", "")
    copy_due()
    waiting = rich.look(draft)
    assert (waiting["copy"], "refused the connection" in waiting["copyError"]) == ("waiting", True)
    row = Draft.objects.get()
    assert row.copy_due_at is not None
    assert row.copy_due_at > timezone.now()
    EmailAccount.objects.update(port=rich.user.server.port)
    Draft.objects.update(copy_due_at=timezone.now())
    copy_due()
    assert rich.subjects() == ["One"]
    kept = rich.look(draft)
    assert (kept["copy"], kept["copyError"]) == ("kept", "")


class Crash(BaseException):
    """As kill -9: nothing of ours runs any more."""


def crashing_at(user: DovecotUser, method: str, *, after: bool) -> Store:
    """A connection on which our process is killed, before or after this is done."""

    class Crashing(ImapStore):
        def __getattribute__(self, name: str) -> Any:
            found = super().__getattribute__(name)
            if name != method:
                return found

            def act(*args: Any, **kwargs: Any) -> Any:
                if after:
                    found(*args, **kwargs)
                raise Crash

            return act

    return Crashing(user.settings())


@pytest.mark.parametrize("syncs", [False, True])
@pytest.mark.parametrize(
    ("method", "after"),
    [("append", False), ("append", True), ("expunge", False), ("expunge", True)],
)
def test_a_crash_at_any_step_loses_no_draft_and_leaves_no_second(
    rich: Desk, method: str, after: bool, syncs: bool
) -> None:
    draft = rich.begin(subject="One")
    copy_due()
    rich.sync()
    rich.change(draft, subject="Two")
    with pytest.raises(Crash):
        keep_copies(
            rich.account.pk, open_store=lambda account: crashing_at(rich.user, method, after=after)
        )
    if syncs:
        rich.sync()
    assert rich.look(draft)["subject"] == "Two"
    # The claim of the process that is gone runs out.
    Draft.objects.update(copy_claimed_until=timezone.now())
    copy_due()
    assert rich.subjects() == ["Two"]
    rich.sync()
    assert [(each["id"], each["subject"]) for each in rich.drafts()] == [(draft["id"], "Two")]


def test_a_draft_that_went_while_its_copy_was_on_the_way_does_not_come_back(rich: Desk) -> None:
    draft = rich.begin(subject="One")

    class Slow(ImapStore):
        def append(self, path: str, content: bytes, **options: Any) -> int | None:
            assert rich.api.delete(at(draft)).status_code == 204
            return super().append(path, content, **options)

    keep_copies(rich.account.pk, open_store=lambda account: Slow(rich.user.settings()))
    assert rich.subjects() == []
    rich.sync()
    assert rich.drafts() == []


def test_two_processes_at_once_leave_one_copy(rich: Desk) -> None:
    draft = rich.begin(subject="One")

    class Slow(ImapStore):
        def append(self, path: str, content: bytes, **options: Any) -> int | None:
            Draft.objects.update(copy_claimed_until=timezone.now())
            copy_due()
            return super().append(path, content, **options)

    keep_copies(rich.account.pk, open_store=lambda account: Slow(rich.user.settings()))
    assert rich.subjects() == ["One"]
    rich.sync()
    assert [each["id"] for each in rich.drafts()] == [draft["id"]]


def test_a_draft_thrown_away_leaves_no_copy(desk: Desk) -> None:
    draft = desk.begin(subject="One")
    copy_due()
    desk.user.deliver(raw_message("Another's"), "Drafts")
    assert desk.api.delete(at(draft)).status_code == 204
    copy_due()
    assert desk.subjects() == ["Another's"]
    assert DraftRemoval.objects.get().due_at is None
    desk.sync()
    assert [each["subject"] for each in desk.drafts()] == ["Another's"]


def test_one_that_is_restored_is_the_same_draft(rich: Desk) -> None:
    draft = rich.begin(subject="One", textBody="Hi.")
    copy_due()
    content = rich.raw()[0].content
    rich.sync()
    rich.other_deletes()
    rich.sync()
    DraftRemoval.objects.all().delete()
    rich.other_writes(content)
    rich.sync()
    assert [(each["id"], each["subject"]) for each in rich.drafts()] == [(draft["id"], "One")]


def test_a_copy_that_comes_back_after_its_draft_was_thrown_away_goes_again(rich: Desk) -> None:
    draft = rich.begin(subject="One")
    copy_due()
    content = rich.raw()[0].content
    rich.api.delete(at(draft))
    copy_due()
    rich.other_writes(content)
    rich.sync()
    assert rich.drafts() == []
    copy_due()
    assert rich.subjects() == []


def test_an_edit_of_a_draft_that_was_thrown_away_is_a_draft_of_its_own(rich: Desk) -> None:
    draft = rich.begin(subject="One", textBody="Hi.")
    copy_due()
    content = rich.raw()[0].content
    rich.api.delete(at(draft))
    copy_due()
    rich.other_writes(content.replace(b"Hi.", b"Hi there."))
    rich.sync()
    [theirs] = rich.drafts()
    assert theirs["textBody"].strip() == "Hi there."
    assert theirs["id"] != draft["id"]
    copy_due()
    assert rich.subjects() == ["One"]


def test_a_copy_under_another_uid_is_still_the_drafts(rich: Desk) -> None:
    draft = rich.begin(subject="One")
    copy_due()
    rich.sync()
    content = rich.raw()[0].content
    rich.other_deletes()
    rich.other_writes(content)
    rich.sync()
    assert [each["id"] for each in rich.drafts()] == [draft["id"]]
    rich.change(draft, subject="Two")
    copy_due()
    assert rich.subjects() == ["Two"]


def test_the_copy_goes_once_the_message_was_accepted(rich: Desk, smtp: SmtpReceiver) -> None:
    draft = rich.begin(to=["bo@example.org"], subject="One")
    copy_due()
    right, smtp.users = smtp.users, {"somebody": "else"}
    queued = rich.api.post(at(draft, "/send"), {}).json()
    send_due()
    retire_sent()
    copy_due()
    assert rich.subjects() == ["One"], "not sent: it is still there"
    rich.sync()
    smtp.users = right
    rich.api.post(f"/api/outbox/{queued['id']}/retry", {})
    send_due()
    retire_sent()
    copy_due()
    assert rich.subjects() == []


def test_a_dead_letter_that_is_dropped_takes_the_draft_along(
    rich: Desk, smtp: SmtpReceiver
) -> None:
    draft = rich.begin(to=["bo@example.org"], subject="One")
    copy_due()
    smtp.users = {"somebody": "else"}
    rich.api.post(at(draft, "/send"), {})
    send_due()
    [letter] = rich.api.get("/api/dead-letters").json()["deadLetters"]
    assert rich.api.delete(f"/api/dead-letters/{letter['id']}").status_code == 204
    copy_due()
    assert rich.subjects() == []
    assert not Draft.objects.exists()
