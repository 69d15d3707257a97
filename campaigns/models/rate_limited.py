"""How many messages may leave in a second, an hour and a day; null stands for no limit."""

from __future__ import annotations

from django.db import models


class RateLimited(models.Model):
    """An hour and a day are any 60 minutes and any 24 hours, wherever they begin."""

    rate_per_second = models.PositiveIntegerField(null=True, blank=True)
    rate_per_hour = models.PositiveIntegerField(null=True, blank=True)
    rate_per_day = models.PositiveIntegerField(null=True, blank=True)

    class Meta:
        abstract = True

    @property
    def has_rate_limit(self) -> bool:
        """Whether any of them is set."""
        return bool(self.rate_per_second or self.rate_per_hour or self.rate_per_day)
