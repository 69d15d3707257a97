"""retrieve-emails over a real Dovecot: pages, searches, and what travels for them."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from mailhub.mail.message import Address, Attachment, OutgoingMessage
from tests.mail.scripted_imap import CLOSE, GREETING, SILENCE, ScriptedImapServer
from tests.mailboxes.operations.calls import by_password, call, of_dovecot
from tests.people import People
from tests.servers.dovecot import DovecotUser
from tests.servers.relay import Relay

Retrieve = Callable[..., Any]
ADA = Address("Ada", "ada@example.org")


@pytest.fixture
def retrieve(people: People, dovecot_user: DovecotUser, settings: Settings) -> Retrieve:
    """One call for the user's mailbox."""
    settings.MAILHUB_CA_FILE = dovecot_user.server.ca_file

    def ask(credentials: Any = None, **changes: Any) -> Any:
        body = {"smtpCredentials": credentials or of_dovecot(dovecot_user), **changes}
        return call(people.member.api, "retrieve-emails", body)

    return ask


def letter(subject: str, text: str = "Hi", **changes: Any) -> bytes:
    values: dict[str, Any] = {"sender": ADA, "to": [Address("", "bo@example.org")], **changes}
    return OutgoingMessage(subject=subject, text=text, **values).as_bytes()


def subjects(response: Any) -> list[str]:
    assert response.status_code == 200, response.content
    return [email["subject"] for email in response.json()["emails"]]


def test_an_email_is_shown_with_all_its_fields(
    retrieve: Retrieve, dovecot_user: DovecotUser
) -> None:
    picture = Attachment("pic ä.png", b"\x89PNG" * 100, "image/png")
    raw = letter(
        "Grüße",
        "Söhne",
        html="<p onclick=evil()>Söhne<script>evil()</script></p>",
        cc=[Address("Cy Löw", "cy@example.org")],
        attachments=[picture],
        message_id="<one@example.org>",
    )
    dovecot_user.deliver(raw)
    response = retrieve()
    assert response.status_code == 200
    body = response.json()
    (email,) = body.pop("emails")
    assert body == {
        "status": "success",
        "path": "INBOX",
        "page": 1,
        "pageSize": 10,
        "total": 1,
        "pages": 1,
    }
    assert isinstance(email.pop("date"), int)
    (attachment,) = email.pop("attachments")
    assert attachment.pop("size") == 402
    assert attachment == {"filename": "pic ä.png", "contentType": "image/png"}
    assert email == {
        "uid": 1,
        "messageId": "one@example.org",
        "subject": "Grüße",
        "from": {"name": "Ada", "address": "ada@example.org"},
        "to": [{"name": "", "address": "bo@example.org"}],
        "cc": [{"name": "Cy Löw", "address": "cy@example.org"}],
        "flags": [],
        "size": len(raw),
        "text": "Söhne",
        "html": "<p>Söhne</p>",
    }


def test_pages_go_from_the_newest_to_the_oldest(
    retrieve: Retrieve, dovecot_user: DovecotUser
) -> None:
    for number in range(1, 8):
        dovecot_user.deliver(letter(f"number {number}"))
    first, second, third = (retrieve(page=page, pageSize=3) for page in (1, 2, 3))
    assert subjects(first) == ["number 7", "number 6", "number 5"]
    assert subjects(second) == ["number 4", "number 3", "number 2"]
    assert subjects(third) == ["number 1"]
    assert subjects(retrieve(page=4, pageSize=3)) == []
    assert {answer.json()["pages"] for answer in (first, second, third)} == {3}
    assert {answer.json()["total"] for answer in (first, second, third)} == {7}


def test_an_empty_folder_has_no_pages(retrieve: Retrieve) -> None:
    body = retrieve(path="Drafts").json()
    assert (body["total"], body["pages"], body["emails"], body["path"]) == (0, 0, [], "Drafts")


