"""A provider's token endpoint: codes and refresh tokens in, access tokens out.

RFC 6749 sections 4.1.3, 5 and 6; RFC 7636 for the verifier that goes with a code. The
endpoint is named by a user or an operator, so it is reached through a host guard, over TLS
alone, and no redirect is followed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from mailhub.mail.errors import (
    ClientRefused,
    ConsentRevoked,
    LoginDeferred,
    LoginFailed,
    ProtocolViolation,
)
from mailhub.mail.guarded_http import GuardedConnection
from mailhub.mail.host_guard import HostGuard

_NOT_NOW = (408, 425, 429)
_NOT_NOW_WORDS = ("temporarily_unavailable", "server_error", "slow_down")
# The last three are OpenID Connect's (Core 1.0 section 3.1.2.6); Microsoft answers so where
# a person has to log in again.
_REVOKED = ("invalid_grant", "interaction_required", "consent_required", "login_required")
_WRONG_CLIENT = ("invalid_client", "unauthorized_client", "deleted_client")


@dataclass(frozen=True, slots=True)
class TokenEndpoint:
    """Where a provider gives tokens, and to whom; `guard` checks its host."""

    url: str
    client_id: str
    client_secret: str = field(repr=False)
    guard: HostGuard
    timeout: float = 20.0
    ca_file: str | None = None

    def refresh(self, refresh_token: str) -> dict[str, Any]:
        """The provider's answer: `access_token`, and where it says so `expires_in` and a
        new `refresh_token`.

        Raises ConsentRevoked where it accepts the refresh token no more, ClientRefused,
        LoginFailed or LoginDeferred where it refuses for another reason, HostNotAllowed,
        HostNotFound, ConnectionFailed, ServerTimeout, ProtocolViolation.
        """
        return self._ask({"grant_type": "refresh_token", "refresh_token": refresh_token})

    def redeem(self, code: str, *, redirect_uri: str, verifier: str) -> dict[str, Any]:
        """The same for a code that a person's consent has brought, with an `id_token` where the
        provider gives one. Raises as `refresh`: ConsentRevoked for a code that ran out."""
        return self._ask(
            {
                "grant_type": "authorization_code",
                "code": code,
                "redirect_uri": redirect_uri,
                "code_verifier": verifier,
            }
        )

    def _ask(self, fields: Mapping[str, str]) -> dict[str, Any]:
        client = {"client_id": self.client_id, "client_secret": self.client_secret}
        given = {name: text for name, text in {**fields, **client}.items() if text}
        status, body = self._post(urlencode(given))
        if status in _NOT_NOW or status >= 500:
            raise LoginDeferred("The provider gives no access token for now.")
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise ProtocolViolation("The token endpoint's answer makes no sense.")
        if 400 <= status < 500:
            raise _refusal(answer.get("error"))
        if status != 200 or not isinstance(answer.get("access_token"), str):
            raise ProtocolViolation("The token endpoint gave no access token.")
        return answer

    def _post(self, body: str) -> tuple[int, bytes]:
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
        }
        connection = GuardedConnection(
            self.url,
            self.guard,
            whose="The token endpoint",
            timeout=self.timeout,
            ca_file=self.ca_file,
        )
        try:
            answer = connection.post(body.encode(), headers)
        finally:
            connection.close()
        return answer.status, answer.body


def _refusal(error: object) -> LoginFailed | LoginDeferred:
    """RFC 6749 section 5.2. What else the provider says may repeat the secrets it was sent."""
    if error in _REVOKED:
        return ConsentRevoked("The provider accepts this permission no more.")
    if error in _NOT_NOW_WORDS:
        return LoginDeferred("The provider gives no access token for now.")
    if error in _WRONG_CLIENT:
        return ClientRefused("The provider does not accept the client id or its secret.")
    return LoginFailed("The provider refused to give an access token.")
