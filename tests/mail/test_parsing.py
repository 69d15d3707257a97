"""Any octets yield a message, quickly, and nothing in it can hurt a database or a disk."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailhub.mail.parsing import (
    Mailbox,
    ParsedMessage,
    attachment_content,
    embedded_images,
    parse_headers,
    parse_message,
)
from mailhub.mail.parsing.charsets import decode_text
from mailhub.mail.parsing.filenames import safe_filename
from mailhub.mail.parsing.header_block import forgiving_base64, split_message
from mailhub.mail.parsing.html_text import snippet_of
from mailhub.mail.parsing.part_tree import MAXIMUM_PARTS, Part, read_plainly, read_tree
from mailhub.mail.parsing.structured_fields import read_date, read_mailboxes, read_parameters

FAST = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])

# Pieces that broken mail is made of, so that random messages reach the corners.
FRAGMENTS = st.sampled_from(
    [
        b"Content-Type: multipart/mixed; boundary=b\r\n",
        b"--b\r\n",
        b"--b--\r\n",
        b"\r\n",
        b"\n",
        b"Content-Type: text/html; charset=",
        b"utf-7",
        b"utf-16",
        b"\r\n\r\n",
        b"Subject: =?utf-8?B?",
        b"7aCA?=",
        b"=?",
        b"?=",
        b"From: <",
        b"(((",
        b'"',
        b";",
        b"filename*0*=",
        b"Content-Type: ",
        b"message/rfc822",
        b"Content-Transfer-Encoding: base64\r\n",
        b"AA=A",
        b"uuencode\r\n",
        b"begin 644 x\r\n",
        b"end\r\n",
        b"\x00",
        b"\xff\xfe",
        b"\xed\xa0\x80",
        b"format=flowed",
        b"> > \r\n",
        b"Date: Sat, 21 Nov 2026 10:00:00 +9999\r\n",
        b"\x1b$B",
        b"<div>",
        b"<!--",
        b"&#0;",
        b"\xd8\x00",
    ]
)
BROKEN = st.lists(st.one_of(FRAGMENTS, st.binary(max_size=40)), max_size=40).map(b"".join)


def _assert_storable(message: ParsedMessage, raw: bytes) -> None:
    text = json.dumps(asdict(message), ensure_ascii=False, default=str)
    text.encode("utf-8")
    assert "\\u0000" not in text
    for attachment in message.attachments:
        assert attachment.filename
        assert len(attachment.filename.encode()) <= 255
        assert not set(attachment.filename) & set('/\\\r\n\0:"<>|?*')
        assert attachment.filename not in {".", ".."}
        assert len(attachment_content(raw, attachment.index)) == attachment.size
    assert message.date is None or message.date.tzinfo is UTC


@FAST
@given(st.one_of(st.binary(max_size=500), BROKEN))
def test_any_octets_yield_a_message(raw: bytes) -> None:
    _assert_storable(parse_message(raw), raw)
    parse_headers(raw)
    embedded_images(raw)


@settings(FAST, max_examples=60)
@given(st.text(max_size=60), st.text(max_size=300), st.binary(max_size=100))
def test_what_the_standard_library_writes_is_read_back(
    subject: str, body: str, attached: bytes
) -> None:
    subject = "".join(c for c in subject if c.isprintable()).strip()
    body = "".join(c for c in body if c.isprintable() or c == "\n")
    original = EmailMessage()
    original["Subject"] = subject
    original["From"] = "ada@example.org"
    original.set_content(body)
    original.add_attachment(attached, "application", "octet-stream", filename="däta.bin")
    raw = original.as_bytes()
    parsed = parse_message(raw)
    assert " ".join(parsed.subject.split()) == " ".join(subject.split())
    assert parsed.text == body.strip("\n")
    assert [file.filename for file in parsed.attachments] == ["däta.bin"]
    assert attachment_content(raw, 0) == attached


def _shape(part: Part) -> object:
    children = [_shape(child) for child in part.children]
    return part.content_type, part.filename, part.disposition, part.content, children


LEAVES = st.sampled_from(
    [
        "\r\nhello\r\nyou",
        "Content-Type: text/html\r\n\r\n<p>x</p>",
        "Content-Type: image/png; name=a.png\r\nContent-Transfer-Encoding: base64\r\n\r\niVBORw0K",
        "Content-Transfer-Encoding: quoted-printable\r\n\r\na=E9b =\r\nc",
        "Content-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\ninner",
    ]
)


def _multipart(children: list[str], boundary: int = 0) -> str:
    name = f"level-{boundary}-{len(children)}-{sum(map(len, children))}"
    parts = "".join(f"--{name}\r\n{child}\r\n" for child in children)
    return f'Content-Type: multipart/mixed; boundary="{name}"\r\n\r\n{parts}--{name}--\r\n'


TREES = st.recursive(LEAVES, lambda inner: st.lists(inner, min_size=1, max_size=3).map(_multipart))


@FAST
@given(TREES)
def test_both_readers_see_the_same_tree(raw: str) -> None:
    fields, body = split_message(raw.encode())
    assert _shape(read_tree(fields, body)) == _shape(read_plainly(fields, body))


def test_five_thousand_levels_deep() -> None:
    raw = b"Subject: deep\r\n" + b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (level, level)
        for level in range(5000)
    )
    parsed = parse_message(raw + b"\r\nat the bottom\r\n")
    assert (parsed.subject, parsed.text) == ("deep", "at the bottom")


@pytest.mark.parametrize("encoding", ["7bit", "base64"])
def test_ten_thousand_parts(encoding: str) -> None:
    part = (
        b"--b\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: "
        + encoding.encode()
        # Not valid base64, so that the reader that takes anything is tried as well.
        + b"\r\n\r\n!AAAA!\r\n"
    )
    raw = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + part * 10_000 + b"--b--\r\n"
    parsed = parse_message(raw)
    assert len(parsed.attachments) == 10_000
    assert parsed.attachments[-1].filename == "attachment-10000.pdf"


@pytest.mark.parametrize(
    "raw",
    [
        b"To: " + b"(" * 200_000,
        b"To: " + b"<" * 200_000,
        b"To: " + b"a@b," * 50_000,
        b"Subject: " + b"=?utf-8?q?a?= " * 50_000,
        b"Subject: " + b"=?" * 200_000,
        b"X:" * 200_000,
        b"X: y\r\n" * 50_000,
        b"X: y\r\n" + b" z\r\n" * 100_000,
        b"References: " + b"<a@b> " * 50_000,
        b"Content-Type: a/b" + b"; x*0*=y" * 50_000,
        b"Content-Type: text/html\r\n\r\n" + b"<div>" * 60_000,
        b"Content-Type: text/html\r\n\r\n" + b"<table><tr><td colspan=999999999>" * 3_000,
        b"Content-Type: text/html\r\n\r\n" + b"<script" * 50_000,
        b"\r\n" + b"begin 644 a\r\n" * 50_000 + b"end\r\n",
        b"Content-Type: text/html\r\n\r\n" + "\u00a0".encode() * 100_000 + b"x",
        b"Content-Type: a/b; name=x" + "e\u0316\u0301".encode() * 100_000 + b"\r\n\r\nx",
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
        + b"".join(
            b"--b\r\nContent-Type: multipart/mixed; boundary=c%d\r\n\r\n--c%d--\r\n" % (n, n)
            for n in range(10_000)
        ),
        b"Content-Type: text/plain; format=flowed\r\n\r\n" + b"> a \r\n" * 50_000,
        b"Subject: " + b"x" * 2_000_000 + b"\r\n\r\nbody",
        b"References: " + b"a" * 900_000,
        b"To: " + b"(\\" * 50_000,
        b"To: " + b'"\\"' * 50_000,
        b"To: " + b" " * 200_000 + b"<",
        b"To: " + b"a:;" * 30_000,
        b"Content-Type: text/html\r\n\r\n" + b"<!--" * 60_000,
        b"Content-Type: text/html\r\n\r\n" + b"<svg>" * 50_000,
        b"Content-Type: text/html\r\n\r\n" + b"<a '" * 60_000,
        b"Content-Type: text/html\r\n\r\n" + b"<meta " * 40_000,
        b"Content-Transfer-Encoding: base64\r\n\r\n" + b"AA=" * 300_000,
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b-\r\n" * 60_000,
    ],
    ids=lambda raw: ascii(raw[:30]),
)
def test_a_hostile_message_costs_no_more_than_its_length(raw: bytes) -> None:
    # No clock: what grows faster than the length would take minutes here.
    _assert_storable(parse_message(raw), raw)


def test_what_follows_the_last_part_that_is_counted_belongs_to_it() -> None:
    part = b"--b\r\nContent-Type: application/pdf\r\n\r\nx\r\n"
    head = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    content, more = MAXIMUM_PARTS * part, 3 * part
    parsed = parse_message(head + content + more + b"--b--\r\n")
    assert len(parsed.attachments) == MAXIMUM_PARTS
    assert parsed.attachments[-1].size == len(b"x\r\n" + more + b"--b--\r\n")


def test_uuencoded_files_beyond_a_thousand_stay_text() -> None:
    parsed = parse_message(b"\r\n" + b"begin 644 a\r\n#86%A\r\nend\r\n" * 20_000 + b"words\r\n")
    assert len(parsed.attachments) == 1_000
    assert parsed.text.startswith("begin 644 a\n#86%A\n")
    assert parsed.text.endswith("end\nwords")


def test_a_deep_message_in_a_message_is_one_attachment() -> None:
    layer = b"Content-Type: message/rfc822\r\n\r\n"
    parsed = parse_message(b"Subject: outer\r\n" + layer * 3000 + b"Subject: inner\r\n\r\nx")
    assert [file.content_type for file in parsed.attachments] == ["message/rfc822"]


def test_octets_of_an_attachment_that_is_not_there() -> None:
    with pytest.raises(IndexError):
        attachment_content(b"Subject: x\r\n\r\nno files", 0)


def test_images_by_content_id() -> None:
    image = base64.b64encode(b"\x89PNG....").decode()
    raw = (
        "Content-Type: multipart/related; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n"
        "<img src=cid:a@b>\r\n--b\r\nContent-Type: image/png\r\nContent-ID: <a@b>\r\n"
        f"Content-Transfer-Encoding: base64\r\n\r\n{image}\r\n--b\r\nContent-Type: text/css\r\n"
        "Content-ID: <c@d>\r\n\r\np{}\r\n--b--\r\n"
    ).encode()
    assert embedded_images(raw) == {"a@b": ("image/png", b"\x89PNG....")}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a@b", [Mailbox("", "a@b")]),
        ("Ada <a@b>, Bo <c@d>", [Mailbox("Ada", "a@b"), Mailbox("Bo", "c@d")]),
        ("'Ada' <a@b>", [Mailbox("Ada", "a@b")]),
        ('"a\\"b" <a@b>', [Mailbox('a"b', "a@b")]),
        ("Ada a@b <a@b>", [Mailbox("Ada a@b", "a@b")]),
        ("<a@b", [Mailbox("", "a@b")]),
        ("Ada <a@b, Bo <c@d>", [Mailbox("Ada", "a@b"), Mailbox("Bo", "c@d")]),
        ("a@b; c@d", [Mailbox("", "a@b"), Mailbox("", "c@d")]),
        ("a@b (Ada (the) first)", [Mailbox("Ada the first", "a@b")]),
        ("< a @ b >", [Mailbox("", "a@b")]),
        ("Firm: Ada <a@b>;", [Mailbox("Ada", "a@b")]),
        ("empty:;", []),
        ("<>", []),
        (", ,", []),
        ("Ada a@b", [Mailbox("Ada", "a@b")]),
        ("a @ b", [Mailbox("", "a@b")]),
        ("a@b>, <c@d", [Mailbox("", "a@b"), Mailbox("", "c@d")]),
        ('"Ada <a@b>, c@d', [Mailbox("Ada", "a@b"), Mailbox("", "c@d")]),
        ("Ada (first <a@b>, c@d", [Mailbox("Ada  first", "a@b"), Mailbox("", "c@d")]),
        ('"j s"@b, Jo <"j s"@b>', [Mailbox("", '"j s"@b'), Mailbox("Jo", '"j s"@b')]),
    ],
)
def test_reads_addresses(value: str, expected: list[Mailbox]) -> None:
    assert list(read_mailboxes(value)) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Sat, 21 Nov 2026 10:00:00 +0100", "2026-11-21T09:00:00+00:00"),
        ("21 Nov 2026 10:00:00", "2026-11-21T10:00:00+00:00"),
        ("21 Nov 26 10:00 GMT (comment)", "2026-11-21T10:00:00+00:00"),
        ("Sat, 31 Dec 2016 23:59:60 +0000", "2016-12-31T23:59:59+00:00"),
        ("Sat, 21 Nov 2026 10:00:00 -0000", "2026-11-21T10:00:00+00:00"),
        ("1 Jan 99999 00:00:00 +0000", None),
        ("31 Feb 2026 10:00:00 +0000", None),
        ("Sat Nov 21 10:00:00 2026", "2026-11-21T10:00:00+00:00"),
        ("21-Nov-2026 10:00:00 +0100", "2026-11-21T09:00:00+00:00"),
        ("Sat, 21 Nov 2026 10:00:00 EST", "2026-11-21T15:00:00+00:00"),
        ("Sat, 21 Nov 2026 10.00.00 +0100", "2026-11-21T09:00:00+00:00"),
        ("Sat,21 Nov 2026 10:00:00+0100", "2026-11-21T09:00:00+00:00"),
        ("  sat, 21 NOV 2026 10:00:00 +0100  ", "2026-11-21T09:00:00+00:00"),
        ("2026-11-21 10:00:00 +0100", "2026-11-21T09:00:00+00:00"),
        ("2026-11-21T10:00:00Z", "2026-11-21T10:00:00+00:00"),
        ("2026-11-21T10:00", "2026-11-21T10:00:00+00:00"),
        ("2026-13-21T10:00:00Z", None),
        ("0001-01-01T00:00:00+10:00", None),
        ("Sat, 21 Nov 126 10:00:00 +0000", "2026-11-21T10:00:00+00:00"),
        ("nonsense", None),
        ("", None),
        ("1 Jan 2026 " + "9" * 5000, None),
    ],
)
def test_reads_dates(value: str, expected: str | None) -> None:
    found = read_date(value)
    assert (found.isoformat() if found else None) == expected


@FAST
@given(st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)))
def test_reads_every_date_that_is_written_well(moment: datetime) -> None:
    aware = moment.replace(microsecond=0, tzinfo=UTC)
    assert read_date(format_datetime(aware)) == aware


def test_reads_parameters() -> None:
    value = 'text/plain; Charset="utf-8"; name*=utf-8\'en\'%E2%82%AC.txt; x=a;b; y="q;r"'
    assert read_parameters(value) == {
        "charset": "utf-8",
        "name": "€.txt",
        "x": "a",
        "y": "q;r",
    }


@pytest.mark.parametrize(
    ("data", "charset", "expected"),
    [
        (b"caf\xe9", "iso-8859-1", "café"),
        (b"caf\xc3\xa9", None, "café"),
        (b"caf\xe9", None, "café"),
        (b"caf\xc3\xa9", "us-ascii", "café"),
        (b"abc", "idna", "abc"),
        (b"abc", "rot13", "abc"),
        (b"\\x41", "unicode_escape", "\\x41"),
        (b"abc", "no-such-charset", "abc"),
        (b"abc", "../../etc", "abc"),
        (b"a\x00b", "utf-8", "ab"),
        (b"\xed\xa0\x80", "utf-8", "\ufffd" * 3),
        (b"\xff", "utf-8", "\ufffd"),
        (b"\x82\xa0", "shift_jis", "あ"),
        (b"abc", "utf-16", "\u6261\ufffd"),
    ],
)
def test_decodes_text_by_its_label_or_by_guess(
    data: bytes, charset: str | None, expected: str
) -> None:
    assert decode_text(data, charset) == expected


def test_a_name_is_cut_but_keeps_its_ending() -> None:
    name = safe_filename("ä" * 500 + ".pdf", 0, "application/pdf")
    assert name.endswith("ä.pdf")
    assert len(name.encode()) <= 200


@FAST
@given(st.binary(max_size=200), st.binary(max_size=20))
def test_base64_with_rubbish_in_between_still_decodes(data: bytes, rubbish: bytes) -> None:
    encoded = base64.b64encode(data)
    noise = bytes(octet for octet in rubbish if chr(octet) in " \r\n\t!$*()-_")
    assert forgiving_base64(encoded[:10] + noise + encoded[10:]) == data


def test_a_snippet_is_one_line_without_fill_or_quotes() -> None:
    text = "> quoted\nHello\u200c\u00ad\u034f   there\n\n" + "word " * 100
    snippet = snippet_of(text)
    assert snippet.startswith("Hello there word")
    assert len(snippet) <= 200
    assert snippet.endswith("…")
    assert snippet_of("> all\n> quoted") == "> all > quoted"
