"""Which watcher an account belongs to: one at most."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from accounts.models import EmailAccount
from mailboxes.models.watcher import Watcher


class WatchState(models.TextChoices):
    """POLLED: its server tells of nothing, or takes no more connections; the interval holds.
    REFUSED: until the account is changed, or synced all the same.
    """

    CONNECTING = "connecting"
    WATCHING = "watching"
    POLLED = "polled"
    REFUSED = "refused"


class Watch(models.Model):
    """`note` says why it is polled or refused, in words without secrets."""

    account = models.OneToOneField(
        EmailAccount, on_delete=models.CASCADE, related_name="watch", primary_key=True
    )
    watcher = models.ForeignKey(Watcher, on_delete=models.CASCADE, related_name="watches")
    state = models.CharField(
        max_length=10, choices=WatchState.choices, default=WatchState.CONNECTING
    )
    note = models.TextField(blank=True)
    since = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "watches"
        verbose_name_plural = "watches"

    def __str__(self) -> str:
        return f"{self.account_id}: {self.state}"
