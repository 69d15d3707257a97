"""Connecting an account: an address, the servers that are proposed for it, a look, and in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from accounts.api.email_accounts import EmailAccountSerializer, VerifySerializer
from accounts.autoconfig import Proposal, propose_servers
from accounts.models import CredentialKind, EmailAccount
from accounts.oauth2.providers import configured_providers, find_provider
from accounts.pages import PageRequest, page
from accounts.verification import Verification, verify_account
from mailboxes.models import Message
from mailboxes.pages.account_fields import Values, fields_of, proposed_values, stored_values
from mailboxes.sync.requesting import request_sync
from mailhub.api.errors import as_mailhub_error
from mailhub.errors import MailhubError
from mailhub.mail.errors import MailError

_METHODS = ["GET", "HEAD", "POST"]
# What the form offers; the API knows more.
_OPTIONAL = ("port", "username", "smtpPort")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What came of sending the form. `errors` are by field; `problem` is about all of it."""

    errors: Mapping[str, list[str]]
    problem: str = ""
    verification: Verification | None = None

    @property
    def may_go_on(self) -> bool:
        """Whether what was typed makes sense, and only a server was not content with it."""
        return self.verification is not None


@require_http_methods(_METHODS)
@page(scope="mail", writes=True)
def connect(request: PageRequest) -> HttpResponse:
    """First the address; with `?email=`, what its servers probably are; then in."""
    if request.method == "POST":
        values = _typed(request)
        return _connect(request, values)
    email = request.GET.get("email", "").strip()
    if not email:
        return _ask_for_address(request)
    try:
        validate_email(email)
        proposal = propose_servers(email)
    except ValidationError:
        problem = "This is no mail address, such as ann@example.com."
        return _ask_for_address(request, email, problem)
    found = {
        "email": email,
        "proposal": proposal,
        "by_consent": proposal.oauth2_provider,
        "advice": _advice(proposal),
        "fields": fields_of(proposed_values(proposal)),
    }
    return render(request, "mailboxes/servers.html", found)


@require_http_methods(_METHODS)
@page(scope="mail", writes=True)
def edit(request: PageRequest, account_id: UUID) -> HttpResponse:
    """Name, servers and password of an account; saving them switches it on again."""
    account = EmailAccount.objects.get_for_change(request.caller, account_id)
    if request.method != "POST":
        context = {
            "account": account,
            "by_consent": find_provider(account.credential.provider),
            "fields": fields_of(stored_values(account), is_stored=True),
        }
        return render(request, "mailboxes/servers.html", context)
    values = {**_typed(request), "emailAddress": account.email_address}
    secret = {} if values.get("password") else {"credentialId": str(account.credential_id)}
    if secret:
        values.pop("password", None)
    attempt = _try(request, {**values, **secret})
    if not _is_good(request, attempt):
        return _refuse(request, values, attempt, account=account)
    serializer = EmailAccountSerializer(
        account, data={**values, "isEnabled": True}, partial=True, context=_context(request)
    )
    serializer.is_valid(raise_exception=True)
    request_sync(serializer.save())
    messages.success(request, f"{account.email_address} is saved.")
    return _go_to_accounts(request)


@require_http_methods(_METHODS)
@page(scope="mail", writes=True)
def disconnect(request: PageRequest, account_id: UUID) -> HttpResponse:
    """Asks once, naming how many messages are forgotten here."""
    account = EmailAccount.objects.get_for_change(request.caller, account_id)
    if request.method == "POST":
        account.disconnect()
        messages.success(request, f"{account.email_address} is disconnected.")
        return redirect("mail")
    number = Message.objects.visible().filter(account=account).count()
    return render(request, "mailboxes/disconnect.html", {"account": account, "number": number})


def _ask_for_address(request: PageRequest, email: str = "", problem: str = "") -> HttpResponse:
    context = {"email": email, "problem": problem, "providers": configured_providers()}
    return render(request, "mailboxes/connect.html", context, status=400 if problem else 200)


def _connect(request: PageRequest, values: Values) -> HttpResponse:
    attempt = _try(request, values)
    if not _is_good(request, attempt):
        return _refuse(request, values, attempt)
    serializer = EmailAccountSerializer(data=values, context=_context(request))
    serializer.is_valid(raise_exception=True)
    account = serializer.save()
    request_sync(account)
    messages.success(request, f"{account.email_address} is connected.")
    return _go_to_accounts(request)


def _try(request: PageRequest, values: Values) -> Attempt:
    """Check what was typed, then log in to both servers; nothing is stored."""
    serializer = VerifySerializer(data=values, context=_context(request))
    try:
        if not serializer.is_valid():
            errors = {
                name: [str(each) for each in some] for name, some in serializer.errors.items()
            }
            problem = " ".join(errors.pop("non_field_errors", []))
            return Attempt(errors=errors, problem=problem)
        account = serializer.build(serializer.validated_data)
        verification = verify_account(account)
    except (MailError, MailhubError) as error:
        known = as_mailhub_error(error)
        assert known is not None, "both are expected"
        return Attempt(errors={}, problem=known.message)
    return Attempt(errors={}, verification=verification)


def _is_good(request: PageRequest, attempt: Attempt) -> bool:
    if attempt.verification is None:
        return False
    return attempt.verification.works or request.POST.get("anyway") == "1"


def _refuse(
    request: PageRequest, values: Values, attempt: Attempt, account: EmailAccount | None = None
) -> HttpResponse:
    """What was wrong. What was typed stays in the browser; the password does not come back."""
    fields = [
        replace(field, errors=tuple(attempt.errors.get(field.name, ())))
        for field in fields_of(values, is_stored=account is not None)
    ]
    context = {
        "email": values.get("emailAddress", ""),
        "account": account,
        "fields": fields,
        "attempt": attempt,
    }
    is_htmx = request.headers.get("HX-Request") == "true"
    # htmx shows what comes with a status of success alone.
    status = 200 if is_htmx else 400
    return render(request, "mailboxes/servers.html", context, status=status)


def _typed(request: PageRequest) -> Values:
    """The form under the API's names; what may follow from the rest is left out where empty."""
    names = [field.name for field in fields_of({})]
    values = {name: request.POST.get(name, "") for name in ("emailAddress", *names)}
    values = {
        name: value if name == "password" else value.strip() for name, value in values.items()
    }
    if not values["smtpHostname"]:
        values["smtpPort"] = values["smtpEncryption"] = ""
    values["accountName"] = values["accountName"] or values["emailAddress"]
    return {name: value for name, value in values.items() if value or name not in _OPTIONAL}


def _advice(proposal: Proposal) -> str:
    """What to know about the password of this provider."""
    if "password" in proposal.logins:
        return ""
    if "app_password" in proposal.logins:
        return (
            f"{proposal.provider} lets other programs in with an app password: make one in the "
            "security settings of your account there, and give it here."
        )
    if proposal.oauth2_provider is not None:
        return f"{proposal.provider} takes no password from other programs."
    return (
        f"{proposal.provider} lets other programs in by OAuth2 alone, not by a password, and this "
        "installation is not registered there. Connect this account by the API, which takes its "
        f"tokens ({CredentialKind.OAUTH2}), or ask the operator of this installation."
    )


def _go_to_accounts(request: PageRequest) -> HttpResponse:
    if request.headers.get("HX-Request") != "true":
        return redirect("mail")
    response = HttpResponse(status=204)
    response["HX-Redirect"] = redirect("mail")["Location"]
    return response


def _context(request: PageRequest) -> dict[str, Any]:
    return {"caller": request.caller}
