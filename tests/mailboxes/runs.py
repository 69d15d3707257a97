"""Runs of a sync, as tests ask for them and look at them."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from django.db import connection

from accounts.models import EmailAccount
from mailboxes.models import SyncRun
from mailboxes.sync.requesting import request_sync
from mailboxes.tasks import run_sync


def fresh(run: SyncRun) -> SyncRun:
    return SyncRun.objects.get(pk=run.pk)


def sync(account: EmailAccount) -> SyncRun:
    """One run, carried out here; how it ended."""
    run = request_sync(account).run
    run_sync(str(run.pk))
    return fresh(run)


def database_url() -> str:
    """The DATABASE_URL of the tests' own database."""
    name = connection.settings_dict["NAME"]
    if connection.vendor == "sqlite":
        return f"sqlite:///{name}"
    return urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}").geturl()
