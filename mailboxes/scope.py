"""Mail belongs to an account: whoever may read the account may read what lies beneath it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self, TypeVar

from django.db import models

from accounts.models import EmailAccount
from accounts.scope import TenantQuerySet

if TYPE_CHECKING:
    from accounts.caller import Caller

Row = TypeVar("Row", bound=models.Model)


class MailQuerySet(TenantQuerySet[Row]):
    """Rows with an `account`, narrowed to the caller's own accounts and those delegated to it."""

    def for_caller(self, caller: Caller) -> Self:
        readable = EmailAccount.objects.for_caller(caller)
        return self.filter(account__in=readable.order_by().values("pk"))
