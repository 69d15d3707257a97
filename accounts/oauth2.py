"""OAuth 2.0 access tokens of stored credentials, refreshed when they run out (RFC 6749 section 6).

One process at a time refreshes a credential: providers that replace the refresh token at
each use take a second use of the old one for theft, and revoke both (RFC 9700 section
4.14.2). The claim is a column that a conditional UPDATE takes, because it outlasts a
request to the provider, and no transaction may wait for that.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from accounts.models import Credential
from mailhub.mail.token_endpoint import TokenEndpoint
from mailhub.mail_policy import host_guard

_EARLY = timedelta(minutes=2)
_CLAIMED_FOR = timedelta(seconds=30)
_CLAIM_POLL = 0.05
_USUAL_LIFETIME = 3600.0


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
    """Wait for others to finish; go on alone, at the latest when their claim runs out."""
    row = Credential.objects.filter(pk=credential.pk)
    while True:
        now = timezone.now()
        until = now + _CLAIMED_FOR
        free = Q(refreshing_until=None) | Q(refreshing_until__lt=now)
        if row.filter(free).update(refreshing_until=until) or not row.exists():
            break
        time.sleep(_CLAIM_POLL)
    try:
        yield
    finally:
        row.filter(refreshing_until=until).update(refreshing_until=None)
