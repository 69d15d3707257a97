"""The errors that an API client can meet.

    MailhubError                 500
    ├── InvalidInput             400   invalid            details.fields
    ├── NotAuthenticated         401   not_authenticated
    ├── NotAllowed               403   not_allowed
    ├── NotFound                 404   not_found
    ├── Conflict                 409   conflict
    ├── TooLarge                 413   too_large
    ├── MailServerRefused        422   mail_server_refused   details.reply
    │   └── NotSent                                          details.id
    ├── TooManyRequests          429   too_many_requests     details.retry_after
    ├── BadGateway               502   bad_gateway
    ├── Busy                     503   busy                  details.retry_after
    └── GatewayTimeout           504   gateway_timeout

Each answer has one shape: `{"status": "error", "error": code, "message": …, "details": {…}}`.
A code is stable; a message is a sentence for a person and may change. Mail errors
(`mailhub.mail.errors`) keep their own codes; `mailhub.api.errors` gives each a status.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class MailhubError(Exception):
    """Base of all errors that are meant for a client."""

    status = 500
    code = "internal_error"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        details: Mapping[str, Any] | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.code
        self.details = dict(details or {})
        self.retry_after = retry_after
        if retry_after is not None:
            self.details["retry_after"] = retry_after


class InvalidInput(MailhubError):
    status = 400
    code = "invalid"

    @classmethod
    def field(cls, name: str, message: str) -> InvalidInput:
        """One field is wrong."""
        return cls(message, details={"fields": {name: [message]}})


class NotAuthenticated(MailhubError):
    status = 401
    code = "not_authenticated"


class NotAllowed(MailhubError):
    status = 403
    code = "not_allowed"


class NotFound(MailhubError):
    status = 404
    code = "not_found"


class Conflict(MailhubError):
    status = 409
    code = "conflict"


class TooLarge(MailhubError):
    status = 413
    code = "too_large"


class MailServerRefused(MailhubError):
    status = 422
    code = "mail_server_refused"


class NotSent(MailServerRefused):
    """A message that is kept was not sent; to ask once more would make another of it."""


class TooManyRequests(MailhubError):
    status = 429
    code = "too_many_requests"


class BadGateway(MailhubError):
    status = 502
    code = "bad_gateway"


class Busy(MailhubError):
    status = 503
    code = "busy"


class GatewayTimeout(MailhubError):
    status = 504
    code = "gateway_timeout"
