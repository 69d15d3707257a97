"""SES's own list of addresses that it does not write to, kept like ours: a duty of the dispatcher.

Every hour, for each tenant with accounts of SES of its own: what is new on SES's list is
suppressed here, and what bounced or complained elsewhere is put on SES's list. What a person
lifts here is taken off SES's list within a minute or two, and not taken from it again. The
installation's own account is everybody's, and so stays as SES keeps it.
https://docs.aws.amazon.com/ses/latest/dg/sending-email-suppression-list.html
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from django.core.cache import cache
from django.db import connection
from django.db.models import Q
from django.utils import timezone

from accounts.models import EmailAccount, Tenant
from accounts.sending import account_ses
from accounts.ses_account import row_for
from campaigns.feedback.consequences import suppress_bounced, suppress_complained
from contacts.addresses import InvalidAddress, normalise_email
from contacts.models import LiftedSuppression, Suppression, SuppressionReason
from mailhub.errors import MailhubError
from mailhub.logs import get_logger
from mailhub.mail.errors import MailError, RecipientRefused
from mailhub.mail.transports.ses import SesSettings
from mailhub.mail.transports.ses_wire import SesWire

log = get_logger(__name__)

_KEPT_SECONDS = 30 * 86_400
# SES takes one such request a second or more; the rest is for the next hour.
_MOST_WRITTEN = 500
_PIECE = 500
_TRIED_AGAIN = timedelta(minutes=30)
_LONGEST_TRIED = timedelta(days=30)
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
            self._start(lambda: exchange_all(self._over))

    def start_lifting(self) -> None:
        """Take from SES's lists what people lifted, unless the lists are in hand."""
        if self._thread is not None and self._thread.is_alive():
            return
        if LiftedSuppression.objects.filter(due_at__lte=timezone.now()).exists():
            self._start(lift_all)

    def close(self) -> None:
        """End soon."""
        self._over.set()
        if self._thread is not None:
            self._thread.join(20)

    def _start(self, work: Callable[[], None]) -> None:
        self._thread = threading.Thread(
            target=self._work, args=(work,), name="ses-lists", daemon=True
        )
        self._thread.start()

    @staticmethod
    def _work(work: Callable[[], None]) -> None:
        try:
            work()
        except Exception:
            log.exception("SES's suppression lists could not be kept")
        finally:
            connection.close()


SUPPRESSION_CLERK = SuppressionClerk()


def exchange_all(over: threading.Event | None = None) -> None:
    """Once for each tenant and account of SES that its people send by."""
    lift_all()
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
    key = f"ses-list:{tenant.pk}:{row_for(ses).pk}"
    # A little is looked at twice, so that nothing falls between two looks.
    soon = timezone.now() - timedelta(minutes=10)
    since, written = cache.get(key, (None, None))
    wire = SesWire(ses.service)
    listed = _read(tenant, wire, since)
    written = _write(tenant, wire, listed, written)
    cache.set(key, (soon, min(written or (soon, 0), (soon, 0))), _KEPT_SECONDS)


def _write(
    tenant: Tenant, wire: SesWire, listed: set[str], written: tuple[datetime, int] | None
) -> tuple[datetime, int] | None:
    """Write our next rows on SES's list; up to which, None where nothing is left.

    A row is known by its time and its key, as very many may have the same time.
    """
    rows = Suppression.objects.filter(tenant=tenant, reason__in=list(_REASONS))
    if written is not None:
        moment, pk = written
        rows = rows.filter(Q(created_at__gt=moment) | Q(created_at=moment, pk__gt=pk))
    number = refused = 0
    for row in rows.order_by("created_at", "pk").iterator():
        if row.email not in listed:
            if number == _MOST_WRITTEN:
                break
            try:
                wire.suppress(row.email, _REASONS[SuppressionReason(row.reason)])
            except RecipientRefused:
                # It would be refused again, and the others are not to wait for it.
                refused += 1
            number += 1
        written = (row.created_at, row.pk)
    else:
        written = None
    if refused:
        log.warning("SES's list does not take some addresses", number=refused)
    return written


def lift_all() -> None:
    """Take from the lists of each tenant's accounts of SES what its people lifted."""
    now = timezone.now()
    LiftedSuppression.objects.filter(lifted_at__lt=now - _LONGEST_TRIED).delete()
    due = LiftedSuppression.objects.filter(due_at__lte=now)
    for tenant in Tenant.objects.filter(pk__in=due.values("tenant")):
        rows = list(due.filter(tenant=tenant).order_by("pk")[:_MOST_WRITTEN])
        try:
            wires = _wires(tenant)
            for row in rows:
                for wire in wires:
                    wire.unsuppress(row.email)
                row.delete()
        except (MailhubError, MailError) as error:
            log.warning("SES's list still has what was lifted here", error=error.message)
            due.filter(tenant=tenant).update(due_at=now + _TRIED_AGAIN)


def _wires(tenant: Tenant) -> list[SesWire]:
    """One for each account of SES that the tenant's people send by."""
    accounts = EmailAccount.objects.filter(tenant=tenant).exclude(ses_region="")
    found = [account_ses(each) for each in accounts.select_related("aws_credential")]
    return [SesWire(ses.service) for ses in {row_for(ses).pk: ses for ses in found}.values()]


def _read(tenant: Tenant, wire: SesWire, since: datetime | None) -> set[str]:
    """Suppress here what SES does not write to; all addresses that it told."""
    told: set[str] = set()
    # What SES still has because it could not be told yet.
    lifted = set(LiftedSuppression.objects.filter(tenant=tenant).values_list("email", flat=True))
    bounced: set[str] = set()
    complained: set[str] = set()
    for text, reason in wire.suppressed(since):
        try:
            email = normalise_email(text)
        except InvalidAddress:
            continue
        told.add(email)
        if email in lifted:
            continue
        (complained if reason == "COMPLAINT" else bounced).add(email)
        if len(bounced) + len(complained) >= _PIECE:
            _suppress(tenant, bounced, complained)
            bounced, complained = set(), set()
    _suppress(tenant, bounced, complained)
    return told


def _suppress(tenant: Tenant, bounced: set[str], complained: set[str]) -> None:
    suppress_bounced(tenant, bounced)
    suppress_complained(tenant, complained)
