"""A draft is sent once and is no more; what was not sent can be taken back."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from accounts.models import EmailAccount
from mailboxes.drafts.sending import retire_sent
from mailboxes.models import Draft, OutboxMessage
from mailboxes.outbox.sending import send_due
from tests.access.test_who_may_do_what import content_of
from tests.mailboxes.drafts.desk import at, begin, received, upload
from tests.people import People
from tests.servers.smtp import SmtpReceiver


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
