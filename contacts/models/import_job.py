"""One file of contacts on its way in: what it says, how far it is read, who reads it.

    receiving ──► pending ──► in_progress ──► completed
                     │             │────────► failed      (could not be carried out)
                     └─────────────┴────────► cancelled

A runner holds the job by a lease and a token. Each batch of contacts is committed in one
transaction with the counters, the place reached in the file and the lease's renewal, on
the condition that the token is still the runner's: after a crash another one goes on from
the last committed row, and a runner that lost its lease can write nothing more.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Self

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Coalesce
from django.utils import timezone

from accounts.models import User
from accounts.scope import TenantOwned, TenantQuerySet

LEASE = timedelta(seconds=10)
QUEUED_FOR = timedelta(seconds=15)
UPLOAD_ABANDONED_AFTER = timedelta(hours=6)
MOST_STALLS = 5


class ImportStatus(models.TextChoices):
    """`receiving`: the file is being stored, nothing may begin yet."""

    RECEIVING = "receiving"
    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class LeaseLost(Exception):
    """The job was cancelled, or another runner holds it: write nothing more."""


UNFINISHED = (ImportStatus.PENDING, ImportStatus.IN_PROGRESS)


class ImportJobQuerySet(TenantQuerySet["ImportJob"]):
    def received(self) -> Self:
        """Those whose file is here whole."""
        return self.exclude(status=ImportStatus.RECEIVING)

    def unattended(self) -> Self:
        """Unfinished, held by no runner, and not queued a moment ago."""
        now = timezone.now()
        free = Q(lease_until=None) | Q(lease_until__lt=now)
        waiting = Q(queued_until=None) | Q(queued_until__lt=now)
        return self.filter(free & waiting, status__in=UNFINISHED)

    def disposable_files(self) -> Self:
        """Ended jobs, and uploads that never arrived whole, whose file is still kept."""
        ended = ~Q(status__in=(ImportStatus.RECEIVING, *UNFINISHED))
        lost = Q(
            status=ImportStatus.RECEIVING, created_at__lt=timezone.now() - UPLOAD_ABANDONED_AFTER
        )
        return self.filter(ended | lost, has_file=True)


class ImportJob(TenantOwned):
    """`size` and `offset` count bytes of the stored file; `offset` and `line` say what is read.

    Of a workbook, the rows are read in the background, and stored as text behind one another:
    `sheet_at` octets of `sheet_size` are read so far, which are `sheet_line` rows. `sheet_size`
    is None for a file that is text, and 0 before any of a sheet is read.

    `columns` are the file's headings, empty until they are known; `targets` name, by position,
    what each becomes: a field of Contact, `attributes.<key>`, or "" for a column that is left
    out. `mapping` is what the upload said of them. `list_ids` are the lists that the contacts
    are put on. `total` is None until the rows are counted; at the end it is
    imported + updated + failed.
    """

    id = models.BigAutoField(primary_key=True)
    created_by = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    filename = models.CharField(max_length=255, blank=True)
    status = models.CharField(
        max_length=12, choices=ImportStatus.choices, default=ImportStatus.RECEIVING
    )
    encoding = models.CharField(max_length=10, default="utf-8")
    delimiter = models.CharField(max_length=1, default=",")
    columns = models.JSONField(default=list)
    mapping = models.JSONField(default=dict)
    targets = models.JSONField(default=list)
    list_ids = models.JSONField(default=list)
    size = models.BigIntegerField(default=0)
    sheet_size = models.BigIntegerField(null=True, blank=True, editable=False)
    sheet_at = models.BigIntegerField(default=0, editable=False)
    sheet_line = models.BigIntegerField(default=0, editable=False)
    offset = models.BigIntegerField(default=0)
    line = models.BigIntegerField(default=0)
    total = models.PositiveBigIntegerField(null=True, blank=True)
    imported = models.PositiveBigIntegerField(default=0)
    updated = models.PositiveBigIntegerField(default=0)
    failed = models.PositiveBigIntegerField(default=0)
    error = models.TextField(blank=True)
    has_file = models.BooleanField(default=True)
    lease_until = models.DateTimeField(null=True, blank=True, editable=False)
    lease_token = models.UUIDField(null=True, blank=True, editable=False)
    queued_until = models.DateTimeField(null=True, blank=True, editable=False)
    stalls = models.PositiveSmallIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True, editable=False)
    completed_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = ImportJobQuerySet.as_manager()

    class Meta:
        db_table = "import_jobs"
        indexes = [models.Index(fields=["status"], name="import_job_status")]

    def __str__(self) -> str:
        return f"{self.filename or 'contacts'} ({self.status})"

    def claim(self) -> bool:
        """Hold the job by a new lease; False where another runner does or it has ended.

        A job that was claimed five times in a row without getting a row further is failed.
        """
        now = timezone.now()
        free = Q(lease_until=None) | Q(lease_until__lt=now)
        mine = type(self).objects.filter(free, pk=self.pk, status__in=UNFINISHED)
        token = uuid.uuid4()
        taken = mine.update(
            status=ImportStatus.IN_PROGRESS,
            lease_token=token,
            lease_until=now + LEASE,
            queued_until=None,
            stalls=F("stalls") + 1,
            started_at=Coalesce("started_at", now),
        )
        if not taken:
            return False
        self.refresh_from_db()
        if self.stalls > MOST_STALLS:
            self.end(ImportStatus.FAILED, "The import stopped several times at the same row.")
            return False
        return self.lease_token == token

    def _held(self) -> ImportJobQuerySet:
        return type(self).objects.filter(
            pk=self.pk, status=ImportStatus.IN_PROGRESS, lease_token=self.lease_token
        )

    def keep(self, **changes: Any) -> bool:
        """Write these fields and renew the lease; False where the job is no longer held."""
        changes["lease_until"] = timezone.now() + LEASE
        return self._write(changes)

    def advance(self, counts: Mapping[str, int], *, offset: int, line: int) -> bool:
        """Count rows as done up to this place, and renew the lease; False where it is lost."""
        added = {name: getattr(self, name) + number for name, number in counts.items()}
        return self.keep(offset=offset, line=line, stalls=0, **added)

    def release(self) -> bool:
        """Let another task go on at once."""
        return self._write({"lease_until": None, "lease_token": None})

    def end(self, status: ImportStatus, error: str = "") -> bool:
        """The last word of the runner; False where the job was no longer held."""
        return self._write(
            {
                "status": status,
                "error": error,
                "completed_at": timezone.now(),
                "lease_until": None,
            }
        )

    def _write(self, changes: dict[str, Any]) -> bool:
        if not self._held().update(**changes):
            return False
        for name, value in changes.items():
            setattr(self, name, value)
        return True

    def cancel(self) -> bool:
        """Stop it: what is imported stays. False where it had ended already."""
        open_jobs = type(self).objects.filter(pk=self.pk, status__in=UNFINISHED)
        stopped = open_jobs.update(
            status=ImportStatus.CANCELLED, completed_at=timezone.now(), lease_until=None
        )
        self.refresh_from_db()
        return bool(stopped)

    @property
    def done(self) -> int:
        """Rows that are dealt with."""
        return self.imported + self.updated + self.failed

    @property
    def workbook_percent(self) -> int | None:
        """How much of a workbook is read, 0 to 100; None for a file that is text."""
        if self.sheet_size is None:
            return None
        return self.sheet_at * 100 // self.sheet_size if self.sheet_size else 0

    @property
    def percent(self) -> int:
        """How much of the file is dealt with, 0 to 100."""
        if self.status == ImportStatus.COMPLETED:
            return 100
        if self.total:
            return min(100, self.done * 100 // self.total)
        return 0
