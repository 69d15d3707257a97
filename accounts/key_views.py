"""Pages of Settings › API keys: who holds one, what it may do; a new one is shown once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib import messages
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from accounts.caller import ALL_SCOPES, Caller
from accounts.issuing import issue_key, revoke_key
from accounts.models import ApiKey, Membership, Role
from accounts.pages import PageRequest, page, refused_in
from accounts.validators import single_line
from mailhub.generic_bases import ModelChoiceField

_NEVER = ""
_LIFETIMES = [(_NEVER, "never"), ("30", "in 30 days"), ("90", "in 90 days"), ("365", "in a year")]
_RIGHTS = {
    "mail": "accounts and messages",
    "campaigns": "campaigns and what became of them",
    "contacts": "contacts, lists and segments",
    "admin": "members, keys and webhooks",
}
# An address that any key with this right may read, for trying a key.
_TO_TRY = {"mail": "accounts", "campaigns": "campaigns", "contacts": "contacts", "admin": "users"}


class MemberField(ModelChoiceField):
    """Members by their names."""

    def label_from_instance(self, obj: Membership) -> str:
        return obj.name


class KeyForm(forms.Form):
    """As the API takes it; a lifetime in days instead of a moment."""

    name = forms.CharField(
        label="What it is for",
        max_length=100,
        validators=[single_line],
        help_text="So that you know it again: the program or the person who holds it.",
    )
    user = MemberField(
        Membership.objects.none(),
        label="It acts as",
        to_field_name="name",
        empty_label=None,
        help_text="Mail is each user's own: a key for somebody else is without it.",
    )
    scopes = forms.MultipleChoiceField(
        label="It may",
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="None chosen: all that the user's role may.",
    )
    lifetime = forms.ChoiceField(label="It expires", choices=_LIFETIMES, required=False)
    is_service = forms.BooleanField(
        label="A service key, which acts for any user of the tenant by X-User-ID",
        required=False,
    )

    def __init__(self, caller: Caller, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        user, scopes = self.fields["user"], self.fields["scopes"]
        assert isinstance(user, forms.ModelChoiceField)
        assert isinstance(scopes, forms.ChoiceField)
        user.queryset = _users(caller)
        user.initial = caller.membership.name
        scopes.choices = [(scope, _words(scope)) for scope in ALL_SCOPES if scope in caller.scopes]
        if caller.role is not Role.OWNER:
            del self.fields["is_service"]

    def wanted(self) -> dict[str, Any]:
        """What `issue_key` takes beside the user."""
        days = self.cleaned_data["lifetime"]
        return {
            "name": self.cleaned_data["name"],
            "scopes": self.cleaned_data["scopes"],
            "is_service": self.cleaned_data.get("is_service", False),
            "expires_at": timezone.now() + timedelta(days=int(days)) if days else None,
        }


@require_safe
@page(scope="admin")
def list_keys(request: PageRequest) -> HttpResponse:
    """The tenant's keys, newest first."""
    keys = _keys(request.caller).select_related("user", "tenant").order_by("-created_at")
    return render(request, "accounts/keys/list.html", {"keys": keys})


@require_http_methods(["GET", "HEAD", "POST"])
@page(scope="admin", writes=True)
def add(request: PageRequest) -> HttpResponse:
    """Ask what the key is for; the answer to the form shows its text, this once."""
    form = KeyForm(request.caller, request.POST or None)
    if request.method == "POST" and form.is_valid():
        membership = form.cleaned_data["user"]
        with refused_in(form):
            key, text = issue_key(request.caller, membership, **form.wanted())
            return _show_text(request, key, membership, text)
    status = 400 if form.errors else 200
    return render(request, "accounts/keys/form.html", {"form": form}, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@page(scope="admin", writes=True)
def revoke(request: PageRequest, pk: UUID) -> HttpResponse:
    """Ask once, naming when it was last used, and delete it."""
    key = get_object_or_404(_keys(request.caller), pk=pk)
    if request.method == "POST":
        revoke_key(request.caller, key)
        messages.success(request, f"The key {key} is revoked.")
        return redirect("keys")
    return render(request, "accounts/keys/revoke.html", {"key": key})


def _keys(caller: Caller) -> QuerySet[ApiKey]:
    holder = Membership.objects.filter(tenant_id=OuterRef("tenant_id"), user_id=OuterRef("user_id"))
    return ApiKey.objects.for_caller(caller).annotate(user_name=Subquery(holder.values("name")[:1]))


def _users(caller: Caller) -> QuerySet[Membership]:
    return Membership.objects.for_caller(caller).order_by("name")


def _words(scope: str) -> str:
    name, _, right = scope.partition(":")
    return f"{'change' if right == 'write' else 'read'} {_RIGHTS[name]}"


def _show_text(
    request: PageRequest, key: ApiKey, membership: Membership, text: str
) -> HttpResponse:
    names = [scope.partition(":")[0] for scope in key.scopes] or ["contacts"]
    lines = [f"curl -H 'Authorization: Token {text}'"]
    if key.is_service:
        lines += [f"-H 'X-Tenant-ID: {key.tenant.slug}'", f"-H 'X-User-ID: {membership.name}'"]
    lines.append(f"{settings.MAILHUB_PUBLIC_URL}/api/{_TO_TRY[names[0]]}")
    context = {"key": key, "text": text, "curl": " ".join(lines)}
    return render(request, "accounts/keys/text.html", context)
