"""Input that is not understood is refused, not dropped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers


class StrictMixin:
    """Refuses fields that the serializer does not know, each by its name.

    A client that misspells `scheduled_at` hears of it, and nothing is sent at once.
    """

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            unknown = [name for name in data if name not in self.fields]  # type: ignore[attr-defined]
            if unknown:
                raise serializers.ValidationError(
                    {name: ["This field is not known here."] for name in unknown}
                )
        return super().to_internal_value(data)  # type: ignore[misc]  # a mixin
