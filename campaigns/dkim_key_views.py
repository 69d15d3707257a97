"""Pages of Settings › DKIM keys: for which domains campaigns are signed, and the DNS records."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from accounts.caller import Caller
from accounts.pages import PageRequest, page
from accounts.validators import clean_hostname
from campaigns.models import DkimKey
from campaigns.signing import SELECTOR, USUAL_SELECTOR, add_dkim_key
from mailhub.errors import Conflict, InvalidInput

# What the text of one string in the DNS may have (RFC 1035 section 3.3.14).
_LONGEST_STRING = 255


class UnseenTextarea(forms.Textarea):
    """What was typed into it is never shown again."""

    def format_value(self, value: Any) -> None:
        """Nothing."""


class DkimKeyForm(forms.Form):
    """As the API takes it; a domain that has a key already keeps it."""

    domain = forms.CharField(
        label="Domain",
        max_length=253,
        help_text="What stands after the @ in the addresses that campaigns are sent from.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    selector = forms.RegexField(
        SELECTOR,
        label="Selector",
        initial=USUAL_SELECTOR,
        help_text="It keeps several keys of a domain apart. Another program may have one too.",
        error_messages={"invalid": "A selector has letters, digits and - only, 63 at most."},
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    private_key = forms.CharField(
        label="Private key, if you have one",
        max_length=20_000,
        required=False,
        strip=False,
        help_text="RSA, in PEM. Without it a new key is made here.",
        widget=UnseenTextarea(attrs={"rows": 3, "autocomplete": "off", "spellcheck": "false"}),
    )

    def __init__(self, caller: Caller, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._caller = caller

    def clean_domain(self) -> str:
        """In the form of the DNS. Raises ValidationError."""
        domain = clean_hostname(self.cleaned_data["domain"])
        if DkimKey.objects.for_caller(self._caller).filter(domain=domain).exists():
            raise ValidationError("This domain has a key. Remove that one before you add another.")
        return domain

    def keep(self) -> DkimKey | None:
        """None where the key was refused; the form says why."""
        try:
            return add_dkim_key(self._caller.tenant, **self.cleaned_data)
        except InvalidInput as refusal:
            for name, words in refusal.details["fields"].items():
                self.add_error(name, words)
        except Conflict as refusal:
            self.add_error("domain", refusal.message)
        return None


@require_safe
@page(scope="admin")
def list_keys(request: PageRequest) -> HttpResponse:
    """The tenant's keys by domain."""
    keys = DkimKey.objects.for_caller(request.caller).defer("private_key").order_by("domain")
    return render(request, "campaigns/dkim_keys/list.html", {"keys": keys})


@require_http_methods(["GET", "HEAD", "POST"])
@page(scope="admin", writes=True)
def add(request: PageRequest) -> HttpResponse:
    """Ask for the domain; what to put into its DNS follows."""
    form = DkimKeyForm(request.caller, request.POST or None)
    if request.method == "POST" and form.is_valid() and (key := form.keep()):
        messages.success(request, f"Campaigns by SMTP from {key.domain} are signed from now on.")
        return redirect("dkim-key", key.pk)
    status = 400 if form.errors else 200
    return render(request, "campaigns/dkim_keys/form.html", {"form": form}, status=status)


@require_safe
@page(scope="admin")
def show(request: PageRequest, pk: int) -> HttpResponse:
    """The DNS record of one key."""
    key = _find(request, pk)
    return render(request, "campaigns/dkim_keys/show.html", {"key": key, "line": _zone_line(key)})


@require_http_methods(["GET", "HEAD", "POST"])
@page(scope="admin", writes=True)
def remove(request: PageRequest, pk: int) -> HttpResponse:
    """Ask once, and sign no more from the domain."""
    key = _find(request, pk)
    if request.method == "POST":
        key.delete()
        messages.success(request, f"Campaigns from {key.domain} are not signed here any more.")
        return redirect("dkim-keys")
    return render(request, "campaigns/dkim_keys/remove.html", {"key": key})


def _find(request: PageRequest, pk: int) -> DkimKey:
    keys = DkimKey.objects.for_caller(request.caller).defer("private_key")
    return get_object_or_404(keys, pk=pk)


def _zone_line(key: DkimKey) -> str:
    """The record as a zone file has it, its text in strings that are not too long."""
    text = key.dns_value
    pieces = (text[at : at + _LONGEST_STRING] for at in range(0, len(text), _LONGEST_STRING))
    strings = " ".join(f'"{piece}"' for piece in pieces)
    return f"{key}. IN TXT ( {strings} )"
