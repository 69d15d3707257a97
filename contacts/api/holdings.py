"""All that is held about an address, as it is handed out."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from accounts.caller import Caller
from contacts.addresses import InvalidAddress, normalise_email
from contacts.holdings import held_about
from mailhub.errors import NotFound


class HoldingsSerializer(serializers.Serializer[Any]):
    """All that is held about a person.

    `contact` is null for an address that is no contact's. `lifted_suppression` is kept until SES
    knows of it. `import_errors` are the bad rows of imports that hold the address, `audiences`
    the campaigns that name it to be written to.
    """

    contact = serializers.JSONField(allow_null=True)
    lists = serializers.JSONField()
    suppression = serializers.JSONField(allow_null=True)
    lifted_suppression = serializers.JSONField(allow_null=True)
    import_errors = serializers.JSONField()
    audiences = serializers.JSONField()
    deliveries = serializers.JSONField()


def held_at(caller: Caller, address: str) -> tuple[str, dict[str, Any]]:
    """The address as it is stored, and all that the caller's tenant holds about it.

    Raises NotFound where that is nothing.
    """
    try:
        email = normalise_email(address)
    except InvalidAddress as error:
        raise NotFound("Nothing is held about this address.") from error
    held = held_about(caller.tenant, email)
    if not any(held.values()):
        raise NotFound("Nothing is held about this address.")
    return email, held
