"""Drafts that another mail program begins, edits and deletes in the account's Drafts folder."""

from __future__ import annotations

from email import policy
from email.message import EmailMessage

from django.utils import timezone

from mailboxes.drafts.copies import copy_due
from mailboxes.drafts.sending import retire_sent
from mailboxes.models import Draft, DraftPiece, DraftRemoval
from mailboxes.outbox.sending import send_due
from tests.access.test_who_may_do_what import content_of
from tests.mailboxes.conftest import raw_message
from tests.mailboxes.drafts.desk import Desk, at, parsed, text_of, upload
from tests.servers.smtp import SmtpReceiver


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
    [there] = desk.there()
    assert text_of(there) == "At two?"


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
