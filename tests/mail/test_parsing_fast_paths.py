"""What is written as most mail is takes a shorter way, and comes to the same end.

Each text is put together from the pieces of ordinary fields and of odd ones, so that many
are ordinary but for one thing.
"""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailhub.mail.parsing.header_block import (
    base64_carefully,
    forgiving_base64,
    split_carefully,
    split_message,
)
from mailhub.mail.parsing.html_text import SNIPPET_CHARACTERS, snippet_of
from mailhub.mail.parsing.structured_fields import (
    read_date,
    read_date_carefully,
    read_mailboxes,
    read_mailboxes_carefully,
    read_parameters,
    read_parameters_carefully,
)

MANY = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def _made_of(*pieces: str) -> st.SearchStrategy[str]:
    return st.lists(st.one_of(st.sampled_from(pieces), st.text(max_size=2)), max_size=9).map(
        "".join
    )


ADDRESS_PIECES = (
    "Ada <ada@example.org>",
    '"Lee, Ada" <a@b>',
    "a@b",
    "Ada",
    "ä ñ",
    "<a@b>",
    "'Ada' <a@b>",
    ", ",
    ",",
    " ",
    "\t",
    ";",
    ":",
    '"',
    "'",
    "<",
    ">",
    "(",
    ")",
    "\\",
    "@",
    "=?utf-8?q?=C3=A4?=",
    "\0",
    "\ud800",
    "\u00a0",
)


@MANY
@given(_made_of(*ADDRESS_PIECES))
def test_addresses(value: str) -> None:
    assert read_mailboxes(value) == read_mailboxes_carefully(value)


@MANY
@given(
    _made_of(
        "text/plain",
        "; charset=utf-8",
        '; charset="utf-8"',
        ";\tboundary=b",
        '; name="a;b.txt"',
        "; name*=utf-8''a%20b",
        "; x*0=a",
        "; ",
        "=",
        '"',
        "\\",
        "NAME",
        "=?utf-8?q?a?=",
    )
)
def test_parameters(value: str) -> None:
    assert read_parameters(value) == read_parameters_carefully(value)


DATES = st.tuples(
    st.sampled_from(["Sat, ", "Sat,", "", "Sam, ", "sat ", "Sat, Sun, "]),
    st.sampled_from(["1", "01", "31", "0", "32", " 7", "007"]),
    st.sampled_from([" Nov ", " nov ", " Foo ", " November ", "-Nov-", " Feb "]),
    st.sampled_from(["2026", "26", "0026", "1026", "9999", "20260"]),
    st.sampled_from([" 10:00:00", " 24:00:00", " 10:00:60", " 10:60:00", " 1:02:03", " 10:00"]),
    st.sampled_from([" +0000", " -0000", " +0130", " -1200", " GMT", " EST", "", " +9999", " Z"]),
    st.sampled_from(["", " (CET)", " (Mitteleuropa)", " x"]),
).map("".join)


@MANY
@given(DATES)
def test_dates(value: str) -> None:
    assert read_date(value) == read_date_carefully(value)


HEADER_PIECES = st.one_of(
    st.sampled_from(
        [
            b"Subject: hello\r\n",
            b"To: a@b,\r\n c@d\r\n",
            b"X:\ty\r\n\tz\r\n",
            b"From ada Sat\r\n",
            b"From: ada\r\n",
            b"Key : value\r\n",
            b": no name\r\n",
            b"no colon\r\n",
            b"Bare: line\n",
            b"Old: line\r",
            b"\r\n",
            b"\n",
            b" ",
            b"\t \r\n",
            b"\x0b",
            b"caf\xe9",
            b"body",
        ]
    ),
    st.binary(max_size=3),
)


@MANY
@given(st.lists(HEADER_PIECES, max_size=9).map(b"".join))
def test_headers(content: bytes) -> None:
    assert split_message(content) == split_carefully(content)


@MANY
@given(st.lists(st.sampled_from(["word ", "\n", "> quoted", "\u200b", "x" * 90, " "]), max_size=60))
def test_a_snippet_from_the_first_lines(pieces: list[str]) -> None:
    text = "".join(pieces)
    lines = text.replace("\u200b", "").split("\n")
    unquoted = [line for line in lines if not line.startswith(">")]
    words = " ".join(" ".join(unquoted).split()) or " ".join(" ".join(lines).split())
    shown = snippet_of(text)
    assert shown == words or (shown.endswith("…") and words.startswith(shown[:-1]))
    assert len(shown) <= SNIPPET_CHARACTERS
    assert len(shown) == len(words) or len(words) > SNIPPET_CHARACTERS


@MANY
@given(
    st.lists(
        st.one_of(
            st.sampled_from([b"QUJD", b"QQ==", b"\r\n", b"=", b" ", b"Q", b"!", b"QUI="]),
            st.binary(max_size=3),
        ),
        max_size=9,
    ).map(b"".join)
)
def test_base64(octets: bytes) -> None:
    assert forgiving_base64(octets) == base64_carefully(octets)
