"""Labels as a server that speaks Gmail's dialect may tell them."""

from __future__ import annotations

import pytest

from mailhub.mail.errors import InvalidMessage, ProtocolViolation
from mailhub.mail.stores.base import RemoteFolder, Role
from mailhub.mail.stores.gmail import labels_of_folders
from mailhub.mail.stores.imap import ImapStore
from tests.mail.scripted_imap import ScriptedImapServer

GMAIL = {"CAPABILITY": b"* CAPABILITY IMAP4rev1 X-GM-EXT-1\r\n<tag> OK\r\n"}


def _labels(answer: bytes) -> dict[int, set[str]]:
    with ScriptedImapServer(GMAIL | {"UID FETCH": answer + b"<tag> OK\r\n"}) as server:
        store = ImapStore(server.settings())
        with store:
            store.select("INBOX")
            return {row.uid: set(row.labels) for row in store.labels(1, 100)}


@pytest.mark.parametrize(
    ("told", "labels"),
    [
        (b"(\\Inbox \\Sent Important)", {"\\Inbox", "\\Sent", "Important"}),
        (b'("\\\\Inbox" "Muy Importante")', {"\\Inbox", "Muy Importante"}),
        (b'(&AMk-t&AOk- "a/b")', {"Été", "a/b"}),
        (b'(\\INBOX "\\\\draft")', {"\\Inbox", "\\Draft"}),
        (b'("say \\"hi\\"")', {'say "hi"'}),
        (b"({5}\r\nhello other)", {"hello", "other"}),
        (b"()", set()),
        (b"NIL", set()),
    ],
)
def test_labels_however_they_are_written(told: bytes, labels: set[str]) -> None:
    assert _labels(b"* 1 FETCH (X-GM-LABELS " + told + b" UID 5 MODSEQ (7))\r\n") == {5: labels}


def test_messages_of_which_no_labels_are_told_have_none_to_lose() -> None:
    answer = b"* 1 FETCH (UID 5 FLAGS (\\Seen))\r\n* 2 FETCH (X-GM-LABELS (a))\r\n"
    answer += b"* 3 FETCH (UID 101 X-GM-LABELS (a))\r\n* 4 FETCH (UID 6 X-GM-LABELS (a))\r\n"
    assert _labels(answer) == {6: {"a"}}


def test_a_senseless_answer_takes_no_labels_away() -> None:
    with pytest.raises(ProtocolViolation):
        _labels(b"* 1 FETCH (UID 5 X-GM-LABELS nonsense)\r\n")


def test_labels_are_changed_by_their_names_on_the_wire() -> None:
    with ScriptedImapServer(GMAIL | {"UID STORE": b"<tag> OK\r\n"}) as server:
        store = ImapStore(server.settings())
        with store:
            store.select("INBOX", read_only=False)
            store.change_labels([3, 4], add=["Été", 'say "hi"'], remove=["\\Inbox"])
            with pytest.raises(InvalidMessage):
                store.change_labels([3], add=["a\r\nb"])
    stores = [line for line in server.received if line.startswith(b"UID STORE")]
    assert stores == [
        b'UID STORE 3:4 +X-GM-LABELS ("&AMk-t&AOk-" "say \\"hi\\"")',
        b"UID STORE 3:4 -X-GM-LABELS (\\Inbox)",
    ]


def test_which_folders_are_labels() -> None:
    folders = [
        RemoteFolder("INBOX", "/", Role.INBOX),
        RemoteFolder("[Gmail]", "/", None, selectable=False),
        RemoteFolder("[Gmail]/Tutti", "/", Role.ALL, flags=("\\All",)),
        RemoteFolder("[Gmail]/Cestino", "/", Role.TRASH, flags=("\\Trash",)),
        RemoteFolder("[Gmail]/Spam", "/", Role.JUNK, flags=("\\Junk",)),
        RemoteFolder("[Gmail]/Speciali", "/", None, flags=("\\HasNoChildren", "\\Flagged")),
        RemoteFolder("[Gmail]/Bozze", "/", Role.DRAFTS, flags=("\\Drafts",)),
        RemoteFolder("Lavoro", "/"),
    ]
    assert labels_of_folders(folders) == {
        "INBOX": "\\Inbox",
        "[Gmail]/Speciali": "\\Starred",
        "[Gmail]/Bozze": "\\Draft",
        "Lavoro": "Lavoro",
    }
    assert labels_of_folders(folders[:2] + folders[3:]) == {}
