"""To a provider's consent page and back (RFC 6749 section 4.1, with PKCE: RFC 7636).

The state that goes with the person is a random word, of which a digest is kept for ten
minutes and for one answer. It belongs to the person who set out and to the session of the
browser in which it did, so that nobody can have somebody else's answer taken for one's own.

A client of the API has no session here: the answer is handed to it as a code of our own, by
way of the person's browser, and the account is connected only once the client brings that
code with a call for the same person. Whoever lures somebody else to the consent page gets no
code. The client's address is one that the operator has listed.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import parse_qsl, urlencode, urlsplit

from django.conf import settings

from accounts.caller import Caller
from accounts.models import ConsentRequest, EmailAccount
from accounts.models.api_key import digest_key
from accounts.oauth2.providers import OAuth2Provider
from mailhub.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Departure:
    """Where to send the person, until when."""

    url: str = field(repr=False)
    expires_at: datetime


def ask_for_consent(
    caller: Caller,
    provider: OAuth2Provider,
    *,
    session_key: str = "",
    return_url: str = "",
    account: EmailAccount | None = None,
    email: str = "",
) -> Departure:
    """Set out for one account: for `account` where one is to be connected again.

    Either the key of the browser's session is given, or where a client of the API wants the
    person back. `email` is proposed to the provider. Raises InvalidInput for a `return_url`
    that is not listed.
    """
    if return_url:
        refuse_unlisted(return_url)
    assert bool(session_key) != bool(return_url), "one of them says whose the answer is"
    ConsentRequest.objects.all().forget_expired()
    row = ConsentRequest(
        tenant=caller.tenant,
        user=caller.user,
        provider=provider.key,
        account=account,
        session=digest_key(session_key) if session_key else "",
        return_url=return_url,
    )
    state, verifier, nonce = (secrets.token_urlsafe(48) for _ in range(3))
    row.find_by(state)
    row.keep_secret({"verifier": verifier, "nonce": nonce})
    row.save()
    hint = account.username if account is not None else email
    return Departure(_address(provider, state, verifier, nonce, hint), row.expires_at)


def take_answer(
    caller: Caller, provider_key: str, state: str, session_key: str
) -> ConsentRequest | None:
    """The request that a person's browser brings the answer to, once; None where there is none
    that belongs to the person and the session."""
    rows = ConsentRequest.objects.for_caller(caller).known_by(state, provider_key)
    return _take(rows.filter(session=digest_key(session_key), is_granted=False).first())


def asked_by_client(provider_key: str, state: str) -> ConsentRequest | None:
    """The same for one that a client of the API began; it stays to be answered."""
    rows = ConsentRequest.objects.known_by(state, provider_key)
    return rows.exclude(return_url="").filter(is_granted=False).first()


def hand_over(row: ConsentRequest, provider_code: str) -> str | None:
    """Keep the provider's code; our own, for the client. None where it was answered before."""
    asked = row.digest
    code = secrets.token_urlsafe(48)
    row.find_by(code)
    row.keep_secret({**row.reveal_secret(), "code": provider_code})
    changed = ConsentRequest.objects.filter(pk=row.pk, digest=asked, is_granted=False).update(
        digest=row.digest, secret=row.secret, expires_at=row.expires_at, is_granted=True
    )
    return code if changed else None


def take_granted(caller: Caller, provider_key: str, code: str) -> ConsentRequest | None:
    """The request that a client of the API brings the code of, once, for the same person."""
    rows = ConsentRequest.objects.for_caller(caller).known_by(code, provider_key)
    return _take(rows.filter(is_granted=True).first())


def address_back(row: ConsentRequest, **words: str) -> str:
    """Where a client of the API wants the person: a listed address, with the client's own query
    and these words in it. Raises InvalidInput where it is listed no more."""
    listed = refuse_unlisted(row.return_url)
    query = parse_qsl(urlsplit(row.return_url).query, keep_blank_values=True)
    kept = [(name, text) for name, text in query if name not in words]
    return f"{listed}?{urlencode([*kept, *words.items()])}"


def refuse_unlisted(url: str) -> str:
    """The listed address that this one is, letter by letter but for its query.

    Raises InvalidInput for one that the operator has not listed.
    """
    address = url.partition("?")[0]
    for listed in settings.MAILHUB_OAUTH2_RETURN_URLS:
        if listed == address:
            return str(listed)
    raise InvalidInput.field(
        "returnUrl", "The operator of this installation has not listed this address."
    )


def _take(row: ConsentRequest | None) -> ConsentRequest | None:
    """Used up; by one, where several come at once."""
    if row is None:
        return None
    taken, _ = ConsentRequest.objects.filter(pk=row.pk, digest=row.digest).delete()
    return row if taken else None


def _address(provider: OAuth2Provider, state: str, verifier: str, nonce: str, email: str) -> str:
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest())
    fields = {
        **dict(provider.parameters),
        "response_type": "code",
        "client_id": provider.client_id,
        "redirect_uri": provider.redirect_uri,
        "scope": " ".join(provider.scopes),
        "state": state,
        "code_challenge": challenge.decode().rstrip("="),
        "code_challenge_method": "S256",
    }
    if provider.sends_nonce:
        fields["nonce"] = nonce
    if email:
        fields["login_hint"] = email
    joint = "&" if urlsplit(provider.authorize_url).query else "?"
    return f"{provider.authorize_url}{joint}{urlencode(fields)}"
