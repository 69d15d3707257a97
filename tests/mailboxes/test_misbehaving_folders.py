"""Passes over servers that misbehave: one folder that makes no sense never stops the rest."""

from __future__ import annotations

import re

import pytest

from accounts.models import EmailAccount
from mailboxes.models import Folder, FolderEntry, SkippedMessage
from mailhub.mail.errors import ProtocolViolation
from tests.mail.scripted_imap import CLOSE
from tests.mailboxes.conftest import raw_message
from tests.mailboxes.misbehaving import (
    ALL,
    CONDSTORE,
    MisbehavingServer,
    ServedFolder,
    subjects,
    sync,
)

# What a server says of its folder; all of it is in the folder after all.
LIES: dict[str, dict[str, object]] = {
    "UIDNEXT too small": {"uid_next": 2},
    "UIDNEXT too large": {"uid_next": 4_294_967_295},
    "UIDNEXT zero": {"uid_next": 0},
    "UIDNEXT beyond 64 bits": {"uid_next": (1 << 64) + 5},
    "UIDNEXT no number": {"uid_next": b"NIL"},
    "no message": {"count": 0},
    "fewer messages": {"count": 2},
    "more messages": {"count": 900_000},
    "messages beyond 64 bits": {"count": (1 << 64) + 5},
    "messages of five thousand digits": {"count": b"9" * 5000},
    "MODSEQ zero": {"modseq": 0},
    "MODSEQ beyond 64 bits": {"modseq": (1 << 64) + 5},
    "MODSEQ negative": {"modseq": b"-9"},
    "UIDVALIDITY beyond 64 bits": {"validity": (1 << 64) + 5},
}


@pytest.mark.parametrize("capabilities", [b"IMAP4rev1 UIDPLUS", CONDSTORE], ids=["poor", "rich"])
@pytest.mark.parametrize("name", LIES)
def test_what_a_folder_is_said_to_hold_is_not_what_is_read(
    account: EmailAccount, name: str, capabilities: bytes
) -> None:
    with MisbehavingServer(capabilities=capabilities) as server:
        for attribute, value in LIES[name].items():
            setattr(server.inbox, attribute, value)
        sync(account, server)
        assert subjects("Other") == ["other"], "the other folder is read in any case"
        if name != "UIDVALIDITY beyond 64 bits":
            assert subjects() == ALL
            server.inbox.messages[6] = raw_message("m6")
            server.inbox.modseq = 99
            sync(account, server, full=True)
            assert subjects() == [*ALL, "m6"]
            assert Folder.objects.get(path="INBOX").total == 6


@pytest.mark.parametrize(
    "said",
    [b"* STATUS\r\n", b"* STATUS INBOX\r\n", b"* STATUS INBOX (MESSAGES)\r\n", b"", b"* X\r\n"],
)
def test_a_folder_without_a_state_is_left_out(account: EmailAccount, said: bytes) -> None:
    with MisbehavingServer() as server:
        server.answers["STATUS INBOX"] = server.answers['STATUS "INBOX'] = said + b"<tag> OK\r\n"
        sync(account, server)
    assert subjects("Other") == ["other"]
    folder = Folder.objects.get(path="INBOX")
    assert (folder.failures, bool(folder.failure)) == (1, True)


def test_uids_in_disorder_twice_and_impossible(account: EmailAccount) -> None:
    with MisbehavingServer() as server:
        inbox = server.inbox
        inbox.messages = {uid: inbox.messages[uid] for uid in (3, 1, 5, 2, 4)}
        server.answers["UID SEARCH ALL"] = (
            b"* SEARCH 3 1 1 0 -7 x 5 4294967296 99999999999999999999 2\r\n"
            b"* SEARCH 4 3\r\n<tag> OK\r\n"
        )
        server.folders.pop(b"Other")
        for _ in range(2):
            sync(account, server)
    assert subjects() == ALL
    rows = FolderEntry.objects.order_by("uid").values_list("uid", "message__subject")
    assert list(rows) == [(1, "m1"), (2, "m2"), (3, "m3"), (4, "m4"), (5, "m5")]
    assert not SkippedMessage.objects.exists()


def test_a_message_under_a_uid_that_cannot_be(account: EmailAccount) -> None:
    with MisbehavingServer() as server:
        server.inbox.messages[0] = raw_message("zero")
        server.inbox.messages[1 << 32] = raw_message("too far")
        server.inbox.messages[(1 << 64) + 5] = raw_message("beyond the database")
        sync(account, server)
        sync(account, server)
    assert set(ALL) <= set(subjects())
    assert subjects("Other") == ["other"]


def test_a_list_without_a_folder_forgets_nothing(account: EmailAccount) -> None:
    with MisbehavingServer() as server:
        sync(account, server)
        server.answers["LIST"] = b"<tag> OK\r\n"
        with pytest.raises(ProtocolViolation):
            sync(account, server)
        server.answers["LIST"] = b"* LIST (\r\n* LIST\r\n* LIST () NIL\r\n<tag> OK\r\n"
        with pytest.raises(ProtocolViolation):
            sync(account, server)
    assert subjects() == ALL


