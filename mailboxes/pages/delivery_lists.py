"""The lists of messages on their way out, as their addresses say: which, and from where on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from django.http import QueryDict
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from accounts.caller import Caller
from accounts.models import EmailAccount
from mailboxes.api.accounts import readable_account
from mailboxes.models import OutboxMessage, OutboxState
from mailboxes.models.outbox_message import WAITING, OutboxMessageQuerySet
from mailhub.api.pagination import page_after, write_cursor

LINES_A_PAGE = 50
MOST_COUNTED = 100
_LONGEST = 998
# What leaves later than this is not waited for by asking every two seconds.
_SOON = timedelta(minutes=2)
_NEWEST_FIRST, _NEXT_FIRST = "-pk", "send_at"


@dataclass(frozen=True, slots=True)
class Shelf:
    """A list: `name` is its address's, `states` are those that its messages may be in."""

    name: str
    title: str
    states: tuple[OutboxState, ...]
    has_all: bool = False
    ordering: str = _NEWEST_FIRST

    def rows(self, caller: Caller) -> OutboxMessageQuerySet:
        """Its messages that the caller may see."""
        rows = OutboxMessage.objects.for_caller(caller)
        if self is DEAD_LETTERS:
            return rows.filter(dead_letter__isnull=False)
        return rows if self.has_all else rows.filter(state__in=self.states)


LOG = Shelf("delivery-log", "Email log", tuple(OutboxState), has_all=True)
OUTBOX = Shelf(
    "delivery-outbox",
    "Outbox",
    (OutboxState.QUEUED, OutboxState.SENDING, OutboxState.DEFERRED, OutboxState.UNCERTAIN),
)
SCHEDULED = Shelf("delivery-scheduled", "Scheduled", (OutboxState.SCHEDULED,), ordering=_NEXT_FIRST)
DEAD_LETTERS = Shelf("dead-letters", "Dead letters", (OutboxState.FAILED, OutboxState.DEAD))
SHELVES = (LOG, OUTBOX, SCHEDULED, DEAD_LETTERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryPlace:
    """A shelf, narrowed. `address` is a person's, or a part of one; `cursor` "" on page one."""

    shelf: Shelf
    account: EmailAccount | None = None
    state: str = ""
    address: str = ""
    message_id: str = ""
    cursor: str = ""

    @property
    def is_narrowed(self) -> bool:
        """Whether some messages of the shelf are left out."""
        return bool(self.state or self.address or self.message_id or self.account)

    @property
    def base(self) -> str:
        """Its address with nothing left out."""
        return reverse(self.shelf.name)

    @property
    def link(self) -> str:
        """Its address."""
        parts = {
            "state": self.state,
            "address": self.address,
            "message_id": self.message_id,
            "account": str(self.account.pk) if self.account else "",
            "cursor": self.cursor,
        }
        given = {name: value for name, value in parts.items() if value}
        return f"{self.base}?{urlencode(given)}" if given else self.base

    @property
    def first_page(self) -> str:
        """The address of its first page."""
        return replace(self, cursor="").link

    @property
    def states(self) -> list[tuple[str, str, bool]]:
        """Name, address and whether it is chosen, of each state; none where there is but one."""
        if len(self.shelf.states) == 1:
            return []
        whole = replace(self, cursor="", state="")
        return [
            (state.value, replace(whole, state=state.value).link, state == self.state)
            for state in self.shelf.states
        ]

    @property
    def any_state(self) -> str:
        """The address of the list in whatever state."""
        return replace(self, cursor="", state="").link

    def rows(self, caller: Caller) -> OutboxMessageQuerySet:
        """The messages that it names."""
        rows = self.shelf.rows(caller)
        if self.state:
            rows = rows.filter(state=self.state)
        if self.address:
            rows = rows.to_or_from(self.address)
        if self.message_id:
            rows = rows.with_message_id(self.message_id)
        return rows.filter(account=self.account) if self.account else rows


@dataclass(frozen=True, slots=True)
class DeliveryLine:
    """One message. `may_decide`: whether whoever looks may cancel it or send it again."""

    message: OutboxMessage
    may_decide: bool

    @property
    def first_people(self) -> Sequence[str]:
        """Some of those whom it is for."""
        return [str(each) for each in self.message.recipients[:2]]

    @property
    def others(self) -> int:
        """How many more there are."""
        return max(0, len(self.message.recipients) - 2)

    @property
    def leaves_at(self) -> Any:
        """When it is tried next, where that is not at once."""
        return None if self.message.state == OutboxState.QUEUED else self.message.next_try_at


@dataclass(frozen=True, slots=True)
class DeliveryPage:
    """`older` is the address of the next page, "" on the last."""

    lines: Sequence[DeliveryLine]
    older: str

    @property
    def is_moving(self) -> bool:
        """Whether a message shown may soon be in another state."""
        return any(is_moving(line.message) for line in self.lines)

    @property
    def may_decide(self) -> bool:
        """Whether there is anything to choose."""
        return any(line.may_decide for line in self.lines)


def is_moving(message: OutboxMessage) -> bool:
    """Whether the message is on its way, or will be within minutes."""
    if message.state == OutboxState.SENDING:
        return True
    soon = timezone.now() + _SOON
    return message.state in WAITING and bool(message.next_try_at and message.next_try_at < soon)


def find_delivery_place(caller: Caller, shelf: Shelf, query: QueryDict) -> DeliveryPlace:
    """Raises NotFound for an account that the caller may not read."""
    state, account_id = query.get("state", ""), query.get("account", "")
    return DeliveryPlace(
        shelf=shelf,
        account=readable_account(caller, account_id) if account_id else None,
        state=state if state in shelf.states else "",
        address=query.get("address", "").strip()[:_LONGEST],
        message_id=query.get("message_id", "").strip()[:_LONGEST],
        cursor=query.get("cursor", ""),
    )


def read_delivery_page(caller: Caller, place: DeliveryPlace) -> DeliveryPage:
    """Raises InvalidInput for a cursor of another list."""
    ordering = place.shelf.ordering
    wanted = place.rows(caller).select_related("account", "dead_letter")
    rows: list[OutboxMessage] = page_after(wanted, ordering, place.cursor or None, LINES_A_PAGE + 1)
    older = ""
    if len(rows) > LINES_A_PAGE:
        last = rows[LINES_A_PAGE - 1]
        value = last.pk if ordering == _NEWEST_FIRST else last.send_at
        older = replace(place, cursor=write_cursor(ordering, value, last.pk)).link
    shown = rows[:LINES_A_PAGE]
    mine = decidable(caller, [row.pk for row in shown])
    return DeliveryPage([DeliveryLine(row, row.pk in mine) for row in shown], older)


def decidable(caller: Caller, ids: Sequence[int]) -> set[int]:
    """Those of the messages about which the caller may decide."""
    if not caller.may("mail", write=True):
        return set()
    mine = OutboxMessage.objects.sendable_by(caller).filter(pk__in=ids)
    return set(mine.values_list("pk", flat=True))


def count_shelves(caller: Caller) -> list[tuple[Shelf, int]]:
    """How many messages lie on each, but for the log; no more than MOST_COUNTED are counted."""
    return [
        (shelf, 0 if shelf is LOG else shelf.rows(caller)[: MOST_COUNTED + 1].count())
        for shelf in SHELVES
    ]
