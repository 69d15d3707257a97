"""What the OpenAPI document cannot see by itself: how to log in, and what is hidden from whom."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from drf_spectacular.extensions import (
    OpenApiAuthenticationExtension,
    OpenApiSerializerExtension,
)
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import Direction

from accounts.api.email_accounts import FOR_THE_OWNER


class ApiKeyScheme(OpenApiAuthenticationExtension):
    """An API key."""

    target_class = "accounts.authentication.ApiKeyAuthentication"
    name = "apiKey"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "`Authorization: Bearer KEY`, or `Authorization: Token KEY`.",
        }


class SessionScheme(OpenApiAuthenticationExtension):
    """A login to the pages."""

    target_class = "accounts.authentication.SessionAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:
        return {
            "type": "apiKey",
            "in": "cookie",
            "name": settings.SESSION_COOKIE_NAME,
            "description": "A login to the pages; methods that change something need its "
            "CSRF token in `X-CSRFToken` as well.",
        }


class EmailAccountAnswer(OpenApiSerializerExtension):
    """An account as it is answered: who does not own it gets null for its login."""

    target_class = "accounts.api.email_accounts.EmailAccountSerializer"

    def map_serializer(self, auto_schema: AutoSchema, direction: Direction) -> dict[str, Any]:
        schema: dict[str, Any] = auto_schema._map_serializer(
            self.target, direction, bypass_extensions=True
        )
        if direction == "response":
            for name in FOR_THE_OWNER:
                schema["properties"][name]["nullable"] = True
        return schema
