"""How long to wait before a message is offered once more."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

from django.conf import settings


def next_try(attempt: int, now: datetime) -> datetime:
    """When a deferred message is due again: exponential, capped, with jitter.

    `attempt` counts from 1. The pauses grow anew where a person had a message sent again
    that was given up.
    """
    tries = (attempt - 1) % settings.MAILHUB_SEND_ATTEMPTS
    pause = settings.MAILHUB_FIRST_RETRY_SECONDS * 2 ** min(tries, 30)
    longest = settings.MAILHUB_LONGEST_RETRY_SECONDS
    return now + timedelta(seconds=min(pause, longest) * random.uniform(0.8, 1.2))  # noqa: S311 - not a secret
