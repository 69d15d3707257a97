"""`manage.py delete_tenant SLUG`: a tenant with everything that it has, in pieces."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from contextlib import suppress
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from accounts.models import EmailAccount, Tenant
from accounts.tenant_deletion import delete_in_pieces
from campaigns.engine.journal import remove_journal
from campaigns.lifecycle import cancel_campaign
from campaigns.models import Campaign, SendShift
from mailboxes.raw_store import RawStore
from mailhub.errors import Conflict

_STEP = 10_000


class Command(BaseCommand):
    help = (
        "Deletes a tenant with its users, mail, contacts and campaigns, and what of them lies on "
        "the disk. Run again after an interruption, it goes on."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug")
        parser.add_argument("--yes", action="store_true", help="do not ask")

    def handle(self, *_: Any, **options: Any) -> None:
        tenant = Tenant.objects.filter(slug=options["slug"]).first()
        if tenant is None:
            raise CommandError(f"There is no tenant {options['slug']}.")
        if not options["yes"]:
            words = f"This deletes {tenant.slug} ({tenant.name}) for good. Type its slug: "
            if input(words).strip() != tenant.slug:
                raise CommandError("Nothing was deleted.")
        Tenant.objects.filter(pk=tenant.pk).update(is_active=False)
        self._stop_campaigns(tenant)
        journals = self._shifts(tenant).exclude(journal="").values_list("journal", flat=True)
        accounts = EmailAccount.objects.filter(tenant=tenant).values_list("pk", flat=True)
        stores = [RawStore(account) for account in accounts]
        for journal in list(journals):
            remove_journal(journal)
        gone = shown = 0
        for gone in delete_in_pieces(tenant):
            if gone - shown >= _STEP:
                shown = gone
                self.stdout.write(f"{gone:,} rows deleted")
        for store in stores:
            store.delete_all()
        self.stdout.write(f"{options['slug']} is gone: {gone:,} rows deleted.")

    def _stop_campaigns(self, tenant: Tenant) -> None:
        """Workers let go of what is cancelled; one that is gone is not waited for."""
        for campaign in Campaign.objects.filter(tenant=tenant):
            with suppress(Conflict):
                cancel_campaign(campaign)
        until = time.monotonic() + settings.MAILHUB_LEASE_SECONDS
        while self._shifts(tenant).exclude(process="").exists() and time.monotonic() < until:
            time.sleep(0.2)

    def _shifts(self, tenant: Tenant) -> Any:
        return SendShift.objects.filter(campaign__tenant=tenant)
