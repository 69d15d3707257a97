"""A topic of Amazon SNS by which a tenant hears what became of its mail at Amazon SES."""

from __future__ import annotations

from django.db import models

from accounts.models import Credential
from accounts.scope import TenantOwned, TenantQuerySet


class SesTopic(TenantOwned):
    """What no row names is refused; a row touches no other tenant's mail.

    Several tenants may name the same topic: nobody has to prove that it is theirs, and nobody
    keeps others from it. Each hears of its own mail (`campaigns.feedback.intake`).
    With a `queue_url` its notices are also fetched from that queue of Amazon SQS, with the
    keys of `credential`. `confirmed_at` is when its subscription was confirmed, `trouble`
    why notices could not be fetched lately.
    """

    id = models.BigAutoField(primary_key=True)
    arn = models.CharField(max_length=300)
    queue_url = models.CharField(max_length=500, blank=True)
    credential = models.ForeignKey(
        Credential, on_delete=models.SET_NULL, null=True, blank=True, related_name="ses_topics"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    confirmed_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_notice_at = models.DateTimeField(null=True, blank=True, editable=False)
    trouble = models.CharField(max_length=500, blank=True, editable=False)

    objects = TenantQuerySet.as_manager()

    class Meta:
        db_table = "ses_topics"
        verbose_name = "SES topic"
        constraints = [
            # It also finds the rows of a topic.
            models.UniqueConstraint(fields=["arn", "tenant"], name="one_ses_topic_a_tenant")
        ]

    def __str__(self) -> str:
        return self.arn

    @property
    def condition(self) -> str:
        """failing, subscribed, or not_subscribed as long as nobody has confirmed it."""
        if self.trouble:
            return "failing"
        return "subscribed" if self.confirmed_at is not None else "not_subscribed"
