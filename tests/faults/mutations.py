"""Messages as they come out of broken programs and the hands of attackers.

Message `number` of `seed` is always the same: one or two messages of the corpus or of the
bench's mailbox, changed a few times in ways that mail has been seen to be broken.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from bench.letters import letters

CORPUS = Path(__file__).parent.parent / "corpus"
LETTERS = 40
LONGEST_LETTER = 12_000
LONGEST = 400_000

_Mutation = Callable[[random.Random, bytes], bytes]

_CHARSET = re.compile(rb"charset=\"?[^\s\";]*\"?", re.IGNORECASE)
_ENCODING = re.compile(rb"(Content-Transfer-Encoding:)[^\r\n]*", re.IGNORECASE)
_BOUNDARY = re.compile(rb"boundary=\"?([^\s\";]*)\"?", re.IGNORECASE)

_CHARSETS = (
    *(b"utf-8", b"utf-7", b"utf-16", b"utf-32", b"us-ascii", b"iso-8859-1", b"windows-1252"),
    *(b"iso-2022-jp", b"iso-2022-kr", b"gb2312", b"gb18030", b"big5", b"koi8-r", b"hz", b"cp932"),
    *(b"x-unknown", b"unknown-8bit", b"idna", b"punycode", b"unicode_escape", b"rot13", b"zlib"),
    *(b"utf-8*en", b"", b"=?utf-8?q?x?=", b"\xff\xfe", b"a" * 300),
)
_ENCODINGS = (
    *(b"7bit", b"8bit", b"binary", b"base64", b"quoted-printable", b"x-uuencode", b"BASE64 "),
    *(b"base64; x=y", b'"base64"', b"gzip", b"", b"=?utf-8?b?YmFzZTY0?="),
)
_HEADERS = (
    b"Subject: =?utf-8?B?7aCA?= =?x?q?=00=FF?= =?utf-8?q?a=\r\n",
    b"Subject: =?utf-16?b?2AA=?=\r\n",
    b"From: (((Ada <a@b\r\n",
    b'To: "a\\", <@r,@s:c@d>, undisclosed:;, \xe4\xf6 <x@y>;\r\n',
    b"To: " + b"a@b, " * 300 + b"\r\n",
    b"Date: Foo, 99 Bar 99999 99:99:99 +9999\r\n",
    b"Date: 1 Jan 1 00:00:00 +2359\r\n",
    b"Message-ID: <" + b"x" * 3000 + b"@y>\r\n",
    b"References: " + b"<a@b> <c@d>\r\n\t" * 80 + b"\r\n",
    b"In-Reply-To: <\x00\xff@\xed\xa0\x80>\r\n",
    b"Content-Type: multipart/mixed; boundary=\r\n",
    b"Content-Type: multipart/alternative; boundary*0=a; boundary*1=b\r\n",
    b"Content-Type: text/html; charset=utf-7\r\n",
    b"Content-Type: message/rfc822\r\n",
    b"Content-Type: text/plain; format=flowed; delsp=yes\r\n",
    b"Content-Type: " + b"a" * 200 + b"/" + b"b" * 200 + b"\r\n",
    b"Content-Disposition: attachment; filename*0*=utf-8''..%2F%00%E2%80%AE; filename*2*=c.exe\r\n",
    b'Content-Disposition: attachment; filename="=?utf-8?q?..=2F=E2=80=AEfdp=2Eexe?="\r\n',
    b"Content-ID: <\xff\x00>\r\n",
    b"Bcc: hidden@example.org\r\n",
    b"no colon here\r\n",
    b" folded from nowhere\r\n",
)
_FRAGMENTS = (
    *(b"\x00", b"\xff", b"\xed\xa0\x80", b"\xed\xb0\x80", b"\xf0\x9f\x98"),
    *(b"\r", b"\n", b"\r\n\r\n"),
    *(b"\x1b$B", b"\x1b(B", b"+2AA-", b"~{", b"=D8=00", b"=", b"==", b"=?utf-8?q?", b"?="),
    *(b"\xe2\x80\xae", b"\xef\xbb\xbf", b"\xc2\xa0", b"\xe2\x80\x8b", b"\x0b\x0c\x1c\x85"),
    *(b"<!--", b"-->", b"<script>", b"</script", b"<svg>", b"<a href='", b"&#0;", b"&#xD800;"),
    *(b"<div style='x:expression(", b"<img src=cid:", b"<table><td>", b"<pre>", b"<select>"),
    *(b"begin 644 ../x\r\n#86%A\r\nend\r\n", b"\nend\n", b"-- \r\n", b"> > \r\n", b"From \r\n"),
    *(b'"', b"'", b"(", b")", b"<", b">", b";", b":", b",", b"\\", b"@", b"*0*=", b"%00", b"%"),
)  # fmt: skip


def message(seed: int, number: int) -> bytes:
    """Message `number` of `seed`."""
    chance = random.Random(f"{seed}/{number}")
    content = chance.choice(_sources())
    for _ in range(min(1 + int(chance.expovariate(0.5)), 12)):
        content = chance.choice(_MUTATIONS)(chance, content)[:LONGEST]
    return content


@lru_cache(maxsize=1)
def _sources() -> list[bytes]:
    """The corpus, and some letters, all of which are much alike."""
    corpus = [path.read_bytes() for path in sorted(CORPUS.glob("*.eml"))]
    return corpus + [letter for letter in letters(LETTERS) if len(letter) < LONGEST_LETTER]


def _span(chance: random.Random, content: bytes) -> tuple[int, int]:
    """A piece, short ones more often than long ones."""
    start = chance.randrange(len(content) + 1)
    return start, start + int(len(content) * chance.random() ** 6) + 1


def _flip_bits(chance: random.Random, content: bytes) -> bytes:
    octets = bytearray(content)
    for _ in range(chance.randint(1, 20) if octets else 0):
        octets[chance.randrange(len(octets))] ^= 1 << chance.randrange(8)
    return bytes(octets)


def _splice(chance: random.Random, content: bytes) -> bytes:
    other = chance.choice(_sources())
    return content[: chance.randrange(len(content) + 1)] + other[chance.randrange(len(other) + 1) :]


def _delete(chance: random.Random, content: bytes) -> bytes:
    start, end = _span(chance, content)
    return content[:start] + content[end:]


def _duplicate(chance: random.Random, content: bytes) -> bytes:
    start, end = _span(chance, content)
    return content[:start] + content[start:end] * chance.randint(2, 5) + content[end:]


def _truncate(chance: random.Random, content: bytes) -> bytes:
    return content[: chance.randrange(len(content) + 1)]


def _inject_header(chance: random.Random, content: bytes) -> bytes:
    """Behind some line end, mostly one of the message's own header."""
    reach = len(content) if chance.random() < 0.3 else content.find(b"\r\n\r\n") + 1
    ends = [0, *(found.end() for found in re.finditer(rb"\n", content[: max(0, reach)]))]
    place = chance.choice(ends)
    return content[:place] + chance.choice(_HEADERS) + content[place:]


