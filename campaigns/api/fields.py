"""Fields that several resources of campaigns take."""

from __future__ import annotations

import base64
import binascii
import mimetypes
from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from mailhub.api.strict import StrictMixin
from mailhub.errors import TooLarge
from mailhub.mail.addresses import parse_address, refuse_breaks
from mailhub.mail.errors import InvalidMessage
from mailhub.mail.message import Attachment

MOST_ATTACHMENTS = 50


class OneLineField(serializers.CharField):
    """Text that will stand in a header: not trimmed into shape, but refused with a line break."""

    def __init__(self, **options: Any) -> None:
        super().__init__(trim_whitespace=False, **options)

    def to_internal_value(self, data: Any) -> str:
        value: str = super().to_internal_value(data)
        try:
            refuse_breaks("This field", value)
        except InvalidMessage as error:
            raise serializers.ValidationError(error.message) from error
        return value.strip()


class AddressField(OneLineField):
    """`a@b.c` or `Ann <a@b.c>`."""

    def to_internal_value(self, data: Any) -> str:
        value = super().to_internal_value(data)
        try:
            return value and str(parse_address(value)) and value
        except InvalidMessage as error:
            raise serializers.ValidationError(error.message) from error


class NewFileSerializer(StrictMixin, serializers.Serializer[Any]):
    """A file; `content` is base64. With a `content_id` the HTML shows it as `cid:…`."""

    filename = OneLineField(max_length=255)
    content = serializers.CharField(trim_whitespace=False)
    content_type = OneLineField(
        max_length=255, required=False, help_text="Without it, what the file's name says."
    )
    content_id = OneLineField(max_length=200, required=False, allow_blank=True)

    def validate_content(self, value: str) -> bytes:
        if len(value) > settings.MAILHUB_MESSAGE_LIMIT * 2:
            raise TooLarge("This attachment is larger than a message may be.")
        try:
            return base64.b64decode("".join(value.split()), validate=True)
        except (ValueError, binascii.Error) as error:
            raise serializers.ValidationError("This is not base64.") from error

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        try:
            inline = bool(attrs.get("content_id"))
            guessed = mimetypes.guess_type(attrs["filename"])[0] or ""
            named = {"content_type": guessed, **attrs}
            return {"attachment": Attachment(**named, inline=inline)}
        except InvalidMessage as error:
            name = "content_id" if "content id" in error.message else "content_type"
            raise serializers.ValidationError({name: [error.message]}) from error


@extend_schema_field(
    {"oneOf": [{"type": "integer"}, {"type": "object", "additionalProperties": {}}]}
)
class SegmentField(serializers.JSONField):
    """The id of a segment that is kept, or a rule as segments have it."""
