"""Writing a message on the pages: who may, what is kept, and what is said where it fails."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from accounts.models import EmailAccount
from mailboxes.drafts.saving import DraftFields, change_draft
from mailboxes.models import Draft, OutboxMessage, OutboxState
from tests.mailboxes.conftest import PASSWORD, Mailbox, raw_message
from tests.pages.conftest import Visit
from tests.people import People

FORWARDED = b"""From: Ann <ann@example.org>\r
To: mary@acme.example, "Lee, Bo" <bo@example.org>\r
Cc: cy@example.org\r
Subject: The plan\r
Message-ID: <plan@example.org>\r
MIME-Version: 1.0\r
Content-Type: multipart/mixed; boundary=b\r
\r
--b\r
Content-Type: text/plain\r
\r
A fine plan.\r
--b\r
Content-Type: application/pdf; name=plan.pdf\r
Content-Disposition: attachment; filename=plan.pdf\r
\r
%PDF-1.4 plan\r
--b--\r
"""


@pytest.fixture
def account(people: People) -> EmailAccount:
    """Mary's; it has no Drafts folder to be kept in."""
    return people.connect_account(people.member, protocol="pop3")


def form(account: EmailAccount, /, **changes: Any) -> dict[str, Any]:
    values = {
        "draft": str(uuid4()),
        "version": "0",
        "account": str(account.pk),
        "to": "Ann <ann@example.org>",
        "subject": "Hello",
        "text": "One\r\nTwo",
        "next": "/mail/all",
    }
    return {**values, **changes}


def post(client: Client, act: str, values: dict[str, Any], **extra: Any) -> Any:
    return client.post("/mail/compose", {**values, "act": act}, **extra)


def shown_values(html: str) -> dict[str, str]:
    """Names and values of the inputs of a form."""
    found = re.findall(r'<input type="\w+"[^>]*? name="(\w+)" value="([^"]*)"', html)
    return {name: unescape(value) for name, value in found}


def test_a_message_is_sent_and_can_be_taken_back(
    people: People, visit: Visit, account: EmailAccount
) -> None:
    client = visit(people.member)
    answer = post(client, "send", form(account, cc="Bo", bcc="di@example.org"))
    assert answer.status_code == 400
    assert b"Bo is no address." in answer.content
    assert b"Ann &lt;ann@example.org&gt;" in answer.content
    draft = Draft.objects.get()
    assert (draft.cc, draft.text) == ([{"name": "", "address": "Bo"}], "One\nTwo")
    again = form(account, draft=str(draft.pk), version=str(draft.version), cc="bo@example.org")
    sent = post(client, "send", again)
    message = OutboxMessage.objects.get()
    assert sent["Location"] == f"/mail/outgoing/{message.pk}?next=%2Fmail%2Fall"
    assert message.recipients == ["ann@example.org", "bo@example.org"]
    assert message.state == OutboxState.SCHEDULED
    assert message.send_at is not None
    assert timedelta(0) < message.send_at - timezone.now() <= timedelta(seconds=10)
    page = client.get(sent["Location"]).content.decode()
    assert "Your message is about to leave" in page
    assert 'href="/mail/all"' in page
    back = client.post(f"/mail/outgoing/{message.pk}/undo", follow=True)
    assert b"It was not sent." in back.content
    assert b"bo@example.org" in back.content
    message.refresh_from_db()
    assert message.state == OutboxState.CANCELLED
    assert Draft.objects.open().count() == 1


def test_what_has_left_cannot_be_taken_back(
    people: People, visit: Visit, account: EmailAccount
) -> None:
    client = visit(people.member)
    post(client, "send", form(account))
    OutboxMessage.objects.update(state=OutboxState.SENT, next_try_at=None)
    message = OutboxMessage.objects.get()
    answer = client.post(f"/mail/outgoing/{message.pk}/undo", follow=True)
    assert b"It cannot become a draft: it is sent." in answer.content
    assert b"Your message is sent" in answer.content


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"to": ""}, "recipient"),
        ({"to": "ann@example.org, nonsense"}, "nonsense is no address."),
        ({"account": ""}, "Choose the account to send from."),
        ({"account": str(uuid4())}, "Choose the account to send from."),
    ],
)
def test_what_is_wrong_is_said_and_what_was_typed_is_kept(
    people: People, visit: Visit, account: EmailAccount, changes: dict[str, str], words: str
) -> None:
    values = form(account, subject="My <subject>", text='My "text"', **changes)
    answer = post(visit(people.member), "send", values)
    assert answer.status_code == 400
    page = answer.content.decode()
    for kept in (words, "My &lt;subject&gt;", "My &quot;text&quot;", values["draft"]):
        assert kept in page
    assert not OutboxMessage.objects.exists()


