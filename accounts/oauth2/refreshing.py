"""OAuth 2.0 access tokens of stored credentials, refreshed when they run out (RFC 6749 section 6).

One process at a time refreshes a credential: providers that replace the refresh token at
each use take a second use of the old one for theft, and revoke both (RFC 9700 section
4.14.2). The claim is a column that a conditional UPDATE takes, because it outlasts a
request to the provider, and no transaction may wait for that.

A provider that accepts the refresh token no more says that a person's permission is gone,
which no other try will bring back: the accounts that log in with it are disabled at once. A
provider in trouble, or one that no longer knows this installation, leaves them as they are.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from accounts.disabling import disable_account
from accounts.models import Credential
from accounts.oauth2.providers import find_provider
from mailhub.mail.errors import ClientRefused, ConsentRevoked, LoginDeferred
from mailhub.mail.token_endpoint import TokenEndpoint
from mailhub.mail_policy import host_guard

_EARLY = timedelta(minutes=2)
_CLAIMED_FOR = timedelta(seconds=30)
_DISTRUST_EVERY = 60.0
_CLAIM_POLL = 0.05
_USUAL_LIFETIME = 3600.0


def fresh_access_token(credential: Credential) -> str:
    """An access token that is good for the next two minutes at least, renewed where needed.

    The newest refresh token is kept. A credential that is not stored is left as it is.
    Raises as `TokenEndpoint.refresh`, SecretUnreadable; before it raises ConsentRevoked, the
    accounts of the credential are disabled.
    """
    if credential._state.adding:
        secret = credential.reveal_secret()
        if _needs_no_refresh(secret):
            return str(secret["access_token"])
        return str(_refresh(credential.provider, secret)["access_token"])
    row, secret = _stored(credential)
    if _needs_no_refresh(secret):
        return str(secret["access_token"])
    with _refreshing_alone(credential):
        row, secret = _stored(credential)
        if _needs_no_refresh(secret):
            return str(secret["access_token"])
        try:
            renewed = _refresh(row.provider, secret)
        except ConsentRevoked as error:
            raise _give_up(row, secret) from error
        _keep(row, secret, renewed)
        return str(renewed["access_token"])


def distrust_access_token(credential: Credential, token: str) -> bool:
    """A mail server refused this token before its time: the next login asks the provider,
    which knows whether the permission was revoked. Whether that is worth a try.

    It is not where there is no refresh token, nor for one that took the place of another a
    moment ago: then the server refuses the login whatever the token.
    """
    if credential._state.adding:
        return False
    with transaction.atomic():
        row = Credential.objects.select_for_update().filter(pk=credential.pk).first()
        secret = row.reveal_secret() if row is not None else {}
        if row is None or not secret.get("refresh_token"):
            return False
        if secret.get("access_token") != token or secret.get("expires_at") == 0.0:
            return True
        now = time.time()
        if now - float(secret.get("distrusted_at", 0.0)) < _DISTRUST_EVERY:
            return False
        row.keep_secret({**secret, "expires_at": 0.0, "distrusted_at": now})
        row.save(update_fields=["secret", "updated_at"])
    return True


def token_secret(answer: Mapping[str, Any]) -> dict[str, Any]:
    """What a credential holds of a token endpoint's answer."""
    return {
        "access_token": str(answer["access_token"]),
        "refresh_token": str(answer.get("refresh_token") or ""),
        "expires_at": time.time() + _lifetime(answer.get("expires_in")),
    }


def revoked_words(provider_key: str) -> str:
    """Why an account is disabled whose permission is gone."""
    provider = find_provider(provider_key)
    if provider is None:
        return "The provider accepts the refresh token of this account no more: give a new one."
    return (
        f"The permission that was given at {provider.name} was revoked or has run out: "
        "connect the account again."
    )


def _stored(credential: Credential) -> tuple[Credential, dict[str, Any]]:
    row = Credential.objects.get(pk=credential.pk)
    return row, row.reveal_secret()


def _needs_no_refresh(secret: dict[str, Any]) -> bool:
    if not secret.get("refresh_token"):
        return True
    expires_at = secret.get("expires_at")
    if not secret.get("access_token"):
        return False
    return expires_at is None or float(expires_at) > (timezone.now() + _EARLY).timestamp()


def _refresh(provider_key: str, secret: dict[str, Any]) -> dict[str, Any]:
    """What is new in the secret."""
    try:
        renewed = token_secret(_endpoint(provider_key, secret).refresh(secret["refresh_token"]))
    except ClientRefused as error:
        if not provider_key:
            raise
        # The operator's to mend, for all accounts at once; no user's login is wrong.
        raise LoginDeferred(
            "The OAuth2 provider does not accept this installation's client id or secret; "
            "its operator must renew them."
        ) from error
    return {**renewed, "refresh_token": renewed["refresh_token"] or secret["refresh_token"]}


def _endpoint(provider_key: str, secret: dict[str, Any]) -> TokenEndpoint:
    """The provider's of the settings, so that a new client secret takes effect; else the one
    that came with the secret."""
    if not provider_key:
        return TokenEndpoint(
            secret.get("token_url", ""),
            secret.get("client_id", ""),
            secret.get("client_secret", ""),
            host_guard(),
            ca_file=settings.MAILHUB_CA_FILE,
        )
    provider = find_provider(provider_key)
    if provider is None:
        raise LoginDeferred(
            "This installation has no settings any more for the OAuth2 provider of this account; "
            "its operator can bring them back."
        )
    return provider.token_endpoint()


def _lifetime(seconds: Any) -> float:
    """RFC 6749 section 5.1: a number; some providers write it as text, some leave it out."""
    try:
        lifetime = float(seconds)
    except (TypeError, ValueError, OverflowError):
        return _USUAL_LIFETIME
    return min(max(lifetime, 0.0), 86_400.0) if math.isfinite(lifetime) else _USUAL_LIFETIME


def _keep(row: Credential, used: dict[str, Any], renewed: dict[str, Any]) -> None:
    """Unless the permission was given anew meanwhile, which brought tokens of its own."""
    with transaction.atomic():
        newest = Credential.objects.select_for_update().get(pk=row.pk)
        secret = newest.reveal_secret()
        if secret.get("refresh_token") == used["refresh_token"]:
            newest.keep_secret({**secret, **renewed})
            newest.save(update_fields=["secret", "updated_at"])


def _give_up(row: Credential, used: dict[str, Any]) -> ConsentRevoked | LoginDeferred:
    """Disable the accounts of a permission that is gone; the error that says so."""
    reason = revoked_words(row.provider)
    with transaction.atomic():
        newest = Credential.objects.select_for_update().get(pk=row.pk)
        if newest.reveal_secret().get("refresh_token") != used["refresh_token"]:
            return LoginDeferred("The permission was given anew a moment ago; try again.")
        for account in newest.email_accounts.all():
            disable_account(account, code=ConsentRevoked.code, reason=reason)
    return ConsentRevoked(reason)


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
