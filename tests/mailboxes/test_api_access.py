"""Folders and messages over the API: who may see what, and what a list costs."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from rest_framework.test import APIClient

from mailboxes.message_filter import MessageFilter
from mailboxes.message_list import matching
from mailboxes.models import FolderEntry, Message
from mailboxes.raw_store import RawStore
from tests.mailboxes.conftest import DAY, Mailbox, listed, raw_message
from tests.people import People, Person

ADDRESSES = (
    "/api/messages/{message}",
    "/api/messages/{message}/raw",
    "/api/messages/{message}/html",
    "/api/messages/{message}/attachments/0",
    "/api/messages?accountId={account}",
    "/api/messages?folderId={folder}",
    "/api/folders?accountId={account}",
    "/api/sync/{account}/status",
)


@pytest.mark.parametrize("address", ADDRESSES)
def test_others_mail_is_not_there(filled: Mailbox, people: People, address: str) -> None:
    """A teammate, an admin of the tenant, a stranger, a namesake: as if it did not exist."""
    address = address.format(
        message=filled.message("Report 1").pk,
        account=filled.account.pk,
        folder=filled.folder().pk,
    )
    for person in (people.teammate, people.admin, people.owner, people.stranger, people.namesake):
        response = person.api.get(address)
        assert response.status_code == 404, person.name
        assert response.json()["error"] == "not_found"
        assert person.api.get("/api/messages").json()["messages"] == []
        assert person.api.get("/api/folders").json()["folders"] == []
    assert APIClient().get(address).status_code == 401


def test_who_reads_along(filled: Mailbox, people: People) -> None:
    """Delegates of both kinds, and a service key acting for the owner of the account."""
    people.delegate(filled.account, people.reader)
    people.delegate(filled.account, people.sender, may_send=True)
    pk = filled.message("Report 1").pk
    for api in (
        people.reader.api,
        people.sender.api,
        people.service_acting_for(people.member),
    ):
        assert api.get(f"/api/messages/{pk}").json()["subject"] == "Report 1"
        assert len(api.get("/api/messages").json()["messages"]) == 5
    assert people.service_acting_for(people.teammate).get(f"/api/messages/{pk}").status_code == 404


def test_a_viewer_reads_its_own_and_starts_nothing(people: People) -> None:
    box = Mailbox(people.connect_account(people.viewer))
    box.remote.deliver(raw_message("Report 1"))
    box.sync()
    assert listed(people.viewer.api) == ["1"]
    assert people.viewer.api.post(f"/api/sync/{box.account.pk}", {}).status_code == 403


def test_delegation_ends_at_once(filled: Mailbox, people: People) -> None:
    delegation = people.delegate(filled.account, people.reader)
    pk = filled.message("Report 1").pk
    assert people.reader.api.get(f"/api/messages/{pk}").status_code == 200
    delegation.delete()
    assert people.reader.api.get(f"/api/messages/{pk}").status_code == 404


def test_a_page_costs_the_same_number_of_queries_whatever_its_length(
    filled: Mailbox, api: APIClient, django_assert_max_num_queries: Any
) -> None:
    with django_assert_max_num_queries(12):
        assert len(listed(api, limit="500")) == 5
    for number in range(60):
        filled.remote.deliver(raw_message(f"Report {number}"))
    filled.sync()
    with django_assert_max_num_queries(12):
        assert len(listed(api, limit="500")) == 65


def test_a_list_walks_an_index(filled: Mailbox) -> None:
    """Neither a sort nor a scan of the table."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            # A table as small as a test's would be scanned whatever indexes it has.
            cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
    account = FolderEntry.objects.filter(account_id=filled.account.pk)
    for wanted in (
        MessageFilter(),
        MessageFilter(folder_id=filled.folder().pk),
        MessageFilter(unread=True),
        MessageFilter(flagged=True),
    ):
        plan = matching(account, wanted, (DAY, 7))[:50].explain()
        for costly in ("TEMP B-TREE", "SCAN ", "Sort", "Seq Scan"):
            assert costly not in plan, plan


def test_an_account_that_is_gone_leaves_nothing(filled: Mailbox, people: People) -> None:
    from mailboxes.tasks import remove_raw_messages

    digest = filled.message("Report 1").raw_digest
    account_id = filled.account.pk
    assert RawStore(account_id).get(digest) is not None
    remove_raw_messages(str(account_id))
    assert RawStore(account_id).get(digest) is not None, "the account is still there"
    person: Person = people.member
    assert person.api.delete(f"/api/accounts/{account_id}").status_code in (200, 204)
    remove_raw_messages(str(account_id))
    assert RawStore(account_id).get(digest) is None
    assert not Message.objects.exists()
