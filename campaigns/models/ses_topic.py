"""A topic of Amazon SNS by which a tenant hears what became of its mail at Amazon SES."""

from __future__ import annotations

from django.db import models

from accounts.models import Credential
from accounts.scope import TenantOwned, TenantQuerySet


class SesTopic(TenantOwned):
    """What no row names is refused; a topic belongs to one tenant, and touches no other's rows.

    With a `queue_url` its notices are also fetched from that queue of Amazon SQS, with the
    keys of `credential`. `confirmed_at` is when its subscription was confirmed, `trouble`
    why notices could not be fetched lately.
    """

    id = models.BigAutoField(primary_key=True)
    arn = models.CharField(max_length=300, unique=True)
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

    def __str__(self) -> str:
        return self.arn

    @property
    def condition(self) -> str:
        """failing, subscribed, or not_subscribed as long as nobody has confirmed it."""
        if self.trouble:
            return "failing"
        return "subscribed" if self.confirmed_at is not None else "not_subscribed"
