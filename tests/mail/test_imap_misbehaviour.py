"""IMAP servers that misbehave: what can be had is had, and the rest is a clear error."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mailhub.mail.errors import (
    CommandRefused,
    ConnectionFailed,
    FolderMissing,
    ProtocolViolation,
    ServerTimeout,
)
from mailhub.mail.stores.base import Role
from mailhub.mail.stores.imap import ImapStore
from tests.mail.scripted_imap import CLOSE, SILENCE, ScriptedImapServer, dripping, opened

HELLO = b"Subject: x\r\n\r\n"
# A whole FETCH response for a UID, with that text as its body.
WHOLE = b'* %d FETCH (UID %d FLAGS (\\Seen) INTERNALDATE "21-Nov-2026 10:00:00 +0100" ' \
    b"RFC822.SIZE 14 BODY[] {14}\r\n" + HELLO + b")\r\n"  # fmt: skip


def _fetching(answer: bytes) -> ScriptedImapServer:
    return ScriptedImapServer({"UID FETCH": answer})


FETCHES = {
    "extra parentheses": b"* 1 FETCH ((UID 5 FLAGS (\\Seen) BODY[] {14}\r\n" + HELLO + b")))\r\n",
    "missing parenthesis": b"* 1 FETCH (UID 5 FLAGS (\\Seen) BODY[] {14}\r\n" + HELLO + b"\r\n",
    "UID behind the body": b"* 1 FETCH (BODY[] {14}\r\n" + HELLO + b" UID 5 FLAGS (\\Seen))\r\n",
    "small letters": b"* 1 FETCH (uid 5 flags (\\Seen) body[] {14}\r\n" + HELLO + b")\r\n",
    "quoted body": b'* 1 FETCH (UID 5 FLAGS (\\Seen) BODY[] "Subject: x Hi!")\r\n',
    "negative modseq": b"* 1 FETCH (UID 5 MODSEQ (-1) FLAGS (\\Seen) BODY[] {14}\r\n"
    + HELLO + b")\r\n",
    "two literals": b"* 1 FETCH (UID 5 X {3}\r\nabc FLAGS (\\Seen) BODY[] {14}\r\n"
    + HELLO + b")\r\n",
    "an expunge in the middle": b"* 9 EXPUNGE\r\n" + WHOLE % (1, 5) + b"* 2 EXPUNGE\r\n",
    "flags of others around": b"* 3 FETCH (FLAGS (\\Deleted))\r\n* 4 FETCH (UID 9 FLAGS ())\r\n"
    + WHOLE % (1, 5) + b"* 1 FETCH (FLAGS ())\r\n",
    "news about the folder": b"* 4 EXISTS\r\n* 1 RECENT\r\n" + WHOLE % (1, 5),
    "the same message twice": WHOLE % (1, 5) + WHOLE % (1, 5),
    "a message that nobody asked for": WHOLE % (2, 77) + WHOLE % (1, 5),
}  # fmt: skip


@pytest.mark.parametrize("name", FETCHES)
def test_a_message_is_read_out_of(name: str) -> None:
    with opened(_fetching(FETCHES[name] + b"<tag> OK\r\n")) as store:
        (message,) = store.fetch([5])
    assert message.uid == 5
    assert message.flags == {"\\Seen"}
    assert len(message.content) == 14
    assert message.modseq == 0


@pytest.mark.parametrize(
    "said",
    [
        b"* 1 FETCH (UID 5 FLAGS () BODY[] NIL)\r\n",
        b"* 1 FETCH (UID 5 FLAGS ())\r\n",
        b"* 1 FETCH (UID 5 BODY[])\r\n",
        b"* 1 FETCH (FLAGS (\\Seen))\r\n",
        b"* 1 FETCH ()\r\n",
        b"* 1 FETCH\r\n",
        b"* 1 FETCH (UID zero BODY[] {2}\r\nab)\r\n",
        b"* 1 FETCH (((((((((((((((\r\n",
        b"",
    ],
)
def test_a_message_that_is_not_handed_over_is_left_out(said: bytes) -> None:
    with opened(_fetching(said + WHOLE % (2, 6) + b"<tag> OK\r\n")) as store:
        assert [message.uid for message in store.fetch([5, 6])] == [6]


def test_one_bad_message_does_not_cost_the_others_of_its_batch() -> None:
    server = ScriptedImapServer(
        {
            "UID FETCH 5:7": WHOLE % (1, 5) + b"<tag> NO [SERVERBUG] cannot read message\r\n",
            "UID FETCH 6": b"<tag> NO [SERVERBUG] cannot read message\r\n",
            "UID FETCH 7": WHOLE % (3, 7) + b"<tag> OK\r\n",
        }
    )
    with opened(server) as store:
        assert [message.uid for message in store.fetch([5, 6, 7])] == [5, 7]


@pytest.mark.parametrize("end", [CLOSE, b"* BYE shutting down\r\n" + CLOSE])
def test_what_arrived_before_the_connection_broke_is_handed_over(end: bytes) -> None:
    half = b"* 2 FETCH (UID 6 BODY[] {1000}\r\nonly the beginn"
    with opened(_fetching(WHOLE % (1, 5) + (half if end == CLOSE else b"") + end)) as store:
        arrived = []
        with pytest.raises(ConnectionFailed):
            for message in store.fetch([5, 6]):
                arrived.append(message.uid)  # noqa: PERF401 - extend() forgets all at an error
        assert arrived == [5]
        with pytest.raises(ConnectionFailed, match="not open"):
            store.uids()


def test_a_lost_connection_can_be_opened_again() -> None:
    server = _fetching(CLOSE)
    with opened(server) as store:
        with pytest.raises(ConnectionFailed):
            list(store.fetch([5]))
        server.answers["UID FETCH"] = WHOLE % (1, 5) + b"<tag> OK\r\n"
        store.open()
        store.select("INBOX")
        assert [message.uid for message in store.fetch([5])] == [5]


def test_half_a_list_of_flags_is_no_list() -> None:
    server = _fetching(b"* 1 FETCH (UID 5 FLAGS ())\r\n<tag> NO later\r\n")
    with opened(server) as store, pytest.raises(CommandRefused):
        list(store.flags())


def test_the_last_message_is_not_new_because_a_star_names_it() -> None:
    with opened(_fetching(b"* 3 FETCH (UID 5 FLAGS ())\r\n<tag> OK\r\n")) as store:
        assert list(store.flags(6)) == []


def test_a_literal_too_large_to_be_mail_is_not_waited_for() -> None:
    server = _fetching(b"* 1 FETCH (UID 5 BODY[] {99999999999}\r\n")
    with opened(server) as store, pytest.raises(ProtocolViolation):
        list(store.fetch([5]))


@pytest.mark.parametrize(
    "answer", [b"what?\r\n", b"\r\n", b"\x00\xff\r\n", b"* 1\n", b"HTTP/1.1 400\r\n"]
)
def test_nonsense_is_called_nonsense(answer: bytes) -> None:
    with opened(_fetching(answer)) as store, pytest.raises(ProtocolViolation):
        list(store.fetch([5]))


def test_a_server_that_falls_silent() -> None:
    server = _fetching(SILENCE)
    with server:
        store = ImapStore(server.settings(timeout=2.0))
        store.open()
        store.select("INBOX")
        with pytest.raises(ServerTimeout):
            list(store.fetch([5]))
        store.close()


@pytest.mark.parametrize(
    "said", [b"* OK still here\r\n", b"* 1 EXPUNGE\r\n", b"* 7 FETCH (UID 7)\r\n"]
)
def test_a_server_that_never_comes_to_an_end_is_left(said: bytes) -> None:
    server = _fetching(said * 40_000 + SILENCE)
    with server:
        settings = replace(server.settings(), command_limit=1_000_000)
        with ImapStore(settings) as store:
            store.select("INBOX")
            with pytest.raises(ProtocolViolation):
                list(store.fetch([5]))


@pytest.mark.parametrize("said", [b"* OK ", b"* 1 FETCH (UID 5 BODY[] {300}\r\n"])
def test_a_server_that_says_an_octet_now_and_then_is_left(said: bytes) -> None:
    """Each wait is shorter than the timeout; together they are much longer."""
    with dripping(said) as port, ScriptedImapServer() as server:
        settings = replace(server.settings(timeout=0.1), port=port)
        with pytest.raises(ServerTimeout):
            ImapStore(settings).open()


FOLDERS = (
    b'* LIST (\\HasNoChildren) "/" INBOX\r\n'
    b'* LIST (\\Noselect) "/" "[Gmail]"\r\n'
    b'* LIST (\\HasNoChildren \\Sent) "/" "[Gmail]/Gesendet"\r\n'
    b'* LIST (\\HasNoChildren) "/" "Sent"\r\n'
    b'* LIST () "/" {14}\r\n&ZeVnLIqe-/x y\r\n'
    b'* LIST () NIL Entw&APw-rfe\r\n'
    b'* LIST () "/" "Gr\xc3\xb6\xc3\x9fe"\r\n'
    b'* LIST () "/" "caf\xe9"\r\n'
    b'* LIST () "/" "bad &AAA- name"\r\n'
    b'* LIST () "/" "broken &2D3- utf7"\r\n'
    b'* LIST () "/" "a \\"quoted\\" one"\r\n'
    b'* LIST () "/" two words\r\n'
    b"* LIST\r\n"
    b"* LIST (\r\n"
    b'* LIST () "/" "INBOX/Corbeille"\r\n'
    b'* LIST () "/" "Work/Corbeille"\r\n'
    b"<tag> OK\r\n"
)  # fmt: skip


def test_folder_names_of_every_kind() -> None:
    server = ScriptedImapServer({"LIST": FOLDERS, "EXAMINE": b"<tag> NO no such folder\r\n"})
    with server, ImapStore(server.settings()) as store:
        folders = {folder.path: folder for folder in store.folders()}
        assert list(folders) == [
            "INBOX",
            "[Gmail]",
            "[Gmail]/Gesendet",
            "Sent",
            "日本語/x y",
            "Entwürfe",
            "Größe",
            "café",
            "bad \N{REPLACEMENT CHARACTER} name",
            "broken &2D3- utf7",
            'a "quoted" one',
            "two words",
            "INBOX/Corbeille",
            "Work/Corbeille",
        ]
        assert not folders["[Gmail]"].selectable
        assert {path: folder.role for path, folder in folders.items() if folder.role} == {
            "INBOX": Role.INBOX,
            "[Gmail]/Gesendet": Role.SENT,
            "Entwürfe": Role.DRAFTS,
            "INBOX/Corbeille": Role.TRASH,
        }


def test_a_folder_with_a_name_that_is_no_utf7_is_opened_by_its_own_octets() -> None:
    server = ScriptedImapServer(
        {
            "LIST": b'* LIST () "/" "caf\xe9"\r\n<tag> OK\r\n',
            "EXAMINE": b"<tag> NO no such folder\r\n",
        }
    )
    # The script knows commands as text, in which the odd octet has been replaced.
    server.answers['EXAMINE "CAF\N{REPLACEMENT CHARACTER}"'] = b"* 1 EXISTS\r\n<tag> OK\r\n"
    with server, ImapStore(server.settings()) as store:
        assert store.select("café").messages == 1
    assert b'EXAMINE "caf\xe9"' in server.received


def test_a_folder_that_is_busy_is_not_missing() -> None:
    server = ScriptedImapServer({"EXAMINE": b"<tag> NO [INUSE] being compacted\r\n"})
    with server, ImapStore(server.settings()) as store:
        with pytest.raises(CommandRefused):
            store.select("INBOX")
        server.answers["EXAMINE"] = b"<tag> NO [NOPERM] not yours\r\n"
        with pytest.raises(FolderMissing):
            store.select("INBOX")


def test_a_folder_that_can_only_be_read() -> None:
    server = ScriptedImapServer({"SELECT": b"* 1 EXISTS\r\n<tag> OK [READ-ONLY] ok\r\n"})
    with server, ImapStore(server.settings()) as store, pytest.raises(CommandRefused):
        store.select("INBOX", read_only=False)


def test_a_status_without_uidvalidity_is_no_status() -> None:
    server = ScriptedImapServer({"STATUS": b"* STATUS INBOX (MESSAGES 3)\r\n<tag> OK\r\n"})
    with server, ImapStore(server.settings()) as store, pytest.raises(ProtocolViolation):
        store.status("INBOX")


def test_a_search_answer_in_pieces() -> None:
    answer = b"* SEARCH 9 3\r\n* 4 EXISTS\r\n* SEARCH\r\n* SEARCH 5 (MODSEQ 917)\r\n<tag> OK\r\n"
    with opened(ScriptedImapServer({"UID SEARCH": answer})) as store:
        assert store.uids() == [3, 5, 9]


def test_thousands_of_scattered_uids_fit_in_command_lines() -> None:
    server = _fetching(b"<tag> OK\r\n")
    with opened(server) as store:
        list(store.fetch(range(1_000_000, 1_010_000, 2)))
    asked = [line for line in server.received if line.startswith(b"UID FETCH")]
    assert all(len(line) < 8192 for line in asked)
    assert sum(line.count(b",") + 1 for line in asked) == 5000


def test_a_search_that_finds_a_quarter_of_a_million() -> None:
    numbers = b" ".join(b"%d" % uid for uid in range(1, 250_001))
    server = ScriptedImapServer({"UID SEARCH": b"* SEARCH " + numbers + b"\r\n<tag> OK\r\n"})
    with opened(server) as store:
        assert store.uids() == list(range(1, 250_001))
