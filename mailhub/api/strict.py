"""Input that is not understood is refused, not dropped."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from rest_framework import serializers

_BREAKS = re.compile(r"[\r\n\0]")


class StrictMixin(serializers.Serializer[Any]):
    """Refuses fields that the serializer does not know, each by its name.

    A client that misspells `scheduled_at` hears of it, and nothing is sent at once.

    A text of one line, which is any whose surrounding spaces are trimmed, is refused with
    a line break or a NUL, before trimming could hide one. Texts of several lines are
    declared with `trim_whitespace=False`.
    """

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            unknown = [name for name in data if name not in self.fields]
            if unknown:
                raise serializers.ValidationError(
                    {name: ["This field is not known here."] for name in unknown}
                )
            broken = dict(_broken_lines(self.fields, data))
            if broken:
                raise serializers.ValidationError(broken)
        return super().to_internal_value(data)


def _broken_lines(
    fields: Mapping[str, Any], data: Mapping[str, Any]
) -> Iterator[tuple[str, list[str]]]:
    for name, given in data.items():
        field = fields[name]
        texts = [given]
        if isinstance(field, serializers.ListField) and isinstance(given, list):
            field, texts = field.child, given
        if field.read_only or not getattr(field, "trim_whitespace", False):
            continue
        if any(isinstance(text, str) and _BREAKS.search(text) for text in texts):
            yield name, ["This holds a line break or a NUL character."]
