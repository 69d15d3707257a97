"""Drafts through the API: saved at once, changed with care, sent once, taken back."""

from __future__ import annotations

import base64
import io
from datetime import timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from accounts.models import EmailAccount
from mailboxes.drafts.sending import retire_sent
from mailboxes.models import Draft, DraftPiece, OutboxMessage
from mailboxes.outbox.sending import send_due
from mailhub.mail.message import Address, Attachment, OutgoingMessage
from tests.access.test_who_may_do_what import content_of
from tests.mailboxes.conftest import Mailbox, raw_message
from tests.people import People
from tests.servers.smtp import SmtpReceiver

MEGABYTE = 1024 * 1024


@pytest.fixture
def account(people: People, smtp_receiver: SmtpReceiver, settings: Settings) -> EmailAccount:
    """It sends to the receiver; nothing answers where it reads."""
    settings.MAILHUB_MAIL_TIMEOUT = 2.0
    account = people.connect_account(
        people.member,
        email_address="joe@example.org",
        username="joe@example.org",
        port=1,
        encryption="none",
        smtp_port=smtp_receiver.port,
        smtp_encryption="none",
    )
    smtp_receiver.users = {account.username: "correct horse"}
    return account


def begin(people: People, account: EmailAccount, **fields: Any) -> Any:
    body = {"accountId": str(account.pk), **fields}
    answer = people.member.api.post("/api/compose/drafts", body)
    assert answer.status_code == 201, answer.content
    return answer.json()


def at(draft: Any, rest: str = "") -> str:
    return f"/api/compose/drafts/{draft['id']}{rest}"


def upload(people: People, draft: Any, content: bytes, name: str = "a.pdf", **fields: Any) -> Any:
    file = io.BytesIO(content)
    file.name = name
    return people.member.api.post(
        at(draft, "/attachments"), {"file": file, **fields}, format="multipart"
    )


def parsed(content: bytes) -> EmailMessage:
    found = message_from_bytes(content, policy=policy.default)
    assert isinstance(found, EmailMessage)
    return found


def received(receiver: SmtpReceiver) -> EmailMessage:
    [message] = receiver.messages
    return parsed(message.content)


def test_a_draft_is_begun_changed_listed_and_thrown_away(
    people: People, account: EmailAccount
) -> None:
    api = people.member.api
    draft = begin(
        people,
        account,
        to=["recipient@example.com"],
        subject="Draft Subject",
        textBody="Draft body",
        attachments=[],
    )
    assert (draft["version"], draft["copy"]) == (1, "waiting")
    assert draft["to"] == [{"name": "", "address": "recipient@example.com"}]
    assert draft["from"] == {"name": "", "address": "joe@example.org"}
    changed = api.put(at(draft), {"subject": "Updated Subject", "textBody": "Updated body"})
    assert changed.status_code == 200, changed.content
    assert (changed.json()["subject"], changed.json()["version"]) == ("Updated Subject", 2)
    assert changed.json()["to"] == draft["to"], "what is not given stays"
    [listed] = api.get(f"/api/compose/drafts?accountId={account.pk}").json()["drafts"]
    assert listed == changed.json() == api.get(at(draft)).json()
    assert api.delete(at(draft)).status_code == 204
    assert api.get(at(draft)).status_code == 404
    assert api.get("/api/compose/drafts").json() == {"drafts": [], "nextCursor": None}


def test_what_changes_nothing_is_no_new_version(people: People, account: EmailAccount) -> None:
    draft = begin(people, account, subject="Same", to="Ann <ann@example.org>")
    again = people.member.api.put(at(draft), {"subject": "Same", "to": draft["to"]}).json()
    assert again == draft


def test_who_has_not_seen_the_newest_version_overwrites_nothing(
    people: People, account: EmailAccount
) -> None:
    api = people.member.api
    draft = begin(people, account, subject="One")
    assert api.patch(at(draft), {"subject": "Two", "version": 1}).json()["version"] == 2
    for refused in (
        api.patch(at(draft), {"subject": "Three", "version": 1}),
        api.delete(at(draft, "?version=1")),
        api.post(at(draft, "/send"), {"version": 1}),
        api.post(at(draft, "/attachments?version=1"), {"data": "QQ=="}),
    ):
        assert (refused.status_code, refused.json()["error"]) == (409, "version_conflict")
        assert refused.json()["details"] == {"version": 2}
    assert api.get(at(draft)).json()["subject"] == "Two"


