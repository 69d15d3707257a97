"""Each file in tests/corpus is one oddity: a message and what must be read from it.

A field that is not named in the expectation is not looked at, except that no message may
hold NUL or a lone surrogate anywhere.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from mailhub.mail.parsing import attachment_content, parse_headers, parse_message

CORPUS = Path(__file__).parent.parent / "corpus"
MESSAGES = sorted(CORPUS.glob("*.eml"))


def _as_json(parsed: Any) -> dict[str, Any]:
    values = asdict(parsed)
    values["date"] = parsed.date.isoformat() if parsed.date else None
    plain: dict[str, Any] = json.loads(json.dumps(values))
    return plain


@pytest.mark.parametrize("path", MESSAGES, ids=lambda path: path.stem)
def test_reads_what_is_expected(path: Path) -> None:
    expected = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    found = _as_json(parse_message(path.read_bytes()))
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize("path", MESSAGES, ids=lambda path: path.stem)
def test_the_text_can_be_stored_anywhere(path: Path) -> None:
    text = json.dumps(_as_json(parse_message(path.read_bytes())), ensure_ascii=False)
    assert "\\u0000" not in text
    text.encode("utf-8")


@pytest.mark.parametrize("path", MESSAGES, ids=lambda path: path.stem)
def test_the_header_alone_tells_the_same(path: Path) -> None:
    raw = path.read_bytes()
    whole = parse_message(raw)
    header = parse_headers(raw)
    assert (header.date, header.message_id) == (whole.date, whole.message_id)
    assert [name for name, _ in header.headers] == [name for name, _ in whole.headers]
    assert [who.address for who in header.sender] == [who.address for who in whole.sender]


@pytest.mark.parametrize("path", MESSAGES, ids=lambda path: path.stem)
def test_each_attachment_has_its_octets(path: Path) -> None:
    raw = path.read_bytes()
    for attachment in parse_message(raw).attachments:
        assert len(attachment_content(raw, attachment.index)) == attachment.size


def test_the_corpus_is_whole() -> None:
    assert len(MESSAGES) > 20
    assert {path.stem for path in MESSAGES} == {path.stem for path in CORPUS.glob("*.json")}
