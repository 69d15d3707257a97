"""Search by relevance: what comes first, page by page, on either database."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from accounts.models import EmailAccount
from mailboxes.message_filter import MessageFilter
from mailboxes.models import Folder, FolderEntry, Message
from mailboxes.relevance_list import RANKED_TOGETHER, list_by_relevance
from mailboxes.search.query import read_query
from mailboxes.search.ranking import Content, Ranking
from tests.mailboxes.search.test_index import hostile

DAY = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture
def folder(account: EmailAccount) -> Folder:
    return Folder.objects.create(account=account, path="INBOX", role="inbox")


def store(folder: Folder, *messages: dict[str, Any]) -> None:
    """The later, the newer."""
    first = FolderEntry.objects.filter(folder=folder).count()
    made = Message.objects.bulk_create(
        Message(
            account=folder.account,
            received_at=DAY + timedelta(minutes=number),
            size=1,
            **values,
        )
        for number, values in enumerate(messages, first)
    )
    FolderEntry.objects.bulk_create(
        FolderEntry(
            folder=folder,
            account=folder.account,
            message=message,
            uid=number,
            received_at=message.received_at,
        )
        for number, message in enumerate(made, first + 1)
    )


def pages(api: APIClient, q: str, **query: Any) -> Iterator[list[str]]:
    """The Message-IDs of page after page by relevance."""
    asked = {"q": q, "sort": "relevance", **query}
    while True:
        response = api.get("/api/messages", asked)
        assert response.status_code == 200, response.content
        told = response.json()
        yield [message["messageId"] for message in told["messages"]]
        if told["nextCursor"] is None:
            return
        asked["cursor"] = told["nextCursor"]


MESSAGES = (
    {"message_id": "subject", "subject": "The invoice"},
    {"message_id": "sender", "sender_text": "Invoice Desk desk@example.org"},
    {"message_id": "recipient", "recipient_text": "invoice@example.org"},
    {"message_id": "often", "text": "Invoice, invoice, invoice."},
    {"message_id": "once", "text": "An invoice."},
    {"message_id": "once in a long text", "text": "invoice " + "and so on " * 300},
    {"message_id": "none", "text": "A bill."},
)
IN_ORDER = ["subject", "sender", "often", "recipient", "once", "once in a long text"]


@pytest.mark.django_db
def test_the_best_match_comes_first(folder: Folder, api: APIClient) -> None:
    store(folder, *MESSAGES)
    assert list(pages(api, "invoice")) == [IN_ORDER]
    store(folder, {"message_id": "both", "subject": "Invoice", "text": "The invoice."})
    assert next(pages(api, "INVO*"))[:2] == ["both", "subject"]
    assert next(pages(api, "subject:invoice")) == ["both", "subject"]
    assert next(pages(api, "-subject:invoice invoice"))[:2] == ["sender", "often"]


@pytest.mark.django_db
def test_equally_good_ones_are_newest_first(folder: Folder, api: APIClient) -> None:
    store(folder, *({"message_id": f"{number}", "text": "東京 alpha"} for number in range(4)))
    assert next(pages(api, "東京 alpha")) == next(pages(api, "")) == ["3", "2", "1", "0"]
    assert next(pages(api, "is:unread")) == ["3", "2", "1", "0"]


@pytest.mark.django_db
def test_the_default_is_by_date(folder: Folder, api: APIClient) -> None:
    store(folder, *MESSAGES)
    asked = [api.get("/api/messages", {"q": "invoice", **more}) for more in ({}, {"sort": "date"})]
    shown = [[message["messageId"] for message in one.json()["messages"]] for one in asked]
    assert shown[0] == shown[1]
    assert len(shown[0]) == len(IN_ORDER)
    assert asked[0].json()["messages"][-1]["subject"] == "The invoice"


@pytest.mark.django_db
def test_matches_are_shown_in_ranked_results(folder: Folder, api: APIClient) -> None:
    store(folder, {"subject": "Re: Invoice", "text": "Pay the invoice.", "snippet": "Pay"})
    [message] = api.get("/api/messages", {"q": "invoice", "sort": "relevance"}).json()["messages"]
    assert message["snippet"] == "Pay the invoice."
    assert message["highlights"] == {"subject": [[4, 11]], "snippet": [[8, 15]]}


@pytest.mark.django_db
@pytest.mark.parametrize("limit", [1, 2, 4])
def test_pages_follow_each_other_whatever_arrives(
    folder: Folder, api: APIClient, limit: int
) -> None:
    store(folder, *MESSAGES)
    collected: list[str] = []
    for page in pages(api, "invoice", limit=str(limit)):
        collected += page
        store(folder, {"message_id": "newer", "subject": "invoice invoice"})
    shown = [row for row in collected if not row.startswith("newer")]
    assert len(shown) == len(IN_ORDER)


@pytest.mark.django_db
def test_more_matches_than_are_ranked_together(folder: Folder, account: EmailAccount) -> None:
    count = RANKED_TOGETHER + 7
    store(
        folder,
        *(
            {"subject": "alpha" if number in (2, 9, count - 3) else "", "text": "alpha"}
            for number in range(count)
        ),
    )
    found: list[int] = []
    wanted, after = MessageFilter(query=read_query("alpha")), None
    for _ in range(9):
        rows, after = list_by_relevance([account.pk], wanted, after=after, size=97)
        found += [int((row.received_at - DAY).total_seconds() // 60) for row in rows]
        if after is None:
            break
        assert len(rows) == 97
    assert sorted(found) == list(range(count))
    assert found[:2] == [count - 3, 9]
    assert found[RANKED_TOGETHER] == 2
    whole, end = list_by_relevance([account.pk], wanted, after=None, size=count)
    assert (len(whole), end) == (count, None)


@pytest.mark.django_db
def test_what_is_no_sort_or_no_cursor_of_it_is_refused(folder: Folder, api: APIClient) -> None:
    store(folder, *MESSAGES)
    asked = {"q": "invoice", "limit": "1"}
    by_date = api.get("/api/messages", asked).json()["nextCursor"]
    ranked = api.get("/api/messages", {**asked, "sort": "relevance"}).json()["nextCursor"]
    for sort, cursor in (("relevance", by_date), ("date", ranked), ("size", None)):
        query = {**asked, "sort": sort, **({"cursor": cursor} if cursor else {})}
        response = api.get("/api/messages", query)
        assert response.status_code == 400, response.content


@pytest.mark.django_db
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(hostile | st.text())
def test_no_text_makes_a_ranking_fail(folder: Folder, account: EmailAccount, text: str) -> None:
    if not FolderEntry.objects.exists():
        store(folder, {"subject": "Invoice", "text": "alpha 東京 'quoted' \"double\" a*b"})
    wanted = MessageFilter(query=read_query(text))
    rows, after = list_by_relevance([account.pk], wanted, after=None, size=3)
    assert all(row.subject == "Invoice" for row in rows)
    assert after is None


@given(st.text(), st.text(), st.text(), st.text())
def test_a_score_is_a_number_for_any_text(subject: str, sender: str, text: str, q: str) -> None:
    score = Ranking(read_query(q)).score(Content(subject, sender, sender, text))
    assert 0 <= score < 1000
