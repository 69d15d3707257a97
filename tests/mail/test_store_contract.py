"""What every store promises, over each kind of server there is: the shipped twin in
memory, a real Dovecot with and without its extensions, and the sandbox's pymap."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from mailhub.mail.errors import (
    CommandRefused,
    ConnectionFailed,
    FolderMissing,
    InvalidMessage,
    LoginFailed,
)
from mailhub.mail.host_guard import HostGuard
from mailhub.mail.message import Address, Attachment, OutgoingMessage
from mailhub.mail.parsing import parse_message
from mailhub.mail.server import Encryption, PasswordLogin, Protocol, ServerSettings
from mailhub.mail.stores.base import Outline, Role, Store
from mailhub.mail.stores.imap import ImapStore
from mailhub.mail.stores.in_memory import InMemoryMailServer, InMemoryStore
from mailhub.sandbox import SandboxMailServer


@dataclass
class Account:
    """An account with an empty mailbox, and a way to knock with another password."""

    connect: Callable[[str], Store]
    password: str
    name: str

    def store(self) -> Store:
        return self.connect(self.password)


@pytest.fixture(
    params=[
        "memory",
        "memory_qresync",
        "dovecot",
        "condstore_dovecot",
        "plain_dovecot",
        "pymap",
    ]
)
def account(request: pytest.FixtureRequest) -> Iterator[Account]:
    if request.param.startswith("memory"):
        server = InMemoryMailServer()
        if request.param == "memory_qresync":
            server.capabilities |= {"QRESYNC", "LIST-STATUS"}
        server.add_account("ada", "geheim-ü")
        yield Account(
            lambda p: InMemoryStore(server, PasswordLogin("ada", p)), "geheim-ü", "memory"
        )
    elif request.param == "pymap":
        with SandboxMailServer({"ada@example.org": "geheim"}) as sandbox:
            yield Account(lambda p: ImapStore(_sandbox_settings(sandbox, p)), "geheim", "pymap")
    else:
        user = request.getfixturevalue(f"{request.param}_user")
        yield Account(
            lambda p: ImapStore(user.server.settings(user.name, p)), user.password, request.param
        )


@pytest.fixture
def store(account: Account) -> Iterator[Store]:
    with account.store() as opened:
        yield opened


def _sandbox_settings(sandbox: SandboxMailServer, password: str) -> ServerSettings:
    return ServerSettings(
        Protocol.IMAP,
        sandbox.host,
        sandbox.imap_port,
        Encryption.NONE,
        PasswordLogin("ada@example.org", password),
        timeout=30,
        guard=HostGuard.allowing(["127.0.0.0/8"]),
    )


def _message(subject: str, body: str = "Hello") -> bytes:
    return f"From: bo@example.org\r\nSubject: {subject}\r\n\r\n{body}\r\n".encode()


def _fill(store: Store, count: int, path: str = "INBOX") -> list[int]:
    """That many messages in a folder, which is then selected for writing; their UIDs."""
    for number in range(count):
        store.append(path, _message(f"number {number}"))
    store.select(path, read_only=False)
    return store.uids()


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
    content = _message("as it was", "line one\r\n\r\n.\r\nline äöü €")
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
    store.append("INBOX", _message("one"), flags=["\\Seen"])
    store.append("INBOX", _message("two"))
    after = store.status("INBOX")
    assert (after.messages, after.unseen) == (2, 1)
    assert after.uid_validity == before.uid_validity > 0
    assert after.uid_next == before.uid_next + 2


def test_selecting_tells_the_same_as_status(store: Store) -> None:
    _fill(store, 2, "Sent")
    told, selected = store.status("Sent"), store.select("Sent")
    assert selected.uid_validity == told.uid_validity
    assert selected.uid_next == told.uid_next
    assert selected.messages == told.messages == 2
    assert selected.highest_modseq == told.highest_modseq
    assert (selected.highest_modseq > 0) == ("CONDSTORE" in store.capabilities)


def test_fetching_never_marks_as_read(store: Store) -> None:
    uids = _fill(store, 2)
    list(store.fetch(uids))
    list(store.fetch(uids, headers_only=True))
    assert all("\\Seen" not in told.flags for told in store.flags())


def test_only_the_header_where_headers_are_asked_for(store: Store) -> None:
    (uid,) = _fill(store, 1)
    (message,) = store.fetch([uid], headers_only=True)
    assert message.content == b"From: bo@example.org\r\nSubject: number 0\r\n\r\n"
    assert message.size > len(message.content)


def test_messages_that_are_gone_are_left_out(store: Store) -> None:
    uids = _fill(store, 3)
    store.expunge([uids[1]])
    found = [message.uid for message in store.fetch([*uids, 4_000_000_000])]
    assert found == [uids[0], uids[2]]
    assert list(store.fetch([uids[1]])) == []
    assert list(store.fetch([])) == []


def test_what_is_asked_for_ahead_is_what_is_fetched(store: Store) -> None:
    uids = _fill(store, 3)
    store.expunge([uids[1]])
    answer = store.request([*uids, 4_000_000_000])
    assert list(answer) == list(store.fetch(uids))
    assert list(store.request([])) == []
    assert store.uids() == [uids[0], uids[2]]


def test_sizes_and_arrivals_are_told_without_the_content(store: Store) -> None:
    uids = _fill(store, 3)
    store.expunge([uids[1]])
    told = [(m.uid, m.received_at, m.size) for m in store.measures([*uids, 4_000_000_000])]
    assert told == [(m.uid, m.received_at, m.size) for m in store.fetch(uids)]
    assert store.measures([]) == []


def test_flags_are_told_between_two_uids(store: Store) -> None:
    uids = _fill(store, 4)
    assert [told.uid for told in store.flags()] == uids
    assert [told.uid for told in store.flags(uids[1], uids[2])] == uids[1:3]
    assert [told.uid for told in store.flags(uids[3])] == [uids[3]]
    assert list(store.flags(uids[3] + 1)) == []


def test_flags_are_added_and_removed(store: Store) -> None:
    uids = _fill(store, 2)
    store.store_flags(uids, add=["\\Seen", "\\Flagged"])
    store.store_flags([uids[0]], remove=["\\Flagged"], add=["\\Answered"])
    assert {told.uid: told.flags for told in store.flags()} == {
        uids[0]: {"\\Seen", "\\Answered"},
        uids[1]: {"\\Seen", "\\Flagged"},
    }


def test_a_change_of_flags_raises_the_modseq(store: Store) -> None:
    (uid,) = _fill(store, 1)
    (before,) = store.flags()
    store.store_flags([uid], add=["\\Seen"])
    (after,) = store.flags()
    if "CONDSTORE" in store.capabilities:
        assert after.modseq > before.modseq > 0
    else:
        assert after.modseq == before.modseq == 0


def test_the_states_that_come_with_the_folders_are_those_of_status(store: Store) -> None:
    store.create_folder("Größe & mehr")
    store.append("Größe & mehr", _message("one"), flags=["\\Seen"])
    store.append("INBOX", _message("two"))
    folders, states = store.folders_and_states()
    by_path = {folder.path: folder for folder in folders}
    assert by_path == {folder.path: folder for folder in store.folders()}
    if "LIST-STATUS" in store.capabilities:
        assert states.keys() == {folder.path for folder in folders}
    else:
        assert states == {}
    for path, state in states.items():
        assert state == store.status(path)


@pytest.fixture
def tracking(account: Account) -> Iterator[Store]:
    """A store that was asked to track changes; with CONDSTORE at least."""
    with account.store() as store:
        if "CONDSTORE" not in store.capabilities:
            pytest.skip("no CONDSTORE")
        store.track_changes()
        yield store


def test_changes_are_what_happened_after_a_modseq(account: Account, tracking: Store) -> None:
    with account.store() as other:
        uids = _fill(other, 6)
        since = tracking.status("INBOX").highest_modseq
        other.store_flags([uids[1]], add=["\\Flagged"])
        other.expunge([uids[2], uids[4]])
        other.append("INBOX", _message("new"), flags=["\\Seen"])
    tracking.select("INBOX")
    found = tracking.changes(since)
    told = {row.uid: row.flags for row in found.flags}
    assert told == {uids[1]: {"\\Flagged"}, uids[5] + 1: {"\\Seen"}}
    assert all(row.modseq > since for row in found.flags)
    if "QRESYNC" in tracking.capabilities:
        assert found.vanished == ((uids[2], uids[2]), (uids[4], uids[4]))
    else:
        assert found.vanished is None


def test_changes_may_be_asked_for_between_two_uids(account: Account, tracking: Store) -> None:
    with account.store() as other:
        uids = _fill(other, 6)
        since = tracking.status("INBOX").highest_modseq
        other.store_flags(uids[:4], add=["\\Seen"])
        other.expunge([uids[1], uids[4]])
    tracking.select("INBOX")
    low, high = tracking.changes(since, 1, uids[1]), tracking.changes(since, uids[2], 2**32 - 1)
    assert [row.uid for row in low.flags] == [uids[0]]
    assert [row.uid for row in high.flags] == uids[2:4]
    if "QRESYNC" in tracking.capabilities:
        assert low.vanished == ((uids[1], uids[1]),)
        assert high.vanished == ((uids[4], uids[4]),)


def test_nothing_happened_after_the_last_modseq(account: Account, tracking: Store) -> None:
    with account.store() as other:
        uids = _fill(other, 3)
        other.expunge(uids[:1])
    since = tracking.select("INBOX").highest_modseq
    found = tracking.changes(since)
    assert (found.flags, found.vanished or ()) == ((), ())


def test_the_modseq_names_what_changed_in_a_search(account: Account, tracking: Store) -> None:
    with account.store() as other:
        uids = _fill(other, 3)
        since = tracking.status("INBOX").highest_modseq
        other.store_flags([uids[1]], add=["\\Seen"])
    tracking.select("INBOX")
    assert tracking.uids(f"MODSEQ {since + 1}") == [uids[1]]


def test_a_server_without_condstore_refuses_to_tell_changes(store: Store) -> None:
    if "CONDSTORE" in store.capabilities:
        pytest.skip("has CONDSTORE")
    store.track_changes()
    store.select("INBOX")
    with pytest.raises(CommandRefused):
        store.changes(1)


def test_tracking_is_asked_for_again_on_a_new_connection(account: Account) -> None:
    store = account.store()
    for _ in range(2):
        with store:
            if "QRESYNC" not in store.capabilities:
                pytest.skip("no QRESYNC")
            store.select("INBOX")
            assert store.changes(1).vanished is None
        with store:
            store.track_changes()
            store.select("INBOX")
            assert store.changes(1).vanished is not None


def test_an_expunge_takes_the_given_messages_and_no_others(store: Store) -> None:
    uids = _fill(store, 3)
    # Another mail program's deletion, which is not ours to carry out.
    store.store_flags([uids[0]], add=["\\Deleted"])
    store.expunge([uids[2]])
    assert store.uids() == uids[:2]


def test_a_move_takes_the_given_messages_and_no_others(store: Store) -> None:
    uids = _fill(store, 3)
    store.store_flags([uids[0]], add=["\\Deleted"])
    store.store_flags([uids[1]], add=["\\Seen"])
    moved = store.move([uids[1]], "Trash")
    assert store.uids() == [uids[0], uids[2]]
    store.select("Trash")
    (message,) = store.fetch(store.uids())
    assert b"number 1" in message.content
    assert "\\Seen" in message.flags
    assert moved in ({uids[1]: message.uid}, {})


def test_a_folder_is_created_once_and_found_by_its_name(store: Store) -> None:
    for path in ("Rechnungen & Belege", "Größe", "送信済み", 'a "quoted" \\ name'):
        store.create_folder(path)
        store.create_folder(path)
        store.append(path, _message("filed"))
        assert path in {folder.path for folder in store.folders()}
        assert store.select(path).messages == 1


def test_a_missing_folder_is_named(store: Store) -> None:
    for ask in (
        lambda: store.status("Nirgends"),
        lambda: store.select("Nirgends"),
        lambda: store.append("Nirgendwö", _message("lost")),
    ):
        with pytest.raises(FolderMissing, match="Nirgend"):
            ask()
    assert store.status("INBOX").messages == 0


def test_the_inbox_is_found_however_it_is_written(store: Store) -> None:
    store.append("inbox", _message("one"))
    assert store.select("Inbox").messages == 1


def test_after_a_refused_folder_none_is_selected(store: Store) -> None:
    _fill(store, 1)
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
        store.append("INBOX", _message(subject, body), flags=flags, received_at=arrived)
    store.select("INBOX")
    uids = store.uids()
    assert store.uids(criteria) == [uids[position] for position in found]


def test_a_search_by_uid(store: Store) -> None:
    uids = _fill(store, 3)
    assert store.uids(f"UID {uids[1]}:*") == uids[1:]
    assert store.uids(f"UID {uids[0]},{uids[2]}") == [uids[0], uids[2]]


def test_a_search_that_makes_no_sense_is_refused_and_forgotten(store: Store) -> None:
    _fill(store, 1)
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
    content = _message("large", "\r\n".join(["0123456789" * 7] * 30_000))
    store.append("INBOX", content)
    store.select("INBOX")
    (message,) = store.fetch(store.uids())
    assert message.content == content


def test_many_scattered_messages_are_fetched_at_once(store: Store) -> None:
    uids = _fill(store, 30)
    wanted = uids[::2]
    assert [message.uid for message in store.fetch(wanted)] == wanted


def test_two_connections_see_each_other(account: Account, store: Store) -> None:
    (uid,) = _fill(store, 1)
    with account.store() as other:
        other.select("INBOX", read_only=False)
        other.store_flags([uid], add=["\\Flagged"])
        other.append("INBOX", _message("from the other side"))
    store.select("INBOX")
    assert [told.flags for told in store.flags()] == [{"\\Flagged"}, frozenset()]


@dataclass(frozen=True)
class Letter:
    """A message of some shape, and what a reader must find in it."""

    raw: bytes
    text: str
    names: tuple[str, ...] = ()
    html: str = ""


PICTURE = Attachment("Bild ä.png", b"\x89PNG" + bytes(range(256)) * 8, "image/png")
LOGO = Attachment("logo.png", b"\x89PNG logo", "image/png", content_id="logo", inline=True)


def _composed(subject: str, **values: Any) -> bytes:
    sender = Address("Bo", "bo@example.org")
    return OutgoingMessage(sender, to=[sender], subject=subject, **values).as_bytes()


LETTERS = {
    "plain": Letter(_composed("Grüße", text="Guten Tag\n"), "Guten Tag"),
    "both": Letter(_composed("both", text="One", html="<p>Eins</p>"), "One", (), "<p>Eins</p>"),
    "attached": Letter(
        _composed("attached", text="Söhne", html="<b>x</b>", attachments=[PICTURE, LOGO]),
        "Söhne",
        ("logo.png", "Bild ä.png"),
        "<b>x</b>",
    ),
    "only a picture": Letter(
        b"Subject: picture\r\nMIME-Version: 1.0\r\nContent-Type: image/png; name=a.png\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\niVBORw==\r\n",
        "",
        ("a.png",),
    ),
    "forwarded": Letter(
        b'Subject: forwarded\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"'
        b"\r\n\r\n--b\r\n\r\nSee below\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n"
        b"Subject: inner\r\n\r\nInner text\r\n--b--\r\n",
        "See below",
        ("attachment-1.eml",),
    ),
    "latin-1": Letter(
        b"Subject: =?iso-8859-1?q?gr=FC=DFe?=\r\nMIME-Version: 1.0\r\n"
        b"Content-Type: text/plain; charset=iso-8859-1\r\n"
        b"Content-Transfer-Encoding: quoted-printable\r\n\r\nM=FCller\r\n",
        "Müller",
    ),
    "no parts": Letter(
        b"Subject: hollow\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=q\r\n\r\n"
        b"Only this\r\n",
        "Only this",
    ),
}


@pytest.fixture
def letters(store: Store) -> list[Outline]:
    """Every letter in INBOX, which is selected; their outlines."""
    for letter in LETTERS.values():
        store.append("INBOX", letter.raw, flags=["\\Flagged"])
    total = store.select("INBOX").messages
    return store.outlines_at(1, total)


def test_outlines_tell_of_messages_without_their_content(
    store: Store, letters: list[Outline]
) -> None:
    assert [outline.uid for outline in letters] == store.uids()
    assert all("\\Flagged" in outline.flags for outline in letters)
    sizes = [len(letter.raw) for letter in LETTERS.values()]
    assert [outline.size for outline in letters] == sizes
    assert store.outlines([letters[2].uid, 4_000_000]) == [letters[2]]
    assert store.outlines_at(2, 3) == letters[1:3]


def test_read_messages_are_those_that_the_parser_reads(
    account: Account, store: Store, letters: list[Outline]
) -> None:
    for letter, read in zip(LETTERS.values(), store.read(letters), strict=True):
        assert read.message.text == letter.text
        assert read.message.html == letter.html
        assert tuple(found.filename for found in read.message.attachments) == letter.names
        whole = parse_message(letter.raw)
        for name in ("subject", "sender", "to", "date", "message_id"):
            assert getattr(read.message, name) == getattr(whole, name)
        kinds = [(found.content_type, found.content_id) for found in whole.attachments]
        assert kinds == [
            (found.content_type, found.content_id) for found in read.message.attachments
        ]
        for told, true in zip(read.message.attachments, whole.attachments, strict=True):
            # pymap counts the header of a part as well.
            assert account.name == "pymap" or abs(told.size - true.size) <= 4 + true.size // 20
        assert read.contents == ()
    assert [told.flags for told in store.flags()] == [{"\\Flagged"}] * len(letters)


def test_attachments_come_where_they_are_asked_for(store: Store, letters: list[Outline]) -> None:
    (read,) = store.read([letters[2]], with_attachments=True)
    assert read.contents == (LOGO.content, PICTURE.content)
    assert [found.size for found in read.message.attachments] == [
        len(LOGO.content),
        len(PICTURE.content),
    ]


def test_a_message_that_went_meanwhile_is_left_out(account: Account, store: Store) -> None:
    first, second = _fill(store, 2)
    outlines = store.outlines([first, second])
    with account.store() as other:
        other.select("INBOX", read_only=False)
        other.expunge([first])
    store.uids()
    assert [read.outline.uid for read in store.read(outlines)] == [second]
    assert list(store.read([])) == []


@pytest.mark.parametrize("words", ["needle", 'a "quoted" \\ word', "gefühlt", "привет", "日本語"])
def test_words_of_any_script_are_found_as_they_stand(
    account: Account, store: Store, words: str
) -> None:
    if account.name == "pymap" and not words.isascii():
        pytest.skip("pymap looks at the octets before they are decoded")
    store.append("INBOX", _composed("hay", text="Nothing here"))
    store.append("INBOX", _composed("body", text=f"Before {words} after"))
    store.append("INBOX", _composed(f"subject {words}", text="Nothing here either"))
    store.select("INBOX")
    assert store.search(words) == store.uids()[1:]


def test_words_cannot_end_the_command(store: Store) -> None:
    store.select("INBOX")
    with pytest.raises(InvalidMessage):
        store.search("a\r\nA1 LOGOUT")
    assert store.search('" LOGOUT') == []
