"""Small works on accounts' mail servers, beside the dispatcher that starts them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from uuid import UUID

from django.db import connection

from mailhub.logs import get_logger

log = get_logger(__name__)

WORKERS = 4
_PATIENCE_AT_THE_END = 10.0


class Clerk:
    """The threads of this process that do one kind of work, an account each.

    `due` gives the accounts that have waited longest, as many as it is asked for; `work`
    does what is to be done for one, and claims it, as other processes have clerks too.
    """

    def __init__(
        self,
        name: str,
        due: Callable[[int], Sequence[UUID]],
        work: Callable[[UUID], None],
    ) -> None:
        self._name, self._due, self._work = name, due, work
        self._workers: dict[UUID, threading.Thread] = {}

    def start_due(self) -> None:
        """Begin with the accounts that are due, as long as a thread is free."""
        self._workers = {pk: each for pk, each in self._workers.items() if each.is_alive()}
        free = WORKERS - len(self._workers)
        for account_id in self._due(WORKERS) if free > 0 else ():
            if account_id not in self._workers and len(self._workers) < WORKERS:
                worker = threading.Thread(
                    target=self._work_and_leave, args=(account_id,), name=self._name, daemon=True
                )
                self._workers[account_id] = worker
                worker.start()

    def close(self) -> None:
        """Let the threads end; what is left is done after the next start."""
        until = time.monotonic() + _PATIENCE_AT_THE_END
        for worker in self._workers.values():
            worker.join(max(0.0, until - time.monotonic()))
        self._workers = {}

    def _work_and_leave(self, account_id: UUID) -> None:
        try:
            self._work(account_id)
        except Exception:
            log.exception("work on an account failed", work=self._name, account=str(account_id))
        finally:
            connection.close()
