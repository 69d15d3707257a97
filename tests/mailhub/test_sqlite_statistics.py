"""What SQLite plans in an installation that is still empty suits one that is full."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.db import connection
from django.db.models import QuerySet

from campaigns.models import Delivery
from contacts.models import Contact
from mailboxes.models import FolderEntry, Message, RawMessage, ThreadKey

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(
        connection.vendor != "sqlite", reason="PostgreSQL plans by statistics of its own"
    ),
]
MANY = list(range(1, 101))
DIGESTS = [f"{number:064x}" for number in MANY]
ACCOUNT = uuid.UUID(int=1)


def plan(rows: QuerySet[Any, Any]) -> str:
    return rows.explain()


@pytest.mark.parametrize(
    ("rows", "way"),
    [
        (lambda: Message.objects.filter(account_id=ACCOUNT, pk__in=MANY), "INTEGER PRIMARY KEY"),
        (
            lambda: Message.objects.filter(account_id=ACCOUNT, raw_digest__in=DIGESTS),
            "message_by_content",
        ),
        (
            lambda: Message.objects.filter(account_id=ACCOUNT, header_digest__in=DIGESTS),
            "message_by_header",
        ),
        (
            lambda: RawMessage.objects.filter(pack__account_id=ACCOUNT, digest__in=DIGESTS),
            "raw_message_by_digest",
        ),
        (
            lambda: ThreadKey.objects.filter(thread__account_id=ACCOUNT, digest__in=MANY),
            "(digest=?)",
        ),
        (
            lambda: FolderEntry.objects.filter(folder_id=1, message_id__in=MANY),
            "(folder_id=? AND message_id=?)",
        ),
        (lambda: Contact.objects.filter(tenant_id=ACCOUNT, pk__in=MANY), "INTEGER PRIMARY KEY"),
        (lambda: Delivery.objects.filter(campaign_id=1, pk__in=MANY), "INTEGER PRIMARY KEY"),
    ],
)  # fmt: skip
def test_few_rows_that_are_named_are_read_and_no_others(rows: object, way: str) -> None:
    assert callable(rows)
    assert way in plan(rows())


def test_a_list_is_walked_in_its_order() -> None:
    entries = FolderEntry.objects.filter(folder_id=1).order_by("-received_at", "-message_id")
    shown = plan(entries[:50])
    assert "entry_newest_folder" in shown
    assert "TEMP B-TREE" not in shown
