"""A campaign's progress in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from django import template
from django.utils import timezone

from campaigns.diagnostics import Diagnostic, diagnostic_of
from campaigns.engine.allowance import say_limits
from campaigns.feedback.thresholds import Rates
from campaigns.models import (
    RESPONSES,
    Campaign,
    CampaignStatus,
    Delivery,
    Measure,
    SenderShare,
    Variant,
)
from campaigns.recipients import sender_of
from campaigns.report import HOUR
from campaigns.scheduling import on_the_clock
from campaigns.subject_testing import results, subject_test_of
from mailhub.templatetags.charts import Chart, ChartColumn
from mailhub.templatetags.pages import count, say_duration, say_moment

if TYPE_CHECKING:
    from campaigns.progress import Progress
    from campaigns.pulses import Column
    from campaigns.report import Hour

register = template.Library()
_TENTH = 10
_TIED = "Both did as well: then it is the first."
# A chart of less shows seconds at its ends.
_SHORT = timedelta(minutes=10)
_LISTED = ("opened", "clicked", "bounced")
_BEST_FIRST = ("opened", "clicked", "unsubscribed", "bounced", "complained")


@register.filter
def other_outcomes(progress: Progress) -> int:
    """Those who were skipped, and those of whom it is not known."""
    return progress.skipped + progress.uncertain


@register.filter
def progress_words(progress: Progress) -> str:
    """What the bar shows."""
    words = f"{progress.sent:,} of {progress.total:,} sent"
    for number, name in (
        (progress.failed, "failed"),
        (progress.skipped, "skipped"),
        (progress.uncertain, "uncertain"),
        (progress.remaining, "remaining"),
    ):
        if number:
            words += f", {number:,} {name}"
    return words


@register.filter
def announcement(progress: Progress) -> str:
    """What is said aloud; it changes with every tenth, not with every message."""
    match progress.status:
        case _ if progress.retry_at is not None:
            return "Held up: the server has trouble"
        case CampaignStatus.IN_PROGRESS:
            return f"Sending, {int(progress.percent) // _TENTH * _TENTH} percent done"
        case CampaignStatus.PENDING:
            return "About to start"
        case CampaignStatus.COMPLETED | CampaignStatus.FAILED | CampaignStatus.CANCELLED:
            return report(progress)
        case _:
            return f"{CampaignStatus(progress.status).label}, {progress_words(progress)}"


@register.filter
def rate_limits(campaign: Campaign) -> str:
    """How fast it may go, in words; "" where nothing limits it."""
    return say_limits(campaign)


@register.filter
def used_up_words(campaign: Campaign) -> str:
    """That its limit, or its senders' where it has none, lets nothing more go for now."""
    limits = say_limits(campaign).removeprefix("at most ")
    return f"Its limit of {limits} is used up." if limits else "Its senders' limits are used up."


@register.filter
def several_senders(campaign: Campaign) -> list[SenderShare]:
    """The accounts that share it; empty where it has one sender."""
    return list(campaign.senders.select_related("account"))


@register.filter
def sender_words(share: SenderShare) -> str:
    """The weight of one of several, and how fast it may go."""
    parts = [f"weight {share.weight:,}"]
    limits = say_limits(share)
    return ", ".join([*parts, limits] if limits else parts)


@register.filter
def scheduled_words(campaign: Campaign) -> str:
    """When it is to begin on the clocks of its own zone, and soon before in how long, too."""
    if campaign.scheduled_at is None:
        return ""
    local = on_the_clock(campaign.timezone, campaign.scheduled_at)
    words = f"{local.day} {local:%b} {local.year}, {local:%H:%M} {campaign.timezone}"
    distance = say_moment(campaign.scheduled_at, timezone.now())
    return f"{words} ({distance})" if distance.startswith("in ") else words


@register.filter
def exact_moment(moment: datetime) -> str:
    """`3 Nov 14:05 UTC`."""
    return _moment(moment)


@register.filter
def subject_test_words(campaign: Campaign) -> str:
    """How far the trial of two subjects is, in a sentence; "" where there is none."""
    test = subject_test_of(campaign)
    if test is None or campaign.started_at is None:
        return ""
    a, b = results(test)
    verb = "opened" if test.measure == Measure.OPENS else "followed a link of"
    counts = (
        f"{a.responded:,} of {a.sent:,} {verb} “{campaign.subject}”, "
        f"{b.responded:,} of {b.sent:,} “{test.subject_b}”."
    )
    if test.winner:
        chosen = test.subject_b if test.winner == Variant.B else campaign.subject
        tied = f" {_TIED}" if a.percent == b.percent else ""
        return f"When it was decided: {counts} The rest got “{chosen}”.{tied}"
    if test.decides_at is None:
        return f"Two subjects are being tried. {counts}"
    return f"{counts} The better one goes to the rest at {test.decides_at:%Y-%m-%d %H:%M} UTC."


@register.filter
def time_taken(progress: Progress) -> timedelta | None:
    """From the start to the end; None where one of them is missing."""
    if progress.started_at is None or progress.completed_at is None:
        return None
    return progress.completed_at - progress.started_at


