"""An IMAP server with a mailbox that says each thing as a test wants it said."""

from __future__ import annotations

import re
import socketserver
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from django.utils import timezone

from accounts.models import EmailAccount
from mailboxes.models import FolderEntry
from mailboxes.sync.control import Control, Progress
from mailboxes.sync.engine import Order, Pass
from mailhub.mail.stores.imap import ImapStore
from tests.mail.scripted_imap import ScriptedImapServer
from tests.mailboxes.conftest import raw_message

ARRIVAL = b'"21-Nov-2026 10:00:00 +0000"'
CONDSTORE = b"IMAP4rev1 UIDPLUS CONDSTORE"
# The subjects in its inbox.
ALL = ["m1", "m2", "m3", "m4", "m5"]
_SET = re.compile(rb"UID FETCH (\S+) \(([^)]*)\)")
_NAME = re.compile(rb'[A-Z]+ (?:"((?:[^"\\]|\\.)*)"|(\S+))')


@dataclass
class ServedFolder:
    """UID → raw message, in the order in which the server tells of them.

    What it tells of itself is true unless a number is given.
    """

    messages: dict[int, bytes] = field(default_factory=dict)
    flags: bytes = b"\\Seen"
    validity: int | bytes = 7
    uid_next: int | bytes | None = None
    count: int | bytes | None = None
    modseq: int | bytes = 9
    attributes: bytes = b"\\HasNoChildren"

    @property
    def told_uid_next(self) -> bytes:
        return _octets(self.uid_next, max(self.messages, default=0) + 1)

    @property
    def told_count(self) -> bytes:
        return _octets(self.count, len(self.messages))


# (UID, the response as it should be) → what is said instead.
Twist = Callable[[int, bytes], bytes]


