"""What a client may say of a draft."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.caller import Caller
from mailboxes.api.compose_shapes import found_message
from mailboxes.api.mail_options import PEOPLE_SCHEMA, HeadersField, octets_of
from mailboxes.api.message_changes import IdField
from mailboxes.drafts.files import NewFile, files_of_message, new_file
from mailboxes.drafts.saving import DraftFields, GivenFile, change_draft
from mailboxes.models import Draft, Message
from mailboxes.models.draft import Person
from mailhub.api.naming import CamelCaseMixin, MillisecondsField
from mailhub.api.strict import StrictMixin
from mailhub.errors import InvalidInput
from mailhub.mail.addresses import parse_address, parse_addresses
from mailhub.mail.errors import InvalidMessage

_MOST_PEOPLE = 1000


@extend_schema_field(PEOPLE_SCHEMA)
class DraftPeopleField(serializers.Field[list[Person], Any, Any, Any]):
    """As `AddressListField`, but an address need not be finished."""

    default_error_messages = {
        "kind": 'Give addresses as text or as {{"name": …, "address": …}}, alone or in a list.',
        "many": "These are too many addresses.",
    }

    def to_internal_value(self, data: Any) -> list[Person]:
        found: list[Person] = []
        for each in data if isinstance(data, list) else [data]:
            found += self._person(each) if isinstance(each, dict) else self._people(each)
            if len(found) > _MOST_PEOPLE:
                self.fail("many")
        return found

    def to_representation(self, value: Any) -> Any:
        return value

    def _person(self, data: dict[str, Any]) -> list[Person]:
        name, address = data.get("name") or "", data.get("address") or ""
        if data.keys() - {"name", "address"} or not isinstance(name, str | bytes):
            self.fail("kind")
        if not isinstance(address, str) or not isinstance(name, str):
            self.fail("kind")
        return [Person(name=name, address=address)]

    def _people(self, data: Any) -> list[Person]:
        if not isinstance(data, str):
            self.fail("kind")
        try:
            return [Person(name=one.name, address=one.address) for one in parse_addresses(data)]
        except InvalidMessage:
            return [_half_written(piece.strip()) for piece in data.split(",") if piece.strip()]


def _half_written(text: str) -> Person:
    try:
        found = parse_address(text)
    except InvalidMessage:
        return Person(name="", address=text)
    return Person(name=found.name, address=found.address)


class AttachedFileSerializer(CamelCaseMixin, StrictMixin, serializers.Serializer[Any]):
    """A file: its octets as base64 in `data`, or one that is attached to a message here
    (`messageId` and `index`), or one that the draft has already (`id`).
    """

    id = IdField(required=False)
    message_id = IdField(required=False)
    index = serializers.IntegerField(required=False, min_value=0, max_value=100_000)
    filename = serializers.CharField(max_length=255, default="", allow_blank=True)
    content_type = serializers.CharField(max_length=255, default="", allow_blank=True)
    cid = serializers.CharField(max_length=200, default="", allow_blank=True)

    def get_fields(self) -> dict[str, Any]:
        # `data` is an attribute of every serializer.
        content = serializers.CharField(
            required=False, allow_blank=True, trim_whitespace=False, source="content"
        )
        return {**super().get_fields(), "data": content}

    def validate(self, attrs: dict[str, Any]) -> Any:
        """The id of one that is kept, where it lies, or a new file."""
        given = [name for name in ("id", "message_id", "content") if name in attrs]
        if len(given) != 1 or ("index" in attrs) != (given == ["message_id"]):
            raise serializers.ValidationError("Give data, or messageId and index, or id.")
        if "id" in attrs:
            return attrs["id"]
        if "message_id" in attrs:
            return attrs["message_id"], attrs["index"]
        try:
            return _file(attrs)
        except InvalidMessage as error:
            raise serializers.ValidationError(error.message) from None


def _file(attrs: Mapping[str, Any]) -> NewFile:
    octets = octets_of(attrs["content"], "base64", "data")
    return new_file(attrs["filename"], attrs["content_type"], [octets], content_id=attrs["cid"])


class DraftChangeSerializer(CamelCaseMixin, StrictMixin, serializers.Serializer[Any]):
    """What is given is changed. An address may be half written until it is sent.

    `version`, where given, must be the draft's newest: else 409 `version_conflict`.
    `inReplyTo` is the id of a message here, or the Message-ID of any; `forwardOf` the id of one.
    `attachments` are all that the draft has then.
    """

    version = serializers.IntegerField(required=False, min_value=0, max_value=2**31 - 1)
    to = DraftPeopleField(required=False)
    cc = DraftPeopleField(required=False)
    bcc = DraftPeopleField(required=False)
    reply_to = DraftPeopleField(required=False)
    subject = serializers.CharField(
        max_length=10_000, required=False, allow_blank=True, trim_whitespace=False
    )
    text_body = serializers.CharField(required=False, allow_blank=True, trim_whitespace=False)
    html_body = serializers.CharField(required=False, allow_blank=True, trim_whitespace=False)
    attachments = AttachedFileSerializer(many=True, required=False)
    headers = HeadersField(required=False)
    priority = serializers.ChoiceField(choices=["high", "normal", "low"], required=False)
    in_reply_to = serializers.CharField(max_length=998, required=False, allow_blank=True)
    forward_of = IdField(required=False, allow_null=True)

    def get_fields(self) -> dict[str, Any]:
        # `from` is a word of Python's.
        sender = DraftPeopleField(required=False, source="sender", allow_null=True)
        return {**super().get_fields(), "from": sender}


class NewDraftSerializer(DraftChangeSerializer):
    """A draft of an account; without `from` it is from the account's own address."""

    account_id = serializers.UUIDField()


