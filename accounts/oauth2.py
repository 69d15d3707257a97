"""OAuth 2.0 access tokens of stored credentials, refreshed when they run out (RFC 6749 section 6).

The token endpoint is named by a user, so it is reached through the host guard, over TLS
alone, and no redirect is followed.
"""

from __future__ import annotations

import http.client
import json
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.models import Credential
from mailhub.mail.errors import ConnectionFailed, LoginFailed, ProtocolViolation, ServerTimeout
from mailhub.mail.host_guard import HostGuard
from mailhub.mail_policy import host_guard

_EARLY = timedelta(minutes=2)
_LARGEST_ANSWER = 64 * 1024


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

        Raises LoginFailed where the provider refuses, HostNotAllowed, HostNotFound,
        ConnectionFailed, ServerTimeout, ProtocolViolation.
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
        if 400 <= status < 500:
            raise LoginFailed("The provider refused to renew the access token.")
        if status != 200 or not isinstance(answer.get("access_token"), str):
            raise ProtocolViolation("The token endpoint gave no access token.")
        return answer

    def _post(self, body: str) -> tuple[int, bytes]:
        parts = urlsplit(self.url)
        if parts.scheme != "https" or not parts.hostname:
            raise ConnectionFailed("A token URL must be an https address.")
        connection = _GuardedConnection(self, parts.hostname, parts.port or 443)
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

    A provider may replace the refresh token at each use (RFC 9700 section 2.2.2), so the
    newest answer is what is kept. A credential that is not stored is left as it is.
    Raises as `TokenEndpoint.refresh`, SecretUnreadable.
    """
    is_stored = not credential._state.adding
    if is_stored:
        credential = Credential.objects.get(pk=credential.pk)
    secret = credential.reveal_secret()
    if _is_fresh(secret) or not secret.get("refresh_token"):
        return str(secret.get("access_token", ""))
    endpoint = TokenEndpoint(
        secret.get("token_url", ""),
        secret.get("client_id", ""),
        secret.get("client_secret", ""),
        host_guard(),
        ca_file=settings.MAILHUB_CA_FILE,
    )
    try:
        answer = endpoint.refresh(secret["refresh_token"])
    except LoginFailed:
        if not is_stored:
            raise
        # Another process may have used the refresh token up in the meantime.
        newest = Credential.objects.get(pk=credential.pk).reveal_secret()
        if newest.get("access_token") != secret.get("access_token") and _is_fresh(newest):
            return str(newest["access_token"])
        raise
    return _keep(credential, secret, answer) if is_stored else str(answer["access_token"])


def _is_fresh(secret: dict[str, Any]) -> bool:
    if not secret.get("access_token"):
        return False
    expires_at = secret.get("expires_at")
    if expires_at is None:
        return True
    return datetime.fromtimestamp(float(expires_at), UTC) > timezone.now() + _EARLY


def _keep(credential: Credential, used: dict[str, Any], answer: dict[str, Any]) -> str:
    lifetime = answer.get("expires_in")
    seconds = float(lifetime) if isinstance(lifetime, int | float | str) else 3600.0
    with transaction.atomic():
        row = Credential.objects.select_for_update().get(pk=credential.pk)
        row.keep_secret(
            {
                **used,
                "access_token": answer["access_token"],
                "refresh_token": answer.get("refresh_token") or used["refresh_token"],
                "expires_at": (timezone.now() + timedelta(seconds=seconds)).timestamp(),
            }
        )
        row.save(update_fields=["secret", "updated_at"])
    return str(answer["access_token"])
