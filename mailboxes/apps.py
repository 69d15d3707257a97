"""The mailboxes app."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import UUID

from django.apps import AppConfig


class MailboxesConfig(AppConfig):
    name = "mailboxes"

    def ready(self) -> None:
        """When an account is deleted, its raw messages go too; databases are taught to search."""
        from django.db.backends.signals import connection_created
        from django.db.models.signals import post_delete

        from accounts.models import EmailAccount
        from mailboxes.search.index import prepare_connection

        connection_created.connect(prepare_connection, dispatch_uid="mailboxes.search")
        post_delete.connect(
            _remove_raw_messages, sender=EmailAccount, dispatch_uid="mailboxes.raw_messages"
        )


def _remove_raw_messages(sender: Any, instance: Any, **_: Any) -> None:
    from django.db import transaction
    from django_q.tasks import async_task

    account_id: UUID = instance.pk
    transaction.on_commit(
        partial(async_task, "mailboxes.tasks.remove_raw_messages", str(account_id))
    )
