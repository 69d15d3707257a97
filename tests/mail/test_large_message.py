"""A message in a file says what it says in memory, and is never held as a whole."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

import pytest

from mailhub.mail.octets import LARGE, Beginning, Spool, SpoolFailed
from mailhub.mail.parsing import (
    attachment_content,
    embedded_images,
    open_attachment,
    open_message,
    parse_headers,
    parse_message,
)
from mailhub.mail.parsing.header_block import split_message
from mailhub.mail.parsing.large_message import MAXIMUM_TEXT_OCTETS, parse_large_message
from mailhub.mail.parsing.message import message_of_tree
from mailhub.mail.parsing.part_tree import Part, read_plainly
from tests.faults.mutations import message
from tests.mail.test_parsing_corpus import MESSAGES


def spooled(folder: Path, *pieces: bytes) -> Beginning:
    with Spool(folder) as spool:
        for piece in pieces:
            spool.write(piece)
        return spool.beginning()


@pytest.mark.parametrize("path", MESSAGES, ids=lambda path: path.stem)
def test_the_corpus_reads_the_same(path: Path, tmp_path: Path) -> None:
    raw = path.read_bytes()
    large, expected = spooled(tmp_path, raw), parse_message(raw)
    assert parse_large_message(large.whole, window=1000) == expected
    found, contents = open_message(raw)
    assert parse_message(large) == found
    assert [attachment_content(large, index) for index in range(len(contents))] == list(contents)
    assert embedded_images(large) == embedded_images(raw)
    assert parse_headers(large) == parse_headers(raw)


def test_broken_messages_read_as_by_the_reader_that_takes_anything(tmp_path: Path) -> None:
    chance = random.Random(8)
    for number in range(400):
        raw = message(8, number)
        fields, body = split_message(raw)
        tree = read_plainly(fields, body)
        if tree.is_container and not tree.children:
            tree = Part("text/plain", content=body)
        # A line that matters has to fit.
        window = max(map(len, body.split(b"\n")), default=0) + chance.randrange(1, 99)
        found = parse_large_message(spooled(tmp_path, raw).whole, window=window)
        assert found == message_of_tree(fields, tree, complete=True), (number, window)


def large_pieces(*, part: bytes, line: bytes, octets: int) -> Iterable[bytes]:
    yield b'Subject: Large\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n'
    yield b"--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nHello.\r\n--b\r\n"
    yield part + b"\r\n\r\n"
    yield line * (octets // len(line))
    yield b"--b--\r\n"


def test_an_attachment_is_measured_and_comes_in_pieces(tmp_path: Path) -> None:
    part = b"Content-Type: image/png; name=a.png\r\nContent-Transfer-Encoding: base64"
    pieces = large_pieces(part=part, line=b"QUJD" * 19 + b"\r\n", octets=3 * LARGE)
    large = spooled(tmp_path, *pieces)
    assert len(large) < len(large.whole) // 8
    (attachment,) = parse_message(large).attachments
    assert (attachment.filename, attachment.content_type) == ("a.png", "image/png")
    described, stretches = open_attachment(large, 0)
    lengths = [len(piece) for piece in stretches]
    assert described == attachment
    assert sum(lengths) == attachment.size == 3 * LARGE // 78 * 57
    assert max(lengths) < LARGE
    assert parse_message(large).text == "Hello."
    with pytest.raises(IndexError):
        open_attachment(large, 1)


def test_a_long_text_is_cut_where_a_line_ends(tmp_path: Path) -> None:
    line = "Grüße aus Zürich ☃\r\n".encode()
    large = spooled(tmp_path, b"Subject: Long\r\n\r\n", *[line * 1000] * 300)
    parsed = parse_message(large)
    assert set(parsed.text.split("\n")) == {"Grüße aus Zürich ☃"}
    assert len(parsed.text.replace("\n", "\r\n").encode()) > MAXIMUM_TEXT_OCTETS - 1000
    assert not parsed.attachments


def test_a_text_that_is_attached_has_its_whole_size(tmp_path: Path) -> None:
    pieces = large_pieces(
        part=b"Content-Type: text/plain; name=log.txt", line=b"x" * 98 + b"\r\n", octets=2 * LARGE
    )
    large = spooled(tmp_path, *pieces)
    (attachment,) = parse_message(large).attachments
    content = attachment_content(large, 0)
    assert attachment.size == len(content) == 2 * LARGE // 100 * 100 - 2


def test_a_file_that_cannot_be_written_is_not_the_servers_fault(tmp_path: Path) -> None:
    (tmp_path / "taken").write_bytes(b"")
    with pytest.raises(SpoolFailed, match="exists"):
        Spool(tmp_path / "taken")
