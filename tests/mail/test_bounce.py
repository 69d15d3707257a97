"""What a refusal means, and that no octets upset whoever reads reports."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailhub.mail.bounce import (
    Action,
    Verdict,
    classify,
    classify_reply,
    may_be_report,
    read_report,
)
from mailhub.mail.errors import Reply
from tests.mail.test_bounce_corpus import REPORTS, expected_of

MANY = settings(max_examples=2_000, deadline=None, suppress_health_check=list(HealthCheck))
CONTENTS = [path.read_bytes() for path in REPORTS]
PIECES = [
    b"\r\n\r\n",
    b"\n",
    b"\x00",
    b"\xff\xfe\xed\xa0\x80",
    b"Final-Recipient: rfc822;",
    b"Action: failed\r\n",
    b"Status: 5.1.1\r\n",
    b"utf-8; \\x{D800}\\x{110000}@x",
    b"Content-Type: message/delivery-status\r\n",
    b"Content-Transfer-Encoding: base64\r\n",
    b"boundary=",
    b"--b\r\n",
    b"<",
    b"@",
    b"From: <>\r\n",
    b"This is a permanent error. The following address(es) failed:\r\n",
    b"=?utf-8?b?",
]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A report of the corpus with some of it cut out, doubled, or replaced."""
    content = draw(st.sampled_from(CONTENTS))
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(content)))
        end = min(len(content), start + draw(st.integers(0, 300)))
        piece = draw(st.sampled_from([b"", content[start:end] * 2, *PIECES]) | st.binary())
        content = content[:start] + piece + content[end:]
    return content


@MANY
@given(mutated())
def test_no_broken_report_upsets_the_reader(content: bytes) -> None:
    report = read_report(content)
    if report is not None:
        text = json.dumps(asdict(report), ensure_ascii=False)
        text.encode("utf-8")
        assert "\\u0000" not in text
        assert report.recipients


@settings(MANY, max_examples=300)
@given(st.binary(max_size=400), st.text(max_size=300))
def test_no_octets_and_no_words_do(content: bytes, words: str) -> None:
    read_report(content)
    read_report(b"From: MAILER-DAEMON@x\r\nSubject: failure notice\r\n\r\n" + content)
    classify(status=words[:10], text=words)
    classify_reply(Reply.read(550, [words]))


@pytest.mark.parametrize(
    "rest",
    [
        b"\r\n" + b"\n" * 300_000,
        b"\r\n" + b" " * 300_000 + b"<a@b",
        b"\r\n" + b"the following message " * 20_000,
        b"\r\nHi. This is the x\r\n" + b"<a@b.example>:\r\n550 no\r\n" * 50_000,
        b"\r\nHi. This is the x\r\n<a@b.c>:\r\n" + b"user account exceeded " * 50_000,
        b"\r\nHi. This is the x\r\n" + b"a" * 300_000 + b"@b",
        b"\r\nHi. This is the x\r\n" + b"a@" * 200_000,
        b"Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\nContent-Type: "
        b"message/delivery-status\r\n\r\n"
        + b"Final-Recipient: rfc822; a@b\r\nAction: failed\r\n\r\n"
        * 50_000,
        b"Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\nContent-Type: "
        b"message/delivery-status\r\n\r\nFinal-Recipient: x\r\n" + b" user mailbox\r\n" * 100_000,
        b"Content-Type: multipart/report; boundary=b0\r\n\r\n"
        + b"".join(
            b"--b%d\r\nContent-Type: multipart/mixed; boundary=b%d\r\n\r\n" % (n, n + 1)
            for n in range(5_000)
        ),
        b"To: " + b"(" * 100_000 + b"\r\n\r\nx",
        b"X-Failed-Recipients: " + b"a@b," * 200_000 + b"\r\n\r\nx",
    ],
    ids=lambda rest: ascii(rest[:40]),
)
def test_a_hostile_report_costs_no_more_than_its_length(rest: bytes) -> None:
    # No clock: what grows faster than the length would take minutes here.
    head = b"Return-Path: <>\r\nFrom: MAILER-DAEMON@x.example\r\nSubject: failure notice\r\n"
    report = read_report(head + rest)
    assert report is None or len(report.recipients) <= 1_000