def test_a_time_is_the_readers(people: People, visit: Visit, account: EmailAccount) -> None:
    client = visit(people.member)
    values = form(account, zone="Europe/Berlin", send_at="2031-07-01T09:30")
    for wrong in ("", "2020-01-01T10:00", "soon", "9999-99-99T10:00"):
        answer = post(client, "later", {**values, "send_at": wrong})
        assert answer.status_code == 400
        assert b"Choose a time that is still to come." in answer.content
    assert post(client, "later", {**values, "zone": "../etc/passwd"}).status_code == 400
    sent = post(client, "later", values)
    message = OutboxMessage.objects.get()
    assert message.send_at == datetime(2031, 7, 1, 7, 30, tzinfo=UTC)
    assert b"Your message is scheduled" in client.get(sent["Location"]).content


def test_a_draft_saves_itself_and_goes_on(
    people: People, visit: Visit, account: EmailAccount
) -> None:
    client, values = visit(people.member), form(account, to="ann@exa", subject="")
    htmx = {"headers": {"HX-Request": "true"}}
    first = post(client, "autosave", values, **htmx)
    assert first["HX-Replace-Url"] == f"/mail/compose/{values['draft']}?next=%2Fmail%2Fall"
    saved = shown_values(first.content.decode())
    assert (saved["draft"], saved["version"]) == (values["draft"], "1")
    # The same again, as of two tabs or a lost answer, is told of.
    conflict = post(client, "autosave", {**values, "text": "Other"}, **htmx)
    assert b"This draft was changed elsewhere meanwhile." in conflict.content
    assert b"Other" in conflict.content
    over = post(client, "overwrite", {**values, "text": "Other"}, **htmx)
    assert b"changed elsewhere" not in over.content
    assert Draft.objects.get().text == "Other"
    page = client.get(f"/mail/compose/{values['draft']}").content.decode()
    assert "ann@exa" in page
    listed = client.get("/mail/drafts").content.decode()
    assert "(no subject)" in listed
    assert "to ann@exa" in listed


def test_files_are_attached_and_removed(
    people: People, visit: Visit, account: EmailAccount, settings: Settings
) -> None:
    client, values = visit(people.member), form(account)
    files = [SimpleUploadedFile("a.pdf", b"%PDF-1.4"), SimpleUploadedFile("b.txt", b"b")]
    page = post(client, "attach", {**values, "files": files}).content.decode()
    draft = Draft.objects.get()
    first, second = draft.attachments.all()
    assert (first.filename, first.size) == ("a.pdf", 8)
    got = client.get(f"/mail/compose/{draft.pk}/files/{first.pk}")
    assert got.getvalue() == b"%PDF-1.4"
    assert "attachment" in got["Content-Disposition"]
    now = {**values, **shown_values(page)}
    page = post(client, f"detach:{second.pk}", now).content.decode()
    assert "b.txt" not in page
    assert [row.filename for row in draft.attachments.all()] == ["a.pdf"]
    now = {**values, **shown_values(page)}
    bad = post(client, "attach", {**now, "files": [SimpleUploadedFile("x.exe", b"MZ")]})
    assert bad.status_code == 400
    assert b"a.pdf" in bad.content
    settings.MAILHUB_MESSAGE_LIMIT = 1000
    large = post(client, "attach", {**now, "files": [SimpleUploadedFile("c", b"c" * 2000)]})
    assert b"are taken." in large.content
    assert draft.attachments.count() == 1


