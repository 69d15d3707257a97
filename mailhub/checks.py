"""System checks: what would go wrong later is said at start."""

from __future__ import annotations

from typing import Any

from cryptography.fernet import Fernet
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from mailhub.mail.host_guard import HostGuard


@register()
def check_encryption_keys(**_: Any) -> list[CheckMessage]:
    """Every key of the ring is a Fernet key."""
    for position, key in enumerate(settings.MAILHUB_ENCRYPTION_KEYS, 1):
        try:
            Fernet(key.strip())
        except ValueError:
            return [
                Error(
                    f"MAILHUB_ENCRYPTION_KEYS: key number {position} is not a Fernet key.",
                    hint="Each key is 32 bytes in url-safe base64.",
                    id="mailhub.E001",
                )
            ]
    return []


@register()
def check_allowed_networks(**_: Any) -> list[CheckMessage]:
    """Every allowed network is a CIDR."""
    try:
        HostGuard.allowing(settings.MAILHUB_ALLOWED_NETWORKS)
    except ValueError as error:
        return [Error(f"MAILHUB_ALLOWED_NETWORKS: {error}", id="mailhub.E002")]
    return []


@register()
def check_queue(**_: Any) -> list[CheckMessage]:
    """A task is never handed out twice while it may still run.

    django-q2 counts `retry` from the moment a task leaves the broker, time in the
    internal queue included.
    """
    queue = settings.Q_CLUSTER
    if queue["retry"] <= 3 * queue["timeout"]:
        return [Error("Q_CLUSTER: retry must be more than 3 × timeout.", id="mailhub.E003")]
    return []


@register()
def check_request_rate(**_: Any) -> list[CheckMessage]:
    """A bucket that never fills would lock everyone out."""
    if settings.MAILHUB_REQUEST_RATE <= 0 or settings.MAILHUB_REQUEST_BURST < 1:
        return [
            Error(
                "MAILHUB_REQUEST_RATE and MAILHUB_REQUEST_BURST must be more than 0.",
                id="mailhub.E004",
            )
        ]
    return []


@register(deploy=True)
def check_public_url(**_: Any) -> list[CheckMessage]:
    """Links in mail lead to this address."""
    if not settings.MAILHUB_PUBLIC_URL.startswith("https://"):
        return [Warning("MAILHUB_PUBLIC_URL is not an https address.", id="mailhub.W001")]
    return []
