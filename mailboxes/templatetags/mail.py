"""What the templates of mail share: times of a list, links in plain text, people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from django import template
from django.utils import timezone
from django.utils.html import Urlizer, format_html
from django.utils.safestring import SafeString, mark_safe

register = template.Library()
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


@register.simple_tag
def mail_time(moment: datetime | None) -> SafeString | str:
    """Today the time, this year the day, else the date; scripts turn it to the reader's zone."""
    if moment is None:
        return ""
    moment, now = moment.astimezone(UTC), timezone.now()
    day = f"{moment.day} {_MONTHS[moment.month - 1]}"
    words = f"{day} {moment.year}" if moment.year != now.year else day
    if moment.date() == now.date():
        words = f"{moment:%H:%M}"
    return format_html(
        '<time datetime="{}" title="{}" data-short>{}</time>',
        moment.isoformat(timespec="seconds").replace("+00:00", "Z"),
        f"{moment:%Y-%m-%d %H:%M:%S} UTC",
        words,
    )


@register.simple_tag
def exact_time(moment: datetime | None) -> SafeString | str:
    """Day and time in full; scripts turn it to the reader's zone."""
    if moment is None:
        return "not said"
    moment = moment.astimezone(UTC)
    return format_html(
        '<time datetime="{}" data-exact>{}</time>',
        moment.isoformat(timespec="seconds").replace("+00:00", "Z"),
        f"{moment.day} {_MONTHS[moment.month - 1]} {moment:%Y, %H:%M} UTC",
    )


class _Links(Urlizer):
    """Links that open elsewhere and take nothing of this page with them."""

    url_template = '<a href="{href}" target="_blank" rel="noopener noreferrer nofollow">{url}</a>'


_links = _Links()


@register.filter
def with_links(text: str) -> SafeString:
    """Plain text, escaped, in which addresses can be followed."""
    return mark_safe(_links(text, autoescape=True))  # noqa: S308 - it escapes all else


@register.filter
def people(given: Iterable[Mapping[str, Any]]) -> str:
    """Names with addresses, commas between them."""
    return ", ".join(filter(None, (person(each) for each in given)))


@register.filter
def person(given: Mapping[str, Any]) -> str:
    """`Ann <ann@example.org>`, or what of it there is."""
    name, address = given.get("name", ""), given.get("address", "")
    return f"{name} <{address}>" if name and address else str(name or address)
