"""From a provider's answer to an account that works.

The code is exchanged for tokens, the provider says whose mailbox it is, and both of its
servers are tried; only then is anything stored. An account that cannot be read is not
connected. One that can be read and not sent from is, since many companies switch that off.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any, NoReturn

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction

from accounts.caller import Caller
from accounts.mail_providers import ProposedServer
from accounts.models import AccountProtocol, ConsentRequest, CredentialKind, EmailAccount, User
from accounts.oauth2.providers import OAuth2Provider, get_provider
from accounts.oauth2.refreshing import revoked_words, token_secret
from accounts.validators import single_line
from accounts.verification import Verification, verify_account
from mailhub.errors import BadGateway, Conflict, InvalidInput, MailServerRefused
from mailhub.mail.errors import ClientRefused, ConsentRevoked
from mailhub.mail.identity import claims_of_id_token, claims_of_userinfo
from mailhub.mail_policy import unlimited_guard

_PATIENCE = 20.0
_LONGEST_NAME = 320


@dataclass(frozen=True, slots=True)
class Connected:
    """What came of it. `verification` says whether the account sends as well."""

    account: EmailAccount
    verification: Verification
    is_new: bool


@dataclass(frozen=True, slots=True)
class _Grant:
    """`secret` is what the credential will hold; `missing` are permissions not given."""

    provider: OAuth2Provider
    address: str
    login: str
    secret: dict[str, Any] = field(repr=False)
    missing: tuple[str, ...]


def explain_refusal(provider: OAuth2Provider, error: str) -> str:
    """What a provider's error on the way back means (RFC 6749 section 4.1.2.1)."""
    if error in ("access_denied", "consent_required", "interaction_required"):
        return f"{provider.name} was not given the permission: nothing was connected."
    if error in ("temporarily_unavailable", "server_error"):
        return f"{provider.name} has trouble at the moment: try again later."
    return (
        f"{provider.name} does not accept how this installation is registered there; its "
        "operator has to look at its client id, its scopes and its redirect address."
    )


def connect_account(caller: Caller, request: ConsentRequest, code: str) -> Connected:
    """Connect the account that the permission is for, or bring it back to work.

    Raises NotFound, InvalidInput, Conflict, MailServerRefused or BadGateway with a sentence for
    the person; MailError where the provider cannot be asked.
    """
    grant = _redeem(get_provider(request.provider), request, code)
    tried = copy.copy(_account_of(caller, request, grant))
    # Without the refresh token, of which a trial must use none up.
    tried.credential = tried.new_credential(
        CredentialKind.OAUTH2, {"access_token": grant.secret["access_token"]}
    )
    verification = verify_account(tried)
    if not verification.incoming.works:
        _refuse(grant, verification)
    with transaction.atomic():
        # Two answers at once must not make two accounts of one address.
        User.objects.select_for_update().get(pk=caller.user.pk)
        account = _account_of(caller, request, grant)
        is_new = account._state.adding
        _store(account, grant)
    return Connected(account, verification, is_new)


def _redeem(provider: OAuth2Provider, request: ConsentRequest, code: str) -> _Grant:
    kept = request.reveal_secret()
    try:
        answer = provider.token_endpoint().redeem(
            code, redirect_uri=provider.redirect_uri, verifier=kept["verifier"]
        )
    except ConsentRevoked as error:
        raise InvalidInput(
            f"What {provider.name} answered has run out or was used before: begin again.",
            code="consent_expired",
        ) from error
    except ClientRefused as error:
        raise BadGateway(explain_refusal(provider, "invalid_client"), code=error.code) from error
    secret = token_secret(answer)
    if not secret["refresh_token"] and answer.get("expires_in") is not None:
        raise Conflict(
            f"{provider.name} gave a permission that soon runs out, and nothing to renew it: the "
            "operator of this installation has to look at the scopes it asks for.",
            code="no_refresh_token",
        )
    claims = _claims(provider, answer, kept["nonce"])
    address, login = _whose(provider, claims)
    given = answer.get("scope")
    granted = given.split() if isinstance(given, str) else list(provider.mail_scopes)
    missing = tuple(scope for scope in provider.mail_scopes if scope not in granted)
    return _Grant(provider, address, login, secret, missing)


