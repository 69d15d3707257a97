"""`manage.py sync_mailboxes`: syncs accounts here and now, and shows how far it is."""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from accounts.models import EmailAccount
from mailboxes.models import SyncRun, SyncState
from mailboxes.sync.control import Progress
from mailboxes.sync.estimate import describe_progress
from mailboxes.sync.requesting import request_sync
from mailboxes.sync.running import carry_out

_BAR = 30
_PAUSE = 0.5


class Command(BaseCommand):
    help = (
        "Fetches the mail of every enabled account, or of one, and waits for it. "
        "Exit code 1 where an account could not be synced."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--account", metavar="ID", help="only this account: id or address")
        parser.add_argument(
            "--full",
            action="store_true",
            help="compare every message, and try again what could not be fetched before",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        failed = 0
        for account in _chosen(options["account"]):
            run = self._sync(account, is_full=options["full"])
            self._say(account, describe_progress(run))
            failed += run.state != SyncState.COMPLETED
        if failed:
            sys.exit(1)

    def _sync(self, account: EmailAccount, *, is_full: bool) -> SyncRun:
        requested = request_sync(account, is_full=is_full, enqueue=False)
        run = self._see_to_its_end(account, requested.run)
        if requested.queued_again and run.state == SyncState.COMPLETED:
            # What ran had begun before; the one that was asked for follows it.
            following = SyncRun.objects.filter(account=account).order_by("-created_at")
            run = self._see_to_its_end(account, following[0])
        return run

    def _see_to_its_end(self, account: EmailAccount, run: SyncRun) -> SyncRun:
        """Carry it out here, or follow it where another process has it."""
        while run.is_active:
            if not carry_out(
                run.pk, seconds=None, watch=lambda progress: self._draw(account, progress)
            ):
                self._draw(account, _progress_of(run))
                time.sleep(_PAUSE)
            run.refresh_from_db()
        return run

    def _draw(self, account: EmailAccount, progress: Progress) -> None:
        if not self.stdout.isatty():
            return
        total = max(progress.messages_total, 1)
        filled = min(_BAR, _BAR * progress.messages_done // total)
        self.stdout.write(
            f"\r\033[K{account.email_address} [{'#' * filled}{'.' * (_BAR - filled)}] "
            f"{progress.messages_done}/{progress.messages_total} {progress.current_folder[:30]}",
            ending="",
        )
        self.stdout.flush()

    def _say(self, account: EmailAccount, words: str) -> None:
        start = "\r\033[K" if self.stdout.isatty() else ""
        self.stdout.write(f"{start}{account.email_address}: {words}")
        self.stdout.flush()


def _progress_of(run: SyncRun) -> Progress:
    return Progress(
        messages_done=run.messages_done,
        messages_total=run.messages_total,
        current_folder=run.current_folder,
    )


def _chosen(name: str | None) -> list[EmailAccount]:
    accounts = EmailAccount.objects.order_by("email_address")
    if name is None:
        return list(accounts.filter(is_enabled=True, tenant__is_active=True))
    try:
        found = list(accounts.filter(pk=UUID(name)))
    except ValueError:
        found = list(accounts.filter(email_address__iexact=name))
    if not found:
        raise CommandError(f"There is no account {name}.")
    return found
