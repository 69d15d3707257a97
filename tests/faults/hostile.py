"""Messages that a reader would spend minutes on whose time grows faster than their length.

Each is one trick as large as it can be sent: a header of 1 MB, a body of some.
"""

from __future__ import annotations

from collections.abc import Iterator

HEADER = 1_000_000
BODY = 5_000_000

_PDF = b"Content-Type: application/pdf\r\n"
_FLOWED = b"Content-Type: text/plain; format=flowed\r\n\r\n"
_MULTIPART = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
_ALTERNATIVE = b"Content-Type: multipart/alternative; boundary=b\r\n\r\n"

# In a header field, repeated up to 1 MB.
_FIELDS = {
    b"Subject: ": (
        *(b"x", b"x\r\n ", b"\xff", b"=?", b"=?utf-8?q?a?= ", b"=?utf-8?q?a?= =?latin1?b?YQ==?= "),
        *(b"Re: ", b"[", b"[a] ", b" (fwd)", b"=?a?q?", b"?= ", b"=?utf-8?b?=?= "),
    ),
    b"To: ": (
        *(b"<", b"(", b'"', b"@", b",", b" ", b"\t ", b"a:", b"a:;", b"a@b, ", b"a@b "),
        *(
            b"Ada <a@b>, ",
            b"Ada <a@b, ",
            b'"a, ',
            b'"\\"',
            b"(\\",
            b'("',
            b'"(',
            b'"a"@',
            b"a a@b,",
        ),
        *(b"=?utf-8?q?a?= <a@b>, ", b"<@a,@b:c@d>,"),
    ),
    b"References: ": (b"<", b"a", b"a@", b"<a@b> ", b"<" + b"a" * 990 + b" ", b"\xff"),
    b"Date: ": (b"1 ", b",", b"(", b"10:"),
    b"Content-Type: a/b": (b"; x=y", b'; x="y', b"; x*0*=y", b"; x*1=y", b";", b'"', b"="),
    b"Content-Disposition: attachment; filename=": (b"a/", b"..", b"e\xcc\x96\xcc\x81", b" ", b"%"),
    b"X: y\r": (b"X: y\r", b"X:", b"x"),
    b"From ": (b" ", b"\r"),
    b"": (b"X: y\r\n", b"X: y\n", b"X:", b" z\r\n", b":\r\n", b"\r", b"\r\n", b"\x00"),
}
# In HTML, repeated up to 5 MB.
_MARKUP = (
    *(b"<b>", b"<div>", b"<p>", b"<", b"<a ", b'<a "', b"<a '", b"<!--", b"<!", b"<!-->", b"</"),
    *(b"<script>", b"<script", b"<style>", b"<svg>", b"<svg></svg>", b"<select>", b"<template>"),
    *(b"<table><tr><td>", b"<b><i><u><a href=x><font><p>", b"<li>", b"<pre>a</pre>", b"<meta "),
    *(b"&amp;", b"&", b"&nbsp ", b"&#", b"\xc2\xa0", b"\xe2\x80\x8b", b"<br>", b"<blockquote>"),
    *(b"<p style='a:b(c;'>", b"<img src=cid:x>", b"<a href=http://a>"),
)
# In text of these charsets, repeated up to 5 MB.
_ENCODED = {
    b"utf-7": (b"+AGEA-", b"+2AA-", b"+"),
    b"hz": (b"~{", b"~~"),
    b"iso-2022-jp": (b"\x1b$B", b"\x1b(B", b"\x1b"),
    b"iso-2022-kr": (b"\x0e\x0f",),
    b"utf-16": (b"\xd8\x00",),
    b"gb18030": (b"\x81\x30\x81", b"\xff"),
}
# In parts of a multipart, repeated up to 1 MB.
_PARTS = (
    *(b"--b\r\n", b"--b\r\n\r\n", b"--b\r\nX: y\r\n\r\n", b"--bx\r\n", b"--b-\r\n", b"--b--\r\n"),
    *(b"--", b"--b ", b"--b\r\nText: x\r\n", b"--b\r\n\r\nbegin 644 a\r\n#86%A\r\nend\r\n"),
    b"--b\r\n\r\nx y\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>x\r\n",
    b"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\n.\r\n",
    b"--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n",
    b"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c--\r\n",
    b"--b\r\nContent-Transfer-Encoding: base64\r\n\r\n!AAAA!\r\n",
    b"--b\r\n" + b"X: y\r\n" * 50 + b"\r\nx\r\n",
)


def hostile_messages() -> Iterator[tuple[str, bytes]]:
    """Each with its name."""
    for start, pieces in _FIELDS.items():
        for piece in pieces:
            yield f"{start!r} {piece[:40]!r}", _repeated(start, piece, HEADER) + b"\r\n\r\nbody"
    for piece in _MARKUP:
        yield f"HTML {piece!r}", _repeated(b"Content-Type: text/html\r\n\r\n", piece, BODY)
    for charset, pieces in _ENCODED.items():
        start = b"Content-Type: text/plain; charset=" + charset + b"\r\n\r\n"
        for piece in pieces:
            yield f"{charset!r} {piece!r}", _repeated(start, piece, BODY)
    for piece in _PARTS:
        for start in (_MULTIPART, _ALTERNATIVE):
            yield f"{start[24:35]!r} {piece[:60]!r}", _repeated(start, piece, HEADER)
    for encoding, pieces in {
        b"base64": (b"=", b"AA=", b"QUJD\r\n", b"!"),
        b"quoted-printable": (b"=", b" ", b"=\r\n", b"=3D"),
        b"x-uuencode": (b"begin 644 a\r\n", b"\r\n"),
    }.items():
        start = b"Content-Transfer-Encoding: " + encoding + b"\r\n\r\n"
        for piece in pieces:
            yield f"{encoding!r} {piece!r}", _repeated(start, piece, BODY)
            part = _MULTIPART + b"--b\r\n" + _PDF + start
            yield f"{encoding!r} {piece!r} in a part", _repeated(part, piece, BODY)
    for piece in (
        b"begin 644 a\r\n",
        b"begin 644 a\r\nend\r\n",
        b"begin 644 a\r\n#86%A\r\nend\r\n",
    ):
        yield f"{piece!r}", _repeated(b"\r\n", piece, HEADER) + b"end\r\n"
    for piece in (b"a \r\n", b"> a \r\n", b">", b"\r", b"-- \r\n"):
        yield f"flowed {piece!r}", _repeated(_FLOWED, piece, BODY)
    yield from _nested()


def _nested() -> Iterator[tuple[str, bytes]]:
    def levels(count: int, length: int) -> bytes:
        names = [b"%d." % level + b"x" * (level % length) for level in range(count)]
        return b"".join(
            b"Content-Type: multipart/mixed; boundary=" + name + b"\r\n\r\n--" + name + b"\r\n"
            for name in names
        )

    yield "5,000 levels", levels(5_000, 1) + b"\r\nat the bottom\r\n"
    yield "5,000 levels of different lengths", levels(5_000, 200) + (b"--" + b"x" * 200) * 1_000
    yield "messages in messages", b"Content-Type: message/rfc822\r\n\r\n" * 100_000
    yield "continuations", b"Content-Type: a/b" + b"".join(b"; x*%d=y" % n for n in range(9_999))


def _repeated(start: bytes, piece: bytes, length: int) -> bytes:
    return start + piece * (length // len(piece))