def test_a_size_without_the_content_is_at_most_two_octets_too_large(
    retrieve: Retrieve, dovecot_user: DovecotUser
) -> None:
    sizes = [5, 8, 9, 56, 57, 58, 113, 114, 115, 10_000]
    files = [Attachment(f"{size}.bin", b"\0" * size) for size in sizes]
    dovecot_user.deliver(letter("files", attachments=files))
    (email,) = retrieve().json()["emails"]
    told = {each["filename"]: each["size"] for each in email["attachments"]}
    # As many as fill the last group of base64.
    assert told == {f"{size}.bin": -(-size // 3) * 3 for size in sizes}


def test_attachments_come_where_asked_for(retrieve: Retrieve, dovecot_user: DovecotUser) -> None:
    files = [
        Attachment("a.bin", bytes(range(256)) * 40),
        Attachment("logo.png", b"\x89PNG", "image/png", content_id="logo", inline=True),
    ]
    dovecot_user.deliver(letter("files", html='<img src="cid:logo">', attachments=files))
    (email,) = retrieve(includeAttachments=True).json()["emails"]
    found = {each["filename"]: each for each in email["attachments"]}
    assert base64.b64decode(found["a.bin"]["content"]) == files[0].content
    assert found["a.bin"]["size"] == len(files[0].content)
    assert base64.b64decode(found["logo.png"]["content"]) == files[1].content
    assert 'src="data:image/png;base64,' in email["html"]


@pytest.mark.parametrize("words", ["needle", 'say "yes" \\ no', "привет", "日本語", "x) UID 1 (y"])
def test_a_search_finds_words_of_any_script(
    retrieve: Retrieve, dovecot_user: DovecotUser, words: str
) -> None:
    dovecot_user.deliver(letter("hay"))
    dovecot_user.deliver(letter(f"about {words}"))
    dovecot_user.deliver(letter("more hay"))
    dovecot_user.deliver(letter("body", f"It says {words} there"))
    response = retrieve(search=words)
    assert subjects(response) == ["body", f"about {words}"]
    assert (response.json()["total"], response.json()["pages"]) == (2, 1)
    assert subjects(retrieve(search=words, pageSize=1, page=2)) == [f"about {words}"]
    assert subjects(retrieve(search="nothing like it")) == []


def test_nothing_is_marked_as_read(retrieve: Retrieve, dovecot_user: DovecotUser) -> None:
    dovecot_user.deliver(letter("unread"))
    for with_attachments in (False, True):
        retrieve(includeAttachments=with_attachments)
    assert retrieve().json()["emails"][0]["flags"] == []


def test_a_page_costs_two_round_trips_and_no_attachment(
    retrieve: Retrieve, dovecot_user: DovecotUser, settings: Settings
) -> None:
    for number in range(6):
        html = "<p>Hi</p>" if number % 2 else ""
        file = Attachment("large.bin", bytes(500_000))
        dovecot_user.deliver(letter(f"number {number}", html=html, attachments=[file]))
    dovecot_user.deliver(letter("without"))
    # Two shapes of message, so two requests, of which the second waits for no answer.
    settings.MAILHUB_MAIL_TIMEOUT = 2.0
    with Relay(dovecot_user.server.port, together=(b"UID FETCH", 2)) as relay:
        name, password = dovecot_user.name, dovecot_user.password
        near = by_password("127.0.0.1", relay.port, name, password) | {"allowPlaintext": True}
        assert len(subjects(retrieve(near))) == 7
    assert relay.answered < 20_000
    opened = next(at for at, line in enumerate(relay.commands) if line.startswith("EXAMINE"))
    verbs = [line.split()[0] for line in relay.commands[opened:]]
    assert verbs == ["EXAMINE", "FETCH", "UID", "UID", "LOGOUT"]


def test_a_page_that_is_too_large_says_so(
    retrieve: Retrieve, dovecot_user: DovecotUser, settings: Settings
) -> None:
    settings.MAILHUB_JSON_BODY_LIMIT = 100_000
    dovecot_user.deliver(letter("a", attachments=[Attachment("a", bytes(60_000))]))
    dovecot_user.deliver(letter("b", attachments=[Attachment("b", bytes(60_000))]))
    response = retrieve(includeAttachments=True)
    assert (response.status_code, response.json()["error"]) == (413, "page_too_large")
    assert len(subjects(retrieve(includeAttachments=True, pageSize=1))) == 1
    assert len(subjects(retrieve())) == 2


def test_a_missing_folder_is_named(retrieve: Retrieve) -> None:
    response = retrieve(path="Nowhere")
    assert (response.status_code, response.json()["error"]) == (422, "folder_missing")
    assert "Nowhere" in response.json()["message"]
    assert "Mailbox doesn't exist" in response.json()["details"]["reply"]


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"page": 0}, "page"),
        ({"pageSize": 101}, "pageSize"),
        ({"pagesize": 5}, "pagesize"),
        ({"search": "x" * 501}, "search"),
        ({"path": ""}, "path"),
    ],
)
def test_what_is_not_understood_is_named(
    retrieve: Retrieve, changes: dict[str, Any], place: str
) -> None:
    response = retrieve(**changes)
    assert (response.status_code, response.json()["error"]) == (400, "invalid")
    assert list(response.json()["details"]["fields"]) == [place]