@register.filter
def report(progress: Progress) -> str:
    """How it ended, in a few sentences."""
    taken = time_taken(progress)
    during = f" in {say_duration(taken.total_seconds())}" if taken is not None else ""
    total = count(progress.total, "recipient,recipients")
    sentences = [f"The server accepted the message for {progress.sent:,} of {total}{during}."]
    if progress.failed:
        sentences.append(f"{progress.failed:,} failed.")
    if progress.skipped:
        sentences.append(f"{progress.skipped:,} skipped, as they may not be written to.")
    if progress.uncertain:
        sentences.append(
            f"{progress.uncertain:,} uncertain: the connection was lost before the server's "
            "answer, so they may have got it."
        )
    if progress.remaining:
        sentences.append(f"{progress.remaining:,} got nothing.")
    return " ".join(sentences)


@register.filter
def number_of(progress: Progress, show: str) -> int:
    """How many recipients there are of what `campaigns.recipients` may show."""
    if show in RESPONSES:
        return int(getattr(progress.responses, show))
    return int(getattr(progress, show)) if show else progress.total


@register.filter
def sent_by(delivery: Delivery, addresses: Mapping[tuple[int, UUID | None], str]) -> str:
    """The address from which one of several accounts writes to it."""
    return sender_of(delivery, addresses)


@register.filter
def responses_to(delivery: Delivery) -> list[tuple[str, datetime]]:
    """What followed on a message, each with its first moment, in the order in which it did."""
    names = ("delivered", *RESPONSES)
    found = [(name, getattr(delivery, f"{name}_at")) for name in names]
    return sorted(((name, at) for name, at in found if at), key=lambda pair: pair[1])


@register.filter
def told_of(delivery: Delivery) -> Diagnostic:
    """Why it came back or is late."""
    return diagnostic_of(delivery)


@register.filter
def responses_with_shares(progress: Progress, campaign: Campaign) -> list[tuple[str, int, str]]:
    """Each kind that is counted for this campaign, its number, and its share.

    That is of what a server accepted. Bounces and complaints are of what was tried, as where
    they are judged: who is refused while it is sent has bounced.
    """
    responses = progress.responses
    rates = Rates(progress.sent + progress.failed, responses.bounced, responses.complained)
    of_tried = {"bounced": rates.bounce_rate, "complained": rates.complaint_rate}
    left_out = {
        *(() if campaign.tracks_opens else ("opened",)),
        *(() if campaign.tracks_clicks else ("clicked",)),
    }
    found = []
    for name in _BEST_FIRST:
        number = getattr(progress.responses, name)
        if name not in left_out or number:
            whole = rates.sent if name in of_tried else progress.sent
            part = of_tried.get(name, number / max(progress.sent, number, 1))
            found.append((name, number, f"{100 * part:.1f} %" if whole else ""))
    return found


@register.filter
def listed_responses(progress: Progress, campaign: Campaign) -> list[tuple[str, int | None, str]]:
    """Opens, clicks and bounces in the list: None for what is not counted for this campaign."""
    counted = responses_with_shares(progress, campaign) if campaign.started_at else []
    found: dict[str, tuple[int | None, str]] = dict.fromkeys(_LISTED, (None, ""))
    found |= {name: (number, share) for name, number, share in counted if name in found}
    return [(name, *found[name]) for name in _LISTED]


@register.filter
def chart_of_pace(pace: Sequence[Column]) -> Chart:
    """Messages a second over the time of the sending."""
    fastest = max(column.sent + column.failed for column in pace)
    first, last = pace[0], pace[-1]
    over = last.start + timedelta(seconds=last.seconds)
    say = _second if over - first.start < _SHORT else _moment
    start, end = say(first.start), say(over)
    return Chart(
        columns=[
            ChartColumn(
                f"{say(column.start)}: {column.sent:,.1f} sent a second",
                (column.sent, column.failed),
            )
            for column in pace
        ],
        kinds=("good", "bad"),
        legend=("Sent", "Failed"),
        words=f"Messages a second from {start} to {end}: at most {fastest:,.1f}.",
        start=start,
        end=end,
    )


@register.filter
def chart_of_hours(hours: Sequence[Hour]) -> Chart:
    """Opens and clicks by people, hour by hour."""
    opens, clicks = sum(hour.opens for hour in hours), sum(hour.clicks for hour in hours)
    start, end = _moment(hours[0].start), _moment(hours[-1].start + HOUR)
    numbers = f"{count(opens, 'open,opens')} and {count(clicks, 'click,clicks')}"
    return Chart(
        columns=[
            ChartColumn(
                f"{_moment(hour.start)}: {hour.clicks:,} clicks, {hour.opens:,} opens",
                (hour.clicks, hour.opens),
            )
            for hour in hours
        ],
        kinds=("other", "good"),
        legend=("Clicks", "Opens"),
        words=f"From {start} to {end}: {numbers}.",
        start=start,
        end=end,
    )


def _moment(moment: datetime) -> str:
    return f"{moment.day} {moment:%b %H:%M} UTC"


def _second(moment: datetime) -> str:
    return f"{moment.day} {moment:%b %H:%M:%S} UTC"
