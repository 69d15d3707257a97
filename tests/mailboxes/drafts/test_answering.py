"""Replies and forwards: what is offered, and what goes out of it."""

from __future__ import annotations

from email import policy
from email.message import EmailMessage

import pytest

from accounts.models import EmailAccount
from mailboxes.outbox.sending import send_due
from mailhub.mail.message import Address, Attachment, OutgoingMessage
from tests.mailboxes.conftest import Mailbox, raw_message
from tests.mailboxes.drafts.desk import at, received
from tests.people import People
from tests.servers.smtp import SmtpReceiver


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