def _swap_charset(chance: random.Random, content: bytes) -> bytes:
    return _CHARSET.sub(lambda _: b"charset=" + chance.choice(_CHARSETS), content)


def _swap_encoding(chance: random.Random, content: bytes) -> bytes:
    return _ENCODING.sub(lambda found: found[1] + b" " + chance.choice(_ENCODINGS), content)


def _edit_boundary(chance: random.Random, content: bytes) -> bytes:
    found = _BOUNDARY.search(content)
    if found is None or not found[1]:
        start, end = _span(chance, content)
        return b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" + content[start:end]
    old = found[1]
    new = chance.choice((old[:-1], old + b"x", old + b"--", b"", old.upper(), b"-", b"a b "))
    if chance.random() < 0.5:
        return content.replace(b"--" + old, b"--" + new, chance.randint(1, 3))
    return content.replace(old, new, chance.randint(1, 4))


def _stretch(chance: random.Random, content: bytes) -> bytes:
    """A few octets, repeated up to thousands of times."""
    start = chance.randrange(len(content) + 1)
    piece = content[start : start + chance.randint(1, 12)] or b"("
    times = int(10 ** chance.uniform(0.5, 3.5))
    return content[:start] + piece * times + content[start:]


def _insert(chance: random.Random, content: bytes) -> bytes:
    place = chance.randrange(len(content) + 1)
    return content[:place] + chance.choice(_FRAGMENTS) + content[place:]


def _change_line_ends(chance: random.Random, content: bytes) -> bytes:
    return content.replace(b"\r\n", chance.choice((b"\n", b"\r", b"\r\r\n", b"\n\r")))


def _wrap(chance: random.Random, content: bytes) -> bytes:
    for level in range(chance.choice((1, 1, 2, 3, 40))):
        mark = b"w%d" % level if chance.random() < 0.8 else b"w"
        if chance.random() < 0.5:
            content = b"Content-Type: message/rfc822\r\n\r\n" + content
        content = b"\r\n".join(
            (
                b"Content-Type: multipart/"
                + chance.choice((b"mixed", b"alternative", b"related", b"digest", b"signed", b"x"))
                + b'; boundary="'
                + mark
                + b'"\r\n',
                b"--" + mark,
                content,
                b"--" + mark + b"--",
            )
        )
    return content


_MUTATIONS: tuple[_Mutation, ...] = (
    _flip_bits,
    _splice,
    _delete,
    _duplicate,
    _truncate,
    _inject_header,
    _inject_header,
    _swap_charset,
    _swap_encoding,
    _edit_boundary,
    _stretch,
    _insert,
    _insert,
    _change_line_ends,
    _wrap,
)
