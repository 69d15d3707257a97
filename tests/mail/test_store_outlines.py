"""What every store promises of outlines, and of messages that are read in parts."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from mailhub.mail.message import Attachment
from mailhub.mail.parsing import parse_message
from mailhub.mail.stores.base import Outline, Store
from tests.mail.conftest import Account, composed, fill


@dataclass(frozen=True)
class Letter:
    """A message of some shape, and what a reader must find in it."""

    raw: bytes
    text: str
    names: tuple[str, ...] = ()
    html: str = ""


PICTURE = Attachment("Bild ä.png", b"\x89PNG" + bytes(range(256)) * 8, "image/png")
LOGO = Attachment("logo.png", b"\x89PNG logo", "image/png", content_id="logo", inline=True)


LETTERS = {
    "plain": Letter(composed("Grüße", text="Guten Tag\n"), "Guten Tag"),
    "both": Letter(composed("both", text="One", html="<p>Eins</p>"), "One", (), "<p>Eins</p>"),
    "attached": Letter(
        composed("attached", text="Söhne", html="<b>x</b>", attachments=[PICTURE, LOGO]),
        "Söhne",
        ("logo.png", "Bild ä.png"),
        "<b>x</b>",
    ),
    "only a picture": Letter(
        b"Subject: picture\r\nMIME-Version: 1.0\r\nContent-Type: image/png; name=a.png\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\niVBORw==\r\n",
        "",
        ("a.png",),
    ),
    "forwarded": Letter(
        b'Subject: forwarded\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"'
        b"\r\n\r\n--b\r\n\r\nSee below\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n"
        b"Subject: inner\r\n\r\nInner text\r\n--b--\r\n",
        "See below",
        ("attachment-1.eml",),
    ),
    "latin-1": Letter(
        b"Subject: =?iso-8859-1?q?gr=FC=DFe?=\r\nMIME-Version: 1.0\r\n"
        b"Content-Type: text/plain; charset=iso-8859-1\r\n"
        b"Content-Transfer-Encoding: quoted-printable\r\n\r\nM=FCller\r\n",
        "Müller",
    ),
    "no parts": Letter(
        b"Subject: hollow\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=q\r\n\r\n"
        b"Only this\r\n",
        "Only this",
    ),
}


@pytest.fixture
def letters(store: Store) -> list[Outline]:
    """Every letter in INBOX, which is selected; their outlines."""
    for letter in LETTERS.values():
        store.append("INBOX", letter.raw, flags=["\\Flagged"])
    total = store.select("INBOX").messages
    return store.outlines_at(1, total)


def test_outlines_tell_of_messages_without_their_content(
    store: Store, letters: list[Outline]
) -> None:
    assert [outline.uid for outline in letters] == store.uids()
    assert all("\\Flagged" in outline.flags for outline in letters)
    sizes = [len(letter.raw) for letter in LETTERS.values()]
    assert [outline.size for outline in letters] == sizes
    assert store.outlines([letters[2].uid, 4_000_000]) == [letters[2]]
    assert store.outlines_at(2, 3) == letters[1:3]


def test_read_messages_are_those_that_the_parser_reads(
    account: Account, store: Store, letters: list[Outline]
) -> None:
    for letter, read in zip(LETTERS.values(), store.read(letters), strict=True):
        assert read.message.text == letter.text
        assert read.message.html == letter.html
        assert tuple(found.filename for found in read.message.attachments) == letter.names
        whole = parse_message(letter.raw)
        for name in ("subject", "sender", "to", "date", "message_id"):
            assert getattr(read.message, name) == getattr(whole, name)
        kinds = [(found.content_type, found.content_id) for found in whole.attachments]
        assert kinds == [
            (found.content_type, found.content_id) for found in read.message.attachments
        ]
        for told, true in zip(read.message.attachments, whole.attachments, strict=True):
            # pymap counts the header of a part as well.
            assert account.name == "pymap" or abs(told.size - true.size) <= 4 + true.size // 20
        assert read.contents == ()
    assert [told.flags for told in store.flags()] == [{"\\Flagged"}] * len(letters)


def test_attachments_come_where_they_are_asked_for(store: Store, letters: list[Outline]) -> None:
    (read,) = store.read([letters[2]], with_attachments=True)
    assert read.contents == (LOGO.content, PICTURE.content)
    assert [found.size for found in read.message.attachments] == [
        len(LOGO.content),
        len(PICTURE.content),
    ]


def test_a_message_that_went_meanwhile_is_left_out(account: Account, store: Store) -> None:
    first, second = fill(store, 2)
    outlines = store.outlines([first, second])
    with account.store() as other:
        other.select("INBOX", read_only=False)
        other.expunge([first])
    store.uids()
    assert [read.outline.uid for read in store.read(outlines)] == [second]
    assert list(store.read([])) == []