class SendDraftSerializer(CamelCaseMixin, StrictMixin, serializers.Serializer[Any]):
    """Without `sendAt`, or with one that has passed, now."""

    version = serializers.IntegerField(required=False, min_value=0, max_value=2**31 - 1)
    send_at = MillisecondsField(required=False, allow_null=True)


def draft_fields(
    caller: Caller, values: Mapping[str, Any], draft: Draft | None = None
) -> DraftFields:
    """The fields that are given, with the messages that they name.

    Raises InvalidInput for a message that there is not.
    """
    names = ("to", "cc", "bcc", "reply_to", "subject", "headers", "priority")
    fields: dict[str, Any] = {name: values[name] for name in names if name in values}
    for name, outer in (("text", "text_body"), ("html", "html_body")):
        if outer in values:
            fields[name] = values[outer]
    if "sender" in values:
        fields["sender"] = _sender(values["sender"])
    if "forward_of" in values:
        forwarded = values["forward_of"]
        fields["forwarded"] = forwarded and found_message(caller, forwarded, field="forwardOf")
    given = values.get("in_reply_to")
    if given is not None and (draft is None or given != draft.in_reply_to):
        fields |= _answered(caller, given)
    return cast(DraftFields, fields)


def draft_files(caller: Caller, given: Sequence[Any]) -> list[GivenFile]:
    """The files, those of messages here too. Raises InvalidInput, NotFound, MailError."""
    found: list[GivenFile] = []
    for each in given:
        if isinstance(each, tuple):
            message = found_message(caller, each[0], field="attachments")
            found += files_of_message(message, [each[1]])
        else:
            found.append(each)
    return found


def fresh_files(caller: Caller, given: Sequence[Any]) -> list[NewFile]:
    """The same for what has no files yet."""
    files = draft_files(caller, given)
    fresh = [file for file in files if not isinstance(file, int)]
    if len(fresh) < len(files):
        raise InvalidInput.field("attachments", "There is no draft that has this attachment.")
    return fresh


def change_as_asked(caller: Caller, draft: Draft, values: Mapping[str, Any]) -> Draft:
    """Change a draft as a `DraftChangeSerializer` says. Raises as `change_draft` does."""
    files = draft_files(caller, values["attachments"]) if "attachments" in values else None
    return change_draft(
        caller,
        draft,
        draft_fields(caller, values, draft),
        files=files,
        version=values.get("version"),
    )


def _sender(given: list[Person] | None) -> Person | dict[str, str]:
    if not given:
        return {}
    if len(given) > 1:
        raise InvalidInput.field("from", "A message is from one.")
    return given[0]


def _answered(caller: Caller, given: str) -> dict[str, Any]:
    """By its id here, or by its Message-ID, under which it may be here as well."""
    if given.isdecimal():
        return {"answered": found_message(caller, int(given), field="inReplyTo")}
    bare = given.strip().strip("<>")
    rows = Message.objects.for_caller(caller).visible().filter(message_id=bare)
    found = rows.order_by("pk").first() if bare else None
    if found is not None:
        return {"answered": found}
    return {"in_reply_to": f"<{bare}>" if bare else ""}
