"""System checks: what would go wrong later is said at start."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from cryptography.fernet import Fernet
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from accounts.oauth2.providers import is_web_address, mistakes
from mailboxes.outbox.dead_letter_queue import Queue
from mailhub.mail.aws import is_region
from mailhub.mail.errors import InvalidMessage
from mailhub.mail.host_guard import HostGuard
from mailhub.mail.sender_records import resolver_at


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
def check_metrics_networks(**_: Any) -> list[CheckMessage]:
    """Every network that may read the metrics is a CIDR."""
    try:
        HostGuard.allowing(settings.MAILHUB_METRICS_NETWORKS)
    except ValueError as error:
        return [Error(f"MAILHUB_METRICS_NETWORKS: {error}", id="mailhub.E010")]
    return []


@register()
def check_name_server(**_: Any) -> list[CheckMessage]:
    """The name server that the sender check asks is an address with a port."""
    try:
        resolver_at(settings.MAILHUB_DNS_SERVER)
    except ValueError:
        return [
            Error(
                "MAILHUB_DNS_SERVER is not the address and port of a name server.",
                hint="192.0.2.53:53",
                id="mailhub.E011",
            )
        ]
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


@register()
def check_watching(**_: Any) -> list[CheckMessage]:
    """A waiting connection is renewed before servers and routers forget it."""
    if not 1 <= settings.MAILHUB_IDLE_RENEWAL_SECONDS <= 540:
        return [
            Error("MAILHUB_IDLE_RENEWAL_SECONDS must lie between 1 and 540.", id="mailhub.E005")
        ]
    return []


@register()
def check_oauth2_providers(**_: Any) -> list[CheckMessage]:
    """Every OAuth2 provider is described in full."""
    return [Error(mistake, id="mailhub.E006") for mistake in mistakes()]


@register()
def check_return_urls(**_: Any) -> list[CheckMessage]:
    """An address to which people are sent back is compared letter by letter, and gets a query."""
    return [
        Error(
            f"MAILHUB_OAUTH2_RETURN_URLS: {url} must be an address with neither ? nor #, by https.",
            hint="http is for a machine's own address, as http://localhost:3000/connected.",
            id="mailhub.E007",
        )
        for url in settings.MAILHUB_OAUTH2_RETURN_URLS
        if not _is_plain_address(url)
    ]


def _is_plain_address(url: str) -> bool:
    return is_web_address(url) and not set("?#@\\") & set(url)


@register()
def check_default_sender(**_: Any) -> list[CheckMessage]:
    """The default sender is a word that is known, or an account's id, and complete."""
    chosen = settings.MAILHUB_DEFAULT_SENDER
    if chosen == "ses" and not is_region(settings.AWS_SES_REGION_NAME):
        return [Error("MAILHUB_DEFAULT_SENDER=ses needs AWS_SES_REGION_NAME.", id="mailhub.E008")]
    if chosen == "smtp" and not settings.SMTP_SERVER:
        return [Error("MAILHUB_DEFAULT_SENDER=smtp needs SMTP_SERVER.", id="mailhub.E008")]
    if chosen not in ("", "ses", "smtp") and not _is_uuid(chosen):
        return [
            Error(
                "MAILHUB_DEFAULT_SENDER must be ses, smtp or the id of an account.",
                id="mailhub.E008",
            )
        ]
    return []


@register()
def check_dead_letter_queue(**_: Any) -> list[CheckMessage]:
    """The queue for dead letters is one of SQS, in a region that is known."""
    url = settings.MAILHUB_DEAD_LETTER_SQS_URL
    if not url or _is_queue(url):
        return []
    return [
        Error(
            "MAILHUB_DEAD_LETTER_SQS_URL is not the URL of a queue in a known region.",
            hint="https://sqs.eu-west-1.amazonaws.com/123456789012/dead-letters",
            id="mailhub.E009",
        )
    ]


def _is_queue(url: str) -> bool:
    try:
        Queue.at(url)
    except (InvalidMessage, ValueError):
        return False
    return urlsplit(url).path.count("/") >= 2


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


@register(deploy=True)
def check_public_url(**_: Any) -> list[CheckMessage]:
    """Links in mail lead to this address."""
    if not settings.MAILHUB_PUBLIC_URL.startswith("https://"):
        return [Warning("MAILHUB_PUBLIC_URL is not an https address.", id="mailhub.W001")]
    return []
