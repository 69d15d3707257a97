"""What every store promises, over each kind of server there is: the shipped twin in
memory, a real Dovecot with and without its extensions, and the sandbox's pymap."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mailhub.mail.errors import (
    CommandRefused,
    ConnectionFailed,
    FolderMissing,
    InvalidMessage,
    LoginFailed,
)
from mailhub.mail.stores.base import Role, Store
from tests.mail.conftest import Account, composed, fill, message_of


def test_lists_inbox_and_the_folders_with_their_roles(store: Store) -> None:
    folders = {folder.path: folder for folder in store.folders()}
    roles = {folder.role for folder in folders.values()}
    assert folders["INBOX"].role is Role.INBOX
    assert {Role.SENT, Role.DRAFTS, Role.TRASH, Role.JUNK, Role.ARCHIVE} <= roles
    assert all(folder.selectable for folder in folders.values())


def test_a_wrong_password_is_refused_for_good(account: Account) -> None:
    with pytest.raises(LoginFailed) as caught:
        account.connect("not-the-password").open()
    assert caught.value.permanent
    assert "not-the-password" not in str(caught.value)


def test_opening_twice_and_closing_twice_do_nothing_more(account: Account) -> None:
    store = account.store()
    store.open()
    store.open()
    assert store.folders()
    store.close()
    store.close()


def test_a_closed_store_says_so_and_opens_again(account: Account) -> None:
    store = account.store()
    store.open()
    store.close()
    with pytest.raises(ConnectionFailed):
        store.status("INBOX")
    with store:
        assert store.status("INBOX").messages == 0


def test_an_appended_message_is_fetched_as_it_was(store: Store) -> None:
    arrived = datetime(2024, 2, 29, 23, 59, 58, tzinfo=UTC)
    content = message_of("as it was", "line one\r\n\r\n.\r\nline äöü €")
    uid = store.append("INBOX", content, flags=["\\Seen", "\\Flagged"], received_at=arrived)
    store.select("INBOX")
    (message,) = store.fetch(store.uids())
    assert message.content == content
    assert message.flags == {"\\Seen", "\\Flagged"}
    assert message.received_at == arrived
    assert message.size == len(content)
    assert uid in {message.uid, None}


def test_bare_line_feeds_become_line_ends_on_the_way_in(store: Store) -> None:
    store.append("INBOX", b"Subject: bare\n\nHello\nyou\n")
    store.select("INBOX")
    (message,) = store.fetch(store.uids())
    assert message.content == b"Subject: bare\r\n\r\nHello\r\nyou\r\n"


def test_status_counts_without_selecting(store: Store) -> None:
    before = store.status("INBOX")
    store.append("INBOX", message_of("one"), flags=["\\Seen"])
    store.append("INBOX", message_of("two"))
    after = store.status("INBOX")
    assert (after.messages, after.unseen) == (2, 1)
    assert after.uid_validity == before.uid_validity > 0
    assert after.uid_next == before.uid_next + 2


def test_selecting_tells_the_same_as_status(store: Store) -> None:
    fill(store, 2, "Sent")
    told, selected = store.status("Sent"), store.select("Sent")
    assert selected.uid_validity == told.uid_validity
    assert selected.uid_next == told.uid_next
    assert selected.messages == told.messages == 2
    assert selected.highest_modseq == told.highest_modseq
    assert (selected.highest_modseq > 0) == ("CONDSTORE" in store.capabilities)


def test_fetching_never_marks_as_read(store: Store) -> None:
    uids = fill(store, 2)
    list(store.fetch(uids))
    list(store.fetch(uids, headers_only=True))
    assert all("\\Seen" not in told.flags for told in store.flags())


def test_only_the_header_where_headers_are_asked_for(store: Store) -> None:
    (uid,) = fill(store, 1)
    (message,) = store.fetch([uid], headers_only=True)
    assert message.content == b"From: bo@example.org\r\nSubject: number 0\r\n\r\n"
    assert message.size > len(message.content)


def test_messages_that_are_gone_are_left_out(store: Store) -> None:
    uids = fill(store, 3)
    store.expunge([uids[1]])
    found = [message.uid for message in store.fetch([*uids, 4_000_000_000])]
    assert found == [uids[0], uids[2]]
    assert list(store.fetch([uids[1]])) == []
    assert list(store.fetch([])) == []


def test_what_is_asked_for_ahead_is_what_is_fetched(store: Store) -> None:
    uids = fill(store, 3)
    store.expunge([uids[1]])
    answer = store.request([*uids, 4_000_000_000])
    assert list(answer) == list(store.fetch(uids))
    assert list(store.request([])) == []
    assert store.uids() == [uids[0], uids[2]]


def test_sizes_and_arrivals_are_told_without_the_content(store: Store) -> None:
    uids = fill(store, 3)
    store.expunge([uids[1]])
    told = [(m.uid, m.received_at, m.size) for m in store.measures([*uids, 4_000_000_000])]
    assert told == [(m.uid, m.received_at, m.size) for m in store.fetch(uids)]
    assert store.measures([]) == []


def test_the_states_that_come_with_the_folders_are_those_of_status(store: Store) -> None:
    store.create_folder("Größe & mehr")
    store.append("Größe & mehr", message_of("one"), flags=["\\Seen"])
    store.append("INBOX", message_of("two"))
    folders, states = store.folders_and_states()
    by_path = {folder.path: folder for folder in folders}
    assert by_path == {folder.path: folder for folder in store.folders()}
    if "LIST-STATUS" in store.capabilities:
        assert states.keys() == {folder.path for folder in folders}
    else:
        assert states == {}
    for path, state in states.items():
        assert state == store.status(path)


def test_a_folder_is_created_once_and_found_by_its_name(store: Store) -> None:
    for path in ("Rechnungen & Belege", "Größe", "送信済み", 'a "quoted" \\ name'):
        store.create_folder(path)
        store.create_folder(path)
        store.append(path, message_of("filed"))
        assert path in {folder.path for folder in store.folders()}
        assert store.select(path).messages == 1


def test_a_missing_folder_is_named(store: Store) -> None:
    for ask in (
        lambda: store.status("Nirgends"),
        lambda: store.select("Nirgends"),
        lambda: store.append("Nirgendwö", message_of("lost")),
    ):
        with pytest.raises(FolderMissing, match="Nirgend"):
            ask()
    assert store.status("INBOX").messages == 0


def test_the_inbox_is_found_however_it_is_written(store: Store) -> None:
    store.append("inbox", message_of("one"))
    assert store.select("Inbox").messages == 1


def test_after_a_refused_folder_none_is_selected(store: Store) -> None:
    fill(store, 1)
    with pytest.raises(FolderMissing):
        store.select("Nirgends")
    with pytest.raises(CommandRefused):
        store.uids()


@pytest.mark.parametrize(
    ("criteria", "found"),
    [
        ("ALL", [0, 1, 2]),
        ("UNSEEN", [1, 2]),
        ("SEEN", [0]),
        ("FLAGGED", [1]),
        ('SUBJECT "two"', [1]),
        ('FROM "bo@example.org" UNSEEN', [1, 2]),
        ('OR SUBJECT "one" SUBJECT "three"', [0, 2]),
        ("NOT SEEN NOT FLAGGED", [2]),
        ("SINCE 1-Jan-2024 BEFORE 1-Jan-2025", [0, 1, 2]),
        ("BEFORE 1-Jan-2024", []),
        ("LARGER 100000", []),
        ("SMALLER 100000", [0, 1, 2]),
        ('BODY "needle"', [2]),
    ],
)
def test_a_search_finds_what_fits(store: Store, criteria: str, found: list[int]) -> None:
    arrived = datetime(2024, 6, 1, 12, tzinfo=UTC)
    for subject, body, flags in (
        ("one", "", ["\\Seen"]),
        ("two", "", ["\\Flagged"]),
        ("three", "a needle in it", []),
    ):
        store.append("INBOX", message_of(subject, body), flags=flags, received_at=arrived)
    store.select("INBOX")
    uids = store.uids()
    assert store.uids(criteria) == [uids[position] for position in found]


def test_a_search_by_uid(store: Store) -> None:
    uids = fill(store, 3)
    assert store.uids(f"UID {uids[1]}:*") == uids[1:]
    assert store.uids(f"UID {uids[0]},{uids[2]}") == [uids[0], uids[2]]


def test_a_search_that_makes_no_sense_is_refused_and_forgotten(store: Store) -> None:
    fill(store, 1)
    with pytest.raises(CommandRefused):
        store.uids("NONSENSE 12")
    assert len(store.uids()) == 1


@pytest.mark.parametrize("evil", ["a\r\nb LOGOUT", "a\nb", "a\0b"])
def test_nothing_that_ends_a_command_gets_through(store: Store, evil: str) -> None:
    store.select("INBOX", read_only=False)
    for ask in (
        lambda: store.select(evil),
        lambda: store.status(evil),
        lambda: store.create_folder(evil),
        lambda: store.append(evil, b"x"),
        lambda: store.move([1], evil),
        lambda: store.uids(f'SUBJECT "{evil}"'),
        lambda: store.store_flags([1], add=[evil]),
        lambda: store.append("INBOX", b"x", flags=[evil]),
    ):
        with pytest.raises(InvalidMessage):
            ask()
    assert store.status("INBOX").messages == 0


def test_a_large_message_survives_the_way(store: Store) -> None:
    content = message_of("large", "\r\n".join(["0123456789" * 7] * 30_000))
    store.append("INBOX", content)
    store.select("INBOX")
    (message,) = store.fetch(store.uids())
    assert message.content == content


def test_many_scattered_messages_are_fetched_at_once(store: Store) -> None:
    uids = fill(store, 30)
    wanted = uids[::2]
    assert [message.uid for message in store.fetch(wanted)] == wanted


def test_two_connections_see_each_other(account: Account, store: Store) -> None:
    (uid,) = fill(store, 1)
    with account.store() as other:
        other.select("INBOX", read_only=False)
        other.store_flags([uid], add=["\\Flagged"])
        other.append("INBOX", message_of("from the other side"))
    store.select("INBOX")
    assert [told.flags for told in store.flags()] == [{"\\Flagged"}, frozenset()]


@pytest.mark.parametrize("words", ["needle", 'a "quoted" \\ word', "gefühlt", "привет", "日本語"])
def test_words_of_any_script_are_found_as_they_stand(
    account: Account, store: Store, words: str
) -> None:
    if account.name == "pymap" and not words.isascii():
        pytest.skip("pymap looks at the octets before they are decoded")
    store.append("INBOX", composed("hay", text="Nothing here"))
    store.append("INBOX", composed("body", text=f"Before {words} after"))
    store.append("INBOX", composed(f"subject {words}", text="Nothing here either"))
    store.select("INBOX")
    assert store.search(words) == store.uids()[1:]


def test_words_cannot_end_the_command(store: Store) -> None:
    store.select("INBOX")
    with pytest.raises(InvalidMessage):
        store.search("a\r\nA1 LOGOUT")
    assert store.search('" LOGOUT') == []
