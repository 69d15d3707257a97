"""Whether a campaign counts what its recipients do."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from mailhub.api.strict import StrictMixin


class TrackingSerializer(StrictMixin, serializers.Serializer[Any]):
    """Whether opens and clicks are counted; left out, they are not."""

    opens = serializers.BooleanField(required=False, default=False)
    clicks = serializers.BooleanField(required=False, default=False)
