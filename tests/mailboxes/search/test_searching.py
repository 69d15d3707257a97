"""Searching stored mail: what the operators find, in which order, page by page, and by whom."""

from __future__ import annotations

from datetime import timedelta

import pytest
from rest_framework.test import APIClient

from mailboxes.models import Folder, FolderEntry
from tests.mailboxes.conftest import Mailbox, raw_message
from tests.mailboxes.search.messages import DAY, add_message, search
from tests.people import People


@pytest.fixture
def filled(mailbox: Mailbox) -> Mailbox:
    """Five messages a day apart, of which the last is the newest; 2 lies in Archive alone."""
    senders = ["Ada <ada@example.org>", "Bob <bob@example.org>"]
    texts = ["alpha beta", "beta gamma", "gamma alpha", "alpha alpha", "delta <b>alpha</b>"]
    for number, text in enumerate(texts, 1):
        folder = mailbox.remote.folder("Archive") if number == 2 else mailbox.inbox
        folder.deliver(
            raw_message(f"Report {number}", text=text, **{"from": senders[number % 2]}),
            received_at=DAY + timedelta(days=number),
            flags=["\\Seen", "\\Flagged"] if number == 4 else [],
        )
    third = mailbox.inbox.messages[2]
    mailbox.remote.folder("Archive").deliver(third.content, received_at=third.received_at)
    mailbox.sync()
    return mailbox


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("q", "expected"),
    [
        ("", "54321"),
        ("alpha", "5431"),
        ("alpha beta", "1"),
        ("alpha -beta", "543"),
        ("-alpha", "2"),
        ("-alpha -beta", ""),
        ('"gamma alpha"', "3"),
        ('-"gamma alpha" alpha', "541"),
        ("gam*", "32"),
        ("report", "54321"),
        ("from:ada", "42"),
        ("from:ada alpha", "4"),
        ("-from:ada", "531"),
        ("from:example.org beta", "21"),
        ("subject:alpha", ""),
        ("subject:4", "4"),
        ("-subject:4 alpha", "531"),
        ("to:charles", "54321"),
        ("to:ada", ""),
        ("ada", "42"),
        ("is:unread alpha", "531"),
        ("is:read", "4"),
        ("alpha is:flagged", "4"),
        ("-is:flagged alpha", "531"),
        ("has:attachment", ""),
        ("-has:attachment beta", "21"),
        ("before:2026-11-04", "21"),
        ("alpha before:2026-11-04", "1"),
        ("alpha after:2026-11-05", "54"),
        ("since:2026-11-05", "54"),
        ("alpha since:2026-11-04 before:2026-11-06", "43"),
        ("alpha before:9999-12-31 after:0001-01-01", "5431"),
        ("in:inbox", "5431"),
        ("in:archive", "32"),
        ("in:ARCHIVE alpha", "3"),
        ("in:archive in:inbox", "3"),
        ("-in:archive", "541"),
        ("-in:archive alpha", "541"),
        ("in:nowhere", ""),
        ("in:nowhere alpha", ""),
        ("-in:nowhere alpha", "5431"),
        ("in:inbox is:unread gamma", "3"),
        ("?!", ""),
        ("is:read is:unread", ""),
        ("alpha ?!", "5431"),
    ],
)
def test_operators(filled: Mailbox, api: APIClient, q: str, expected: str) -> None:
    assert [subject.removeprefix("Report ") for subject in search(api, q)] == list(expected)


@pytest.mark.django_db
def test_folders_are_named_by_path_or_its_last_part(mailbox: Mailbox, api: APIClient) -> None:
    mailbox.inbox.deliver(raw_message("Hello"))
    mailbox.sync()
    Folder.objects.filter(path="INBOX").update(path="Clients/2026/Globex", delimiter="/", role="")
    for name in ("clients/2026/globex", "globex", "GLOBEX"):
        assert search(api, f"in:{name}") == search(api, f"in:{name} hello") == ["Hello"]
    for name in ("obex", "2026", "clients"):
        assert search(api, f"in:{name}") == []


@pytest.mark.django_db
def test_folders_are_named_in_any_case_of_any_script(mailbox: Mailbox, api: APIClient) -> None:
    mailbox.inbox.deliver(raw_message("Hello"))
    mailbox.sync()
    inbox = Folder.objects.filter(pk=mailbox.folder("INBOX").pk)
    for path, names in (
        ("Projekte.Übung", ("Projekte.Übung", "projekte.übung", "Übung", "übung", "ÜBUNG")),
        ("Straße", ("straße", "STRASSE")),
        ("Входящие.ЁЛКА", ("ёлка", "входящие.Ёлка")),
    ):
        inbox.update(path=path, delimiter=".", role="")
        for name in names:
            assert search(api, f"in:{name}") == search(api, f"in:{name} hello") == ["Hello"], name
            assert search(api, f"-in:{name}") == [], name


