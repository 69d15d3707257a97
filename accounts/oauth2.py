"""OAuth 2.0 access tokens of stored credentials, refreshed when they run out (RFC 6749 section 6).

The token endpoint is named by a user, so it is reached through the host guard, over TLS
alone, and no redirect is followed.

One process at a time refreshes a credential: providers that replace the refresh token at
each use take a second use of the old one for theft, and revoke both (RFC 9700 section
4.14.2). The lock lies in the cache, not in the database, because it outlasts a request
to the provider.
"""

from __future__ import annotations

import http.client
import json
import math
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import SplitResult, urlencode, urlsplit

from django.conf import settings
from django.core.cache import cache
from django.db import transaction
from django.utils import timezone

from accounts.models import Credential
from mailhub.mail.errors import (
    ConnectionFailed,
    LoginDeferred,
    LoginFailed,
    ProtocolViolation,
    ServerTimeout,
)
from mailhub.mail.host_guard import HostGuard
from mailhub.mail_policy import host_guard

_EARLY = timedelta(minutes=2)
_LARGEST_ANSWER = 64 * 1024
_LOCKED_FOR = 30
_LOCK_POLL = 0.05
_USUAL_LIFETIME = 3600.0
_NOT_NOW = (408, 425, 429)


@dataclass(frozen=True, slots=True)
class TokenEndpoint:
    """Where a provider exchanges refresh tokens, and as whom; `guard` checks its host."""

    url: str
    client_id: str
    client_secret: str
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


def fresh_access_token(credential: Credential) -> str:
    """An access token that is good for the next two minutes at least, renewed where needed.

    The newest refresh token is kept. A credential that is not stored is left as it is.
    Raises as `TokenEndpoint.refresh`, SecretUnreadable.
    """
    if credential._state.adding:
        secret = credential.reveal_secret()
        return str(secret["access_token"] if _needs_no_refresh(secret) else _refresh(secret)[0])
    secret = _stored_secret(credential)
    if _needs_no_refresh(secret):
        return str(secret["access_token"])
    with _refreshing_alone(credential):
        secret = _stored_secret(credential)
        if _needs_no_refresh(secret):
            return str(secret["access_token"])
        token, changes = _refresh(secret)
        _keep(credential, {**secret, **changes})
        return token


def _stored_secret(credential: Credential) -> dict[str, Any]:
    return Credential.objects.get(pk=credential.pk).reveal_secret()


def _needs_no_refresh(secret: dict[str, Any]) -> bool:
    if not secret.get("refresh_token"):
        return True
    expires_at = secret.get("expires_at")
    if not secret.get("access_token"):
        return False
    return expires_at is None or float(expires_at) > (timezone.now() + _EARLY).timestamp()


def _refresh(secret: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """A new access token, and what has changed in the secret."""
    endpoint = TokenEndpoint(
        secret.get("token_url", ""),
        secret.get("client_id", ""),
        secret.get("client_secret", ""),
        host_guard(),
        ca_file=settings.MAILHUB_CA_FILE,
    )
    answer = endpoint.refresh(secret["refresh_token"])
    token = str(answer["access_token"])
    return token, {
        "access_token": token,
        "refresh_token": answer.get("refresh_token") or secret["refresh_token"],
        "expires_at": time.time() + _lifetime(answer.get("expires_in")),
    }


def _lifetime(seconds: Any) -> float:
    """RFC 6749 section 5.1: a number; some providers write it as text, some leave it out."""
    try:
        lifetime = float(seconds)
    except (TypeError, ValueError, OverflowError):
        return _USUAL_LIFETIME
    return min(max(lifetime, 0.0), 86_400.0) if math.isfinite(lifetime) else _USUAL_LIFETIME


def _keep(credential: Credential, secret: dict[str, Any]) -> None:
    with transaction.atomic():
        row = Credential.objects.select_for_update().get(pk=credential.pk)
        row.keep_secret(secret)
        row.save(update_fields=["secret", "updated_at"])


@contextmanager
def _refreshing_alone(credential: Credential) -> Iterator[None]:
    """Wait for others to finish; go on alone, at the latest when their lock runs out."""
    name = f"oauth2-refresh-{credential.pk}"
    while not cache.add(name, "locked", _LOCKED_FOR):
        time.sleep(_LOCK_POLL)
    try:
        yield
    finally:
        cache.delete(name)
