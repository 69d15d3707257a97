"""The OpenAPI document: each endpoint once, lists and errors in their true shapes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from drf_spectacular.openapi import AutoSchema

Endpoint = tuple[str, str, str, Callable[..., Any]]

_ERROR = {
    "type": "object",
    "required": ["status", "error", "message", "details"],
    "properties": {
        "status": {"type": "string", "enum": ["error"]},
        "error": {"type": "string", "description": "A stable snake_case word."},
        "message": {"type": "string", "description": "A sentence for a person."},
        "details": {"type": "object", "additionalProperties": {}},
    },
}


def describe_each_endpoint_once(endpoints: list[Endpoint]) -> list[Endpoint]:
    """Leave out /v1/, which is the same table under another name."""
    return [endpoint for endpoint in endpoints if endpoint[0].startswith("/api/")]


class ApiSchema(AutoSchema):
    """Adds what drf-spectacular cannot see: the list's own key, and the error shape."""

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
        bodies.setdefault(
            "default",
            {
                "description": "An error.",
                "content": {"application/json": {"schema": _ERROR}},
            },
        )
        return bodies
