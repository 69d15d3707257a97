"""A contact's place on a list: whether it is on it, was asked, or has left."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Self

from django.db import models
from django.db.models import Count, Q
from django.utils import timezone

from contacts.models.contact import Contact
from contacts.models.contact_list import ContactList

if TYPE_CHECKING:
    from accounts.caller import Caller


class MemberState(models.TextChoices):
    """Where a person stands.

        (added) → subscribed ⇄ unsubscribed
        (added) → pending → subscribed          on a list with double opt-in

    Only a subscribed member is mailed. pending: was asked, or is about to be, and has not
    said yes. unsubscribed: has left, and is not put back by a file or another addition.
    """

    PENDING = "pending"
    SUBSCRIBED = "subscribed"
    UNSUBSCRIBED = "unsubscribed"


class ListMemberQuerySet(models.QuerySet["ListMember"]):
    def for_caller(self, caller: Caller) -> Self:
        """The members of the lists of the caller's tenant."""
        return self.filter(list__tenant_id=caller.tenant.pk)

    def to_be_asked(self) -> Self:
        """Those whose question is due, the longest waiting first."""
        return self.filter(ask_at__lte=timezone.now()).order_by("ask_at")

    def count_by_list(self, lists: Iterable[int]) -> dict[int, dict[str, int]]:
        """List → state → how many."""
        counted: dict[int, dict[str, int]] = {key: {} for key in lists}
        rows = self.filter(list_id__in=counted).values_list("list_id", "state")
        for key, state, number in rows.annotate(number=Count("pk")).order_by():
            counted[key][state] = number
        return counted


class ListMember(models.Model):
    """`ask_at` is set exactly while a question is due; `asked_at` is the newest one's time.

    `confirmed_at` is when the person said yes, `left_at` when it left.
    """

    id = models.BigAutoField(primary_key=True)
    list = models.ForeignKey(
        ContactList, on_delete=models.CASCADE, related_name="members", db_index=False
    )
    contact = models.ForeignKey(
        Contact, on_delete=models.CASCADE, related_name="memberships", db_index=False
    )
    state = models.CharField(
        max_length=12, choices=MemberState.choices, default=MemberState.SUBSCRIBED
    )
    added_at = models.DateTimeField(default=timezone.now, editable=False)
    ask_at = models.DateTimeField(null=True, blank=True, editable=False)
    asked_at = models.DateTimeField(null=True, blank=True, editable=False)
    confirmed_at = models.DateTimeField(null=True, blank=True, editable=False)
    left_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = ListMemberQuerySet.as_manager()

    class Meta:
        db_table = "list_members"
        constraints = [models.UniqueConstraint(fields=["contact", "list"], name="list_member_once")]
        # The first serves audiences, counters and the list's own pages alike.
        indexes = [
            models.Index(fields=["list", "state", "contact"], name="list_member_by_state"),
            models.Index(
                fields=["ask_at"], condition=Q(ask_at__isnull=False), name="list_member_to_ask"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.contact_id} on {self.list_id}: {self.state}"
