"""JSON that no database or mail server could hold is refused with a reason, never a 500."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailhub.api.parsing import DEEPEST, read_json
from tests.people import People

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63) + 1, 2**63 - 1) | texts
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
)  # fmt: skip


@given(values, st.booleans())
def test_every_decent_value_is_read_as_it_was_written(value: Any, as_ascii: bool) -> None:
    assert read_json(json.dumps(value, ensure_ascii=as_ascii).encode()) == value


@given(st.binary())
def test_any_bytes_are_a_value_or_a_reason(content: bytes) -> None:
    try:
        read_json(content)
    except ValueError as error:
        assert str(error)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{", "Expecting property name"),
        (b"{'a': 1}", "Expecting property name"),
        (b'{"a": "\n"}', "Invalid control character"),
        (b'{"a": "\\u0000"}', "NUL"),
        (b'{"\\u0000": 1}', "NUL"),
        (b'{"a": "\\ud800"}', "surrogate"),
        (b'{"\\udc00": [1]}', "surrogate"),
        (b'{"a": ["\\udc00\\ud800"]}', "surrogate"),
        (b'{"a": "\xff"}', "UTF-8"),
        (b'{"a": "\xed\xa0\x80"}', "UTF-8"),
        ('{"a": 1}'.encode("utf-16"), "UTF-8"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": -Infinity}', "-Infinity"),
        (b'{"a": 1e999}', "too large"),
        (b'{"a": 9223372036854775808}', "too large"),
        (b'{"a": ' + b"9" * 100_000 + b"}", "too large"),
        (b'{"a": 1, "a": 2}', "twice"),
        (b"[" * 100_000, "deep"),
        (b'{"a":' * 100_000, "deep"),
        (b"[" * 900 + b"]" * 900, "deep"),
    ],
)
def test_bad_document_is_a_400_with_its_reason(people: People, body: bytes, reason: str) -> None:
    response = people.member.api.post("/api/accounts", body, content_type="application/json")
    answer = response.json()
    assert (response.status_code, answer["error"]) == (400, "invalid"), answer
    assert reason in answer["message"]


def test_deepest_document_that_is_taken() -> None:
    document = b"[" * DEEPEST + b"1" + b"]" * DEEPEST
    assert read_json(document)
    with pytest.raises(ValueError, match="deep"):
        read_json(b"[" + document + b"]")


def test_whole_pairs_and_a_byte_order_mark_are_fine() -> None:
    assert read_json(b'\xef\xbb\xbf["\\ud83d\\ude00", "\\\\u0000"]') == ["😀", "\\u0000"]


@pytest.mark.parametrize("body", [b"[]", b'"text"', b"1", b"null", b"true"])
def test_body_that_is_no_object(people: People, body: bytes) -> None:
    response = people.member.api.post("/api/accounts", body, content_type="application/json")
    assert (response.status_code, response.json()["error"]) == (400, "invalid")