def test_what_the_last_resort_stumbles_over_is_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO):
        content = "From: \u00e4 MAILER-DAEMON\r\nSubject: failure notice\r\n\r\nwell".encode(
            "latin-1"
        )
        assert read_report(b"Return-Path: <>\r\n" + content) is None
    assert caplog.records == []


def test_ordinary_mail_is_ruled_out_by_its_header() -> None:
    ordinary = [path for path in REPORTS if expected_of(path) is None]
    letter = next(path for path in ordinary if path.stem == "ordinary-letter")
    assert not may_be_report(letter.read_bytes())
    # Of those that are made to look like reports, a few are worth a closer look.
    assert sum(may_be_report(path.read_bytes()) for path in ordinary) <= 6


@pytest.mark.parametrize(
    ("code", "text", "verdict"),
    [
        (550, "5.1.1 <a@b.example>: Recipient address rejected: User unknown", Verdict.HARD),
        (550, "5.1.2 Bad destination system", Verdict.HARD),
        (553, "5.1.3 Bad address syntax", Verdict.HARD),
        (551, "5.1.6 User has moved", Verdict.HARD),
        (550, "5.1.10 RESOLVER.ADR.RecipientNotFound", Verdict.HARD),
        (556, "5.1.10 Recipient address has null MX: does not accept mail", Verdict.HARD),
        (550, "No such user here", Verdict.HARD),
        (550, "5.0.0 unknown user", Verdict.HARD),
        (550, "5.2.1 The mailbox does not exist", Verdict.HARD),
        (554, "delivery error: dd This user doesn't have a b.example account", Verdict.HARD),
        (550, "Empfänger unbekannt", Verdict.HARD),
        (550, "L'adresse est inconnue", Verdict.HARD),
        (550, "<spam@b.example>: user unknown", Verdict.HARD),
        (550, "5.1.7 Bad sender's mailbox address", Verdict.SENDER),
        (553, "5.1.8 Domain of sender address does not exist", Verdict.SENDER),
        (550, "Sender verify failed: no such user", Verdict.SENDER),
        (552, "5.2.2 Mailbox full", Verdict.SOFT),
        (550, "Quota exceeded for this user", Verdict.SOFT),
        (552, "Requested mail action aborted", Verdict.SOFT),
        (450, "4.2.0 Greylisted", Verdict.SOFT),
        (451, "No such user, says a server that is unsure", Verdict.SOFT),
        (421, "Too many connections", Verdict.SOFT),
        (550, "5.7.1 User unknown", Verdict.POLICY),
        (554, "5.7.26 Unauthenticated", Verdict.POLICY),
        (550, "Message rejected as spam", Verdict.POLICY),
        (550, "Blocked, see https://www.spamhaus.org/query/ip/192.0.2.1", Verdict.POLICY),
        (550, "5.1.1 refused: see https://www.spamhaus.org/query/ip/192.0.2.1", Verdict.POLICY),
        (550, "No such user, or blocked by our policy", Verdict.POLICY),
        (554, "Relay access denied", Verdict.POLICY),
        (552, "5.3.4 Message size exceeds fixed limit", Verdict.CONTENT),
        (552, "Message size exceeds fixed limit", Verdict.CONTENT),
        (554, "5.6.0 Lines too long", Verdict.CONTENT),
        (550, "5.4.1 Recipient address rejected: Access denied", Verdict.UNCLEAR),
        (550, "Requested action not taken: mailbox unavailable", Verdict.UNCLEAR),
        (554, "Transaction failed", Verdict.UNCLEAR),
        (550, "Connection from 192.5.1.1 noted, version 5.1.1.2", Verdict.UNCLEAR),
    ],
)
def test_a_reply_while_sending_is_judged_like_a_report(
    code: int, text: str, verdict: Verdict
) -> None:
    reply = Reply.read(code, [text])
    assert classify_reply(reply) is verdict
    assert classify(status=reply.enhanced, text=f"{code} {text}") is verdict


def test_news_of_a_message_is_no_failure() -> None:
    words = "550 5.1.1 User unknown"
    for action in (Action.DELAYED, Action.DELIVERED, Action.RELAYED, Action.EXPANDED):
        assert classify(status="5.1.1", text=words, action=action) == action.value
