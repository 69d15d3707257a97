"""What tests of search share."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from rest_framework.test import APIClient

from accounts.models import EmailAccount
from mailboxes.models import Message
from mailboxes.search.query import read_query

DAY = datetime(2026, 11, 1, tzinfo=UTC)


def found(account: EmailAccount, text: str) -> list[str]:
    """Subjects of the account's messages that the index finds by these words."""
    return [row.subject for row in Message.objects.search(account.pk, read_query(text).words)]


def add_message(account: EmailAccount, subject: str = "", **fields: Any) -> Message:
    values = {"received_at": DAY, "size": 1, **fields}
    return Message.objects.create(account=account, subject=subject, **values)


def search(api: APIClient, q: str, **query: Any) -> list[str]:
    response = api.get("/api/messages", {"q": q, **query})
    assert response.status_code == 200, response.content
    return [message["subject"] for message in response.json()["messages"]]
