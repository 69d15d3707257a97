"""Secrets go into log calls of every kind; none comes out of the handler."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailhub.logs import REDACTED, formatter, get_logger, redact, redact_text
from tests.people import People

SECRET = "correct horse battery"
KEY = f"mh_abcdefgh_{'S3cr3t' * 6}WXYZ"


class Output:
    """What a handler with this project's formatter has written."""

    def __init__(self, style: str) -> None:
        self._stream = io.StringIO()
        self.handler = logging.StreamHandler(self._stream)
        self.handler.setFormatter(formatter(style))

    @property
    def text(self) -> str:
        return self._stream.getvalue()

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()


@pytest.fixture(params=["text", "json"])
def output(request: pytest.FixtureRequest) -> Iterator[Output]:
    written = Output(request.param)
    logging.getLogger().addHandler(written.handler)
    yield written
    logging.getLogger().removeHandler(written.handler)


@dataclass
class Settings:
    """Its repr shows what it should not."""

    password: str = SECRET


@pytest.mark.parametrize(
    "fields",
    [
        {"password": SECRET},
        {"smtp_pass": SECRET},
        {"clientSecret": SECRET},
        {"refreshToken": SECRET},
        {"Authorization": SECRET},
        {"cookie": SECRET},
        {"apiKey": SECRET},
        {"payload": {"smtpCredentials": {"auth": SECRET}}},
        {"payload": {"auth": {"user": "me", "pass": SECRET}}},
        {"payload": [{"password": SECRET}]},
        {"settings": Settings()},
        {"error": ValueError(f"password={SECRET!r}")},
        {"raw": f'{{"password": "{SECRET}"}}'.encode()},
        {"several": {f"password='{SECRET}'"}},
        {"text": f'{{\\"password\\": \\"{SECRET}\\"}}'},
        {"text": f"{{'password': '{SECRET}'"},
        {"text": f'"password": "{SECRET}'},
    ],
)
def test_fields_are_redacted(output: Output, fields: dict[str, Any]) -> None:
    get_logger("mailhub.test").warning("something happened", **fields)
    logging.getLogger("another.library").warning("something happened", extra=fields)
    assert len(output.lines) == 2
    assert not [word for word in SECRET.split() if word in output.text]


@pytest.mark.parametrize(
    "words",
    [
        f"Authorization: Token {KEY}",
        f"Authorization: Bearer {KEY}",
        f"key {KEY} was used",
        "Authorization: Basic Y29ycmVjdDpob3JzZQ==",
        "AUTH PLAIN AGNvcnJlY3QAaG9yc2U=",
        "AUTHENTICATE XOAUTH2 Y29ycmVjdDpob3JzZQ==",
        "postgres://mailhub:horse@db/mailhub",
        "https://host/?access_token=horse&x=1",
        "password=horse",
        "password: horse",
        "Set-Cookie: sessionid=horse; csrftoken=horse",
    ],
)
def test_words_are_redacted_in_messages_and_tracebacks(output: Output, words: str) -> None:
    log = get_logger("mailhub.test")
    log.warning(words)
    logging.getLogger("another.library").warning("it said %s", words)
    try:
        raise RuntimeError(words)
    except RuntimeError:
        log.exception("it failed")
    for secret in ("horse", "S3cr3t", "Y29ycmVjdDpob3JzZQ", "AGNvcnJlY3QAaG9yc2U"):
        assert secret not in output.text
    assert output.text.count(REDACTED) >= 3


def test_what_is_no_secret_stays(output: Output) -> None:
    get_logger("mailhub.test").info("sync ended", folders=3, account="mary@acme.example", ms=1.5)
    assert "mary@acme.example" in output.text
    assert "3" in output.text
    assert REDACTED not in output.text


def test_text_lines_look_as_documented() -> None:
    output = Output("text")
    record = logging.LogRecord("email_service", logging.INFO, "", 0, "Connected", None, None)
    output.handler.emit(record)
    [line] = output.lines
    assert line.endswith("] [email_service] INFO: Connected")
    assert line[0] == "["
    assert len(line.partition("]")[0]) == len("[2026-01-23 10:30:45")


def test_json_lines_are_json() -> None:
    output = Output("json")
    logging.getLogger().addHandler(output.handler)
    try:
        get_logger("mailhub.test").warning("two\nlines", folders=3)
    finally:
        logging.getLogger().removeHandler(output.handler)
    line = json.loads(output.text)
    assert (line["event"], line["folders"], line["level"]) == ("two\nlines", 3, "warning")


@pytest.mark.parametrize("breaker", ["\n", "\r\n", "\r", "\x0b", "\x85", "\u2028", "\x1b[2J"])
def test_no_value_can_pass_for_another_line(output: Output, breaker: str) -> None:
    forged = f"x{breaker}[2026-01-23 10:30:45] [mailhub] INFO: forged"
    get_logger("mailhub.test").warning("look", path=forged)
    assert len(output.text.strip().splitlines()) == 1
    assert "\x1b" not in output.text


def test_lines_of_a_traceback_are_set_in() -> None:
    output = Output("text")
    logging.getLogger().addHandler(output.handler)
    try:
        raise RuntimeError("x\n[2026-01-23 10:30:45] [mailhub] INFO: forged")
    except RuntimeError:
        get_logger("mailhub.test").exception("failed")
    finally:
        logging.getLogger().removeHandler(output.handler)
    assert all(line.startswith("  ") for line in output.lines[1:])


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_quoted_password_never_shows(secret: str) -> None:
    quoted = json.dumps({"password": f"<{secret}>"}, ensure_ascii=False)
    assert f"<{secret}>" not in redact_text(quoted)


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text() | st.binary(),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))  # fmt: skip
def test_any_value_can_be_redacted(value: Any) -> None:
    redact(value)


def test_request_line_names_no_query_and_no_key(people: People, output: Output) -> None:
    people.member.api.get("/api/accounts?tenant_id=acme&access_token=horse")
    people.member.api.post("/api/accounts", {"password": "horse", "hostname": "nowhere.invalid"})
    people.member.api.post("/u/TOKEN-OF-A-PERSON")
    assert "/api/accounts" in output.text
    for secret in ("horse", people.member.key, "access_token", "TOKEN-OF-A-PERSON"):
        assert secret not in output.text


def test_a_request_s_line_names_no_person_and_no_right(people: People, output: Output) -> None:
    api = people.member.api
    assert api.get("/api/contacts/ann@example.com").status_code == 404
    assert api.delete("/api/contacts/bob%40example.com?erase=true").status_code == 404
    api.get("/u/a-right-to-leave")
    assert "/api/contacts/" in output.text
    for secret in ("ann@", "bob", "a-right-to-leave"):
        assert secret not in output.text
