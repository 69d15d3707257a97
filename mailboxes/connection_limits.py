"""How many connections to a mail server may be open at once, in the whole installation.

An account has MAILHUB_CONNECTIONS_PER_ACCOUNT places and a host
MAILHUB_CONNECTIONS_PER_HOST, for passes and calls of the API together; 0 is no limit. The
connection on which the watcher waits for news is not counted: an account has one at most,
by its claim, and it outlives all others. Places are rows, unique in the database; a process
that ends by kill -9 loses them when it has not renewed them for half a minute.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Iterable

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import IntegrityError, connection, transaction
from django.db.models import Q
from django.db.models.functions import Now

from accounts.models import EmailAccount
from mailboxes.models import HeldConnection
from mailboxes.models.held_connection import HELD_FOR
from mailhub.errors import Busy
from mailhub.logs import get_logger

log = get_logger(__name__)

_RENEW_EVERY = HELD_FOR.total_seconds() / 3
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 0.5
_RETRY_AFTER = 5
_TRIES = 5


class Place:
    """Leave to have a connection open; to be given back when it is closed."""

    def __init__(self, row: HeldConnection | None) -> None:
        self._row = row

    def give_back(self) -> None:
        """Let others have it. Never raises: it runs out by itself where the database is away."""
        row, self._row = self._row, None
        if row is None:
            return
        _process.drops_one()
        try:
            HeldConnection.objects.filter(pk=row.pk).delete()
        except DatabaseError as error:
            log.warning("a place was not given back", reason=str(error))


def take_place(account: EmailAccount, *, patience: float) -> Place:
    """A place for one more connection to the account's server, waiting for it where needed.

    Raises Busy where none is free within `patience` seconds.
    """
    if not settings.MAILHUB_CONNECTIONS_PER_ACCOUNT and not settings.MAILHUB_CONNECTIONS_PER_HOST:
        return Place(None)
    deadline = time.monotonic() + patience
    pause = _FIRST_PAUSE
    while True:
        row = _take(account)
        if row is not None:
            _process.holds_one_more()
            return Place(row)
        left = deadline - time.monotonic()
        if left <= 0:
            raise Busy(
                "As many connections to this account's mail server are open as may be; try again.",
                retry_after=_RETRY_AFTER,
            )
        time.sleep(min(pause, left))
        pause = min(2 * pause, _LONGEST_PAUSE)


def _take(account: EmailAccount) -> HeldConnection | None:
    host = account.hostname.rstrip(".").lower()
    rows = HeldConnection.objects.filter(Q(account=account) | Q(host=host))
    for _ in range(_TRIES):
        try:
            with transaction.atomic():
                rows.filter(renewed_at__lt=Now() - HELD_FOR).delete()
                taken = list(rows.values_list("account", "account_place", "host", "host_place"))
                at_account = _first_free(
                    (place for owner, place, _, _ in taken if owner == account.pk),
                    settings.MAILHUB_CONNECTIONS_PER_ACCOUNT,
                )
                at_host = _first_free(
                    (place for _, _, name, place in taken if name == host),
                    settings.MAILHUB_CONNECTIONS_PER_HOST,
                )
                if at_account is None or at_host is None:
                    return None
                return HeldConnection.objects.create(
                    account=account,
                    account_place=at_account,
                    host=host,
                    host_place=at_host,
                    holder=_process.name,
                )
        except IntegrityError:
            continue  # Another process was quicker.
    return None


def _first_free(taken: Iterable[int], limit: int) -> int | None:
    used = set(taken)
    place = next(number for number in range(len(used) + 1) if number not in used)
    return place if place < limit or not limit else None


class _Process:
    """What this process holds, and the thread that renews it, which lives no longer."""

    def __init__(self) -> None:
        self.name = uuid.uuid4()
        self._changed = threading.Condition()
        self._held = 0
        self._is_renewing = False

    def holds_one_more(self) -> None:
        with self._changed:
            self._held += 1
            if not self._is_renewing:
                self._is_renewing = True
                threading.Thread(target=self._renew, name="held-connections", daemon=True).start()

    def drops_one(self) -> None:
        with self._changed:
            self._held = max(0, self._held - 1)

    def _renew(self) -> None:
        while True:
            with self._changed:
                # Nobody notifies: a thread that ends late costs less than one for each place.
                self._changed.wait(_RENEW_EVERY)
                if not self._held:
                    self._is_renewing = False
                    return
            try:
                HeldConnection.objects.filter(holder=self.name).update(renewed_at=Now())
            except DatabaseError as error:
                log.warning("places were not renewed", reason=str(error))
            finally:
                connection.close()


_process = _Process()


def _start_anew() -> None:
    global _process  # noqa: PLW0603 - a fork is another process
    _process = _Process()


os.register_at_fork(after_in_child=_start_anew)
