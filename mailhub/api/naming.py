"""JSON names: mail resources speak camelCase, their serializers stay in Python's style."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_UNDERSCORE = re.compile(r"_([a-z0-9])")


def camel_case(name: str) -> str:
    """`is_sync_enabled` → `isSyncEnabled`."""
    return _UNDERSCORE.sub(lambda match: match.group(1).upper(), name)


class CamelCaseMixin(serializers.Serializer[Any]):
    """Renames a serializer's own fields, never the keys inside users' values.

    Only the outer names change: a field keeps its source, so validated data and
    `details.fields` of an error speak of the same thing under Python's and JSON's name.
    A serializer's own check of one field is named after the outer name
    (`validate_accountName`), as rest_framework looks it up.
    """

    def get_fields(self) -> dict[str, Any]:
        renamed: dict[str, Any] = {}
        own: dict[str, Any] = super().get_fields()
        for name, field in own.items():
            outer = camel_case(name)
            if isinstance(field, serializers.SerializerMethodField):
                field.method_name = field.method_name or f"get_{name}"
            elif outer != name and field.source is None:
                field.source = name
                field._kwargs["source"] = name
            renamed[outer] = field
        return renamed


@extend_schema_field(OpenApiTypes.INT64)
class MillisecondsField(serializers.Field[datetime, int | str, int, datetime]):
    """A moment as milliseconds since the epoch; takes ISO 8601 text as well."""

    default_error_messages = {
        "invalid": "Give milliseconds since the epoch or an ISO 8601 date and time."
    }

    def to_representation(self, value: datetime) -> int:
        return (value - _EPOCH) // _MILLISECOND

    def to_internal_value(self, data: int | str) -> datetime:
        if isinstance(data, str):
            try:
                return serializers.DateTimeField(default_timezone=UTC).to_internal_value(data)
            except serializers.ValidationError:
                self.fail("invalid")
        if isinstance(data, bool) or not isinstance(data, int | float):
            self.fail("invalid")
        try:
            return _EPOCH + data * _MILLISECOND
        except (OverflowError, ValueError):
            self.fail("invalid")
