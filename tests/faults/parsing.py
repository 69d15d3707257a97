"""A hundred thousand broken messages, none of which may trouble the parser or the database.

First come those that are as hostile as can be sent: 1 MB of one trick, or 5 MB.

Run by `make faults ARGS="--only parsing"`. A message that fails is written to a file; with
`--seed` and `--first` as printed the same messages come again.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import sys
import time
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path

from mailboxes.sync.letters import (
    LONGEST_TEXT,
    Letter,
    header_digest,
    read_header,
    read_letter,
)
from mailhub.mail.html import sanitise_html
from mailhub.mail.parsing import embedded_images, open_message, parse_headers
from mailhub.mail.threading import thread_keys
from tests.faults.hostile import hostile_messages
from tests.faults.mutations import message

# Of processor time, for one message: what grows faster than its length takes minutes.
LONGEST_SECONDS = 2.0
_MOST_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Checked:
    """What reading a message cost, and what a sync would store of it."""

    seconds: float
    letter: Letter


def check(raw: bytes) -> Checked:
    """Read a message in every way that mailhub reads one; AssertionError where it may not be."""
    began = time.process_time()
    parsed, contents = open_message(raw)
    read = time.process_time() - began
    assert_clean(parsed)
    assert [len(content) for content in contents] == [file.size for file in parsed.attachments]
    for file in parsed.attachments:
        assert_safe_name(file.filename)
    header = parse_headers(raw)
    assert header.date == parsed.date
    # Raw octets of an id are read by the charset of the text, which the header may not tell.
    assert header.message_id == parsed.message_id or not parsed.message_id.isascii()

    letter, listed = read_letter(raw, b""), read_header(raw, b"")
    assert_clean(letter)
    assert_clean(listed)
    assert letter.body is not None
    stored = (letter.subject, letter.body.text, letter.body.attachments)
    assert stored == (parsed.subject, parsed.text[:LONGEST_TEXT], parsed.attachments)
    assert letter.header_digest == listed.header_digest == header_digest(raw)
    thread_keys(parsed.subject, [parsed.message_id, parsed.in_reply_to, *parsed.references])

    began = time.process_time()
    shown = sanitise_html(parsed.html, resolve_image=embedded_images(raw).get)
    seconds = max(read, time.process_time() - began)
    assert "<script" not in shown.lower()
    assert seconds < LONGEST_SECONDS, f"took {seconds:.1f} s of processor time"
    return Checked(seconds, letter)


def assert_clean(value: object) -> None:
    """No text in it holds NUL or half of a surrogate pair."""
    text = "".join(_texts(value))
    assert "\0" not in text, "a NUL"
    text.encode()


def assert_safe_name(name: str) -> None:
    """A name to save a file under, which looks like what it is."""
    assert name, "no name"
    assert len(name.encode()) <= 255, "a long name"
    assert name not in {".", ".."}, "a folder"
    assert not set(name) & set('/\\:"<>|?*'), f"a path: {name!r}"
    hidden = [character for character in name if unicodedata.category(character)[0] == "C"]
    assert not hidden, f"controls: {name!r}"


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple | list):
        for each in value:
            yield from _texts(each)
    elif is_dataclass(value):
        for field in fields(value):
            yield from _texts(getattr(value, field.name))


def main() -> int:
    """Check so many messages; 1 where one failed."""
    parser = argparse.ArgumentParser(
        prog='make faults ARGS="--only parsing …"',
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--first", type=int, default=0, help="the number of the first message")
    parser.add_argument("--failures", type=Path, default=Path("test-artefacts/parsing"))
    options = parser.parse_args()
    print(f"parsing: seed {options.seed}", flush=True)
    failed, slowest, began = 0, (0.0, ""), time.process_time()
    for name, raw in _messages(options):
        try:
            slowest = max(slowest, (check(raw).seconds, name))
        except Exception as error:
            failed += 1
            _keep(raw, options, name, error)
            if failed == _MOST_SHOWN:
                break
    spent = time.process_time() - began
    print(
        f"{options.messages} messages, {failed} failed, {spent:.0f} s of processor time, "
        f"the slowest {slowest[0]:.2f} s ({slowest[1]})",
        flush=True,
    )
    return int(failed > 0)


def _messages(options: argparse.Namespace) -> Iterator[tuple[str, bytes]]:
    """The hostile ones, unless a first one is named, and those changed by chance."""
    if not options.first:
        yield from hostile_messages()
    for number in range(options.first, options.first + options.messages):
        yield f"--seed {options.seed} --first {number}", message(options.seed, number)


def _keep(raw: bytes, options: argparse.Namespace, name: str, error: Exception) -> None:
    options.failures.mkdir(parents=True, exist_ok=True)
    file = options.failures / f"{hashlib.sha256(raw).hexdigest()[:16]}.eml"
    file.write_bytes(raw)
    print(f"{name}: {type(error).__name__}: {error}\n  {file}", flush=True)


def _set_up_django() -> None:
    from tests import environment

    environment.prepare()
    os.environ["DJANGO_SETTINGS_MODULE"] = "mailhub.settings"
    import django

    django.setup()


if __name__ == "__main__":
    _set_up_django()
    sys.exit(main())
