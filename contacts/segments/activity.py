"""What others know of a contact: which messages it got, and what it did with them.

Campaigns stand above contacts, so they bring this along: each app registers its kinds of
activity when it is loaded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet


@dataclass(frozen=True, slots=True)
class ActivityKind:
    """Something that happens to contacts, one row each time.

    `rows` are all that ever happened, with the contact as `contact`; `moment` is the name of
    the column that says when, `campaign` the path to a campaign's public id.
    """

    name: str
    words: str
    rows: Callable[[], QuerySet[Any]]
    moment: str
    campaign: str


_KINDS: dict[str, ActivityKind] = {}


def register_activity(kind: ActivityKind) -> None:
    """Let rules ask for it by its name."""
    _KINDS[kind.name] = kind


def activity_kinds() -> dict[str, ActivityKind]:
    """All kinds by their names."""
    return dict(sorted(_KINDS.items()))