@pytest.mark.django_db
def test_a_search_is_narrowed_by_the_other_filters(filled: Mailbox, api: APIClient) -> None:
    archive = str(filled.folder("Archive").pk)
    assert search(api, "alpha", folderId=archive) == ["Report 3"]
    assert search(api, "alpha", unread="false") == ["Report 4"]
    assert search(api, "alpha", flagged="true") == ["Report 4"]
    assert search(api, "is:unread", unread="false") == []
    assert search(api, "alpha", subject="report 5") == ["Report 5"]
    assert search(api, "alpha", since="2026-11-05", before="2026-11-06") == ["Report 4"]
    assert search(api, "before:2026-11-05", before="2026-11-03") == ["Report 1"]
    assert search(api, "alpha", hasAttachment="true") == []


@pytest.mark.django_db
@pytest.mark.parametrize("q", ["alpha", "in:inbox", "-delta"])
def test_pages_of_a_search_follow_each_other(filled: Mailbox, api: APIClient, q: str) -> None:
    collected: list[str] = []
    query: dict[str, str] = {"q": q, "limit": "1"}
    for _ in range(10):
        page = api.get("/api/messages", query).json()
        collected += [message["subject"] for message in page["messages"]]
        if page["nextCursor"] is None:
            break
        query["cursor"] = page["nextCursor"]
        filled.inbox.deliver(raw_message("Newer", text="alpha"), received_at=DAY + timedelta(90))
        filled.sync()
    expected = [subject for subject in search(api, q) if subject != "Newer"]
    assert collected == expected
    assert len(expected) > 2


@pytest.mark.django_db
def test_a_message_of_two_folders_and_one_of_none(filled: Mailbox, api: APIClient) -> None:
    assert search(api, "gamma").count("Report 3") == 1
    for folder in (filled.inbox, filled.remote.folder("Archive")):
        for uid, kept in list(folder.messages.items()):
            if b"Report 3" in kept.content:
                folder.remove(uid)
    filled.sync()
    assert search(api, "gamma") == ["Report 2"]


@pytest.mark.django_db
def test_what_is_shown_of_a_match(filled: Mailbox, api: APIClient) -> None:
    shown = api.get("/api/messages", {"q": "alpha report"}).json()["messages"]
    assert shown[0]["snippet"] == "delta <b>alpha</b>"
    assert shown[0]["highlights"] == {"subject": [[0, 6]], "snippet": [[9, 14]]}
    unsearched = api.get("/api/messages").json()["messages"][0]
    assert unsearched["highlights"] == {"subject": [], "snippet": []}


@pytest.mark.django_db
def test_nobody_finds_the_mail_of_others(filled: Mailbox, people: People) -> None:
    own = people.connect_account(people.teammate)
    theirs = people.connect_account(people.namesake)
    for other in (own, theirs):
        message = add_message(other, "Secret alpha", text="alpha")
        folder = Folder.objects.create(account=other, path="INBOX", role="inbox")
        FolderEntry.objects.create(
            folder=folder, account=other, message=message, uid=1, received_at=DAY
        )
    assert search(people.teammate.api, "alpha") == ["Secret alpha"]
    assert search(people.namesake.api, "alpha") == ["Secret alpha"]
    assert search(people.stranger.api, "alpha") == []
    assert search(people.admin.api, "alpha") == []
    for account in (filled.account, own, theirs):
        for q in (account.pk.hex, str(account.pk), f"account:{account.pk}", f"from:{account.pk}"):
            assert search(people.member.api, q) == []
    folder_id = Folder.objects.get(account=own).pk
    response = people.member.api.get("/api/messages", {"q": "alpha", "folderId": str(folder_id)})
    assert response.status_code == 404


@pytest.mark.django_db
def test_several_accounts_are_searched_in_one_order(people: People) -> None:
    accounts = [
        people.connect_account(people.member, email_address=f"m{number}@acme.example")
        for number in range(3)
    ]
    for day in range(9):
        account = accounts[day % 3]
        folder, _ = Folder.objects.get_or_create(account=account, path="INBOX")
        message = add_message(account, f"alpha {day}", received_at=DAY + timedelta(days=day))
        FolderEntry.objects.create(
            folder=folder, account=account, message=message, uid=day + 1, received_at=DAY
        )
    subjects = search(people.member.api, "alpha")
    assert subjects == [f"alpha {day}" for day in reversed(range(9))]
    one = search(people.member.api, "alpha", accountId=str(accounts[1].pk))
    assert one == ["alpha 7", "alpha 4", "alpha 1"]
