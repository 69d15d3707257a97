"""camelCase outside, Python's names inside, users' own keys untouched."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rest_framework import serializers

from mailhub.api.naming import CamelCaseMixin, MillisecondsField, camel_case
from mailhub.api.strict import StrictMixin


class PartSerializer(CamelCaseMixin, StrictMixin, serializers.Serializer[Any]):
    content_type = serializers.CharField()


class LetterSerializer(CamelCaseMixin, StrictMixin, serializers.Serializer[Any]):
    is_read = serializers.BooleanField(default=False)
    sent_at = MillisecondsField(required=False)
    own_headers = serializers.DictField(required=False)
    first_part = PartSerializer(required=False)
    word_count = serializers.SerializerMethodField()
    sender = serializers.CharField(source="from_address", required=False)

    def get_word_count(self, _letter: Any) -> int:
        return 3


def read(data: Any) -> tuple[Any, Any]:
    serializer = LetterSerializer(data=data)
    serializer.is_valid()
    return serializer.errors, serializer.validated_data


def test_names_inside_and_outside() -> None:
    errors, data = read(
        {
            "isRead": True,
            "ownHeaders": {"x_my_key": "a_b"},
            "firstPart": {"contentType": "text/plain"},
            "sender": "me",
        }
    )
    assert errors == {}
    assert data == {
        "is_read": True,
        "own_headers": {"x_my_key": "a_b"},
        "first_part": {"content_type": "text/plain"},
        "from_address": "me",
    }
    assert LetterSerializer(data).data == {
        "isRead": True,
        "ownHeaders": {"x_my_key": "a_b"},
        "firstPart": {"contentType": "text/plain"},
        "wordCount": 3,
        "sender": "me",
    }


@pytest.mark.parametrize("name", ["is_read", "isread", "IsRead", "from_address"])
def test_misspelt_name_is_refused_by_name(name: str) -> None:
    errors, _ = read({name: True})
    assert list(errors) == [name]


def test_misspelt_name_deep_inside_is_found() -> None:
    errors, _ = read({"firstPart": {"contentType": "a/b", "content_type": "a/b"}})
    assert list(errors["firstPart"]) == ["content_type"]


@given(st.datetimes(timezones=st.just(UTC)))
def test_moment_goes_out_and_comes_back_to_the_millisecond(moment: datetime) -> None:
    field = MillisecondsField()
    shown = field.to_representation(moment)
    back = field.to_internal_value(shown)
    assert 0 <= (moment - back).total_seconds() < 0.001
    assert field.to_representation(back) == shown


def test_moments_as_text() -> None:
    field = MillisecondsField()
    expected = datetime(2026, 1, 23, 10, 30, 45, tzinfo=UTC)
    assert field.to_internal_value("2026-01-23T10:30:45Z") == expected
    assert field.to_internal_value("2026-01-23T11:30:45+01:00") == expected
    assert field.to_internal_value("2026-01-23T10:30:45") == expected


@pytest.mark.parametrize(
    "value", [True, None, [], {}, "soon", "", 10**30, -(10**30), float("nan"), float("inf")]
)
def test_no_moment(value: Any) -> None:
    with pytest.raises(serializers.ValidationError):
        MillisecondsField().run_validation(value)


def test_words() -> None:
    assert camel_case("is_sync_enabled") == "isSyncEnabled"
    assert camel_case("id") == "id"
    assert camel_case("ipv_4_only") == "ipv4Only"
