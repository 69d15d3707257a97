"""The accounts that one watcher keeps an eye on: claimed in the database, and given back.

A look costs two queries, whatever the number of accounts, where nothing has changed.
"""

from __future__ import annotations

import os
import socket
import time
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import IntegrityError
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from accounts.models import AccountProtocol, CredentialKind, EmailAccount
from mailboxes.models import Watch, Watcher, WatchState
from mailhub.logs import get_logger

log = get_logger(__name__)

RENEW_EVERY = 4.0
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Wanted:
    """An account to be watched, and what of it has to stay the same for a connection to stay.

    `credential_at` is when its credential was last written, which renewing a token does too:
    `has_password` says that it then has another secret.
    """

    account_id: UUID
    host: str
    changed_at: datetime
    credential_at: datetime
    has_password: bool
    synced_at: datetime | None


@dataclass(frozen=True, slots=True)
class Standing:
    """How the watching of an account stands, to be shown."""

    state: WatchState
    note: str = ""


class Roster:
    """Claims of this process, `most` at most. To be used by one thread."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._watcher: Watcher | None = None
        self._renewed = 0.0
        self._claimed: set[UUID] = set()
        self._rest = 0

    def look(self) -> list[Wanted]:
        """The accounts that are this watcher's now. Raises database errors."""
        self._show_life()
        self._bury_the_gone()
        mine, free = self._list()
        room = self._most - len(mine)
        if free and room > 0:
            self._claim(free[:room])
            mine, free = self._list()
        self._tell_of_rest(len(free))
        now = {wanted.account_id for wanted in mine}
        self._give_back(self._claimed - now)
        self._claimed = now
        return mine

    def note(self, standings: Mapping[UUID, Standing]) -> None:
        """Have it shown how accounts stand."""
        alike: dict[Standing, list[UUID]] = defaultdict(list)
        for account_id, standing in standings.items():
            alike[standing].append(account_id)
        for standing, account_ids in alike.items():
            for start in range(0, len(account_ids), _AT_ONCE):
                rows = Watch.objects.filter(
                    watcher=self._watcher, account__in=account_ids[start : start + _AT_ONCE]
                )
                rows.update(state=standing.state, note=standing.note, since=timezone.now())

    def leave(self) -> None:
        """Let others have all of them at once."""
        if self._watcher is not None:
            _forget([self._watcher.pk])
            self._watcher = None

    def _show_life(self) -> None:
        now = time.monotonic()
        if self._watcher is not None and now - self._renewed < RENEW_EVERY:
            return
        if self._watcher is not None:
            mine = Watcher.objects.filter(pk=self._watcher.pk)
            if not mine.update(renewed_at=Now()):
                log.warning("this watcher was silent for too long and lost its accounts")
                self._watcher = None
        if self._watcher is None:
            name = f"{socket.gethostname()[:80]}:{os.getpid()}"
            self._watcher = Watcher.objects.create(process=name)
        self._renewed = now

    def _bury_the_gone(self) -> None:
        gone = list(Watcher.objects.gone().values_list("pk", flat=True))
        if gone:
            _forget(gone)
            log.info("took over from watchers that are gone", watchers=len(gone))

    def _list(self) -> tuple[list[Wanted], list[UUID]]:
        """Those claimed here, and those that nobody has."""
        mine_or_free = Q(watch__isnull=True) | Q(watch__watcher=self._watcher)
        rows = (
            EmailAccount.objects.due_for_sync()
            .filter(mine_or_free, protocol=AccountProtocol.IMAP)
            .annotate(is_claimed=Q(watch__isnull=False))
            .values_list(
                "is_claimed",
                "pk",
                "hostname",
                "updated_at",
                "credential__updated_at",
                "credential__kind",
                "last_sync_at",
            )
        )
        mine, free = [], []
        for is_claimed, pk, name, changed_at, credential_at, kind, synced_at in rows.iterator(2000):
            if not is_claimed:
                free.append(pk)
                continue
            host, has_password = name.rstrip(".").lower(), kind == CredentialKind.PASSWORD
            mine.append(Wanted(pk, host, changed_at, credential_at, has_password, synced_at))
        return mine, free

    def _claim(self, account_ids: Collection[UUID]) -> None:
        rows = [Watch(account_id=pk, watcher=self._watcher) for pk in account_ids]
        try:
            Watch.objects.bulk_create(rows, batch_size=_AT_ONCE, ignore_conflicts=True)
        except IntegrityError:
            # An account, or this watcher, was deleted in between; the next look will tell.
            return

    def _tell_of_rest(self, count: int) -> None:
        """Accounts beyond what this watcher may have are another's, or polled."""
        if count and not self._rest:
            log.warning("accounts are left to other watchers, or polled", accounts=count)
        self._rest = count

    def _give_back(self, account_ids: Collection[UUID]) -> None:
        if account_ids:
            Watch.objects.filter(watcher=self._watcher, account__in=list(account_ids)).delete()


def _forget(watchers: Collection[UUID]) -> None:
    Watch.objects.filter(watcher__in=watchers).delete()
    Watcher.objects.filter(pk__in=watchers).delete()
