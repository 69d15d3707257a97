"""How a person's accounts do, in words: for the page of all of them, and beside a list."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import OuterRef, Subquery, Sum
from django.utils import timezone

from accounts.caller import Caller
from accounts.models import EmailAccount
from mailboxes.models import Folder, SyncRun, SyncState
from mailboxes.sync.estimate import describe_progress, estimate_end

_ACCESS = {
    "send": "Shared with you, to read and to send from",
    "read": "Shared with you, to read",
}


@dataclass(frozen=True, slots=True)
class AccountState:
    """`run` is the newest pass. `total` and `unread` count placements in its folders."""

    account: EmailAccount
    run: SyncRun | None
    total: int
    unread: int
    is_mine: bool

    @property
    def is_running(self) -> bool:
        """Whether a pass is under way or waits to begin."""
        return self.run is not None and self.run.is_active

    @property
    def words(self) -> str:
        """The state in a word or two."""
        return self._state[0]

    @property
    def colour(self) -> str:
        """Of a status: good, warn, bad, working or ""."""
        return self._state[1]

    @property
    def shared(self) -> str:
        """How it came to whoever looks; "" for an account of its own."""
        return _ACCESS.get(str(getattr(self.account, "access", "")), "")

    @property
    def trouble(self) -> str:
        """Why the last pass failed, in whose words it was told."""
        failed = self.run is not None and self.run.state == SyncState.FAILED
        return self.run.error if failed and self.run is not None else ""

    @property
    def progress(self) -> str:
        """How far a pass under way is, as a sentence."""
        return describe_progress(self.run) if self.run is not None else ""

    @property
    def ends_at(self) -> datetime | None:
        """When a pass under way will probably be done."""
        return estimate_end(self.run) if self.run is not None and self.run.is_active else None

    @property
    def seconds_left(self) -> float | None:
        """The same from now on; None where nothing is under way."""
        ends_at = self.ends_at
        return None if ends_at is None else (ends_at - timezone.now()).total_seconds()

    @property
    def _state(self) -> tuple[str, str]:
        if not self.account.is_enabled:
            return "Switched off", "bad"
        if self.is_running:
            return "Syncing", "working"
        if self.trouble:
            return "Last sync failed", "warn"
        if self.account.last_sync_at is None:
            return "Not synced yet", ""
        return "Up to date", "good"


def readable_accounts(caller: Caller) -> list[EmailAccount]:
    """The caller's own accounts and those delegated to it, its own first, each with `access`."""
    mine = EmailAccount.objects.for_caller(caller).order_by().values("pk")
    rows = EmailAccount.objects.visible_to(caller).filter(pk__in=mine)
    rows = rows.select_related("credential")
    found = list(rows.order_by("account_name", "email_address", "pk"))
    return sorted(found, key=lambda account: account.user_id != caller.user.pk)


def account_states(caller: Caller, accounts: Iterable[EmailAccount]) -> list[AccountState]:
    """In the same number of queries for any number of accounts, but for those under way."""
    shown = list(accounts)
    runs = newest_runs([account.pk for account in shown])
    sums = Folder.objects.filter(account__in=shown).values_list("account_id")
    counts = {
        pk: (total, unread)
        for pk, total, unread in sums.annotate(Sum("total"), Sum("unread")).order_by()
    }
    return [
        AccountState(
            account,
            runs.get(account.pk),
            *counts.get(account.pk, (0, 0)),
            is_mine=account.user_id == caller.user.pk,
        )
        for account in shown
    ]


def newest_runs(account_ids: Iterable[UUID]) -> dict[UUID, SyncRun]:
    """Account → its newest pass, where it has had one."""
    newest = SyncRun.objects.filter(account=OuterRef("pk")).order_by("-created_at")
    accounts = EmailAccount.objects.filter(pk__in=list(account_ids)).order_by()
    ids = accounts.values_list(Subquery(newest.values("pk")[:1]), flat=True)
    return {run.account_id: run for run in SyncRun.objects.filter(pk__in=[*filter(None, ids)])}
