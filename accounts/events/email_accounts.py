"""Telling of accounts that come and go, whoever adds or removes them."""

from __future__ import annotations

from typing import Any

from django.db.models.signals import post_delete, post_save

from accounts.events.publishing import publish
from accounts.models import EmailAccount, Tenant


def listen() -> None:
    """From now on; to be called once."""
    post_save.connect(_saved, sender=EmailAccount, dispatch_uid="events.connected")
    post_delete.connect(_deleted, sender=EmailAccount, dispatch_uid="events.disconnected")


def _saved(instance: EmailAccount, created: bool, raw: bool, **_: Any) -> None:
    if created and not raw:
        publish(instance.tenant_id, "account.connected", {"accountId": str(instance.pk)})


def _deleted(instance: EmailAccount, origin: Any, **_: Any) -> None:
    # With its tenant go the webhooks; nobody is left to be told.
    if not isinstance(origin, Tenant) and getattr(origin, "model", None) is not Tenant:
        publish(instance.tenant_id, "account.disconnected", {"accountId": str(instance.pk)})
