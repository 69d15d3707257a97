"""A campaign's progress in sentences."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django import template

from campaigns.models import CampaignStatus
from mailhub.templatetags.pages import count, say_duration

if TYPE_CHECKING:
    from campaigns.progress import Progress

register = template.Library()
_TENTH = 10


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
