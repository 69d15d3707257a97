"""One pass over an account: asked for, claimed by a worker, carried out, ended."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Self

from django.db import models
from django.db.models import F, Q

from accounts.models import EmailAccount
from mailboxes.scope import MailQuerySet

# A worker writes its heartbeat twice a second; one that was silent for so long is gone.
SILENT_FOR = timedelta(seconds=10)


class SyncState(models.TextChoices):
    """queued → started (connecting) → running → completed, failed or cancelled."""

    QUEUED = "queued"
    STARTED = "started"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


ACTIVE = (SyncState.QUEUED, SyncState.STARTED, SyncState.RUNNING)
UNDER_WAY = (SyncState.STARTED, SyncState.RUNNING)


class SyncRunQuerySet(MailQuerySet["SyncRun"]):
    def active(self) -> Self:
        """Asked for and not ended: at most one an account."""
        return self.filter(state__in=ACTIVE)

    def since_account_changed(self) -> Self:
        """Asked for since somebody changed the account: what came before says nothing of it."""
        return self.filter(created_at__gte=F("account__updated_at"))

    def waiting(self, now: datetime) -> Self:
        """Active ones that no living worker has."""
        silent = Q(heartbeat_at__lt=now - SILENT_FOR) | Q(heartbeat_at__isnull=True)
        unclaimed = Q(worker="") | silent
        return self.filter(Q(state=SyncState.QUEUED) | Q(state__in=UNDER_WAY) & unclaimed)


class SyncRun(models.Model):
    """`folders` are ids, paths or roles; empty means all. `again` holds what the next shall do.

    `again` is null, or `{"full": bool, "folders": […]}` where this one was asked for
    once more after it had begun. `worker` names who carries it out, "" between two turns.
    `messages_total` grows as folders are looked at.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey(EmailAccount, on_delete=models.CASCADE, related_name="sync_runs")
    state = models.CharField(
        max_length=9, choices=SyncState.choices, default=SyncState.QUEUED, editable=False
    )
    is_full = models.BooleanField(default=False)
    folders = models.JSONField(default=list)
    again = models.JSONField(null=True)
    folders_done = models.PositiveIntegerField(default=0)
    folders_total = models.PositiveIntegerField(default=0)
    messages_done = models.PositiveBigIntegerField(default=0)
    messages_total = models.PositiveBigIntegerField(default=0)
    messages_skipped = models.PositiveBigIntegerField(default=0)
    current_folder = models.CharField(max_length=1000, blank=True)
    error = models.TextField(blank=True)
    error_code = models.CharField(max_length=40, blank=True)
    is_permanent = models.BooleanField(default=False)
    cancel_requested = models.BooleanField(default=False)
    worker = models.CharField(max_length=100, blank=True)
    heartbeat_at = models.DateTimeField(null=True)
    enqueued_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    objects = SyncRunQuerySet.as_manager()

    class Meta:
        db_table = "sync_runs"
        constraints = [
            models.UniqueConstraint(
                fields=["account"], condition=Q(state__in=ACTIVE), name="one_active_run"
            )
        ]
        indexes = [
            models.Index(fields=["account", "created_at"], name="sync_run_newest"),
            models.Index(fields=["state"], condition=Q(state__in=ACTIVE), name="sync_run_active"),
        ]

    def __str__(self) -> str:
        return f"{self.account_id} {self.state}"

    @property
    def is_active(self) -> bool:
        """Asked for and not ended."""
        return self.state in ACTIVE

    @property
    def percent(self) -> int:
        """How much is done, 0 to 100; 100 only once it is completed."""
        if self.state == SyncState.COMPLETED:
            return 100
        if self.messages_total:
            return min(99, 100 * self.messages_done // self.messages_total)
        if self.folders_total:
            return min(99, 100 * self.folders_done // self.folders_total)
        return 0
