"""Whatever a client sends or a server says: an answer in the one shape, and never a 500."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from rest_framework import serializers

from mailboxes.api.operation_shapes import (
    EmptyTrashSerializer,
    MoveToTrashSerializer,
    OperationSerializer,
    RetrieveEmailsSerializer,
    SendEmailSerializer,
)
from mailboxes.operations.composing import compose, draft_octets, sent_octets
from mailhub.errors import MailhubError
from mailhub.mail.errors import MailError
from tests.access.test_document import check, operations
from tests.mail.scripted_imap import ScriptedImapServer
from tests.mailboxes.operations.calls import USER, by_password, call, of_dovecot, of_receiver
from tests.people import People
from tests.servers.dovecot import DovecotUser
from tests.servers.smtp import SmtpReceiver

CREDENTIALS = by_password("mail.example.org", 587, USER, "secret word")
WORDS = st.text(max_size=20) | st.sampled_from(
    [
        "bo@example.org",
        "Bo <bo@example.org>",
        "a@b, c@d",
        '"',
        "<",
        "a\r\nb",
        "a\0b",
        "\ud800",
        "é@é.é",
    ]
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)


def fields(*names: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from(names), ANYTHING, max_size=4)


MAIL_OPTIONS = fields(
    *("from", "to", "cc", "bcc", "replyTo", "subject", "text", "html", "headers"),
    *("attachments", "inReplyTo", "references", "priority"),
) | st.fixed_dictionaries(
    {"to": WORDS},
    optional={
        "from": WORDS,
        "subject": WORDS,
        "text": WORDS,
        "html": WORDS,
        "headers": st.dictionaries(WORDS, WORDS, max_size=2),
        "attachments": st.lists(
            st.fixed_dictionaries(
                {"content": WORDS},
                optional=dict.fromkeys(("filename", "contentType", "cid"), WORDS),
            ),
            max_size=2,
        ),
    },
)


@examples(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(MAIL_OPTIONS)
def test_any_mail_options_are_refused_or_make_a_message(options: dict[str, Any]) -> None:
    asked = SendEmailSerializer(data={"smtpCredentials": CREDENTIALS, "mailOptions": options})
    try:
        asked.is_valid(raise_exception=True)
        message = compose(asked.validated_data["mail_options"], username=USER)
        content = draft_octets(message)
        header = content.partition(b"\r\n\r\n")[0]
        assert content.replace(b"\r\n", b"").count(b"\n") == 0
        assert header.lower().count(b"\r\nmessage-id:") == 1
        sent_octets(message)
    except (serializers.ValidationError, MailError, MailhubError) as error:
        json.dumps(getattr(error, "detail", str(error)))


@examples(max_examples=150, deadline=None)
@given(
    st.sampled_from([RetrieveEmailsSerializer, MoveToTrashSerializer, EmptyTrashSerializer]),
    fields("path", "page", "pageSize", "search", "includeAttachments", "uid", "all"),
    st.just(CREDENTIALS) | fields("host", "port", "secure", "auth", "allowPlaintext") | ANYTHING,
)
def test_any_operation_is_understood_or_refused(
    serializer: type[OperationSerializer], body: dict[str, Any], credentials: Any
) -> None:
    asked = serializer(data={"smtpCredentials": credentials, **body})
    if not asked.is_valid():
        json.dumps(asked.errors)


OUTLINE = (
    b'* 3 FETCH (UID 3 FLAGS (\\Seen) RFC822.SIZE 90 BODYSTRUCTURE ("text" "plain" NIL NIL NIL '
    b'"7bit" 9 1) BODY[HEADER.FIELDS (SUBJECT)] {18}\r\nSubject: three\r\n\r\n)\r\n<tag> OK\r\n'
)
WHOLE = b"* 3 FETCH (UID 3 BODY[] {27}\r\nSubject: three\r\n\r\nAs is\r\n\r\n)\r\n<tag> OK\r\n"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("parts", "outline"),
    [
        (b"<tag> NO cannot\r\n", OUTLINE),
        (b"<tag> BAD what?\r\n", OUTLINE),
        (b"* 3 FETCH (UID 3 BODY[1] NIL)\r\n<tag> OK\r\n", OUTLINE),
        (b"* 3 FETCH (UID 3 FLAGS ())\r\n<tag> OK\r\n", OUTLINE),
        (b"<tag> OK\r\n", OUTLINE.replace(b'("text" "plain"', b'(("text") "mixed") (')),
    ],
)
def test_a_server_that_gets_parts_wrong_is_asked_for_the_whole(
    people: People, parts: bytes, outline: bytes
) -> None:
    answers = {"FETCH": outline, "UID FETCH": WHOLE, "UID FETCH 3 (UID BODY.PEEK[1])": parts}
    with ScriptedImapServer(answers) as server:
        credentials = by_password("127.0.0.1", server.port, "ada", "secret")
        body = {"smtpCredentials": credentials | {"allowPlaintext": True}}
        response = call(people.member.api, "retrieve-emails", body)
    assert response.status_code == 200, response.content
    (email,) = response.json()["emails"]
    assert (email["subject"], email["text"].strip()) == ("three", "As is")


@pytest.mark.django_db
def test_a_message_that_the_server_cannot_read_costs_no_other(people: People) -> None:
    first = OUTLINE.replace(b"* 3 FETCH (UID 3", b"* 1 FETCH (UID 1")
    refused = b"<tag> NO corrupt\r\n"
    parts = [b"* %d FETCH (UID %d BODY[1] {2}\r\nHi)\r\n" % (uid, uid) for uid in (1, 3)]
    text = b"".join([*parts, b"<tag> OK\r\n"])
    answers = {"FETCH": refused, "FETCH 1 ": first, "FETCH 3 ": OUTLINE, "UID FETCH": text}
    with ScriptedImapServer(answers) as server:
        credentials = by_password("127.0.0.1", server.port, "ada", "secret")
        body = {"smtpCredentials": credentials | {"allowPlaintext": True}}
        response = call(people.member.api, "retrieve-emails", body)
        assert [email["uid"] for email in response.json()["emails"]] == [3, 1]
        server.answers |= {"FETCH 1 ": refused, "FETCH 3 ": refused}
        response = call(people.member.api, "retrieve-emails", body)
        assert (response.status_code, response.json()["error"]) == (502, "command_refused")


@pytest.mark.django_db
@pytest.mark.parametrize("said", [b"* OK " + b"x" * 1000 + b"\r\n", b"* 1 FETCH ({9000}\r\n"])
def test_a_server_that_says_too_much_is_left(people: People, settings: Any, said: bytes) -> None:
    settings.MAILHUB_JSON_BODY_LIMIT = 2_000
    with ScriptedImapServer({"FETCH": said * 9 + b"<tag> OK\r\n"}) as server:
        credentials = by_password("127.0.0.1", server.port, "ada", "secret")
        body = {"smtpCredentials": credentials | {"allowPlaintext": True}}
        response = call(people.member.api, "retrieve-emails", body)
    assert (response.status_code, response.json()["error"]) == (502, "protocol_violation")


@pytest.fixture
def described(people: People) -> Callable[..., None]:
    """Makes a call and compares its answer with what the API's document says of it."""

    def ask(operation: str, body: dict[str, Any]) -> None:
        described = operations()[f"POST {operation}"]
        asked = described["requestBody"]["content"]["application/json"]["schema"]
        check(body, asked)
        response = call(people.member.api, operation, body)
        assert response.status_code == 200, response.content
        check(
            response.json(), described["responses"]["200"]["content"]["application/json"]["schema"]
        )

    return ask


@pytest.mark.django_db
def test_answers_are_as_the_document_says(
    described: Callable[..., None],
    dovecot_user: DovecotUser,
    smtp_receiver: SmtpReceiver,
    settings: Any,
) -> None:
    settings.MAILHUB_CA_FILE = dovecot_user.server.ca_file
    mailbox = {"smtpCredentials": of_dovecot(dovecot_user)}
    file = {"filename": "a.txt", "content": "Hi", "encoding": "utf-8"}
    mail = {
        "from": {"name": "Ada", "address": USER},
        "to": ["Bo <bo@example.org>", {"address": "cy@example.org"}],
        "cc": "di@example.org",
        "headers": {"X-A": ["b", "c"]},
        "attachments": [file],
        "references": "<a@b> <c@d>",
    }
    described("save-to-draft", {**mailbox, "mailOptions": mail})
    described("retrieve-emails", {**mailbox, "path": "Drafts", "includeAttachments": True})
    described("move-to-trash", {**mailbox, "path": "Drafts", "uid": 1})
    described("empty-trash", {**mailbox, "uid": 1})
    smtp_receiver.users = {USER: "pässwort-7f3a9c"}
    described("send-email", {"smtpCredentials": of_receiver(smtp_receiver), "mailOptions": mail})
