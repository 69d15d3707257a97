"""Pages of Settings › Event webhooks: where events are posted, and how that goes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.event_webhooks import (
    add_webhook,
    change_webhook,
    clean_url,
    rotate_secret,
    send_test,
)
from accounts.events.catalogue import CATALOGUE
from accounts.models import EventDelivery, EventDeliveryState, EventWebhook
from accounts.models.event_webhook import EVERY_EVENT, LONGEST_URL
from accounts.pages import PageRequest, page, refused_in
from accounts.validators import single_line
from mailhub.mail.errors import MailError

DELIVERIES_SHOWN = 50
# What is tried later than this is not waited for by asking every two seconds.
_SOON = timedelta(minutes=2)


class EventWebhookForm(forms.Form):
    """As the API takes it."""

    url = forms.CharField(
        label="Address",
        max_length=LONGEST_URL,
        help_text="An https address of yours. Events are posted to it as JSON.",
        widget=forms.TextInput(attrs={"inputmode": "url", "autocomplete": "off"}),
    )
    description = forms.CharField(
        label="What it is for",
        max_length=200,
        required=False,
        validators=[single_line],
        help_text="For you alone.",
    )
    events = forms.MultipleChoiceField(
        label="Events",
        choices=[
            (
                EVERY_EVENT,
                "all, later ones too, but for those that come for each of many messages",
            )
        ]
        + [
            (kind.name, f"{kind.happens} (many)" if kind.by_name else kind.happens)
            for kind in CATALOGUE.values()
        ],
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Choose one at least."},
    )

    def clean_url(self) -> str:
        """Raises ValidationError."""
        try:
            return clean_url(self.cleaned_data["url"])
        except MailError as error:
            raise ValidationError(error.message) from error

    def clean_events(self) -> list[str]:
        """`*` stands for all but what has to be named."""
        chosen: list[str] = self.cleaned_data["events"]
        if EVERY_EVENT not in chosen:
            return chosen
        named = [name for name in chosen if name != EVERY_EVENT and CATALOGUE[name].by_name]
        return [EVERY_EVENT, *named]


@require_safe
@page(scope="admin")
def list_webhooks(request: PageRequest) -> HttpResponse:
    """The tenant's webhooks, newest first."""
    rows = EventWebhook.objects.for_caller(request.caller).order_by("-created_at")
    return render(request, "accounts/event_webhooks/list.html", {"webhooks": rows})


@require_http_methods(["GET", "HEAD", "POST"])
@page(scope="admin", writes=True)
def add(request: PageRequest) -> HttpResponse:
    """Ask where events shall go; the answer to the form shows the secret, this once."""
    form = EventWebhookForm(request.POST or None, initial={"events": [EVERY_EVENT]})
    if request.method == "POST" and form.is_valid():
        with refused_in(form):
            webhook, secret = add_webhook(request.caller, **form.cleaned_data)
            return _show_secret(request, webhook, secret, is_new=True)
    return _ask(request, form, None)


@require_http_methods(["GET", "HEAD", "POST"])
@page(scope="admin", writes=True)
def change(request: PageRequest, pk: UUID) -> HttpResponse:
    """Another address, other events."""
    webhook = _find(request, pk)
    initial = {name: getattr(webhook, name) for name in ("url", "description", "events")}
    form = EventWebhookForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        change_webhook(webhook, form.cleaned_data)
        messages.success(request, "The webhook is changed.")
        return redirect("event-webhook", webhook.pk)
    return _ask(request, form, webhook)


@require_safe
@page(scope="admin")
def show(request: PageRequest, pk: UUID) -> HttpResponse:
    """One webhook and its last deliveries."""
    return render(request, "accounts/event_webhooks/show.html", _deliveries(_find(request, pk)))


@require_safe
@page(scope="admin")
def show_deliveries(request: PageRequest, pk: UUID) -> HttpResponse:
    """The part of the page that moves."""
    return render(
        request, "accounts/event_webhooks/deliveries.html", _deliveries(_find(request, pk))
    )


@require_POST
@page(scope="admin")
def test(request: PageRequest, pk: UUID) -> HttpResponse:
    """Post a test event to it."""
    webhook = _find(request, pk)
    send_test(webhook)
    messages.success(request, "A test event is on its way: see what becomes of it below.")
    return redirect("event-webhook", webhook.pk)


@require_POST
@page(scope="admin")
def switch(request: PageRequest, pk: UUID) -> HttpResponse:
    """Disable it, or enable it again."""
    webhook = _find(request, pk)
    change_webhook(webhook, {"is_enabled": request.POST.get("is_enabled") == "on"})
    return redirect("event-webhook", webhook.pk)


@require_http_methods(["GET", "HEAD", "POST"])
@page(scope="admin", writes=True)
def rotate(request: PageRequest, pk: UUID) -> HttpResponse:
    """Ask once, then show the new secret, this once."""
    webhook = _find(request, pk)
    if request.method == "POST":
        return _show_secret(request, webhook, rotate_secret(webhook), is_new=False)
    return render(request, "accounts/event_webhooks/rotate.html", {"webhook": webhook})


@require_http_methods(["GET", "HEAD", "POST"])
@page(scope="admin", writes=True)
def delete(request: PageRequest, pk: UUID) -> HttpResponse:
    """Ask once, naming what is not delivered then, and delete it."""
    webhook = _find(request, pk)
    if request.method == "POST":
        webhook.delete()
        messages.success(request, "The webhook is deleted.")
        return redirect("event-webhooks")
    waiting = EventDelivery.objects.filter(webhook=webhook, state=EventDeliveryState.PENDING)
    context = {"webhook": webhook, "waiting": waiting.count()}
    return render(request, "accounts/event_webhooks/delete.html", context)


def _find(request: PageRequest, pk: UUID) -> EventWebhook:
    return get_object_or_404(EventWebhook.objects.for_caller(request.caller), pk=pk)


def _ask(
    request: HttpRequest, form: EventWebhookForm, webhook: EventWebhook | None
) -> HttpResponse:
    status = 400 if form.errors else 200
    context = {"form": form, "webhook": webhook}
    return render(request, "accounts/event_webhooks/form.html", context, status=status)


def _show_secret(
    request: HttpRequest, webhook: EventWebhook, secret: str, *, is_new: bool
) -> HttpResponse:
    context = {"webhook": webhook, "secret": secret, "is_new": is_new}
    return render(request, "accounts/event_webhooks/secret.html", context)


def _deliveries(webhook: EventWebhook) -> dict[str, Any]:
    rows = EventDelivery.objects.filter(webhook=webhook).select_related("event").order_by("-pk")
    shown = list(rows[:DELIVERIES_SHOWN])
    soon = timezone.now() + _SOON
    is_moving = webhook.is_enabled and any(
        row.next_attempt_at is not None and row.next_attempt_at < soon for row in shown
    )
    return {"webhook": webhook, "deliveries": shown, "is_moving": is_moving}
