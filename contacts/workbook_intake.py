"""A kept workbook becomes the rows that are imported, in the background.

Each piece of rows is stored in one transaction with the place in the sheet after it, so
that the next runner goes on from there; what is left of the workbook then is dropped with
the import's end.
"""

from __future__ import annotations

import time

from django.db import transaction

from contacts.models import ImportJob
from contacts.models.import_job import LeaseLost
from contacts.uploads import keep_block, kept_workbook
from contacts.workbook_reading import Place, read_as_csv
from mailhub.supervised import is_stopping

_RENEW_EVERY = 2.0


class _Stopping(Exception):
    """All are asked to stop."""


def read_workbook(job: ImportJob, until: float) -> bool:
    """Read rows until this moment (`time.monotonic`), or a stop; whether all are read.

    At once True for a file that is text. The caller holds the job. Raises LeaseLost, and
    InvalidInput for what is no workbook after all.
    """
    if job.sheet_size is None or job.workbook_percent == 100:
        return True
    since = Place(job.sheet_at, job.sheet_line, job.sheet_size)
    try:
        tick = _Renewal(job).tick
        with kept_workbook(job, tick) as file:
            for block, place in read_as_csv(file, since, tick):
                _keep_rows(job, block, place)
                if place.at < place.size and time.monotonic() > until:
                    return False
    except _Stopping:
        return False
    return True


def _keep_rows(job: ImportJob, block: bytes, place: Place) -> None:
    with transaction.atomic():
        keep_block(job, job.size, block)
        is_mine = job.keep(
            size=job.size + len(block),
            sheet_at=place.at,
            sheet_line=place.line,
            sheet_size=place.size,
            stalls=0,
        )
        if not is_mine:
            raise LeaseLost


class _Renewal:
    """Keeps the lease while a workbook is unpacked, however late its next rows come."""

    def __init__(self, job: ImportJob) -> None:
        self._job = job
        self._renewed = time.monotonic()

    def tick(self, _octets: int) -> None:
        """Raises LeaseLost, _Stopping."""
        if is_stopping():
            raise _Stopping
        if time.monotonic() - self._renewed > _RENEW_EVERY:
            self._renewed = time.monotonic()
            if not self._job.keep():
                raise LeaseLost
