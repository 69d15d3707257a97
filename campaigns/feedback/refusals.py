"""Refusals while a campaign is sent: a reply to RCPT or DATA says the same as a later report."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from campaigns.feedback.consequences import draw_consequences
from campaigns.feedback.recording import Report, record_events
from campaigns.models import EventKind, EventSource
from mailhub.mail.bounce import classify_reply
from mailhub.mail.errors import Reply

# As `Reply` is written: code, enhanced code where there is one, words.
_REPLY = re.compile(r"([45]\d\d) (.*)", re.DOTALL)


def note_refusals(refused: Sequence[tuple[int, int, str]], at: datetime) -> None:
    """Delivery, attempt and the server's reply, for each that has failed.

    What failed without a server's word is no bounce. Part of the caller's transaction.
    """
    reports = []
    for delivery, attempt, words in refused:
        found = _REPLY.fullmatch(words)
        if found is not None:
            verdict = classify_reply(Reply.read(int(found[1]), [found[2]]))
            reports.append(
                Report(
                    delivery,
                    EventKind.BOUNCE,
                    at,
                    EventSource.REPLY,
                    key=f"reply:{attempt}",
                    verdict=verdict,
                    details={"reason": words},
                )
            )
    if reports:
        draw_consequences(record_events(reports))