def test_a_list_that_goes_in_circles(account: EmailAccount) -> None:
    """A link to a folder above: the same names again and again, and ever longer ones."""
    with MisbehavingServer() as server:
        lines = [b'* LIST () "/" "INBOX"\r\n', b'* LIST () "/" "Other"\r\n'] * 50
        lines += [b'* LIST () "/" "%s"\r\n' % b"/".join([b"a"] * depth) for depth in range(1, 900)]
        server.answers["LIST"] = b"".join(lines) + b"<tag> OK\r\n"
        server.answers["STATUS A"] = server.answers['STATUS "A'] = b"<tag> NO loop\r\n"
        sync(account, server)
    assert subjects() == ALL
    assert subjects("Other") == ["other"]
    assert Folder.objects.filter(path="INBOX").count() == 1


def test_ten_thousand_folders(account: EmailAccount) -> None:
    with MisbehavingServer(capabilities=CONDSTORE + b" LIST-STATUS") as server:
        opened = [b"folder %d" % number for number in range(20)]
        named = [b"level %d" % number for number in range(10_000 - len(opened))]
        server.answers["LIST"] = (
            b"".join(
                b'* LIST () "/" "%s"\r\n* STATUS "%s" (MESSAGES 0 UIDNEXT 1 UIDVALIDITY 7 UNSEEN 0'
                b" HIGHESTMODSEQ 1)\r\n" % (name, name)
                for name in opened
            )
            + b"".join(b'* LIST (\\Noselect) "/" "%s"\r\n' % name for name in named)
            + b'* LIST () "/" INBOX\r\n<tag> OK\r\n'
        )
        server.folders |= {name: ServedFolder(modseq=1) for name in opened}
        progress = sync(account, server)
        assert progress.folders_done == progress.folders_total == 21
        heard = len(server.received)
        sync(account, server)
        assert len(server.received) - heard < 12, "what is quiet is not opened"
    assert subjects() == ALL
    assert Folder.objects.count() == 10_001


@pytest.mark.parametrize("name", [b"inbox", b"Inbox", b"iNBoX"])
def test_the_inbox_under_another_case(account: EmailAccount, name: bytes) -> None:
    with MisbehavingServer() as server:
        server.folders = {name: server.inbox, b"Other": server.folders[b"Other"]}
        server.folders[b"INBOX"] = server.folders[name]
        server.answers["LIST"] = (
            b'* LIST () "/" %s\r\n* LIST () "/" INBOX\r\n* LIST () "/" Other\r\n<tag> OK\r\n' % name
        )
        sync(account, server)
    assert subjects() == ALL
    folders = Folder.objects.order_by("path").values_list("path", "role")
    assert list(folders) == [("INBOX", "inbox"), ("Other", "")]


def test_a_special_use_of_two_folders_is_one_of_them(account: EmailAccount) -> None:
    with MisbehavingServer() as server:
        for name in (b"Outgoing", b"Old outgoing"):
            server.folders[name] = ServedFolder(
                {1: raw_message(name.decode())}, attributes=b"\\HasNoChildren \\Sent"
            )
        sync(account, server)
    assert Folder.objects.filter(role="sent").count() == 1
    assert subjects("Outgoing") + subjects("Old outgoing") == ["Outgoing", "Old outgoing"]


NAMES = {
    "Latin-1": b"caf\xe9",
    "UTF-8": "Größe".encode(),
    "no UTF-7": b"a &2D3- b",
    "unfinished UTF-7": b"a &ZeVn",
    "ampersand": b"R&D",
    "controls": b"a\x01b\x7f",
    "quotes": b'a \\"b\\" \\\\',
    "percent and star": b"100% *",
    "spaces": b" a  b ",
}


@pytest.mark.parametrize("kind", NAMES)
def test_a_folder_under_any_name_is_read_or_left_out(account: EmailAccount, kind: str) -> None:
    name = NAMES[kind]
    with MisbehavingServer() as server:
        server.folders[name] = ServedFolder({1: raw_message("odd")})
        server.folders[re.sub(rb"\\(.)", rb"\1", name)] = server.folders[name]
        server.answers["LIST"] = (
            b'* LIST () "/" "%s"\r\n* LIST () "/" INBOX\r\n* LIST () "/" Other\r\n<tag> OK\r\n'
            % name
        )
        for _ in range(2):
            sync(account, server)
    assert subjects() == ALL
    assert subjects("Other") == ["other"]
    if kind != "controls":
        odd = Folder.objects.exclude(path__in=["INBOX", "Other"]).get()
        assert (odd.failures, subjects(odd.path)) == (0, ["odd"])


@pytest.mark.parametrize(
    "refusal",
    [
        b"<tag> NO [NOPERM] not yours\r\n",
        b"<tag> BAD what?\r\n",
        b"* BYE corrupt index\r\n" + CLOSE,
    ],
)
def test_a_folder_that_refuses_to_be_opened_is_parked_with_a_note(
    account: EmailAccount, refusal: bytes
) -> None:
    with MisbehavingServer() as server:
        server.answers["EXAMINE OTHER"] = server.answers['EXAMINE "OTHER'] = refusal
        for _ in range(3):
            sync(account, server)
        folder = Folder.objects.get(path="Other")
        assert folder.is_parked and folder.failure
        assert subjects() == ALL
        heard = len(server.received)
        sync(account, server)
        assert not any(b"Other" in line for line in server.received[heard:]), "left alone"
        del server.answers["EXAMINE OTHER"], server.answers['EXAMINE "OTHER']
        sync(account, server, full=True)
    assert subjects("Other") == ["other"]
    assert Folder.objects.get(path="Other").failures == 0
