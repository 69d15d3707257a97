"""One message to be sent, and what became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from django.db import models
from django.db.models import Q

from accounts.models import EmailAccount, User
from accounts.scope import TenantOwned, TenantQuerySet
from mailboxes.models.message import Message
from mailboxes.models.outbox_lane import OutboxLane

if TYPE_CHECKING:
    from accounts.caller import Caller


class OutboxState(models.TextChoices):
    """What became of a message.

        scheduled ─┐
        queued ────┼→ sending → sent | failed | uncertain      sent → bounced
           ↑       │     └────→ deferred ─┐                    deferred → dead
           │       └→ cancelled           │
           └──────────────────────────────┘

    sent: accepted for one recipient at least. failed: refused for good. dead: all tries used
    up. bounced: it came back from all whom it was accepted for. uncertain: the connection or
    the worker was lost before the server's answer to the whole message was seen; never sent
    again by itself.
    """

    SCHEDULED = "scheduled"
    QUEUED = "queued"
    SENDING = "sending"
    DEFERRED = "deferred"
    SENT = "sent"
    BOUNCED = "bounced"
    FAILED = "failed"
    UNCERTAIN = "uncertain"
    CANCELLED = "cancelled"
    DEAD = "dead"


WAITING = (OutboxState.SCHEDULED, OutboxState.QUEUED, OutboxState.DEFERRED)


class OutboxMessageQuerySet(TenantQuerySet["OutboxMessage"]):
    def for_caller(self, caller: Caller) -> Self:
        """What was sent from accounts that the caller may read, or by itself without one."""
        readable = EmailAccount.objects.for_caller(caller).order_by().values("pk")
        own = Q(account=None, user_id=caller.user.pk)
        return super().for_caller(caller).filter(Q(account__in=readable) | own)

    def sendable_by(self, caller: Caller) -> Self:
        """Those about which the caller may decide."""
        sendable = EmailAccount.objects.sendable_by(caller).order_by().values("pk")
        own = Q(account=None, user_id=caller.user.pk)
        return super().for_caller(caller).filter(Q(account__in=sendable) | own)

    def to_or_from(self, address: str) -> Self:
        """Those that have the text in a recipient's address, or are from this address."""
        wanted = address.strip()
        return self.filter(Q(recipients__icontains=wanted) | Q(sender__iexact=wanted))

    def with_message_id(self, text: str) -> Self:
        """Those of this Message-ID, given with or without its angle brackets."""
        return self.filter(message_id=f"<{text.strip().strip('<>')}>")

    def waiting(self) -> Self:
        """Those that are to leave, now or later."""
        return self.filter(state__in=WAITING)


class OutboxMessage(TenantOwned):
    """`recipients` are all of the envelope; `outstanding` those for whom no server has answered.

    `accepted` are addresses; `refused` maps an address to the server's words, and so does
    `bounced` one that it was accepted for and came back from. `report_token` stands in its
    header as it leaves, by which a report about it is told from a forged one. `next_try_at` is
    set exactly while it waits. `worker` has it while the state is sending; `has_begun`: its
    first octet may have left. `tries` counts from `asked_again_at`, when a person last had it
    sent again; the attempts beneath it are never forgotten. `reply` is the server's last word,
    or ours where it said nothing. `answered` and `forwarded` are messages here that are marked
    as such once it was accepted. `copy_due_at` is set while that, or a copy in the account's
    Sent folder, is still to be done. `became_draft` is the draft that it was taken back as.
    """

    lane = models.ForeignKey(OutboxLane, on_delete=models.CASCADE, related_name="messages")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    account = models.ForeignKey(
        EmailAccount, on_delete=models.CASCADE, null=True, related_name="outbox"
    )
    answered = models.ForeignKey(Message, on_delete=models.SET_NULL, null=True, related_name="+")
    forwarded = models.ForeignKey(Message, on_delete=models.SET_NULL, null=True, related_name="+")
    state = models.CharField(max_length=9, choices=OutboxState.choices)
    message_id = models.CharField(max_length=998)
    report_token = models.CharField(max_length=32, blank=True)
    sender = models.CharField(max_length=320, blank=True)
    recipients = models.JSONField()
    outstanding = models.JSONField()
    accepted = models.JSONField(default=list)
    refused = models.JSONField(default=dict)
    bounced = models.JSONField(default=dict)
    subject = models.TextField(blank=True)
    size = models.PositiveIntegerField()
    send_at = models.DateTimeField(null=True)
    next_try_at = models.DateTimeField(null=True)
    tries = models.PositiveIntegerField(default=0)
    worker = models.CharField(max_length=100, blank=True)
    has_begun = models.BooleanField(default=False)
    reply = models.TextField(blank=True)
    error_code = models.CharField(max_length=40, blank=True)
    provider_id = models.CharField(max_length=200, blank=True)
    copy_due_at = models.DateTimeField(null=True)
    copy_tries = models.PositiveIntegerField(default=0)
    became_draft = models.UUIDField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    asked_again_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    objects = OutboxMessageQuerySet.as_manager()

    class Meta:
        db_table = "outbox_messages"
        indexes = [
            models.Index(
                fields=["lane", "next_try_at"],
                condition=Q(state__in=WAITING),
                name="outbox_due",
            ),
            models.Index(
                fields=["lane"], condition=Q(state=OutboxState.SENDING), name="outbox_in_hand"
            ),
            models.Index(
                fields=["copy_due_at"],
                condition=Q(copy_due_at__isnull=False),
                name="outbox_copy_due",
            ),
            models.Index(fields=["account", "id"], name="outbox_of_account"),
            models.Index(fields=["tenant", "user", "id"], name="outbox_of_user"),
            models.Index(fields=["tenant", "state", "id"], name="outbox_of_state"),
            models.Index(fields=["message_id"], name="outbox_message_id"),
            models.Index(fields=["report_token"], name="outbox_report_token"),
            models.Index(
                fields=["provider_id"],
                condition=~Q(provider_id=""),
                name="outbox_at_provider",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.message_id} {self.state}"

    @property
    def is_waiting(self) -> bool:
        """To leave, now or later."""
        return self.state in WAITING

    @property
    def unreached(self) -> list[str]:
        """Those of its recipients whom no server has accepted it for."""
        return [each for each in self.recipients if each not in self.accepted]
