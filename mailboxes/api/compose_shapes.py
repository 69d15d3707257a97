"""What the calls of `compose` have in common."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from accounts.caller import Caller
from mailboxes.models import Message, OutboxMessage
from mailhub.api.naming import CamelCaseMixin, MillisecondsField
from mailhub.errors import InvalidInput, NotFound

_LARGEST_ID = 2**63 - 1


class ComposedSerializer(CamelCaseMixin, serializers.Serializer[Any]):
    """Followed at `outbox/{id}`."""

    id = serializers.CharField()
    status = serializers.ChoiceField(choices=["queued", "scheduled"])
    message_id = serializers.CharField()
    send_at = MillisecondsField(allow_null=True)


def composed(message: OutboxMessage) -> Any:
    """The shape of `ComposedSerializer`."""
    answer = {
        "id": message.pk,
        "status": message.state,
        "message_id": message.message_id,
        "send_at": message.send_at,
    }
    return ComposedSerializer(answer).data


def found_message(caller: Caller, pk: int, *, field: str = "") -> Message:
    """A message that the caller may read.

    Raises NotFound; InvalidInput where it was named in a `field` of the body.
    """
    rows = Message.objects.for_caller(caller).visible().select_related("account")
    found = rows.filter(pk=pk).first() if pk <= _LARGEST_ID else None
    if found is not None:
        return found
    if field:
        raise InvalidInput.field(field, "There is no such message.")
    raise NotFound("There is no such message.")
