"""Pages of Settings › Members: who belongs to the tenant, and as what."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from accounts.caller import Caller
from accounts.members import (
    add_member,
    change_role,
    refuse_weak_password,
    remove_member,
    roles_to_give,
)
from accounts.models import ApiKey, EmailAccount, Membership, Role
from accounts.pages import PageRequest, page, refused_in

_MAY = {
    Role.VIEWER: "sees contacts and campaigns",
    Role.MEMBER: "works with contacts and campaigns, and has mail of its own",
    Role.ADMIN: "also manages members, keys and settings",
    Role.OWNER: "may do everything",
}


class RoleForm(forms.Form):
    """Another role for a member; none above the caller's own."""

    role = forms.ChoiceField(label="Role")

    def __init__(self, caller: Caller, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        role = self.fields["role"]
        assert isinstance(role, forms.ChoiceField)
        role.choices = [
            (role.value, f"{role.label}: {_MAY[role]}") for role in roles_to_give(caller)
        ]


class MemberForm(RoleForm):
    """As the API takes it."""

    name = forms.CharField(
        max_length=80,
        validators=[UnicodeUsernameValidator()],
        help_text="Letters, digits and @.+-_ – it cannot be changed later.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    email = forms.EmailField(label="Email", required=False)
    password = forms.CharField(
        label="First password",
        required=False,
        strip=False,
        max_length=200,
        help_text="For these pages; its owner changes it. Without one there are only API keys.",
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    field_order = ("name", "email", "role", "password")

    def clean(self) -> dict[str, Any]:
        """The password is measured against the name and the email."""
        given = super().clean() or {}
        password = given.get("password")
        if password:
            try:
                refuse_weak_password(given.get("name", ""), given.get("email", ""), password)
            except ValidationError as error:
                self.add_error("password", error)
        return given


@require_safe
@page(scope="admin")
def list_members(request: PageRequest) -> HttpResponse:
    """Everybody, by name."""
    rows = Membership.objects.for_caller(request.caller).select_related("user").order_by("name")
    return render(request, "accounts/members/list.html", {"members": rows})


@require_http_methods(["GET", "HEAD", "POST"])
@page(scope="admin", writes=True)
def add(request: PageRequest) -> HttpResponse:
    """A new member; the page that follows says by which name it logs in."""
    form = MemberForm(request.caller, request.POST or None, initial={"role": Role.MEMBER})
    if request.method == "POST" and form.is_valid():
        wanted = dict(form.cleaned_data)
        with refused_in(form):
            new = add_member(request.caller, wanted.pop("name"), Role(wanted.pop("role")), **wanted)
            messages.success(request, f"{new.name} is added, and logs in as {new.user.username}.")
            return redirect("members")
    return _ask(request, form, None)


@require_http_methods(["GET", "HEAD", "POST"])
@page(scope="admin", writes=True)
def change(request: PageRequest, name: str) -> HttpResponse:
    """Another role."""
    member = _find(request, name)
    form = RoleForm(request.caller, request.POST or None, initial={"role": member.role})
    if request.method == "POST" and form.is_valid():
        with refused_in(form):
            change_role(request.caller, member, Role(form.cleaned_data["role"]))
            messages.success(request, f"{member.name} is {member.get_role_display().lower()} now.")
            return redirect("members")
    return _ask(request, form, member)


@require_http_methods(["GET", "HEAD", "POST"])
@page(scope="admin", writes=True)
def remove(request: PageRequest, name: str) -> HttpResponse:
    """Ask once, naming what goes with the member, and remove it."""
    member = _find(request, name)
    if request.method == "POST":
        remove_member(request.caller, member)
        messages.success(request, f"{name} is removed.")
        return redirect("members")
    accounts = EmailAccount.objects.filter(tenant=member.tenant_id, user=member.user_id)
    keys = ApiKey.objects.filter(tenant=member.tenant_id, user=member.user_id)
    context = {"member": member, "accounts": accounts.count(), "keys": keys.count()}
    return render(request, "accounts/members/remove.html", context)


def _find(request: PageRequest, name: str) -> Membership:
    return get_object_or_404(Membership.objects.for_caller(request.caller), name=name)


def _ask(request: PageRequest, form: RoleForm, member: Membership | None) -> HttpResponse:
    status = 400 if form.errors else 200
    context = {"form": form, "member": member}
    return render(request, "accounts/members/form.html", context, status=status)
