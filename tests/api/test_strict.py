"""What a serializer refuses before it looks at what its fields mean."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework import serializers

from mailhub.api.naming import CamelCaseMixin
from mailhub.api.strict import StrictMixin


class LetterSerializer(CamelCaseMixin, StrictMixin, serializers.Serializer[Any]):
    reply_to = serializers.EmailField(required=False)
    website = serializers.URLField(required=False)
    labels = serializers.ListField(child=serializers.CharField(), required=False)
    text = serializers.CharField(required=False, trim_whitespace=False)
    pages = serializers.IntegerField(required=False)
    id = serializers.CharField(read_only=True)


def errors_of(given: Any) -> Any:
    letter = LetterSerializer(data=given)
    letter.is_valid()
    return letter.errors


@pytest.mark.parametrize("character", ["\r", "\n", "\r\n", "\0"])
def test_text_of_one_line_holds_no_line_break_anywhere(character: str) -> None:
    for given in (
        {"replyTo": f"a@b.example{character}"},
        {"replyTo": f"{character}a@b.example"},
        {"website": f"https://b.example/{character}"},
        {"labels": ["fine", f"broken{character}"]},
        {"labels": [None, 1, f"{character}"]},
    ):
        (field,) = given
        assert errors_of(given) == {field: ["This holds a line break or a NUL character."]}


def test_text_of_several_lines_and_what_is_no_text_pass() -> None:
    letter = LetterSerializer(
        data={"text": "One\r\nTwo\n", "replyTo": " a@b.example ", "pages": "1\n", "id": "\n"}
    )
    assert letter.is_valid(), letter.errors
    assert letter.validated_data == {
        "text": "One\r\nTwo\n",
        "reply_to": "a@b.example",
        "pages": 1,
    }


@pytest.mark.parametrize("given", [None, [], "x\n", 3, {"labels": "a\nb"}, {"labels": {"a": "\n"}}])
def test_shape_that_is_wrong_is_left_to_the_fields(given: Any) -> None:
    assert "line break" not in str(errors_of(given))


def test_unknown_field_is_named_by_itself() -> None:
    assert errors_of({"reply_to": "a@b.example\n"}) == {
        "reply_to": ["This field is not known here."]
    }
