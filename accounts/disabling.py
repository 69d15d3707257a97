"""An account that cannot go on by itself is switched off, and its owner's programs are told."""

from __future__ import annotations

from django.db import transaction

from accounts.events.publishing import publish
from accounts.models import EmailAccount
from mailhub.logs import get_logger

log = get_logger(__name__)


def disable_account(account: EmailAccount, *, code: str, reason: str) -> None:
    """Switch it off, if it is on. `reason` is a sentence for a person, `code` for a program."""
    with transaction.atomic():
        rows = EmailAccount.objects.filter(pk=account.pk, is_enabled=True)
        if not rows.update(is_enabled=False, disabled_reason=reason):
            return
        told = {"accountId": str(account.pk), "code": code, "reason": reason}
        publish(account.tenant_id, "account.disabled", told)
    log.warning("account disabled", account=str(account.pk), reason=reason)
