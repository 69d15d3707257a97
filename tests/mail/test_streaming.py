"""A message whose files are read as it is written: the same octets, held once."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from email import message_from_bytes, policy

import pytest

from mailhub.mail.message import Address, Attachment, OutgoingMessage
from mailhub.mail.streaming import AttachedFile, encoded_size, message_octets

MEGABYTE = 1024 * 1024
LETTER = OutgoingMessage(
    sender=Address("", "joe@example.org"),
    to=[Address("", "bo@example.org")],
    bcc=[Address("", "di@example.org")],
    subject="Grüße",
    text="Hi.",
    html='<p>Hi <img src="cid:dot"></p>',
)


def streamed(attachment: Attachment, stretch: int) -> AttachedFile:
    """The same file, handed over in stretches of so many octets."""
    content = attachment.content
    return AttachedFile(
        replace(attachment, content=b""),
        lambda: [content[start : start + stretch] for start in range(0, len(content), stretch)],
    )


def comparable(octets: bytes) -> list[tuple[str, str | None, object]]:
    """Parts by type, name and content; boundaries are chosen by chance."""
    message = message_from_bytes(octets, policy=policy.default)
    return [
        (part.get_content_type(), part.get_filename(), part.get_payload(decode=True))
        for part in message.walk()
    ]


@pytest.mark.parametrize("stretch", [1, 56, 57, 58, 1000, 10**6])
@pytest.mark.parametrize("with_bcc", [False, True])
def test_it_is_the_message_that_is_written_whole(stretch: int, with_bcc: bool) -> None:
    files = [
        Attachment("dot.png", b"\x89PNG" * 30, "image/png", "dot", inline=True),
        Attachment("a.pdf", bytes(range(256)) * 3, "application/pdf"),
        Attachment("one-line.bin", bytes(57)),
        Attachment("empty.txt", b"", "text/plain; charset=utf-8"),
        Attachment("letter.eml", b"Subject: x\r\n\r\nHi\r\n", "message/rfc822"),
        Attachment("Grüße.bin", b"x"),
    ]
    whole = replace(LETTER, attachments=files)
    written = message_octets(LETTER, [streamed(file, stretch) for file in files], with_bcc=with_bcc)
    assert comparable(written) == comparable(
        whole.as_stored_bytes() if with_bcc else whole.as_bytes()
    )
    assert (b"di@example.org" in written) == with_bcc
    assert all(len(line) <= 998 for line in written.split(b"\r\n"))
    assert b"\n" not in written.replace(b"\r\n", b"")


def test_a_large_file_is_held_once() -> None:
    size = 16 * MEGABYTE

    def read() -> Iterator[bytes]:
        for _ in range(size // 65_536):
            yield bytes(65_536)

    file = AttachedFile(Attachment("a.bin", b""), read)
    tracemalloc.start()
    try:
        written = message_octets(LETTER, [file])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert encoded_size(size) < len(written) < encoded_size(size) + 5_000
    # The buffer grows by an eighth.
    assert peak < 1.25 * len(written)