@pytest.mark.parametrize("changes", [{"path": "a\r\nb"}, {"search": "a\tb"}])
def test_nothing_ends_a_command_early(retrieve: Retrieve, changes: dict[str, Any]) -> None:
    response = retrieve(**changes)
    assert (response.status_code, response.json()["error"]) == (400, "invalid_message")


def test_a_wrong_password_is_refused(retrieve: Retrieve, dovecot_user: DovecotUser) -> None:
    credentials = of_dovecot(dovecot_user)
    credentials["auth"]["pass"] = "not-it-4711"
    response = retrieve(credentials)
    assert (response.status_code, response.json()["error"]) == (422, "login_failed")
    assert response.json()["details"] == {"reply": "[AUTHENTICATIONFAILED] Authentication failed."}
    assert "4711" not in response.content.decode()


def test_a_certificate_of_nobody_we_know_is_refused(retrieve: Retrieve, settings: Settings) -> None:
    settings.MAILHUB_CA_FILE = None
    response = retrieve()
    assert (response.status_code, response.json()["error"]) == (502, "encryption_refused")


def test_starttls_is_used_and_needed(retrieve: Retrieve, dovecot_user: DovecotUser) -> None:
    starttls = {"secure": False, "port": dovecot_user.server.port}
    assert subjects(retrieve(of_dovecot(dovecot_user, **starttls))) == []
    with ScriptedImapServer() as server:
        response = retrieve(by_password("127.0.0.1", server.port, "ada", "secret"))
        assert (response.status_code, response.json()["error"]) == (502, "encryption_refused")
        assert not [line for line in server.received if line.startswith(b"LOGIN")]


@pytest.mark.parametrize("command", ["CAPABILITY", "LOGIN", "EXAMINE", "FETCH", "UID FETCH"])
@pytest.mark.parametrize(
    ("answer", "expected"),
    [(CLOSE, (502, "connection_failed")), (SILENCE, (504, "server_timeout"))],
)
def test_a_server_that_leaves_at_any_command(
    retrieve: Retrieve, settings: Settings, command: str, answer: bytes, expected: tuple[int, str]
) -> None:
    settings.MAILHUB_MAIL_TIMEOUT = 0.3
    outline = (
        b'* 3 FETCH (UID 3 FLAGS () RFC822.SIZE 50 BODYSTRUCTURE ("text" "plain" NIL NIL NIL '
        b'"7bit" 9 1) BODY[HEADER.FIELDS (SUBJECT)] {2}\r\n\r\n)\r\n<tag> OK\r\n'
    )
    answers = {"FETCH": outline, "UID FETCH": b"<tag> OK\r\n"} | {command: answer}
    with ScriptedImapServer(answers, GREETING) as server:
        credentials = by_password("127.0.0.1", server.port, "ada", "secret", allowPlaintext=True)
        response = retrieve(credentials)
    assert (response.status_code, response.json()["error"]) == expected


def test_a_viewer_may_look_into_its_own_mailbox(
    people: People, retrieve: Retrieve, dovecot_user: DovecotUser
) -> None:
    body = {"smtpCredentials": of_dovecot(dovecot_user)}
    assert call(people.viewer.api, "retrieve-emails", body).status_code == 200
