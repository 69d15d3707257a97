"""What autoconfig proposes, in JSON."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from mailhub.api.naming import CamelCaseMixin


class ProposedServerSerializer(CamelCaseMixin, serializers.Serializer[Any]):
    """A server that probably serves the address."""

    protocol = serializers.CharField(help_text="imap, pop3 or smtp.")
    hostname = serializers.CharField()
    port = serializers.IntegerField()
    encryption = serializers.CharField(help_text="tls or starttls.")


class ProposalSerializer(CamelCaseMixin, serializers.Serializer[Any]):
    """Servers, best first. `provider` is null for one that is not known by name."""

    email_address = serializers.EmailField()
    username = serializers.CharField()
    provider = serializers.CharField(allow_null=True)
    logins = serializers.ListField(
        child=serializers.CharField(), help_text="password, app_password, oauth2."
    )
    oauth2_provider = serializers.CharField(
        allow_null=True,
        help_text="By which `POST oauth2/{provider}/start` such an account connects here.",
    )
    incoming = ProposedServerSerializer(many=True)
    outgoing = ProposedServerSerializer(many=True)

    def get_fields(self) -> dict[str, Any]:
        # `source` is a word of the framework's.
        where_from = serializers.CharField(help_text="provider, dns or guess.")
        return {**super().get_fields(), "source": where_from}
