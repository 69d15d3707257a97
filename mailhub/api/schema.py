"""The OpenAPI document: each endpoint once, lists and errors in their true shapes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter

Endpoint = tuple[str, str, str, Callable[..., Any]]

_ERROR = ResolvedComponent(
    "Error",
    ResolvedComponent.SCHEMA,
    schema={
        "type": "object",
        "required": ["status", "error", "message", "details"],
        "properties": {
            "status": {"type": "string", "pattern": "^error$"},
            "error": {"type": "string", "description": "A stable snake_case word."},
            "message": {"type": "string", "description": "A sentence for a person."},
            "details": {"type": "object", "additionalProperties": {}},
        },
    },
    object="Error",
)

_STANDARD_ACTIONS = ("list", "retrieve", "create", "update", "partial_update", "destroy")
_CALLER = [
    OpenApiParameter(
        "X-Tenant-ID",
        OpenApiTypes.STR,
        OpenApiParameter.HEADER,
        description="The tenant's slug or id. Must match the key; a service key must name it.",
    ),
    OpenApiParameter(
        "X-User-ID",
        OpenApiTypes.STR,
        OpenApiParameter.HEADER,
        description="The user's name or id. Must match the key; a service key names whom it "
        "acts for.",
    ),
]
_IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": 256},
    OpenApiParameter.HEADER,
    description="The same key and body gives the first answer again for 24 hours, with "
    "`Idempotent-Replayed: true`.",
)


def obeys_idempotency_key(action: Any) -> bool:
    """Whether this action of a view was marked by `accounts.idempotency.idempotent`."""
    return bool(getattr(action, "obeys_idempotency_key", False))


def describe_each_endpoint_once(endpoints: list[Endpoint]) -> list[Endpoint]:
    """Leave out /v1/, which is the same table under another name."""
    return [endpoint for endpoint in endpoints if endpoint[0].startswith("/api/")]


class ApiSchema(AutoSchema):
    """Adds what drf-spectacular cannot see: the list's own key, headers, the error shape."""

    def get_override_parameters(self) -> list[Any]:
        if not hasattr(self.view, "scope"):
            return []
        action = getattr(self.view, getattr(self.view, "action", None) or "", None)
        return [*_CALLER, _IDEMPOTENCY_KEY] if obeys_idempotency_key(action) else [*_CALLER]

    def get_operation_id(self) -> str:
        """`campaigns_pause`: the path, and what is done there."""
        action = getattr(self.view, "action", None)
        if action is None or action in _STANDARD_ACTIONS:
            return str(super().get_operation_id())
        words: list[str] = self._tokenize_path()
        last = words[-1].replace("-", "_")
        words = words[:-1] if action.startswith(last) or last.startswith(action) else words
        return "_".join([*words, action]).replace("-", "_")

    def _get_paginator(self) -> Any:
        paginator = super()._get_paginator()  # type: ignore[no-untyped-call]  # untyped there
        if paginator is not None:
            view = self.view
            key = getattr(view, "page_key", "results")
            cursor = getattr(view, "page_cursor_name", "next_cursor")

            def page_schema(schema: dict[str, Any]) -> dict[str, Any]:
                return {
                    "type": "object",
                    "required": [key, cursor],
                    "properties": {key: schema, cursor: {"type": "string", "nullable": True}},
                }

            paginator.get_paginated_response_schema = page_schema
        return paginator

    def _get_response_bodies(
        self, direction: Literal["request", "response"] = "response"
    ) -> dict[str, Any]:
        bodies: dict[str, Any] = super()._get_response_bodies(direction)
        self.registry.register_on_missing(_ERROR)
        bodies.setdefault(
            "default",
            {
                "description": "An error.",
                "content": {"application/json": {"schema": _ERROR.ref}},
            },
        )
        return bodies