def test_a_reply_and_a_forward(people: People, visit: Visit) -> None:
    mailbox = Mailbox(people.connect_account(people.member, password=PASSWORD))
    mailbox.remote.deliver(FORWARDED)
    mailbox.sync()
    client, pk = visit(people.member), mailbox.message("The plan").pk
    page = client.get("/mail/compose", {"reply": pk}).content.decode()
    values = shown_values(page)
    assert (values["to"], values["subject"]) == ("Ann <ann@example.org>", "Re: The plan")
    assert "&gt; A fine plan." in page
    values = shown_values(client.get("/mail/compose", {"everyone": pk}).content.decode())
    assert values["to"].endswith(', "Lee, Bo" <bo@example.org>')
    assert values["cc"] == "cy@example.org"
    page = client.get("/mail/compose", {"forward": pk}).content.decode()
    assert not Draft.objects.exists()
    assert "plan.pdf" in page
    values = {**form(mailbox.account), "forwarded": str(pk), "subject": "Fwd: The plan"}
    refused = post(client, "send", {**values, "carry": ["0"], "account": ""})
    assert b'name="carry" value="0" checked' in refused.content
    post(client, "send", {**values, "carry": ["0"], "bcc": ""})
    draft = Draft.objects.get()
    assert [row.filename for row in draft.attachments.all()] == ["plan.pdf"]
    assert draft.references == ["<plan@example.org>"]
    reply = {**form(mailbox.account), "answered": str(pk)}
    post(client, "save", reply)
    assert Draft.objects.get(pk=reply["draft"]).in_reply_to == "<plan@example.org>"
    for person in (people.teammate, people.stranger):
        assert visit(person).get("/mail/compose", {"reply": pk}).status_code == 404


def test_the_sender_can_be_changed(people: People, visit: Visit, account: EmailAccount) -> None:
    other = people.connect_account(
        people.member, email_address="sales@acme.example", protocol="pop3"
    )
    client, values = visit(people.member), form(account)
    page = post(client, "attach", {**values, "files": [SimpleUploadedFile("a.pdf", b"%PDF")]})
    now = {**values, **shown_values(page.content.decode()), "account": str(other.pk)}
    moved = shown_values(post(client, "autosave", now).content.decode())
    draft = Draft.objects.get()
    assert (str(draft.pk), draft.account) == (moved["draft"], other)
    assert [row.filename for row in draft.attachments.all()] == ["a.pdf"]
    post(client, "send", {**now, **moved})
    assert OutboxMessage.objects.get().sender == "sales@acme.example"


def test_a_designed_draft_becomes_plain_text_once_its_text_changes(
    people: People, visit: Visit, account: EmailAccount
) -> None:
    client, values = visit(people.member), form(account)
    post(client, "save", values)
    draft = Draft.objects.get()
    change_draft(people.member.caller, draft, DraftFields(html="<p>One</p><p>Two</p>"))
    page = client.get(f"/mail/compose/{draft.pk}").content.decode()
    assert "designed in another program" in page
    now = {**values, **shown_values(page)}
    page = post(client, "autosave", {**now, "subject": "Other"}).content.decode()
    assert Draft.objects.get().html
    post(client, "autosave", {**now, **shown_values(page), "text": "Three"})
    assert (Draft.objects.get().html, Draft.objects.get().text) == ("", "Three")


def test_discarding_asks_once(people: People, visit: Visit, account: EmailAccount) -> None:
    client, values = visit(people.member), form(account)
    assert post(client, "discard", values)["Location"] == "/mail/all"
    post(client, "save", values)
    asked = post(client, "discard", values)
    assert b"Throw this draft away?" in client.get(asked["Location"]).content
    assert Draft.objects.exists()
    assert b"The draft is thrown away." in client.post(asked["Location"], follow=True).content
    assert not Draft.objects.exists()


