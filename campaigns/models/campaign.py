"""One mailing to many people: what is sent, by which way, and how far it has come."""

from __future__ import annotations

import secrets
import time

from django.db import models

from accounts.models import AccountEncryption, EmailAccount, User
from accounts.scope import TenantOwned, TenantQuerySet
from campaigns.models.rate_limited import RateLimited
from campaigns.models.template import Template
from mailhub.encryption import Sealed, SealedField


class CampaignKind(models.TextChoices):
    """By which kind of sender it goes; each has ids with a prefix of its own."""

    SMTP = "smtp"
    SES = "ses"


class CampaignStatus(models.TextChoices):
    """Where a campaign stands.

        draft → scheduled → pending → in_progress ⇄ paused
                                  └────────┴──→ completed | failed | cancelled

    pending: started, its audience not yet fixed. completed: nothing queued, sending or
    deferred remains. failed: it could not be carried out; `last_error` says why.
    """

    DRAFT = "draft"
    SCHEDULED = "scheduled"
    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


ACTIVE = (CampaignStatus.PENDING, CampaignStatus.IN_PROGRESS)
OVER = (CampaignStatus.COMPLETED, CampaignStatus.FAILED, CampaignStatus.CANCELLED)


class PauseReason(models.TextChoices):
    """Why a campaign is paused; `last_error` says it in words where no person did it."""

    PERSON = "person"
    TROUBLE = "trouble"
    FAILURES = "failures"
    BOUNCES = "bounces"
    COMPLAINTS = "complaints"
    QUOTA = "quota"


class CampaignSender(models.TextChoices):
    """Whose server it goes by: an email account's, one named for it, or the installation's."""

    ACCOUNT = "account"
    SERVER = "server"
    DEFAULT = "default"


_PREFIXES = {CampaignKind.SMTP: "campaign_", CampaignKind.SES: "ses_campaign_"}


def make_campaign_id(kind: CampaignKind = CampaignKind.SMTP) -> str:
    """A new unique id that sorts by its time of making."""
    return f"{_PREFIXES[kind]}{time.time_ns() // 1_000_000:013d}{secrets.token_hex(6)}"


DEFAULT_FAILURE_LIMIT = 20


class Campaign(TenantOwned, RateLimited):
    """`total_contacts` is how many recipients it has, counted once more when they are fixed.

    `timezone` is the zone in which a person thinks of `scheduled_at`, by its name of IANA.
    `failure_limit` is the percentage of failures at which it pauses by itself (null: never);
    those that were there when it was last judged, or let go on, are `judged_sent` and
    `judged_failed`. `paced_until` is when its rate limits let it go on.

    With sender `server` the smtp_ fields say where; the password is sealed for this row
    and erased when the run is over. `retry_at` is when to try a server again that could not
    be reached since `trouble_since`. `resumes_at` is when one that is paused goes on by itself:
    its provider's daily quota was used up.
    """

    campaign_id = models.CharField(
        max_length=64, unique=True, default=make_campaign_id, editable=False
    )
    kind = models.CharField(
        max_length=8, choices=CampaignKind.choices, default=CampaignKind.SMTP, editable=False
    )
    name = models.CharField(max_length=200)
    status = models.CharField(
        max_length=12, choices=CampaignStatus.choices, default=CampaignStatus.DRAFT
    )
    created_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    from_email = models.CharField(max_length=400)
    template = models.ForeignKey(
        Template, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    reply_to = models.CharField(max_length=400, blank=True)
    subject = models.CharField(max_length=1000)
    html_body = models.TextField(blank=True)
    text_body = models.TextField(blank=True)
    headers = models.JSONField(default=dict, blank=True)
    tracks_opens = models.BooleanField(default=False)
    tracks_clicks = models.BooleanField(default=False)
    sender = models.CharField(
        max_length=8, choices=CampaignSender.choices, default=CampaignSender.DEFAULT
    )
    account = models.ForeignKey(
        EmailAccount, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    smtp_host = models.CharField(max_length=253, blank=True)
    smtp_port = models.PositiveIntegerField(null=True, blank=True)
    smtp_encryption = models.CharField(max_length=8, choices=AccountEncryption.choices, blank=True)
    smtp_username = models.CharField(max_length=320, blank=True)
    smtp_password = SealedField()
    scheduled_at = models.DateTimeField(null=True, blank=True)
    timezone = models.CharField(max_length=64, default="UTC")
    failure_limit = models.PositiveSmallIntegerField(
        null=True, blank=True, default=DEFAULT_FAILURE_LIMIT
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    started_at = models.DateTimeField(null=True, blank=True, editable=False)
    completed_at = models.DateTimeField(null=True, blank=True, editable=False)
    total_contacts = models.PositiveIntegerField(default=0, editable=False)
    last_error = models.TextField(blank=True, editable=False)
    pause_reason = models.CharField(
        max_length=12, choices=PauseReason.choices, blank=True, editable=False
    )
    judged_sent = models.PositiveIntegerField(default=0, editable=False)
    judged_failed = models.PositiveIntegerField(default=0, editable=False)
    paced_until = models.DateTimeField(null=True, blank=True, editable=False)
    trouble_since = models.DateTimeField(null=True, blank=True, editable=False)
    retry_at = models.DateTimeField(null=True, blank=True, editable=False)
    resumes_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = TenantQuerySet.as_manager()

    class Meta:
        db_table = "campaigns"
        indexes = [
            models.Index(fields=["tenant", "-id"], name="campaign_of_tenant"),
            models.Index(fields=["status", "scheduled_at"], name="campaign_by_status"),
        ]

    def __str__(self) -> str:
        return self.campaign_id

    @property
    def is_active(self) -> bool:
        """Whether workers are to send it."""
        return self.status in ACTIVE

    @property
    def is_over(self) -> bool:
        """Whether nothing more will be sent by itself."""
        return self.status in OVER

    def keep_smtp_password(self, password: str) -> None:
        """Seal the server's password for this row; the caller saves."""
        self.smtp_password = Sealed.seal(password, self.binding)

    def reveal_smtp_password(self) -> str:
        """The server's password in the clear, "" where none is held. Raises SecretUnreadable."""
        return str(self.smtp_password.reveal(self.binding)) if self.smtp_password else ""

    @property
    def binding(self) -> str:
        """The name of the row inside its own plaintext."""
        return f"{self.tenant_id}:campaigns:{self.campaign_id}"
