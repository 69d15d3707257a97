"""Secrets as clients give them: write-only, in the shapes that credentials hold."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from rest_framework import serializers

from accounts.hosts import refuse_private_host
from accounts.models import CredentialKind
from accounts.validators import single_line
from mailhub.api.naming import CamelCaseMixin, MillisecondsField
from mailhub.api.strict import StrictMixin
from mailhub.mail.guarded_http import port_of


def secret_text(**options: Any) -> serializers.CharField:
    """A write-only field for one secret word."""
    return serializers.CharField(
        max_length=8192,
        write_only=True,
        trim_whitespace=False,
        validators=[single_line],
        style={"input_type": "password"},
        **options,
    )


class OAuth2SecretSerializer(CamelCaseMixin, StrictMixin, serializers.Serializer[Any]):
    """An access token, or what it takes to get one (RFC 6749 section 6)."""

    access_token = secret_text(required=False)
    refresh_token = secret_text(required=False)
    client_id = serializers.CharField(max_length=1000, required=False, validators=[single_line])
    client_secret = secret_text(required=False)
    token_url = serializers.URLField(max_length=1000, required=False)
    expires_at = MillisecondsField(required=False)

    def validate_tokenUrl(self, value: str) -> str:
        parts = urlsplit(value)
        port = port_of(parts)
        if parts.scheme != "https" or not parts.hostname or port is None:
            raise serializers.ValidationError("A token URL is an https address.")
        refuse_private_host(parts.hostname, port)
        return value

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs.get("access_token") and not attrs.get("refresh_token"):
            raise serializers.ValidationError("Give an accessToken, or a refreshToken.")
        if attrs.get("refresh_token") and not attrs.get("token_url"):
            raise serializers.ValidationError("A refreshToken needs the tokenUrl it goes to.")
        expires_at = attrs.pop("expires_at", None)
        if expires_at is not None:
            attrs["expires_at"] = expires_at.timestamp()
        return attrs


class AwsSecretSerializer(CamelCaseMixin, StrictMixin, serializers.Serializer[Any]):
    """The keys of an AWS identity that may send by SES."""

    access_key_id = serializers.CharField(max_length=128, validators=[single_line])
    secret_access_key = secret_text()


def take_secret(data: dict[str, Any]) -> tuple[CredentialKind, dict[str, Any]] | None:
    """Take the secret out of validated data, where one was given.

    Raises ValidationError where there is more than one.
    """
    password = data.pop("password", None)
    given = [(CredentialKind.PASSWORD, {"password": password})] if password else []
    given += [
        (kind, dict(secret))
        for kind in (CredentialKind.OAUTH2, CredentialKind.AWS)
        if (secret := data.pop(kind.value, None))
    ]
    if len(given) > 1:
        raise serializers.ValidationError("Give one secret, not several.")
    return given[0] if given else None