def test_drafts_are_for_those_who_may_send(
    people: People, visit: Visit, account: EmailAccount
) -> None:
    values = form(account, subject="Secret plan")
    post(visit(people.member), "attach", {**values, "files": [SimpleUploadedFile("a", b"a")]})
    draft = Draft.objects.get()
    file = draft.attachments.get()
    people.delegate(account, people.reader)
    people.delegate(account, people.sender, may_send=True)
    paths = ("", "/discard", f"/files/{file.pk}")
    for person in (people.teammate, people.reader, people.owner, people.stranger, people.namesake):
        for path in paths:
            assert visit(person).get(f"/mail/compose/{draft.pk}{path}").status_code == 404
        assert visit(person).post(f"/mail/compose/{draft.pk}/discard").status_code == 404
        assert "Secret plan" not in visit(person).get("/mail/drafts").content.decode()
        answer = post(visit(person), "send", {**values, "version": "1"})
        assert b"Choose the account to send from." in answer.content
    assert visit(people.viewer).get("/mail/compose").status_code == 403
    assert "Secret plan" in visit(people.sender).get("/mail/drafts").content.decode()
    for path in paths:
        assert visit(people.sender).get(f"/mail/compose/{draft.pk}{path}").status_code == 200
    # Another's account cannot be made to keep a draft under this id either.
    own = people.connect_account(people.stranger, protocol="pop3")
    answer = post(visit(people.stranger), "save", {**values, "account": str(own.pk)})
    assert b"It was sent or thrown away meanwhile." in answer.content
    post(visit(people.member), "send", {**values, "version": "1"})
    message = OutboxMessage.objects.get()
    for person in (people.teammate, people.reader, people.stranger):
        assert visit(person).get(f"/mail/outgoing/{message.pk}").status_code == 404
        assert visit(person).post(f"/mail/outgoing/{message.pk}/undo").status_code == 404
    # A second press of the button finds nothing to send.
    assert b"meanwhile" in post(visit(people.member), "send", values).content
    assert OutboxMessage.objects.count() == 1


def test_people_written_to_before_are_offered(people: People, visit: Visit) -> None:
    mailbox = Mailbox(people.connect_account(people.member, password=PASSWORD))
    for to in ("Ann Lee <ann@example.org>", "bo@example.org", '"Lee, <b>" <cy@example.org>'):
        mailbox.remote.folder("Sent").deliver(raw_message("x", to=to))
    mailbox.remote.folder("Sent").deliver(raw_message("x", to="Ann Lee <ann@example.org>"))
    mailbox.remote.deliver(raw_message("x", to="leo@example.org"))
    mailbox.sync()
    page = visit(people.member).get("/mail/compose/people", {"q": "le"}).content.decode()
    found = re.findall(r'data-typed="([^"]*)"', page)
    assert found == [
        "Ann Lee &lt;ann@example.org&gt;",
        "&quot;Lee, &lt;b&gt;&quot; &lt;cy@example.org&gt;",
    ]
    for person in (people.teammate, people.stranger):
        assert "ann@" not in visit(person).get("/mail/compose/people?q=ann").content.decode()
    assert visit(people.member).get("/mail/compose/people?q=").content.strip() == b""


def test_a_draft_stays_with_an_account_that_is_switched_off(
    people: People, visit: Visit, account: EmailAccount
) -> None:
    other = people.connect_account(people.member, email_address="a@acme.example", protocol="pop3")
    client, values = visit(people.member), form(account, text="One\0Two")
    post(client, "save", values)
    EmailAccount.objects.filter(pk=account.pk).update(is_enabled=False, disabled_reason="535 No")
    page = client.get(f"/mail/compose/{values['draft']}").content.decode()
    assert f'value="{account.pk}" selected' in page
    assert f'value="{other.pk}"' in page
    answer = post(client, "send", {**values, **shown_values(page)})
    assert b"This account is disabled. 535 No" in answer.content
    assert Draft.objects.get().account == account
    assert Draft.objects.get().text == "OneTwo"


def test_without_an_account_one_is_led_on(people: People, visit: Visit) -> None:
    assert b"No account to send from" in visit(people.member).get("/mail/compose").content
    people.connect_account(people.member, is_enabled=False)
    people.connect_account(people.member, smtp_hostname="", email_address="x@acme.example")
    assert b"No account to send from" in visit(people.member).get("/mail/compose").content
    assert b"Compose" not in visit(people.member).get("/mail").content
