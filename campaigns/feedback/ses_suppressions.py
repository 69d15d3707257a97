"""SES's own list of addresses that it does not write to, kept like ours: a duty of the dispatcher.

Every hour, for each tenant with accounts of SES of its own: what is new on SES's list is
suppressed here, and what bounced or complained elsewhere is put on SES's list. The
installation's own account is everybody's, and so stays as SES keeps it.
https://docs.aws.amazon.com/ses/latest/dg/sending-email-suppression-list.html
"""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from uuid import UUID

from django.core.cache import cache
from django.db import connection
from django.utils import timezone

from accounts.models import EmailAccount, Tenant
from accounts.sending import account_ses
from accounts.ses_account import row_for
from campaigns.feedback.consequences import suppress_bounced, suppress_complained
from contacts.addresses import InvalidAddress, normalise_email
from contacts.models import Suppression, SuppressionReason
from mailhub.errors import MailhubError
from mailhub.logs import get_logger
from mailhub.mail.errors import MailError
from mailhub.mail.transports.ses import SesSettings
from mailhub.mail.transports.ses_wire import SesWire

log = get_logger(__name__)

_KEPT_SECONDS = 30 * 86_400
# SES takes one such request a second or more; the rest is for the next hour.
_MOST_WRITTEN = 500
_PIECE = 500
_REASONS = {SuppressionReason.BOUNCED: "BOUNCE", SuppressionReason.COMPLAINED: "COMPLAINT"}


class SuppressionClerk:
    """Does it beside the dispatcher, in a thread: AWS may take its time."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._over = threading.Event()

    def start_due(self) -> None:
        """Look at the lists, unless that is still under way."""
        if self._thread is not None and self._thread.is_alive():
            return
        if EmailAccount.objects.exclude(ses_region="").exists():
            self._thread = threading.Thread(target=self._work, name="ses-lists", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """End soon."""
        self._over.set()
        if self._thread is not None:
            self._thread.join(20)

    def _work(self) -> None:
        try:
            exchange_all(self._over)
        except Exception:
            log.exception("SES's suppression lists could not be kept")
        finally:
            connection.close()


SUPPRESSION_CLERK = SuppressionClerk()


def exchange_all(over: threading.Event | None = None) -> None:
    """Once for each tenant and account of SES that its people send by."""
    accounts = EmailAccount.objects.exclude(ses_region="").filter(
        is_enabled=True, tenant__is_active=True
    )
    done: set[tuple[UUID, str]] = set()
    for account in accounts.select_related("aws_credential", "tenant"):
        if over is not None and over.is_set():
            return
        try:
            ses = account_ses(account)
            name = (account.tenant_id, row_for(ses).pk)
            if name not in done:
                done.add(name)
                exchange(account.tenant, ses)
        except (MailhubError, MailError) as error:
            log.warning("SES's list was not kept", account=str(account.pk), error=error.message)


def exchange(tenant: Tenant, ses: SesSettings) -> None:
    """Read what is new on SES's list, then write what is new on ours. Raises MailError."""
    key = f"ses-suppressions:{tenant.pk}:{row_for(ses).pk}"
    now = timezone.now()
    since: datetime | None = cache.get(key)
    wire = SesWire(ses.service)
    listed = _read(tenant, wire, since)
    rows = Suppression.objects.filter(tenant=tenant, reason__in=list(_REASONS))
    if since is not None:
        rows = rows.filter(created_at__gte=since)
    written = 0
    for row in rows.order_by("pk").iterator():
        if row.email not in listed and written < _MOST_WRITTEN:
            wire.suppress(row.email, _REASONS[SuppressionReason(row.reason)])
            written += 1
    # A little is looked at twice, so that nothing falls between two looks.
    cache.set(key, now - timedelta(minutes=10), _KEPT_SECONDS)


def _read(tenant: Tenant, wire: SesWire, since: datetime | None) -> set[str]:
    """Suppress here what SES does not write to; all addresses that it told."""
    told: set[str] = set()
    bounced: set[str] = set()
    complained: set[str] = set()
    for text, reason in wire.suppressed(since):
        try:
            email = normalise_email(text)
        except InvalidAddress:
            continue
        told.add(email)
        (complained if reason == "COMPLAINT" else bounced).add(email)
        if len(bounced) + len(complained) >= _PIECE:
            _suppress(tenant, bounced, complained)
            bounced, complained = set(), set()
    _suppress(tenant, bounced, complained)
    return told


def _suppress(tenant: Tenant, bounced: set[str], complained: set[str]) -> None:
    suppress_bounced(tenant, bounced)
    suppress_complained(tenant, complained)
