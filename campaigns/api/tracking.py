"""Whether a campaign counts what its recipients do."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from mailhub.api.strict import StrictMixin


class TrackingSerializer(StrictMixin, serializers.Serializer[Any]):
    """Whether opens and clicks are counted; left out, they are not.

    Those by programs are counted apart: scanners, mailboxes that load all images, and whatever
    comes within 5 seconds after the server took the message, an ordinary browser too.
    """

    opens = serializers.BooleanField(required=False, default=False)
    clicks = serializers.BooleanField(required=False, default=False)
