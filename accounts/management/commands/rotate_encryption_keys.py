"""Reseal every secret under the first key of MAILHUB_ENCRYPTION_KEYS."""

from __future__ import annotations

import sys
from typing import Any, TextIO, cast

from django.core.management.base import BaseCommand

from accounts.rotation import SealedColumn, sealed_columns
from mailhub.progress_bar import ProgressBar


class Command(BaseCommand):
    help = (
        "Reseals every secret under the first key of MAILHUB_ENCRYPTION_KEYS. Put a new key in "
        "front, restart, run this, then drop the old key. Exit code 1 where a secret does not open."
    )

    def handle(self, *_arguments: Any, **_options: Any) -> None:
        lost = [place for column in sealed_columns() for place in self._reseal(column)]
        for place in lost:
            self.stderr.write(f"No key opens {place}; its owner must give the secret anew.")
        if lost:
            sys.exit(1)

    def _reseal(self, column: SealedColumn) -> list[str]:
        bar = ProgressBar(cast(TextIO, self.stdout), str(column))
        total, done = column.count(), 0
        lost: list[str] = []
        for outcomes in column.reseal():
            done += len(outcomes)
            lost += [f"{column} of {pk}" for pk, opened in outcomes if not opened]
            bar.show(done, total)
        bar.finish(f"{done - len(lost)} of {done} under the newest key")
        return lost
