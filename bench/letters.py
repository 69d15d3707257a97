"""A mailbox of made-up mail: the same messages for the same number."""

from __future__ import annotations

import base64
import os
import random
from collections.abc import Iterator
from pathlib import Path

WORDS = """
    account agenda answer autumn balance bridge budget calendar chapter column contract
    copper deadline delivery draft engine estimate evening factory figure garden harbour
    invoice journey kitchen ladder letter market meeting mirror morning number office
    order paper pencil picture plan portrait price project quarter question reason
    receipt report review river schedule season signal station summary supply survey
    table target ticket timber travel update valley village water window winter yellow
""".split()  # noqa: SIM905 - seventy quoted words read worse


def letters(count: int, seed: int = 1) -> Iterator[bytes]:
    """`count` messages of 12 kB on average: short text, HTML newsletters, attachments."""
    chance = random.Random(seed)
    for number in range(count):
        yield _letter(chance, number)


def fill_maildir(folder: Path, contents: Iterator[bytes]) -> int:
    """Write the messages into a Maildir as if delivered long ago, one a minute; their octets."""
    for name in ("tmp", "new", "cur"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    total = 0
    for number, content in enumerate(contents):
        seen = "S" if number % 3 else ""
        arrival = 1_700_000_000 + 60 * number
        file = folder / "cur" / f"{arrival}.M{number}.bench:2,{seen}"
        file.write_bytes(content)
        os.utime(file, (arrival, arrival))
        total += len(content)
    return total


def _letter(chance: random.Random, number: int) -> bytes:
    kind = chance.random()
    subject = " ".join(chance.choices(WORDS, k=chance.randint(2, 8))).capitalize()
    header = [
        f"Received: from mx{number % 7}.example.net by mail.example.org with ESMTPS id {number:x};",
        "\tSat, 7 Nov 2026 10:00:00 +0000",
        f"From: {chance.choice(WORDS).title()} Sender <{chance.choice(WORDS)}@example.net>",
        f"To: {chance.choice(WORDS).title()} Reader <{chance.choice(WORDS)}@example.org>",
        f"Subject: {subject}",
        f"Date: Sat, 7 Nov 2026 {number % 24:02d}:{number % 60:02d}:00 +0000",
        f"Message-ID: <{number}.{chance.getrandbits(48):x}@example.net>",
        "MIME-Version: 1.0",
    ]
    if number % 4 == 3:
        header.append(f"In-Reply-To: <{number - 1}.parent@example.net>")
    if kind < 0.5:
        body = ["Content-Type: text/plain; charset=utf-8", "", _prose(chance, 60, 500)]
    elif kind < 0.85:
        body = _alternative(_prose(chance, 100, 400), _html(chance, 20, 120))
    else:
        octets = chance.choice((5_000, 10_000, 25_000, 45_000, 80_000))
        body = _attached(_prose(chance, 40, 200), chance.randbytes(octets))
    return "\r\n".join([*header, *body, ""]).replace("\r\n", "\n").replace("\n", "\r\n").encode()


def _prose(chance: random.Random, least: int, most: int) -> str:
    words = chance.choices(WORDS, k=chance.randint(least, most))
    return "\r\n".join(" ".join(words[i : i + 11]) for i in range(0, len(words), 11))


def _html(chance: random.Random, least: int, most: int) -> str:
    rows = (
        f'<tr><td style="padding:8px;font-family:sans-serif">{" ".join(chance.choices(WORDS, k=9))}'
        f'</td><td><a href="https://example.net/{chance.getrandbits(64):x}">more</a></td></tr>'
        for _ in range(chance.randint(least, most))
    )
    return "<html><body><table>\r\n" + "\r\n".join(rows) + "\r\n</table></body></html>"


def _alternative(text: str, html: str) -> list[str]:
    return [
        'Content-Type: multipart/alternative; boundary="=_alt"',
        "",
        "--=_alt",
        "Content-Type: text/plain; charset=utf-8",
        "",
        text,
        "--=_alt",
        "Content-Type: text/html; charset=utf-8",
        "",
        html,
        "--=_alt--",
    ]


def _attached(text: str, octets: bytes) -> list[str]:
    return [
        'Content-Type: multipart/mixed; boundary="=_mix"',
        "",
        "--=_mix",
        "Content-Type: text/plain; charset=utf-8",
        "",
        text,
        "--=_mix",
        'Content-Type: application/pdf; name="report.pdf"',
        "Content-Transfer-Encoding: base64",
        'Content-Disposition: attachment; filename="report.pdf"',
        "",
        base64.encodebytes(octets).decode(),
        "--=_mix--",
    ]
