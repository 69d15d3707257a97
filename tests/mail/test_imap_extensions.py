"""IMAP servers with few extensions, and those that have one and do not keep to it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mailhub.mail.errors import (
    CommandRefused,
    ConnectionFailed,
)
from mailhub.mail.stores.imap import ImapStore
from tests.mail.scripted_imap import CLOSE, ScriptedImapServer, opened

WRITABLE = {
    "CAPABILITY": b"* CAPABILITY IMAP4rev1\r\n<tag> OK\r\n",
    "UID STORE": b"<tag> OK\r\n",
    "UID COPY": b"<tag> OK [COPYUID 7 1:3 21,20,22] done\r\n",
    "UID MOVE": b"* OK [COPYUID 7 1:3 20:22] moved\r\n* 1 EXPUNGE\r\n<tag> OK\r\n",
    "UID EXPUNGE": b"<tag> OK\r\n",
}


def test_without_uidplus_nothing_is_expunged() -> None:
    server = ScriptedImapServer(WRITABLE)
    with server, ImapStore(server.settings()) as store:
        store.select("INBOX", read_only=False)
        assert store.move([1, 2, 3], "Trash") == {1: 21, 2: 20, 3: 22}
        with pytest.raises(CommandRefused):
            store.expunge([1])
    assert not [line for line in server.received if b"EXPUNGE" in line]
    assert b"UID STORE 1:3 +FLAGS.SILENT (\\Deleted)" in server.received


def test_without_move_the_copied_ones_alone_are_expunged() -> None:
    capability = b"* CAPABILITY IMAP4rev1 UIDPLUS\r\n<tag> OK\r\n"
    server = ScriptedImapServer(WRITABLE | {"CAPABILITY": capability})
    with server, ImapStore(server.settings()) as store:
        store.select("INBOX", read_only=False)
        store.move([3, 1, 2], "Trash")
    assert server.received[-2] == b"UID EXPUNGE 1:3"
    assert b"EXPUNGE" not in server.received


def test_content_ids_are_asked_for_where_the_server_has_them() -> None:
    for capability, item in (
        (b"OBJECTID", b"EMAILID (M6d99)"),
        (b"X-GM-EXT-1", b"X-GM-MSGID 1278"),
    ):
        server = ScriptedImapServer(
            {
                "CAPABILITY": b"* CAPABILITY IMAP4rev1 CONDSTORE "
                + capability
                + b"\r\n<tag> OK\r\n",
                "UID FETCH": b"* 1 FETCH (UID 5 MODSEQ (12) " + item
                + b' INTERNALDATE " 1-Feb-2024 00:00:00 -0500" BODY[] {2}\r\nhi)\r\n<tag> OK\r\n',
            }
        )  # fmt: skip
        with opened(server) as store:
            (message,) = store.fetch([5])
        assert message.remote_id == item.split()[1].decode().strip("()")
        assert message.modseq == 12
        assert message.size == 2
        assert message.received_at == datetime(2024, 2, 1, 5, tzinfo=UTC)


def test_what_vanished_comes_in_pieces_and_with_nonsense_between() -> None:
    server = ScriptedImapServer(
        {
            "CAPABILITY": b"* CAPABILITY IMAP4rev1 ENABLE CONDSTORE QRESYNC\r\n<tag> OK\r\n",
            "ENABLE": b"* ENABLED\r\n* ENABLED QRESYNC CONDSTORE\r\n<tag> OK\r\n",
            "UID FETCH": b"* VANISHED (EARLIER) 41,50:43,x:y,"
            + b"9" * 5000
            + b"\r\n* VANISHED (EARLIER)\r\n"
            b"* 2 FETCH (UID 9 MODSEQ (12) FLAGS (\\Seen))\r\n* VANISHED 300:310\r\n<tag> OK\r\n",
        }
    )
    with server, ImapStore(server.settings()) as store:
        store.track_changes()
        store.select("INBOX")
        found = store.changes(11)
    assert found.vanished == ((41, 41), (43, 50), (300, 310))
    assert [(row.uid, row.modseq) for row in found.flags] == [(9, 12)]
    assert b"UID FETCH 1:* (UID FLAGS) (CHANGEDSINCE 11 VANISHED)" in server.received


@pytest.mark.parametrize("answer", [b"<tag> BAD what\r\n", b"* ENABLED\r\n<tag> OK\r\n"])
def test_a_server_that_does_not_enable_what_it_announces_is_asked_for_changes_alone(
    answer: bytes,
) -> None:
    server = ScriptedImapServer(
        {
            "CAPABILITY": b"* CAPABILITY IMAP4rev1 ENABLE CONDSTORE QRESYNC\r\n<tag> OK\r\n",
            "ENABLE": answer,
            "UID FETCH": b"* 2 FETCH (UID 9 MODSEQ (12) FLAGS ())\r\n<tag> OK\r\n",
        }
    )
    with server, ImapStore(server.settings()) as store:
        store.track_changes()
        store.select("INBOX")
        assert store.changes(11).vanished is None
    assert b"UID FETCH 1:* (UID FLAGS) (CHANGEDSINCE 11)" in server.received


def test_numbers_without_end_are_none() -> None:
    endless = b"9" * 5000
    moved = b"* OK [COPYUID 1 %s %s] moved\r\n<tag> OK\r\n" % (endless, endless)
    structure = b'("TEXT" "PLAIN" NIL NIL NIL "7BIT" %s 1 NIL NIL NIL)' % endless
    told = b'* 1 FETCH (UID 5 RFC822.SIZE 9 INTERNALDATE "21-Nov-2026 10:00:00 +0100" FLAGS () '
    told += b"BODYSTRUCTURE %s BODY[HEADER] {2}\r\n\r\n)\r\n<tag> OK\r\n" % structure
    server = ScriptedImapServer(
        {
            "CAPABILITY": b"* CAPABILITY IMAP4rev1 UIDPLUS MOVE\r\n<tag> OK\r\n",
            "APPEND": b"+ go\r\n<tag> OK [APPENDUID 1 %s] done\r\n" % endless,
            "UID MOVE": moved,
            "FETCH": told,
        }
    )
    with server, ImapStore(server.settings()) as store:
        store.select("INBOX", read_only=False)
        assert store.move([5], "Trash") == {}
        [outline] = store.outlines_at(1, 1)
        assert outline.uid == 5
        assert store.append("INBOX", b"Subject: x") is None


def test_half_a_list_of_changes_is_no_list() -> None:
    server = ScriptedImapServer(
        {
            "CAPABILITY": b"* CAPABILITY IMAP4rev1 CONDSTORE\r\n<tag> OK\r\n",
            "UID FETCH": b"* 2 FETCH (UID 9 MODSEQ (12) FLAGS ())\r\n" + CLOSE,
        }
    )
    with opened(server) as store, pytest.raises(ConnectionFailed):
        store.changes(11)


def test_states_come_with_the_folders_under_names_of_every_kind() -> None:
    server = ScriptedImapServer(
        {
            "CAPABILITY": b"* CAPABILITY IMAP4rev1 LIST-STATUS LIST-EXTENDED\r\n<tag> OK\r\n",
            "LIST": b'* LIST () "/" INBOX\r\n* LIST () "/" "a b"\r\n'
            b'* LIST () "/" {4}\r\ncaf\xe9\r\n'
            b'* LIST (\\NoSelect) "/" top\r\n* LIST () "/" silent\r\n'
            b"* STATUS INBOX (MESSAGES 3 UIDNEXT 9 UIDVALIDITY 7 UNSEEN 1)\r\n"
            b'* STATUS "a b" (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 8 UNSEEN 0)\r\n'
            b"* STATUS {4}\r\ncaf\xe9 (MESSAGES 2 UIDNEXT 3 UIDVALIDITY 9 UNSEEN 0)\r\n"
            b"* STATUS stranger (MESSAGES 2 UIDNEXT 3 UIDVALIDITY 9)\r\n"
            b"* STATUS silent (MESSAGES 2)\r\n<tag> OK\r\n",
        }
    )
    with server, ImapStore(server.settings()) as store:
        folders, states = store.folders_and_states()
    assert {folder.path for folder in folders} == {"INBOX", "a b", "café", "top", "silent"}
    assert {path: state.uid_validity for path, state in states.items()} == {
        "INBOX": 7,
        "a b": 8,
        "café": 9,
    }
    assert states["INBOX"].messages == 3
