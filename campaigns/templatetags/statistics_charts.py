"""The charts of the statistics page."""

from __future__ import annotations

from collections.abc import Sequence

from django import template

from campaigns.statistics import Line
from mailhub.templatetags.charts import Chart, ChartColumn

register = template.Library()


@register.filter
def chart_of_sent(days: Sequence[Line]) -> Chart:
    """Messages that a server took or refused."""
    return _chart(days, ("sent", "failed"), ("good", "bad"))


@register.filter
def chart_of_bounces(days: Sequence[Line]) -> Chart:
    """What came back of each day's messages."""
    return _chart(days, ("bounced", "complained"), ("other", "bad"))


@register.filter
def chart_of_reading(days: Sequence[Line]) -> Chart:
    """Recipients who clicked, and beneath opened."""
    return _chart(days, ("clicked", "opened"), ("other", "good"))


def _chart(days: Sequence[Line], names: tuple[str, str], kinds: tuple[str, str]) -> Chart:
    sums = [sum(getattr(day.totals, name) for day in days) for name in names]
    first, last = days[0].words, days[-1].words
    told = " and ".join(f"{number:,} {name}" for name, number in zip(names, sums, strict=True))
    return Chart(
        columns=[
            ChartColumn(
                f"{day.words}: "
                + ", ".join(f"{getattr(day.totals, name):,} {name}" for name in names),
                tuple(float(getattr(day.totals, name)) for name in names),
            )
            for day in days
        ],
        kinds=kinds,
        legend=tuple(name.capitalize() for name in names),
        words=f"From {first} to {last}: {told}.",
        start=first,
        end=last,
    )
