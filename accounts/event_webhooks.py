"""What an admin does with the webhooks of a tenant: add, change, rotate, test."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import SplitResult, urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction

from accounts.caller import Caller
from accounts.events.publishing import publish_test
from accounts.events.signing import new_secret
from accounts.hosts import refuse_private_host
from accounts.models import Event, EventWebhook, Tenant
from accounts.models.event_webhook import LONGEST_URL
from accounts.validators import clean_hostname
from mailhub.errors import Conflict
from mailhub.mail.guarded_http import port_of

# What a request line may hold as it is (RFC 3986 section 2).
_PLAIN = re.compile(r"[!-~]+")
_NO_TROUBLE = {"disabled_reason": "", "failures": 0, "failing_since": None, "held_until": None}


def clean_url(text: str) -> str:
    """The address in the form in which it is called, its host checked by the guard.

    Raises ValidationError for one that cannot be called or must not be, HostNotAllowed.
    """
    url = text.strip()
    try:
        parts = urlsplit(url)
        host = clean_hostname(parts.hostname or "")
    except ValueError:
        raise ValidationError("This is not an address.") from None
    port = port_of(parts)
    if parts.scheme not in ("https", "http") or port is None:
        raise ValidationError("Give an https address.")
    if parts.scheme == "http" and not settings.MAILHUB_ALLOW_PLAINTEXT:
        raise ValidationError("Give an https address: events are not posted unencrypted.")
    if parts.username is not None or parts.password is not None:
        raise ValidationError("Leave name and password out: requests are signed instead.")
    if parts.fragment:
        raise ValidationError("Leave out what follows the #: no server sees it.")
    cleaned = _with_host(parts, host)
    if len(cleaned) > LONGEST_URL or not _PLAIN.fullmatch(cleaned):
        raise ValidationError("An address has ASCII characters and no spaces; escape the others.")
    refuse_private_host(host, port)
    return cleaned


def _with_host(parts: SplitResult, host: str) -> str:
    place = f"[{host}]" if ":" in host else host
    if parts.port is not None:
        place = f"{place}:{parts.port}"
    return parts._replace(netloc=place).geturl()


def add_webhook(
    caller: Caller, *, url: str, events: list[str], **fields: Any
) -> tuple[EventWebhook, str]:
    """A new webhook and its secret, which is never to be had again. Raises Conflict."""
    with transaction.atomic():
        # Locked, so that two who add at once count each other.
        Tenant.objects.select_for_update().get(pk=caller.tenant.pk)
        if EventWebhook.objects.for_caller(caller).count() >= settings.MAILHUB_EVENT_WEBHOOKS:
            raise Conflict(
                f"A tenant has at most {settings.MAILHUB_EVENT_WEBHOOKS} event webhooks.",
                code="too_many_event_webhooks",
            )
        webhook = EventWebhook(tenant=caller.tenant, url=url, events=events, **fields)
        secret = new_secret()
        webhook.keep_secret(secret)
        webhook.save(force_insert=True)
    return webhook, secret


def change_webhook(webhook: EventWebhook, changes: dict[str, Any]) -> None:
    """Change fields. One that is enabled, or has another address, starts afresh.

    What waited meanwhile is tried again at its own times.
    """
    if changes.get("is_enabled") or changes.get("url", webhook.url) != webhook.url:
        changes = {**changes, **_NO_TROUBLE}
    for name, value in changes.items():
        setattr(webhook, name, value)
    webhook.save(update_fields=[*changes, "updated_at"])


def rotate_secret(webhook: EventWebhook) -> str:
    """A new secret; for a day requests are signed with the one before as well."""
    secret = new_secret()
    webhook.keep_secret(secret)
    names = ["secret", "previous_secret", "previous_secret_until", "updated_at"]
    webhook.save(update_fields=names)
    return secret


def send_test(webhook: EventWebhook) -> Event:
    """Post a test event, within a second or so. Raises Conflict for one that is disabled."""
    if not webhook.is_enabled:
        raise Conflict("This webhook is disabled: enable it first.", code="webhook_disabled")
    # A person who tests has mended something: no reason to wait.
    EventWebhook.objects.filter(pk=webhook.pk).update(held_until=None)
    return publish_test(webhook)
