"""What an account of Amazon SES may send in one region, and how much of it is taken."""

from __future__ import annotations

from django.db import models

UNLIMITED = -1.0


class SesQuota(models.Model):
    """Shared by all who send with the same keys. `key` is a digest of who that is.

    `rate` is in recipients a second, `daily` in recipients in 24 hours (-1: no limit), `sent`
    how many of them were used at `read_at`, and `taken` what was taken here since. They are
    asked for again at `read_due_at`. `free_at` is when the next recipient may be written to,
    and `paused_until` when to ask again after the day's allowance was used up; `frees_at` is
    when some of it is expected to be there. `slowed_to` is the part of the rate that was
    left after SES refused for coming too fast, at `slowed_at`. `ledger` counts recipients by
    quarters of an hour, named by their beginnings in seconds since the epoch. Every change
    of what is taken counts `version` up, and is made only from the version that was read.
    """

    key = models.CharField(max_length=64, primary_key=True)
    region = models.CharField(max_length=30)
    access_key_id = models.CharField(max_length=128, blank=True)
    rate = models.FloatField(default=0.0)
    daily = models.FloatField(default=0.0)
    sent = models.FloatField(default=0.0)
    taken = models.PositiveIntegerField(default=0)
    is_known = models.BooleanField(default=False)
    is_in_sandbox = models.BooleanField(default=False)
    is_enabled = models.BooleanField(default=True)
    note = models.TextField(blank=True)
    read_at = models.DateTimeField(null=True)
    read_due_at = models.DateTimeField(null=True)
    free_at = models.DateTimeField(null=True)
    slowed_to = models.FloatField(default=1.0)
    slowed_at = models.DateTimeField(null=True)
    paused_until = models.DateTimeField(null=True)
    frees_at = models.DateTimeField(null=True)
    ledger = models.JSONField(default=dict)
    version = models.PositiveBigIntegerField(default=0)

    class Meta:
        db_table = "ses_quotas"
        verbose_name = "SES quota"

    def __str__(self) -> str:
        return f"SES in {self.region}" + (f" as {self.access_key_id}" if self.access_key_id else "")

    @property
    def left(self) -> float:
        """Recipients that may still be written to, as far as is known."""
        if self.daily == UNLIMITED:
            return float("inf")
        return self.daily - self.sent - self.taken