def test_an_address_may_be_half_written_until_it_is_sent(
    people: People, account: EmailAccount
) -> None:
    draft = begin(people, account, to="Ann <ann@example.org>, bob", cc=[{"address": ""}])
    assert draft["to"][1] == {"name": "", "address": "bob"}
    refused = people.member.api.post(at(draft, "/send"), {})
    assert refused.status_code == 400
    assert refused.json()["details"]["fields"] == {"to": ["bob is no address."]}
    assert people.member.api.get(at(draft)).json() == draft, "it is still a draft"
    people.member.api.put(at(draft), {"to": [], "cc": []})
    nobody = people.member.api.post(at(draft, "/send"), {})
    assert (nobody.status_code, nobody.json()["error"]) == (400, "invalid_message")


@pytest.mark.parametrize(
    "fields",
    [
        {"subject": "Hello\r\nBcc: all@example.org"},
        {"to": [{"name": "A\nB", "address": "a@example.org"}]},
        {"to": ["half\r\nwritten"]},
        {"headers": {"Bcc": "all@example.org"}},
        {"inReplyTo": "no id"},
        {"inReplyTo": "987654321"},
        {"inReplyTo": "9" * 900},
        {"forwardOf": "987654321"},
        {"attachments": [{"messageId": "987654321", "index": 0}]},
        {"attachments": [{"data": "not base64!"}]},
        {"attachments": [{"filename": "a.exe", "data": "QQ=="}]},
        {"attachments": [{"id": "1"}]},
        {"to": 5},
        {"unknown": 1},
    ],
)
def test_what_cannot_be_is_refused(
    people: People, account: EmailAccount, fields: dict[str, Any]
) -> None:
    body = {"accountId": str(account.pk), **fields}
    answer = people.member.api.post("/api/compose/drafts", body)
    assert answer.status_code == 400, answer.content
    assert not Draft.objects.exists()


def test_files_come_as_multipart_as_base64_and_go_again(
    people: People, account: EmailAccount
) -> None:
    api = people.member.api
    large = bytes(range(256)) * 4096
    data = base64.b64encode(b"one").decode()
    draft = begin(people, account, attachments=[{"filename": "one.txt", "data": data}])
    uploaded = upload(people, draft, large, "large.bin", filename="renamed.bin")
    assert uploaded.status_code == 201, uploaded.content
    added = api.post(
        at(draft, "/attachments"),
        {"filename": "dot.png", "contentType": "image/png", "data": data, "cid": "dot"},
    ).json()
    assert added["version"] == 3
    described = [
        (each["filename"], each["size"], each["isInline"]) for each in added["attachments"]
    ]
    assert described == [
        ("one.txt", 3, False),
        ("renamed.bin", len(large), False),
        ("dot.png", 3, True),
    ]
    first, second, third = (each["id"] for each in added["attachments"])
    answer = api.get(at(draft, f"/attachments/{second}"))
    assert content_of(answer) == large
    assert 'filename="renamed.bin"' in answer["Content-Disposition"]
    assert DraftPiece.objects.filter(attachment=second).count() == 4
    left = api.delete(at(draft, f"/attachments/{second}")).json()
    assert [each["id"] for each in left["attachments"]] == [first, third]
    assert api.delete(at(draft, f"/attachments/{second}")).status_code == 404
    kept = api.put(at(draft), {"attachments": [{"id": third}, {"filename": "new", "data": data}]})
    assert [each["filename"] for each in kept.json()["attachments"]] == ["dot.png", "new"]
    api.delete(at(draft))
    assert not DraftPiece.objects.exists()


