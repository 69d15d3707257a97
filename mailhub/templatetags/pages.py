"""What the templates of all pages share: entries of the menu, times, durations, bars."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django import template
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from accounts.caller import Caller
from accounts.models import EmailAccount, Membership
from accounts.oauth2.providers import OAuth2Provider, find_provider

register = template.Library()
_STYLE_ATTRIBUTE = re.compile(r"""\sstyle=(?:"[^"]*"|'[^']*')""")
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


@register.inclusion_tag("pieces/menu_entry.html", takes_context=True)
def menu_entry(context: dict[str, Any], address: str, words: str, icon: str) -> dict[str, Any]:
    """A link of the sidebar, marked where the page shown lies beneath it."""
    request = context.get("request")
    shown = request.path if isinstance(request, HttpRequest) else ""
    is_current = shown == address or (address != "/" and shown.startswith(f"{address}/"))
    current = ("page" if shown == address else "true") if is_current else ""
    return {"address": address, "words": words, "icon": icon, "current": current}


@register.simple_tag
def tenants_of(caller: Caller) -> QuerySet[Membership]:
    """The person's places in active tenants, for the switch between them."""
    rows = Membership.objects.filter(user=caller.user, tenant__is_active=True)
    return rows.select_related("tenant").order_by("tenant__name")


@register.filter
def may_write(caller: Caller | str | None, scope: str) -> bool:
    """Whether to offer what changes this kind of resource."""
    return isinstance(caller, Caller) and caller.may(scope, write=True)


@register.filter
def may_read(caller: Caller | str | None, scope: str) -> bool:
    """Whether to offer this kind of resource at all."""
    return isinstance(caller, Caller) and caller.may(scope, write=False)


@register.filter
def consent_provider(account: EmailAccount) -> OAuth2Provider | None:
    """Where a person may give the permission for this account again; None for another login."""
    return find_provider(account.credential.provider)


@register.simple_tag
def when(moment: datetime | None, missing: str = "–") -> SafeString | str:
    """A time as a person says it, exact in UTC on hover; scripts turn that to local time."""
    if moment is None:
        return missing
    moment, words = moment.astimezone(UTC), say_moment(moment.astimezone(UTC), timezone.now())
    return format_html(
        '<time datetime="{}" title="{}"{}>{}</time>',
        moment.isoformat(timespec="seconds").replace("+00:00", "Z"),
        f"{moment:%Y-%m-%d %H:%M:%S} UTC",
        mark_safe(" data-clock") if ":" in words else "",
        words,
    )


def say_moment(moment: datetime, now: datetime) -> str:
    """`just now`, `3 minutes ago`, `in 2 hours`, `3 Nov 14:05`, `3 Nov 2025`."""
    distance = now - moment
    if abs(distance) < timedelta(seconds=10):
        return "just now"
    if abs(distance) < timedelta(hours=24):
        words = say_duration(abs(distance).total_seconds())
        return f"{words} ago" if distance > timedelta(0) else f"in {words}"
    day = f"{moment.day} {_MONTHS[moment.month - 1]}"
    return f"{day} {moment:%H:%M}" if moment.year == now.year else f"{day} {moment.year}"


@register.filter
def duration(seconds: float | timedelta | None) -> str:
    """Seconds as a person says them; unknown where there is no number."""
    if seconds is None:
        return "unknown"
    if isinstance(seconds, timedelta):
        seconds = seconds.total_seconds()
    return say_duration(seconds)


def say_duration(seconds: float) -> str:
    """The largest unit that fits, rounded: `40 seconds`, `3 minutes`, `2 hours`, `5 days`."""
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            return _count(round(seconds / size), unit)
    return _count(round(seconds), "second") if seconds >= 1 else "under a second"


def _count(number: int, unit: str) -> str:
    return f"{number:,} {unit}" if number == 1 else f"{number:,} {unit}s"


@register.filter
def count(number: int, words: str) -> str:
    """`3|count:"contact,contacts"` is `3 contacts`."""
    one, many = words.split(",")
    return f"{number:,} {one if number == 1 else many}"


@register.filter
def grouped(number: int) -> str:
    """A whole number with its thousands apart."""
    return f"{number:,}"


_STATUS = {
    "draft": ("Draft", ""),
    "scheduled": ("Scheduled", ""),
    "pending": ("Waiting", "working"),
    "queued": ("Waiting", "working"),
    "sending": ("Sending", "working"),
    "deferred": ("Deferred", "warn"),
    "sent": ("Sent", "good"),
    "uncertain": ("Uncertain", "warn"),
    "dead": ("Given up", "bad"),
    "started": ("Starting", "working"),
    "running": ("Running", "working"),
    "in_progress": ("In progress", "working"),
    "held_up": ("Held up", "warn"),
    "paused": ("Paused", "warn"),
    "completed": ("Completed", "good"),
    "failed": ("Failed", "bad"),
    "cancelled": ("Cancelled", ""),
    "enabled": ("Enabled", "good"),
    "failing": ("Failing", "warn"),
    "disabled": ("Disabled", ""),
    "delivered": ("Delivered", "good"),
    "pass": ("In order", "good"),
    "warning": ("Look at it", "warn"),
    "fail": ("To be mended", "bad"),
    "unknown": ("Not known", ""),
    "subscribed": ("Subscribed", "good"),
    "not_subscribed": ("Not subscribed yet", "warn"),
    "unsubscribed": ("Unsubscribed", ""),
    "bounced": ("Bounced", "bad"),
    "complained": ("Complained", "bad"),
}


@register.inclusion_tag("pieces/status.html")
def status(name: str) -> dict[str, str]:
    """The word for a state of a job or a person, with its colour."""
    words, colour = _STATUS.get(name, (name.replace("_", " ").capitalize(), ""))
    return {"words": words, "colour": colour}


@register.filter
def status_words(name: str) -> str:
    """The word for a state, alone."""
    return _STATUS.get(name, (name.replace("_", " ").capitalize(), ""))[0]


@dataclass(frozen=True, slots=True)
class BarPart:
    """A coloured stretch of a bar; `start` and `width` in percent of the whole."""

    name: str
    start: str
    width: str


@register.inclusion_tag("pieces/bar.html")
def bar(
    *, words: str, total: int, good: int, bad: int = 0, other: int = 0, name: str = ""
) -> dict[str, Any]:
    """A bar in parts; what is missing to `total` stays empty.

    `words` says the same to those who do not see it. A bar with a `name` (unique on the
    page) is a large one, whose parts move when it is exchanged for a newer one.
    """
    parts, start = [], 0.0
    for part, number in (("good", good), ("bad", bad), ("other", other)):
        width = 100 * number / total if total else 0.0
        parts.append(BarPart(part, f"{start:.3f}%", f"{min(width, 100 - start):.3f}%"))
        start = min(100.0, start + width)
    return {"words": words, "parts": parts, "name": name}


@register.filter
def percent_words(job: Any) -> str:
    """How much of a job with a `percent` is done."""
    return f"{job.percent} percent done"


@register.filter
def without_inline_styles(html: SafeString) -> SafeString:
    """Markup of another project without its style attributes, which the site's CSP refuses.

    Text in it is escaped already, so that only real attributes are found.
    """
    return mark_safe(_STYLE_ATTRIBUTE.sub("", html))  # noqa: S308 - takes away from safe markup
