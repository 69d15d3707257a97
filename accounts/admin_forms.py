"""The admin's forms where a secret goes in or a key comes to be."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from accounts.caller import ALL_SCOPES
from accounts.models import ApiKey, Credential, CredentialKind, Membership
from accounts.validators import single_line
from mailhub.generic_bases import ModelForm


class CredentialForm(ModelForm):
    """A password goes in and is never drawn back; other kinds of secrets come by the API."""

    new_password = forms.CharField(
        required=False,
        strip=False,
        max_length=8192,
        validators=[single_line],
        widget=forms.PasswordInput(render_value=False, attrs={"autocomplete": "new-password"}),
        help_text="Replaces the stored secret. Left empty, that stays as it is.",
    )

    class Meta:
        model = Credential
        fields = ("tenant", "user", "name", "username")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if self.instance._state.adding:
            if not cleaned.get("new_password"):
                self.add_error("new_password", "A new credential needs a password.")
            _require_member(cleaned)
        return cleaned

    def save(self, commit: bool = True) -> Credential:
        credential: Credential = super().save(commit=False)
        password = self.cleaned_data.get("new_password")
        if password:
            credential.kind, credential.provider = CredentialKind.PASSWORD, ""
            credential.keep_secret({"password": password})
        if commit:
            credential.save()
        return credential


class ApiKeyForm(ModelForm):
    """A new key, for a member of the tenant; its text is made on saving."""

    scopes = forms.MultipleChoiceField(
        choices=[(scope, scope) for scope in ALL_SCOPES],
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="None chosen: those of the user's role.",
    )

    class Meta:
        model = ApiKey
        fields = ("tenant", "user", "name", "scopes", "is_service", "expires_at")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if self.instance._state.adding:
            _require_member(cleaned)
        return cleaned


def _require_member(cleaned: dict[str, Any]) -> None:
    tenant, user = cleaned.get("tenant"), cleaned.get("user")
    if tenant and user and not Membership.objects.filter(tenant=tenant, user=user).exists():
        raise ValidationError({"user": f"{user} is no user of {tenant}."})
