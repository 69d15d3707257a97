"""Two subjects tried on a part of a campaign's recipients, the better one sent to the rest."""

from __future__ import annotations

from django.db import models

from campaigns.models.campaign import Campaign

GROUPS = 100
LONGEST_WAIT_MINUTES = 7 * 24 * 60


class Measure(models.TextChoices):
    """What the better one has more of: recipients who opened it, or who followed a link."""

    OPENS = "opens"
    CLICKS = "clicks"


class Variant(models.TextChoices):
    """A is the campaign's own subject."""

    A = "a"
    B = "b"


class SubjectTest(models.Model):
    """Of all recipients `percent` get A or B, half of them each, told from the delivery's key.

    So the part is as said of each hundred keys: of few recipients it is some more or fewer.

    The others wait until `decides_at`, which is `wait_minutes` after the last of the former
    was written to, and get the `winner`.
    """

    campaign = models.OneToOneField(
        Campaign, on_delete=models.CASCADE, primary_key=True, related_name="subject_test"
    )
    subject_b = models.CharField(max_length=1000)
    percent = models.PositiveSmallIntegerField(default=20)
    wait_minutes = models.PositiveIntegerField(default=240)
    measure = models.CharField(max_length=6, choices=Measure.choices, default=Measure.OPENS)
    decides_at = models.DateTimeField(null=True, editable=False)
    winner = models.CharField(max_length=1, choices=Variant.choices, blank=True, editable=False)

    class Meta:
        db_table = "campaign_subject_tests"

    def __str__(self) -> str:
        return f"subject test of campaign {self.campaign_id}"

    def variant_of(self, delivery: int) -> str:
        """Which subject this delivery gets, "" as long as that is not decided."""
        if delivery % GROUPS < self.percent:
            return Variant.B if delivery % 2 else Variant.A
        return self.winner
