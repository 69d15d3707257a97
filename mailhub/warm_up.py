"""What a process that lives long does before its first request or task."""

from __future__ import annotations

import gc
from typing import Any

from django.urls import get_resolver


def warm_up() -> None:
    """Load all addresses and their names, for a process that answers requests."""
    _ = get_resolver().reverse_dict
    spare_what_is_loaded()


def spare_what_is_loaded(**_: Any) -> None:
    """Take what is in memory now out of garbage collection.

    A full collection would go through Django's hundred thousand objects again and again,
    80 ms each time, and never find one that is gone. A receiver of django-q2's `post_spawn`.
    """
    gc.collect()
    gc.freeze()
