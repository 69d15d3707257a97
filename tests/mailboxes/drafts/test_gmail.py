"""Drafts of a Gmail account: one is a label on a message that lies in All Mail."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_django.fixtures import Settings

from accounts.models import EmailAccount
from mailboxes.drafts.copies import copy_due
from mailboxes.drafts.sending import retire_sent
from mailboxes.models import Draft, Message
from mailboxes.outbox.sending import send_due
from mailboxes.outbox.sent_copies import file_due
from tests.mail.gmail_server import ALL, DRAFTS, SENT, TRASH
from tests.mailboxes.conftest import GmailAccount, raw_message
from tests.mailboxes.drafts.desk import at, begin
from tests.people import People
from tests.servers.smtp import SmtpReceiver


class Desk:
    def __init__(self, people: People, gmail: GmailAccount) -> None:
        self.people, self.gmail, self.api = people, gmail, people.member.api

    def begin(self, **fields: Any) -> Any:
        fields = {"to": ["bo@example.org"], "subject": "One", "textBody": "Some words.", **fields}
        draft = begin(self.people, self.gmail.account, **fields)
        copy_due()
        return draft

    def drafts(self) -> list[tuple[str, str, str]]:
        """Id, subject and text of each."""
        found = [self.api.get(at(row)).json() for row in self._listed()]
        return [(row["id"], row["subject"], row["textBody"].strip()) for row in found]

    def _listed(self) -> list[Any]:
        listed: list[Any] = self.api.get("/api/compose/drafts").json()["drafts"]
        return listed

    def there(self) -> list[str]:
        """What a browser shows in Drafts."""
        shown = self.gmail.server.in_folder(DRAFTS)
        return [row.content.split(b"Subject: ")[1].split(b"\r\n")[0].decode() for row in shown]


@pytest.fixture
def desk(
    people: People, gmail: GmailAccount, smtp_receiver: SmtpReceiver, settings: Settings
) -> Desk:
    settings.MAILHUB_MAIL_TIMEOUT = 5.0
    smtp_receiver.users = {gmail.account.username: "correct horse"}
    EmailAccount.objects.update(smtp_port=smtp_receiver.port, smtp_encryption="none")
    gmail.account.refresh_from_db()
    gmail.sync()
    return Desk(people, gmail)


def test_a_draft_is_kept_under_the_label_and_replaced_there(desk: Desk) -> None:
    draft = desk.begin()
    assert desk.there() == ["One"]
    for _ in range(2):
        desk.gmail.sync()
    assert desk.drafts() == [(draft["id"], "One", "Some words.")]
    assert desk.gmail.copy() == {ALL: {"One"}, DRAFTS: {"One"}}
    desk.api.put(at(draft), {"subject": "Two"})
    copy_due()
    assert desk.there() == ["Two"]
    desk.gmail.sync()
    assert desk.drafts() == [(draft["id"], "Two", "Some words.")]
    assert desk.gmail.copy() == {ALL: {"Two"}, DRAFTS: {"Two"}, TRASH: {"One"}}


def test_an_edit_in_the_browser_is_taken_in_under_the_same_id(desk: Desk) -> None:
    draft = desk.begin()
    desk.gmail.sync()
    [old] = desk.gmail.server.in_folder(DRAFTS)
    desk.gmail.server.messages.remove(old)
    changed = raw_message("One", text="Some words, and more.", to="bo@example.org")
    desk.gmail.server.deliver(changed, "\\Draft")
    desk.gmail.sync()
    assert desk.drafts() == [(draft["id"], "One", "Some words, and more.")]
    copy_due()
    assert len(desk.there()) == 1


def test_one_that_was_begun_in_the_browser_is_a_draft_here(desk: Desk) -> None:
    desk.gmail.server.deliver(raw_message("Theirs", text="Words."), "\\Draft")
    desk.gmail.sync()
    [(draft_id, subject, text)] = desk.drafts()
    assert (subject, text) == ("Theirs", "Words.")
    desk.api.put(at({"id": draft_id}), {"subject": "Ours"})
    copy_due()
    assert desk.there() == ["Ours"]
    desk.gmail.sync()
    assert desk.drafts() == [(draft_id, "Ours", "Words.")]


def test_one_that_was_begun_in_the_browser_can_be_thrown_away_here(desk: Desk) -> None:
    desk.gmail.server.deliver(raw_message("Theirs", text="Words."), "\\Draft")
    desk.gmail.sync()
    [(draft_id, _, _)] = desk.drafts()
    desk.api.delete(at({"id": draft_id}))
    copy_due()
    assert desk.there() == []
    desk.gmail.sync()
    assert desk.drafts() == []


def test_what_is_thrown_away_on_either_side_is_gone_on_both(desk: Desk) -> None:
    here, browser = desk.begin(subject="Here"), desk.begin(subject="There", textBody="Others.")
    desk.gmail.sync()
    desk.api.delete(at(here))
    copy_due()
    assert desk.there() == ["There"]
    [other] = desk.gmail.server.in_folder(DRAFTS)
    desk.gmail.server.move(other, TRASH)
    desk.gmail.sync()
    assert desk.drafts() == []
    assert not Draft.objects.filter(pk=browser["id"]).exists()


def test_a_draft_that_was_sent_leaves_the_label(desk: Desk, smtp_receiver: SmtpReceiver) -> None:
    draft = desk.begin()
    desk.gmail.sync()
    assert desk.api.post(at(draft, "/send")).status_code == 202
    send_due()
    retire_sent()
    copy_due()
    file_due()
    assert len(smtp_receiver.messages) == 1
    assert desk.there() == []
    assert desk.gmail.server.in_folder(SENT) == [], "it files itself what it sends"
    desk.gmail.sync()
    assert desk.drafts() == []
    assert set(Message.objects.filter(entries__isnull=False).values_list("subject", flat=True)) == {
        "One"
    }
    assert desk.gmail.copy() == {TRASH: {"One"}}