class MisbehavingServer(ScriptedImapServer):
    """`folders` by the name as it goes over the wire. An entry of `answers` comes before them.

    `twist` changes the FETCH response of a message, whatever was asked of it;
    `twist_bodies` those that hold the whole message.
    """

    def __init__(self, *, capabilities: bytes = b"IMAP4rev1 UIDPLUS") -> None:
        super().__init__()
        self.answers = {
            "CAPABILITY": b"* CAPABILITY " + capabilities + b"\r\n<tag> OK\r\n",
            "LOGIN": b"<tag> OK in\r\n",
            "LOGOUT": b"* BYE bye\r\n<tag> OK\r\n<close>",
            "NOOP": b"<tag> OK\r\n",
        }
        inbox = {uid: raw_message(f"m{uid}") for uid in range(1, 6)}
        self.folders: dict[bytes, ServedFolder] = {
            b"INBOX": ServedFolder(inbox),
            b"Other": ServedFolder({1: raw_message("other")}),
        }
        self.twist: Twist = lambda _uid, response: response
        self.twist_bodies: Twist = lambda _uid, response: response
        self._selected: dict[socketserver.StreamRequestHandler, ServedFolder] = {}

    @property
    def inbox(self) -> ServedFolder:
        return self.folders[b"INBOX"]

    def _answer(self, command: bytes, handler: socketserver.StreamRequestHandler) -> bytes:
        if any(command.decode("latin-1").upper().startswith(known) for known in self.answers):
            return super()._answer(command, handler)
        verb = command.split()[0].upper()
        if verb == b"LIST":
            return b"".join(map(self._listed, self.folders)) + b"<tag> OK\r\n"
        if verb in (b"STATUS", b"EXAMINE"):
            folder = self.folders.get(_name(command))
            if folder is None:
                return b"<tag> NO no such folder\r\n"
            return self._state(verb, command, folder, handler)
        folder = self._selected.get(handler)
        if folder is None or verb != b"UID":
            return b"<tag> BAD what?\r\n"
        if command.startswith(b"UID SEARCH"):
            return self._search(folder, command)
        return self._fetch(folder, command)

    def _listed(self, name: bytes) -> bytes:
        return b'* LIST (%s) "/" "%s"\r\n' % (self.folders[name].attributes, name)

    def _state(
        self,
        verb: bytes,
        command: bytes,
        folder: ServedFolder,
        handler: socketserver.StreamRequestHandler,
    ) -> bytes:
        told = (folder.told_count, folder.told_uid_next, _octets(folder.validity, 0))
        if verb == b"STATUS":
            modseq = b" HIGHESTMODSEQ " + _octets(folder.modseq, 0)
            return (
                b"* STATUS %s (MESSAGES %s UIDNEXT %s UIDVALIDITY %s UNSEEN 0%s)\r\n<tag> OK\r\n"
            ) % (
                command.split(b" ", 1)[1].split(b" (")[0],
                *told,
                modseq if b"MODSEQ" in command else b"",
            )
        self._selected[handler] = folder
        return (
            b"* %s EXISTS\r\n* OK [UIDNEXT %s] ok\r\n* OK [UIDVALIDITY %s] ok\r\n"
            b"* OK [HIGHESTMODSEQ %s] ok\r\n<tag> OK [READ-ONLY] in\r\n"
        ) % (*told, _octets(folder.modseq, 0))

    def _search(self, folder: ServedFolder, command: bytes) -> bytes:
        asked = re.match(rb"UID SEARCH UID (\S+)", command)
        uids = [uid for uid in folder.messages if asked is None or _covers(asked[1], uid)]
        return b"* SEARCH %s\r\n<tag> OK\r\n" % b" ".join(b"%d" % uid for uid in uids)

    def _fetch(self, folder: ServedFolder, command: bytes) -> bytes:
        found = _SET.match(command)
        if found is None:
            return b"<tag> BAD what?\r\n"
        said = b""
        for number, (uid, raw) in enumerate(folder.messages.items(), start=1):
            if _covers(found[1], uid):
                said += self._fetched(folder, number, uid, raw, found[2])
        return said + b"<tag> OK\r\n"

    def _fetched(
        self, folder: ServedFolder, number: int, uid: int, raw: bytes, items: bytes
    ) -> bytes:
        told = b"UID %d FLAGS (%s) MODSEQ (3) INTERNALDATE %s RFC822.SIZE %d" % (
            uid,
            folder.flags,
            ARRIVAL,
            len(raw),
        )
        if b"BODY.PEEK[HEADER]" in items:
            header = raw.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
            told += b" BODY[HEADER] {%d}\r\n%s" % (len(header), header)
        elif b"BODY.PEEK[]" in items:
            told += b" BODY[] {%d}\r\n%s" % (len(raw), raw)
        said = self.twist(uid, b"* %d FETCH (%s)\r\n" % (number, told))
        return self.twist_bodies(uid, said) if b"BODY.PEEK[]" in items else said


def _octets(number: int | bytes | None, otherwise: int) -> bytes:
    if isinstance(number, bytes):
        return number
    return b"%d" % (otherwise if number is None else number)


def _name(command: bytes) -> bytes:
    found = _NAME.match(command)
    return re.sub(rb"\\(.)", rb"\1", found[1] or found[2]) if found else b""


def _covers(numbers: bytes, uid: int) -> bool:
    for piece in numbers.split(b","):
        first, _, last = piece.partition(b":")
        highest = 1 << 63 if last == b"*" else int(last or first)
        if int(first) <= uid <= highest:
            return True
    return False


def sync(account: EmailAccount, server: MisbehavingServer, *, full: bool = False) -> Progress:
    """One pass; what stands between two octets of the server's is five seconds at most."""
    progress = Progress()
    order = Order(uuid.uuid4(), timezone.now(), is_full=full)
    with ImapStore(server.settings(timeout=5.0)) as store:
        Pass(store, account.pk, order, Control(progress)).run()
    return progress


def subjects(path: str = "INBOX") -> list[str]:
    """What is stored of a folder, with its body."""
    rows = FolderEntry.objects.filter(folder__path=path, lacks_body=False)
    return sorted(rows.values_list("message__subject", flat=True))