def _claims(provider: OAuth2Provider, answer: dict[str, Any], nonce: str) -> dict[str, Any]:
    if provider.userinfo_url:
        return claims_of_userinfo(
            provider.userinfo_url,
            str(answer["access_token"]),
            unlimited_guard(),
            timeout=_PATIENCE,
            ca_file=settings.MAILHUB_CA_FILE,
        )
    token = answer.get("id_token")
    if not isinstance(token, str):
        return {}
    return claims_of_id_token(
        token, client_id=provider.client_id, nonce=nonce if provider.sends_nonce else ""
    )


def _whose(provider: OAuth2Provider, claims: dict[str, Any]) -> tuple[str, str]:
    """The person's address and the login name of the mailbox."""
    login = _text(claims.get(provider.login_claim))
    for address in (_text(claims.get(provider.address_claim)), login):
        try:
            validate_email(address)
            single_line(login)
        except ValidationError:
            continue
        return address, login or address
    raise Conflict(
        f"{provider.name} does not say which mail address the permission is for.",
        code="no_address",
    )


def _text(claim: object) -> str:
    """A claim that a column holds; "" for anything else."""
    return claim if isinstance(claim, str) and len(claim) <= _LONGEST_NAME else ""


def _account_of(caller: Caller, request: ConsentRequest, grant: _Grant) -> EmailAccount:
    """The account as it will be, its credential apart; not saved."""
    mine = EmailAccount.objects.owned_by(caller).select_related("credential")
    if request.account_id is not None:
        account = mine.filter(pk=request.account_id).first()
        if account is None:
            raise Conflict("The account is connected no more.", code="account_gone")
        _refuse_another(account, grant)
        return account
    known = list(mine.filter(email_address__iexact=grant.address).order_by("created_at"))
    known.sort(key=lambda account: account.credential.provider != grant.provider.key)
    if not known:
        account = EmailAccount(tenant=caller.tenant, user=caller.user)
        account.email_address = account.account_name = grant.address
        _use_servers(account, grant)
    else:
        account = known[0]
        if account.hostname != grant.provider.incoming.hostname:
            _use_servers(account, grant)
    account.username = grant.login
    return account


def _refuse_another(account: EmailAccount, grant: _Grant) -> None:
    """Raises Conflict where the permission is for another mailbox than the account's."""
    known = {account.email_address.lower(), account.username.lower()}
    if not known & {grant.address.lower(), grant.login.lower()}:
        raise Conflict(
            f"You were logged in at {grant.provider.name} as {grant.address}, and this account is "
            f"{account.email_address}: nothing was changed. Log in there with that address.",
            code="other_address",
        )


def _use_servers(account: EmailAccount, grant: _Grant) -> None:
    incoming = grant.provider.incoming
    account.protocol, account.hostname = incoming.protocol.value, incoming.hostname
    account.port, account.encryption = incoming.port, incoming.encryption.value
    if account.protocol != AccountProtocol.POP3:
        account.delete_from_server_after_days = None
    outgoing: ProposedServer | None = grant.provider.outgoing_for(grant.address)
    account.smtp_hostname = outgoing.hostname if outgoing else ""
    account.smtp_port = outgoing.port if outgoing else None
    account.smtp_encryption = outgoing.encryption.value if outgoing else ""
    account.smtp_username = ""


def _store(account: EmailAccount, grant: _Grant) -> None:
    key = grant.provider.key
    account.enable()
    if account._state.adding:
        account.credential = account.new_credential(
            CredentialKind.OAUTH2, grant.secret, provider=key
        )
        account.credential.save()
        account.save()
    elif account.credential.provider == key:
        # It may be other accounts' too, such as that of a mailbox which several people share.
        account.credential.keep_secret(grant.secret)
        account.credential.save()
        account.save()
        for other in account.credential.email_accounts.filter(disabled_reason=revoked_words(key)):
            other.enable()
            other.save()
    else:
        previous = account.credential
        account.replace_secret(CredentialKind.OAUTH2, grant.secret, provider=key)
        account.save()
        if previous.pk != account.credential_id:
            previous.drop_if_unused()


def _refuse(grant: _Grant, verification: Verification) -> NoReturn:
    check = verification.incoming
    words = f"Nothing was connected, since its mail cannot be read. {check.message}"
    if grant.missing:
        words = (
            f"Nothing was connected: {grant.provider.name} was not given the permission to read "
            "and send mail. Begin again, and leave it ticked."
        )
    details = {**check.details, "cause": check.error}
    raise MailServerRefused(words, code="verification_failed", details=details)
