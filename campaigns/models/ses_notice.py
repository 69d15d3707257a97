"""A notice that came by a topic: taken in at once, acted on soon after, remembered for a while."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from campaigns.models.ses_topic import SesTopic


class SesNotice(models.Model):
    """`notice_id` is what SNS calls it: the same one twice is one row.

    `due_at` is set exactly while its event is still to be acted on; then `event` is emptied,
    and the row stays for as long as the notice could be told again.
    """

    id = models.BigAutoField(primary_key=True)
    topic = models.ForeignKey(
        SesTopic, on_delete=models.CASCADE, related_name="notices", db_index=False
    )
    notice_id = models.CharField(max_length=100)
    event = models.TextField(blank=True)
    received_at = models.DateTimeField(db_index=True)
    due_at = models.DateTimeField(null=True)
    tries = models.PositiveSmallIntegerField(default=0)

    class Meta:
        db_table = "ses_notices"
        verbose_name = "SES notice"
        constraints = [
            models.UniqueConstraint(fields=["topic", "notice_id"], name="ses_notice_once")
        ]
        indexes = [
            models.Index(
                fields=["due_at"], name="ses_notice_due", condition=Q(due_at__isnull=False)
            )
        ]

    def __str__(self) -> str:
        return self.notice_id
