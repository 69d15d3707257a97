"""Another user of the tenant may read an account, or read it and send from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from django.core.exceptions import ValidationError
from django.db import models

from accounts.models.email_account import EmailAccount
from accounts.models.membership import Membership
from accounts.models.user import User
from accounts.scope import TenantQuerySet

if TYPE_CHECKING:
    from accounts.caller import Caller


class DelegationQuerySet(TenantQuerySet["Delegation"]):
    def for_caller(self, caller: Caller) -> Self:
        """Those on the caller's own accounts: its to give and to take back."""
        return self.filter(account__tenant_id=caller.tenant.pk, account__user_id=caller.user.pk)


class Delegation(models.Model):
    """`may_send` includes reading."""

    account = models.ForeignKey(EmailAccount, on_delete=models.CASCADE, related_name="delegations")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="delegations")
    may_send = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = DelegationQuerySet.as_manager()

    class Meta:
        db_table = "delegations"
        constraints = [
            models.UniqueConstraint(fields=["account", "user"], name="one_delegation_a_user")
        ]

    def __str__(self) -> str:
        return f"{self.user} on {self.account}"

    def clean(self) -> None:
        """ValidationError where the user is the owner, or of another tenant."""
        account = EmailAccount.objects.filter(pk=self.account_id).first()
        if account is None:
            return
        members = Membership.objects.filter(tenant_id=account.tenant_id, user_id=self.user_id)
        if account.user_id == self.user_id or not members.exists():
            raise ValidationError({"user": "A delegate is another user of the account's tenant."})
