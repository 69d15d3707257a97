"""A provider's token endpoint: refresh tokens in, access tokens out (RFC 6749 section 6).

The endpoint is named by a user, so it is reached through the host guard, over TLS alone,
and no redirect is followed.
"""

from __future__ import annotations

import http.client
import json
import ssl
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, urlencode, urlsplit

from mailhub.mail.errors import (
    ConnectionFailed,
    LoginDeferred,
    LoginFailed,
    ProtocolViolation,
    ServerTimeout,
)
from mailhub.mail.host_guard import HostGuard

_LARGEST_ANSWER = 64 * 1024
_NOT_NOW = (408, 425, 429)


@dataclass(frozen=True, slots=True)
class TokenEndpoint:
    """Where a provider exchanges refresh tokens, and as whom; `guard` checks its host."""

    url: str
    client_id: str
    client_secret: str = field(repr=False)
    guard: HostGuard
    timeout: float = 20.0
    ca_file: str | None = None

    def refresh(self, refresh_token: str) -> dict[str, Any]:
        """The provider's answer: `access_token`, and where it says so `expires_in` and a
        new `refresh_token`.

        Raises LoginFailed or LoginDeferred where the provider refuses, HostNotAllowed,
        HostNotFound, ConnectionFailed, ServerTimeout, ProtocolViolation.
        """
        fields = {
            "grant_type": "refresh_token",
            "refresh_token": refresh_token,
            "client_id": self.client_id,
            "client_secret": self.client_secret,
        }
        status, body = self._post(urlencode({name: text for name, text in fields.items() if text}))
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise ProtocolViolation("The token endpoint's answer makes no sense.")
        if status in _NOT_NOW:
            raise LoginDeferred("The provider renews no access token for now.")
        if 400 <= status < 500:
            raise LoginFailed("The provider refused to renew the access token.")
        if status != 200 or not isinstance(answer.get("access_token"), str):
            raise ProtocolViolation("The token endpoint gave no access token.")
        return answer

    def _post(self, body: str) -> tuple[int, bytes]:
        parts = urlsplit(self.url)
        port = port_of(parts)
        if parts.scheme != "https" or not parts.hostname or port is None:
            raise ConnectionFailed("A token URL must be an https address.")
        connection = _GuardedConnection(self, parts.hostname, port)
        path = parts.path or "/"
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
        }
        try:
            connection.request(
                "POST", f"{path}?{parts.query}" if parts.query else path, body, headers
            )
            response = connection.getresponse()
            return response.status, response.read(_LARGEST_ANSWER)
        except TimeoutError as error:
            raise ServerTimeout("The token endpoint did not answer in time.") from error
        except (OSError, http.client.HTTPException) as error:
            raise ConnectionFailed("The token endpoint could not be reached.") from error
        finally:
            connection.close()


def port_of(parts: SplitResult) -> int | None:
    """The port of an https address; None where it has one that cannot be."""
    try:
        return parts.port or 443
    except ValueError:
        return None


class _GuardedConnection(http.client.HTTPSConnection):
    def __init__(self, endpoint: TokenEndpoint, host: str, port: int) -> None:
        super().__init__(host, port, timeout=endpoint.timeout)
        self._endpoint = endpoint

    def connect(self) -> None:
        plain = self._endpoint.guard.connect(self.host, self.port, self._endpoint.timeout)
        context = ssl.create_default_context(cafile=self._endpoint.ca_file)
        try:
            self.sock = context.wrap_socket(plain, server_hostname=self.host)
        except OSError:
            plain.close()
            raise
