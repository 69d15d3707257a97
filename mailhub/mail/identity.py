"""Whose mailbox was opened? What a provider says of the person who gave the permission.

Either in an ID token that came with the access token (OpenID Connect Core 1.0 section 2),
or at its userinfo endpoint (section 5.3). An ID token that was had from the token endpoint
itself, over TLS, needs no look at its signature (section 3.1.3.7, item 6).
"""

from __future__ import annotations

import base64
import json
import time
from typing import Any

from mailhub.mail.errors import LoginDeferred, ProtocolViolation
from mailhub.mail.guarded_http import GuardedConnection
from mailhub.mail.host_guard import HostGuard

_CLOCKS_DIFFER = 300.0
_NO_SENSE = "The provider's ID token makes no sense."


def claims_of_id_token(token: str, *, client_id: str, nonce: str) -> dict[str, Any]:
    """Its claims. Raises ProtocolViolation for one that is broken, old, or meant for another
    client or another request; `nonce` is "" where the request had none."""
    parts = token.split(".")
    if len(parts) != 3:
        raise ProtocolViolation(_NO_SENSE)
    try:
        padded = parts[1] + "=" * (-len(parts[1]) % 4)
        claims = json.loads(base64.urlsafe_b64decode(padded))
    except (ValueError, RecursionError):
        raise ProtocolViolation(_NO_SENSE) from None
    if not isinstance(claims, dict):
        raise ProtocolViolation(_NO_SENSE)
    audience = claims.get("aud")
    if client_id not in (audience if isinstance(audience, list) else [audience]):
        raise ProtocolViolation("The provider's ID token is meant for another program.")
    if nonce and claims.get("nonce") != nonce:
        raise ProtocolViolation("The provider's ID token belongs to another request.")
    expires_at = claims.get("exp")
    if not isinstance(expires_at, int | float) or expires_at < time.time() - _CLOCKS_DIFFER:
        raise ProtocolViolation("The provider's ID token has run out.")
    return claims


def claims_of_userinfo(
    url: str, access_token: str, guard: HostGuard, *, timeout: float, ca_file: str | None
) -> dict[str, Any]:
    """What the endpoint says of the token's owner.

    Raises LoginDeferred where it has trouble, HostNotAllowed, HostNotFound, ConnectionFailed,
    ServerTimeout, ProtocolViolation.
    """
    connection = GuardedConnection(
        url, guard, whose="The provider's userinfo endpoint", timeout=timeout, ca_file=ca_file
    )
    try:
        answer = connection.get(
            {"Authorization": f"Bearer {access_token}", "Accept": "application/json"}
        )
    finally:
        connection.close()
    if answer.status >= 500:
        raise LoginDeferred("The provider does not say for now whose mailbox it is.")
    try:
        claims = json.loads(answer.body)
    except (ValueError, RecursionError):
        claims = None
    if answer.status != 200 or not isinstance(claims, dict):
        raise ProtocolViolation(
            "The provider's userinfo endpoint does not say whose mailbox it is."
        )
    return claims
