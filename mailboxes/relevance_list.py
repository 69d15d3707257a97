"""What a search found, the best first, a page at a time.

To rank all that a frequent word finds would take as long as to read it all. So the newest
200 matches are ranked, then the next older 200, and so on: each such block is one of the
list's, ranked within itself, and its pages follow one another whatever arrives meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models.functions import Left

from mailboxes.message_filter import MessageFilter, Position
from mailboxes.message_list import load_messages, newest_ids
from mailboxes.models import Message
from mailboxes.search.ranking import LONGEST_RANKED, Content, Ranking

RANKED_TOGETHER = 200

# The better, then the newer, the higher.
_Rank = tuple[float, Position]


@dataclass(frozen=True, slots=True)
class RankedPosition:
    """Where a page by relevance ended: at a message of the block that begins below `above`."""

    above: Position
    score: float
    last: Position


def list_by_relevance(
    account_ids: Sequence[UUID],
    wanted: MessageFilter,
    *,
    after: RankedPosition | None,
    size: int,
) -> tuple[list[Message], RankedPosition | None]:
    """The next `size` messages and where they end; None: there are no more."""
    merged = wanted.merged()
    if merged is None:
        return [], None
    above, reached = (None, None) if after is None else (after.above, (after.score, after.last))
    taken: list[int] = []
    while True:
        ids = newest_ids(account_ids, merged, after=above, size=RANKED_TOGETHER + 1)
        has_more, ids = len(ids) > RANKED_TOGETHER, ids[:RANKED_TOGETHER]
        ranks = _ranks(ids, Ranking(merged.query))
        if not ranks:
            break
        received_at, pk = max(position for _, position in ranks)
        if above is None:
            # What arrives from here on belongs to no page that follows.
            above = received_at, pk + 1
        rest = [rank for rank in ranks if reached is None or rank < reached]
        some = rest[: size - len(taken)]
        taken += [pk for _, (_, pk) in some]
        if len(taken) == size and (len(some) < len(rest) or has_more):
            score, last = some[-1]
            return load_messages(taken, merged.query), RankedPosition(above, score, last)
        if not has_more or len(taken) == size:
            break
        above, reached = min(position for _, position in ranks), None
    return load_messages(taken, merged.query), None


def _ranks(ids: Sequence[int], ranking: Ranking) -> list[_Rank]:
    rows = Message.objects.filter(pk__in=ids).values_list(
        "received_at",
        "pk",
        "subject",
        "sender_text",
        "recipient_text",
        Left("text", LONGEST_RANKED),
    )
    found = [
        (ranking.score(Content(*content)), (received_at, pk)) for received_at, pk, *content in rows
    ]
    return sorted(found, reverse=True)
