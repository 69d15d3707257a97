"""Another user of the tenant may read an account, or read it and send from it."""

from __future__ import annotations

from django.db import models

from accounts.models.email_account import EmailAccount
from accounts.models.user import User


class Delegation(models.Model):
    """`may_send` includes reading."""

    account = models.ForeignKey(EmailAccount, on_delete=models.CASCADE, related_name="delegations")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="delegations")
    may_send = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "delegations"
        constraints = [
            models.UniqueConstraint(fields=["account", "user"], name="one_delegation_a_user")
        ]

    def __str__(self) -> str:
        return f"{self.user} on {self.account}"
