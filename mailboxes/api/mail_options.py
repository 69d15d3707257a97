"""`mailOptions`: a message as clients of the operations write it down."""

from __future__ import annotations

import base64
import binascii
import mimetypes
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.validators import single_line
from mailboxes.operations.composing import MailOptions
from mailhub.api.naming import CamelCaseMixin
from mailhub.api.strict import StrictMixin
from mailhub.mail.addresses import Address, parse_address, parse_addresses
from mailhub.mail.errors import InvalidMessage
from mailhub.mail.message import Attachment

_PERSON = {
    "type": "object",
    "required": ["address"],
    "properties": {"name": {"type": "string"}, "address": {"type": "string"}},
    "additionalProperties": False,
}
_ONE = {
    "oneOf": [{"type": "string", "example": "Ann <ann@example.org>"}, _PERSON],
}
PEOPLE_SCHEMA = {"oneOf": [{"type": "string"}, _PERSON, {"type": "array", "items": _ONE}]}
_TEXTS = {"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
# Beyond any limit of recipients; what is beyond it is counted no further.
_MOST_ADDRESSES = 10_000
_MOST_HEADERS = 200


@extend_schema_field(_ONE)
class AddressField(serializers.Field[Address, Any, Any, Any]):
    """`ann@example.org`, `Ann <ann@example.org>` or {name, address}."""

    default_error_messages = {
        "kind": 'Give an address as text or as {{"name": …, "address": …}}.',
    }

    def to_internal_value(self, data: Any) -> Address:
        try:
            return _person(data) if isinstance(data, dict) else parse_address(_text(data))
        except InvalidMessage as error:
            raise serializers.ValidationError(error.message) from None
        except (TypeError, KeyError):
            self.fail("kind")


@extend_schema_field(PEOPLE_SCHEMA)
class AddressListField(serializers.Field[list[Address], Any, Any, Any]):
    """One address, several with commas between them, or a list of either."""

    default_error_messages = {
        "kind": 'Give addresses as text or as {{"name": …, "address": …}}, alone or in a list.',
        "many": "These are too many addresses.",
    }

    def to_internal_value(self, data: Any) -> list[Address]:
        given = data if isinstance(data, list) else [data]
        found: list[Address] = []
        for each in given:
            try:
                found += [_person(each)] if isinstance(each, dict) else parse_addresses(_text(each))
            except InvalidMessage as error:
                raise serializers.ValidationError(error.message) from None
            except (TypeError, KeyError):
                self.fail("kind")
            if len(found) > _MOST_ADDRESSES:
                self.fail("many")
        return found


def _text(data: Any) -> str:
    if not isinstance(data, str):
        raise TypeError
    return data


def _person(data: dict[str, Any]) -> Address:
    """TypeError or KeyError for an object of another shape."""
    name, address = data.get("name") or "", data["address"]
    if data.keys() - {"name", "address"} or not isinstance(name + address, str):
        raise TypeError
    return Address(name, address)


@extend_schema_field(_TEXTS)
class TextListField(serializers.Field[list[str], Any, Any, Any]):
    """Words with spaces between them, or a list."""

    default_error_messages = {"kind": "Give a text or a list of texts."}

    def to_internal_value(self, data: Any) -> list[str]:
        if isinstance(data, str):
            return data.split()
        if not isinstance(data, list) or not all(isinstance(each, str) for each in data):
            self.fail("kind")
        return data


@extend_schema_field({"type": "object", "additionalProperties": _TEXTS})
class HeadersField(serializers.Field[list[tuple[str, str]], Any, Any, Any]):
    """Extra header fields by name; a list of values writes the field that often."""

    default_error_messages = {
        "kind": "Give an object of texts, or of lists of texts.",
        "many": f"A message may have {_MOST_HEADERS} extra header fields.",
    }

    def to_internal_value(self, data: Any) -> list[tuple[str, str]]:
        if not isinstance(data, dict):
            self.fail("kind")
        pairs = [
            (name, value)
            for name, given in data.items()
            for value in (given if isinstance(given, list) else [given])
        ]
        if not all(isinstance(value, str) for _, value in pairs):
            self.fail("kind")
        if len(pairs) > _MOST_HEADERS:
            self.fail("many")
        return pairs


class AttachmentSerializer(CamelCaseMixin, StrictMixin, serializers.Serializer[Any]):
    """A file. `content` is text unless `encoding` says base64; `cid` is what the HTML calls it.

    Without `contentType` the ending of the name decides.
    """

    filename = serializers.CharField(
        max_length=255, default="", allow_blank=True, validators=[single_line]
    )
    content = serializers.CharField(allow_blank=True, trim_whitespace=False)
    encoding = serializers.ChoiceField(choices=["base64", "utf-8"], default="utf-8")
    content_type = serializers.CharField(max_length=255, default="", allow_blank=True)
    cid = serializers.CharField(max_length=200, default="", allow_blank=True)

    class Meta:
        ref_name = "MailAttachment"

    def validate(self, attrs: dict[str, Any]) -> Attachment:
        kind = attrs["content_type"] or mimetypes.guess_type(attrs["filename"])[0] or ""
        if attrs["encoding"] == "utf-8" and kind.startswith("text/") and ";" not in kind:
            kind += "; charset=utf-8"
        try:
            return Attachment(
                filename=attrs["filename"],
                content=octets_of(attrs["content"], attrs["encoding"], "content"),
                content_type=kind,
                content_id=attrs["cid"],
                inline=bool(attrs["cid"]),
            )
        except InvalidMessage as error:
            raise serializers.ValidationError(error.message) from None


def octets_of(content: str, encoding: str, field: str) -> bytes:
    """The octets of a file. Raises ValidationError about `field` for what is no base64."""
    if encoding != "base64":
        return content.encode()
    try:
        return base64.b64decode("".join(content.split()), validate=True)
    except (binascii.Error, ValueError):
        raise serializers.ValidationError({field: ["This is not base64."]}) from None


class MailOptionsSerializer(CamelCaseMixin, StrictMixin, serializers.Serializer[Any]):
    """The message. Without `from` it is from the login's own address."""

    to = AddressListField(default=list)
    cc = AddressListField(default=list)
    bcc = AddressListField(default=list)
    reply_to = AddressListField(default=list)
    subject = serializers.CharField(
        max_length=10_000, default="", allow_blank=True, trim_whitespace=False
    )
    text = serializers.CharField(default="", allow_blank=True, trim_whitespace=False)
    html = serializers.CharField(default="", allow_blank=True, trim_whitespace=False)
    headers = HeadersField(default=list)
    attachments = AttachmentSerializer(many=True, default=list)
    in_reply_to = serializers.CharField(max_length=998, default="", allow_blank=True)
    references = TextListField(default=list)
    priority = serializers.ChoiceField(choices=["high", "normal", "low"], default="normal")

    def get_fields(self) -> dict[str, Any]:
        # `from` is a word of Python's.
        return {**super().get_fields(), "from": AddressField(required=False, source="sender")}

    def validate(self, attrs: dict[str, Any]) -> MailOptions:
        return MailOptions(**attrs)
