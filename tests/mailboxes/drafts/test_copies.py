"""The copy of a draft in the account's Drafts folder, on real servers: one, after any crash."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from accounts.models import EmailAccount
from mailboxes.drafts.copies import copy_due, keep_copies
from mailboxes.drafts.sending import retire_sent
from mailboxes.models import Draft, DraftRemoval
from mailboxes.outbox.sending import send_due
from mailhub.mail.stores.base import Store
from mailhub.mail.stores.imap import ImapStore
from tests.mailboxes.conftest import raw_message
from tests.mailboxes.drafts.desk import Desk, at, upload
from tests.servers.dovecot import DovecotUser
from tests.servers.smtp import SmtpReceiver


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