def test_a_draft_is_too_large_before_it_is_sent(
    people: People, account: EmailAccount, settings: Settings
) -> None:
    settings.MAILHUB_MESSAGE_LIMIT = MEGABYTE
    draft = begin(people, account, to="bo@example.org")
    assert upload(people, draft, b"x" * (MEGABYTE // 2)).status_code == 201
    refused = upload(people, draft, b"x" * (MEGABYTE // 3))
    assert (refused.status_code, refused.json()["error"]) == (413, "message_too_large")
    [kept] = people.member.api.get(at(draft)).json()["attachments"]
    assert kept["size"] == MEGABYTE // 2
    refused = upload(people, draft, b"MZ", "setup.exe")
    assert (refused.status_code, refused.json()["error"]) == (400, "attachment_refused")


def test_a_draft_is_sent_with_its_files_and_is_no_more(
    people: People, account: EmailAccount, smtp_receiver: SmtpReceiver
) -> None:
    large = bytes(range(256)) * 3000
    draft = begin(
        people,
        account,
        to=["bo@example.org"],
        bcc=["di@example.org"],
        subject="Hello",
        textBody="Hi there.",
        htmlBody='<p>Hi <img src="cid:dot"></p>',
        headers={"X-Shop": "yes"},
        attachments=[
            {"filename": "dot.png", "contentType": "image/png", "data": "QUJD", "cid": "dot"}
        ],
    )
    upload(people, draft, large)
    answer = people.member.api.post(at(draft, "/send"), {})
    assert answer.status_code == 202, answer.content
    assert people.member.api.get(at(draft)).status_code == 404
    assert people.member.api.post(at(draft, "/send"), {}).status_code == 404
    send_due()
    message = received(smtp_receiver)
    assert message["Message-ID"] == answer.json()["messageId"]
    assert (message["Bcc"], message["X-Shop"], message["X-Mailhub-Draft"]) == (None, "yes", None)
    assert smtp_receiver.messages[0].envelope.recipients == ("bo@example.org", "di@example.org")
    [file] = message.iter_attachments()
    assert (file.get_filename(), file.get_content()) == ("a.pdf", large)
    html = message.get_body(("html",))
    assert html is not None
    assert 'src="cid:dot"' in html.get_content()
    images = [part for part in message.walk() if part["Content-ID"] == "<dot>"]
    assert [part.get_content() for part in images] == [b"ABC"]
    retire_sent()
    assert not Draft.objects.exists()


def test_compose_sends_a_draft_with_what_is_given_besides(
    people: People, account: EmailAccount, smtp_receiver: SmtpReceiver
) -> None:
    draft = begin(people, account, to=["bo@example.org"], subject="Hello", textBody="Hi.")
    moment = int((timezone.now() + timedelta(hours=1)).timestamp() * 1000)
    answer = people.member.api.post(
        "/api/compose", {"draftId": draft["id"], "subject": "Hello again", "sendAt": moment}
    )
    assert answer.status_code == 202, answer.content
    assert (answer.json()["status"], answer.json()["sendAt"]) == ("scheduled", moment)
    assert OutboxMessage.objects.get().subject == "Hello again"
    gone = people.member.api.post("/api/compose", {"draftId": draft["id"]})
    assert gone.status_code == 404


def test_a_cancelled_message_is_a_draft_again(people: People, account: EmailAccount) -> None:
    draft = begin(people, account, to=["bo@example.org"], subject="Hello")
    moment = (timezone.now() + timedelta(hours=1)).isoformat()
    queued = people.member.api.post(at(draft, "/send"), {"sendAt": moment}).json()
    assert people.member.api.delete(f"/api/outbox/{queued['id']}").json()["status"] == "cancelled"
    again = people.member.api.get(at(draft)).json()
    assert {**again, "updatedAt": 0} == {**draft, "updatedAt": 0}
    # To ask for it once more makes no second one.
    back = people.member.api.post(f"/api/outbox/{queued['id']}/draft")
    assert (back.status_code, back.json()) == (201, again)
    assert Draft.objects.count() == 1


def test_a_refused_message_is_taken_back_corrected_and_sent(
    people: People, account: EmailAccount, smtp_receiver: SmtpReceiver
) -> None:
    api = people.member.api
    right, smtp_receiver.users = smtp_receiver.users, {"somebody": "else"}
    draft = begin(people, account, to=["bo@example.org"], subject="Hello")
    queued = api.post(at(draft, "/send"), {}).json()
    send_due()
    assert api.get(f"/api/outbox/{queued['id']}").json()["status"] == "failed"
    assert api.get(at(draft)).status_code == 404
    back = api.post(f"/api/outbox/{queued['id']}/draft")
    assert (back.status_code, back.json()["id"]) == (201, draft["id"])
    assert api.get("/api/dead-letters").json()["deadLetters"] == []
    refused = api.post(f"/api/outbox/{queued['id']}/retry", {})
    assert (refused.status_code, refused.json()["error"]) == (409, "content_gone")
    smtp_receiver.users = right
    assert api.post(at(draft, "/send"), {}).status_code == 202
    send_due()
    assert received(smtp_receiver)["Subject"] == "Hello"


def test_a_message_that_was_no_draft_becomes_one(people: People, account: EmailAccount) -> None:
    api = people.member.api
    moment = (timezone.now() + timedelta(hours=1)).isoformat()
    body = {
        "accountId": str(account.pk),
        "to": ["Bo <bo@example.org>"],
        "bcc": ["di@example.org"],
        "subject": "Grüße",
        "textBody": "Hi there.",
        "attachments": [{"filename": "a.txt", "contentType": "text/plain", "data": "QUJD"}],
        "sendAt": moment,
    }
    queued = api.post("/api/compose", body).json()
    back = api.post(f"/api/outbox/{queued['id']}/draft")
    assert back.status_code == 201, back.content
    draft = back.json()
    assert draft["to"] == [{"name": "Bo", "address": "bo@example.org"}]
    assert draft["bcc"] == [{"name": "", "address": "di@example.org"}]
    assert (draft["subject"], draft["textBody"].strip()) == ("Grüße", "Hi there.")
    [file] = draft["attachments"]
    assert content_of(api.get(at(draft, f"/attachments/{file['id']}"))) == b"ABC"
    assert api.get(f"/api/outbox/{queued['id']}").json()["status"] == "cancelled"
    assert api.post(f"/api/outbox/{queued['id']}/draft").json()["id"] == draft["id"]
    api.delete(at(draft))
    gone = api.post(f"/api/outbox/{queued['id']}/draft")
    assert (gone.status_code, gone.json()["error"]) == (409, "draft_gone")


def test_a_message_that_was_sent_is_no_draft_any_more(
    people: People, account: EmailAccount, smtp_receiver: SmtpReceiver
) -> None:
    draft = begin(people, account, to=["bo@example.org"])
    queued = people.member.api.post(at(draft, "/send"), {}).json()
    send_due()
    refused = people.member.api.post(f"/api/outbox/{queued['id']}/draft")
    assert (refused.status_code, refused.json()["error"]) == (409, "not_over")


@pytest.fixture
def mailbox(account: EmailAccount) -> Mailbox:
    return Mailbox(account)


def test_a_reply_is_offered_with_what_it_quotes(
    people: People, account: EmailAccount, mailbox: Mailbox
) -> None:
    mailbox.remote.deliver(
        raw_message(
            "A question",
            text="How are you?\r\n> Fine\r\n-- \r\nAda",
            to="joe@example.org, Bo <bo@example.org>",
            cc="Cy <cy@example.org>, ada@example.org",
            message_id="<two@example.org>",
            references="<one@example.org>",
        )
    )
    mailbox.sync()
    question = mailbox.message("A question")
    api = people.member.api
    offered = api.get(f"/api/compose/reply?messageId={question.pk}").json()
    assert offered["to"] == [{"name": "Ada Lovelace", "address": "ada@example.org"}]
    assert offered["cc"] == []
    assert offered["textBody"] == (
        "\n\nOn 3 Nov 2026 at 10:00 UTC, Ada Lovelace wrote:\n> How are you?\n>> Fine\n"
    )
    everyone = api.get(f"/api/compose/reply?messageId={question.pk}&everyone=true").json()
    assert [each["address"] for each in everyone["to"]] == ["ada@example.org", "bo@example.org"]
    assert [each["address"] for each in everyone["cc"]] == ["cy@example.org"]
    draft = api.post("/api/compose/drafts", everyone).json()
    assert draft["answers"] == str(question.pk)
    assert draft["inReplyTo"] == "<two@example.org>"
    assert draft["references"] == ["<one@example.org>", "<two@example.org>"]
    # What a client got it may give back.
    same = api.put(at(draft), {"inReplyTo": draft["inReplyTo"]}).json()
    assert same == draft


def test_a_forward_takes_the_attachments_along_without_an_upload(
    people: People, account: EmailAccount, mailbox: Mailbox, smtp_receiver: SmtpReceiver
) -> None:
    original = EmailMessage()
    original["From"], original["To"] = "Ada <ada@example.org>", "joe@example.org"
    original["Subject"], original["Message-ID"] = "Look", "<look@example.org>"
    original["Date"] = "Tue, 3 Nov 2026 10:00:00 +0000"
    original.set_content("See the picture.")
    original.add_alternative('<p>See <img src="cid:pic"></p><script>x</script>', subtype="html")
    html = original.get_body(("html",))
    assert isinstance(html, EmailMessage)
    html.add_related(b"PNG", "image", "png", cid="<pic>", filename="pic.png")
    original.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="a.pdf")
    mailbox.remote.deliver(original.as_bytes(policy=policy.SMTP))
    mailbox.sync()
    api = people.member.api
    offered = api.get(f"/api/compose/forward?messageId={mailbox.message('Look').pk}").json()
    assert offered["subject"] == "Fwd: Look"
    assert "From: Ada <ada@example.org>" in offered["textBody"]
    assert "See the picture." in offered["textBody"]
    assert 'src="cid:pic"' in offered["htmlBody"]
    assert "script" not in offered["htmlBody"]
    draft = api.post("/api/compose/drafts", {**offered, "to": ["bo@example.org"]}).json()
    assert draft["forwardOf"] == offered["forwardOf"]
    assert (draft["inReplyTo"], draft["references"]) == ("", ["<look@example.org>"])
    assert api.post(at(draft, "/send"), {}).status_code == 202
    send_due()
    message = received(smtp_receiver)
    files = {
        part.get_filename(): part.get_content() for part in message.walk() if part.get_filename()
    }
    assert files == {"pic.png": b"PNG", "a.pdf": b"%PDF"}
    assert message["References"] == "<look@example.org>"


def test_what_is_offered_can_be_sent_without_a_draft(
    people: People, account: EmailAccount, mailbox: Mailbox, smtp_receiver: SmtpReceiver
) -> None:
    original = OutgoingMessage(
        sender=Address("", "ada@example.org"),
        to=[Address("", "joe@example.org")],
        subject="Look",
        message_id="<look@example.org>",
        attachments=[Attachment("a.pdf", b"%PDF", "application/pdf")],
    )
    mailbox.remote.deliver(original.as_bytes())
    mailbox.sync()
    api = people.member.api
    offered = api.get(f"/api/compose/forward?messageId={mailbox.message('Look').pk}").json()
    answer = api.post("/api/compose", {**offered, "to": ["bo@example.org"]})
    assert answer.status_code == 202, answer.content
    send_due()
    message = received(smtp_receiver)
    assert [part.get_content() for part in message.iter_attachments()] == [b"%PDF"]
    assert (message["Subject"], message["References"]) == ("Fwd: Look", "<look@example.org>")


def test_the_same_key_begins_one_draft(people: People, account: EmailAccount) -> None:
    member = people.member
    member.api.credentials(HTTP_AUTHORIZATION=f"Token {member.key}", HTTP_IDEMPOTENCY_KEY="one")
    first, again = (
        member.api.post("/api/compose/drafts", {"accountId": str(account.pk), "subject": "Hi"})
        for _ in range(2)
    )
    assert again.headers["Idempotent-Replayed"] == "true"
    assert first.json() == again.json()
    assert Draft.objects.count() == 1


def test_an_account_of_pop3_keeps_its_drafts_here(people: People, account: EmailAccount) -> None:
    EmailAccount.objects.update(protocol="pop3")
    draft = begin(people, account, subject="Hello")
    assert (draft["copy"], draft["copyError"]) == ("none", "")
    assert people.member.api.delete(at(draft)).status_code == 204
