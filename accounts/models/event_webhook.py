"""Where a tenant wants its events posted, and how that goes."""

from __future__ import annotations

import uuid
from datetime import timedelta

from django.db import models
from django.utils import timezone

from accounts.scope import TenantOwned, TenantQuerySet
from accounts.validators import single_line
from mailhub.encryption import Sealed, SealedField

LONGEST_URL = 2000
EVERY_EVENT = "*"
# So long requests are signed with the secret before the last rotation as well.
PREVIOUS_SECRET_KEPT = timedelta(hours=24)


class EventWebhookQuerySet(TenantQuerySet["EventWebhook"]):
    """Receivers of events."""


class EventWebhook(TenantOwned):
    """`events` are names of event types, or "*" for all that need not be named, later ones too.

    `secret` signs what is posted; both secrets open only as this row of this tenant.
    `disabled_reason` says why one is disabled that nobody switched off. `failures` counts
    tries in a row that failed, the first of them at `failing_since`; nothing is tried before
    `held_until`. `worker` names who delivers to it, until `leased_until` at the latest.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    url = models.CharField(max_length=LONGEST_URL)
    description = models.CharField(max_length=200, blank=True, validators=[single_line])
    events = models.JSONField(default=list)
    is_enabled = models.BooleanField(default=True)
    disabled_reason = models.TextField(blank=True)
    secret = SealedField()
    previous_secret = SealedField()
    previous_secret_until = models.DateTimeField(null=True, editable=False)
    failures = models.PositiveIntegerField(default=0, editable=False)
    failing_since = models.DateTimeField(null=True, editable=False)
    held_until = models.DateTimeField(null=True, editable=False)
    last_success_at = models.DateTimeField(null=True, editable=False)
    worker = models.CharField(max_length=100, blank=True, editable=False)
    leased_until = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = EventWebhookQuerySet.as_manager()

    class Meta:
        db_table = "event_webhooks"

    def __str__(self) -> str:
        return self.description or self.host

    @property
    def host(self) -> str:
        """The address without its path, which may be a secret of the receiver's."""
        scheme, _, rest = self.url.partition("://")
        return f"{scheme}://{rest.partition('/')[0].partition('?')[0]}"

    @property
    def condition(self) -> str:
        """How it is, in one word: enabled, failing or disabled."""
        if not self.is_enabled:
            return "disabled"
        return "failing" if self.failing_since else "enabled"

    def wants(self, event_type: str, *, by_name: bool = False) -> bool:
        """Whether it is told of events of this type, one that has to be named or not."""
        return event_type in self.events or (EVERY_EVENT in self.events and not by_name)

    def keep_secret(self, secret: str) -> None:
        """Seal a new secret for this row, and keep the one before for a day; the caller saves."""
        if self.secret:
            self.previous_secret = self.secret
            self.previous_secret_until = timezone.now() + PREVIOUS_SECRET_KEPT
        self.secret = Sealed.seal(secret, self._binding)

    def reveal_secrets(self) -> list[str]:
        """The secrets to sign with, newest first. Raises SecretUnreadable."""
        until = self.previous_secret_until
        sealed = [self.secret]
        if self.previous_secret and until is not None and until > timezone.now():
            sealed.append(self.previous_secret)
        return [str(secret.reveal(self._binding)) for secret in sealed]

    @property
    def _binding(self) -> str:
        return f"{self.tenant_id}:event_webhooks:{self.pk}"
