"""Searching stored mail: what is found, in which order, by whom, and that the index follows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import EmailAccount
from mailboxes.message_filter import MessageFilter
from mailboxes.message_list import list_messages
from mailboxes.models import Folder, FolderEntry, Message
from mailboxes.search.query import read_query
from tests.mailboxes.conftest import Mailbox, raw_message
from tests.mailboxes.searching import DAY, add_message, found
from tests.people import People

Search = Callable[..., list[str]]


def holds(apart: int) -> Callable[[int], bool]:
    """Whether it is among every so many."""
    return lambda number: number % apart == 0


@pytest.fixture
def account(people: People) -> EmailAccount:
    return people.connect_account(people.member)


def search(api: APIClient, q: str, **query: Any) -> list[str]:
    response = api.get("/api/messages", {"q": q, **query})
    assert response.status_code == 200, response.content
    return [message["subject"] for message in response.json()["messages"]]


# Words of subjects, and of how many messages each is in one.
APART = {"often": 2, "sometimes": 7, "seldom": 211, "hardly": 1201}

SCRIPTS = {
    "Japanese": "明日は東京都庁で会議があります。",
    "Chinese": "请查收附件中的发票，谢谢！",
    "Korean": "내일 회의에서 만나요",
    "Thai": "ขอบคุณสำหรับใบแจ้งหนี้",
    "German": "Die Rechnungsnummer für Straßenschäden in Köln",
    "French": "Ça a été décidé à l’été",
    "Turkish": "GÖRÜŞME günü",
    "Russian": "Встреча ЗАВТРА утром",
    "Greek": "ΣΥΝΆΝΤΗΣΗ αύριο",
    "Arabic": "الفاتورة المرفقة",
    "Hebrew": "חשבונית מצורפת",
    "Hindi": "नमस्ते हिन्दी दुनिया",
    "English": "Please see e-mail re: invoice #2026-11/7 (ada@example.org) snake_case O'Neill",
    "Wide": "Ｉｎｖｏｉｃｅ ﾃｽﾄ",
}


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("東京", "Japanese"),
        ("都庁", "Japanese"),
        ("京都", "Japanese"),
        ("東京都庁で会議", "Japanese"),
        ("会議 東京", "Japanese"),
        ("庁", "Japanese"),
        ('"会議があります"', "Japanese"),
        ("发票", "Chinese"),
        ("附件", "Chinese"),
        ("회의", "Korean"),
        ("ใบแจ้ง", "Thai"),
        ("rechnung*", "German"),
        ("koln", "German"),
        ("KÖLN", "German"),
        ('"straßenschäden in"', "German"),
        ("decide", "French"),
        ("été", "French"),
        ("görüşme", "Turkish"),
        ("встреча завтра", "Russian"),
        ("ВСТРЕЧ*", "Russian"),
        ("συνάντηση", "Greek"),
        ("الفاتورة", "Arabic"),
        ("חשבונית", "Hebrew"),
        ("हिन्दी", "Hindi"),
        ("e-mail", "English"),
        ('"mail re invoice"', "English"),
        ("2026-11/7", "English"),
        ("ada@example.org", "English"),
        ("example", "English"),
        ("snake", "English"),
        ("o'neill", "English"),
        ("テスト", "Wide"),
        ("wide ｉｎｖｏｉｃｅ", "Wide"),
    ],
)
@pytest.mark.django_db
def test_words_are_found_in_any_script(account: EmailAccount, text: str, script: str) -> None:
    for name, content in SCRIPTS.items():
        add_message(account, name, text=content)
    assert found(account, text) == [script]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "text", ["rechnung", "東庁", "会議東京", '"invoice mail"', "vertrag*", "票发"]
)
def test_what_is_not_there_is_not_found(account: EmailAccount, text: str) -> None:
    for name, content in SCRIPTS.items():
        add_message(account, name, text=content)
    assert found(account, text) == []


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
def test_rare_and_frequent_words_of_a_large_account(account: EmailAccount) -> None:
    # More than PostgreSQL looks at one by one.
    Message.objects.bulk_create(
        Message(
            account=account,
            subject="rare old" if number in (5, 7) else "often",
            received_at=DAY + timedelta(minutes=number),
            size=1,
        )
        for number in range(5200)
    )

    def arrivals(text: str, after: tuple[datetime, int] | None = None) -> list[datetime]:
        wanted = MessageFilter(query=read_query(text))
        return [row.received_at for row in list_messages([account.pk], wanted, after=after, size=3)]

    def minutes(*numbers: int) -> list[datetime]:
        return [DAY + timedelta(minutes=number) for number in numbers]

    assert arrivals("often") == minutes(5199, 5198, 5197)
    assert arrivals("rare") == minutes(7, 5)
    assert arrivals("often", after=(DAY + timedelta(minutes=6), 0)) == minutes(4, 3, 2)
    assert arrivals("rare", after=(DAY + timedelta(minutes=7), 0)) == minutes(5)
    assert arrivals("rare since:2026-11-02") == []
    assert arrivals("often since:2026-11-04") == minutes(5199, 5198, 5197)


@pytest.mark.django_db
def test_a_mailbox_of_busy_weeks_silent_years_and_a_far_future(people: People) -> None:
    account, other = people.connect_account(people.member), people.connect_account(people.namesake)
    moments = [DAY - timedelta(days=4000 - number // 3) for number in range(900)]
    moments += [DAY - timedelta(days=700, minutes=number) for number in range(1500)]
    moments += [DAY + timedelta(days=900 * number) for number in range(4)]
    subjects = {
        at: f"number{at} " + " ".join(name for name, apart in APART.items() if at % apart == 0)
        for at in range(len(moments))
    }
    # Of a small account among a large one's, found by its own words, too.
    owners = {at: other if at % 50 == 7 else account for at in subjects}
    rows = Message.objects.bulk_create(
        Message(account=owners[at], subject=subject, received_at=moments[at], size=1)
        for at, subject in subjects.items()
    )
    newest_first = sorted(subjects, key=lambda at: (moments[at], rows[at].pk), reverse=True)

    def check(owner: EmailAccount, text: str, size: int, expected: Callable[[int], bool]) -> None:
        remaining = [at for at in newest_first if owners[at] == owner and expected(at)]
        after: tuple[datetime, int] | None = None
        wanted = MessageFilter(query=read_query(text))
        while remaining:
            page = list_messages([owner.pk], wanted, after=after, size=size)
            assert [row.pk for row in page] == [rows[at].pk for at in remaining[:size]], text
            remaining, after = remaining[size:], (page[-1].received_at, page[-1].pk)
        assert list_messages([owner.pk], wanted, after=after, size=size) == []

    for owner in (account, other):
        for name, apart in APART.items():
            check(owner, name, 300, holds(apart))
        check(owner, "seldom", 2, lambda at: at % 211 == 0)
        check(owner, "often seldom", 7, lambda at: at % 422 == 0)
        check(owner, "num*", 900, lambda at: True)
        check(owner, "numb* seldom", 3, lambda at: at % 211 == 0)
        check(owner, "numb* -often", 700, lambda at: at % 2 == 1)
        check(owner, "oft*", 400, lambda at: at % 2 == 0)
        check(owner, "nothing*", 5, lambda at: False)
        check(owner, '"often sometimes"', 40, lambda at: at % 14 == 0)
        check(owner, "often after:2026", 3, lambda at: at % 2 == 0 and moments[at].year >= 2026)
        check(owner, "seldom before:2018", 3, lambda at: at % 211 == 0 and moments[at].year < 2018)


@pytest.mark.django_db
def test_words_are_found_alike_in_folders_of_any_size(account: EmailAccount) -> None:
    # 300 messages, two a second, and so many folders and flags that some leave few of them.
    numbers = range(300)
    rows = Message.objects.bulk_create(
        Message(
            account=account,
            subject=f"item{number} " + ("often" if number % 2 else "seldom"),
            sender_text="Ada" if number % 3 else "Bob",
            received_at=DAY + timedelta(seconds=number // 2),
            size=1,
        )
        for number in numbers
    )
    large = Folder.objects.create(account=account, path="Large")
    small = Folder.objects.create(account=account, path="Small")
    FolderEntry.objects.bulk_create(
        FolderEntry(
            folder=folder,
            account=account,
            message=rows[number],
            uid=number + 1,
            received_at=rows[number].received_at,
            is_seen=number % 20 != 0,
            is_flagged=number % 5 == 0,
        )
        for folder, step in ((large, 1), (small, 10))
        for number in numbers[::step]
    )

    def check(text: str, expected: Callable[[int], bool]) -> None:
        remaining = [number for number in reversed(numbers) if expected(number)]
        after: tuple[datetime, int] | None = None
        while True:
            page = list_messages(
                [account.pk], MessageFilter(query=read_query(text)), after=after, size=70
            )
            assert [row.pk for row in page] == [rows[at].pk for at in remaining[:70]], text
            if not page:
                return
            remaining = remaining[70:]
            after = page[-1].received_at, page[-1].pk

    check("often in:large", lambda at: at % 2 == 1)
    check("seldom in:small", lambda at: at % 10 == 0)
    check("-often in:small is:unread", lambda at: at % 20 == 0)
    check("-often is:unread", lambda at: at % 20 == 0)
    check("from:ada in:large is:flagged", lambda at: at % 5 == 0 and at % 3 > 0)
    check("often is:flagged in:small", lambda at: False)
    check('"item20" in:small', lambda at: at == 20)
    check("item*", lambda at: True)
    check("item* from:bob", lambda at: at % 3 == 0)
    check("ite* in:small", lambda at: at % 10 == 0)
    check("ite* -in:small", lambda at: at % 10 > 0)
    check("ite* is:flagged in:large", lambda at: at % 5 == 0)
    check("ite* before:2026-11-02", lambda at: True)
    check("ite* before:2026-11-01", lambda at: False)


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
