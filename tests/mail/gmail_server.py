"""A server on loopback that speaks IMAP as Gmail does (X-GM-EXT-1), over messages in memory.

A message lies in All Mail, Spam or Trash, where it has a UID; other folders show the
labels of those in All Mail. Its methods are what a person does meanwhile in a browser.
"""

from __future__ import annotations

import itertools
import re
import socketserver
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from imap_tools import imap_utf7

from tests.mail.scripted_imap import ScriptedImapServer

ALL, SPAM, TRASH = "[Gmail]/All Mail", "[Gmail]/Spam", "[Gmail]/Trash"
STARRED, SENT, DRAFTS = "[Gmail]/Starred", "[Gmail]/Sent Mail", "[Gmail]/Drafts"
IMPORTANT = "[Gmail]/Important"
_ATTRIBUTES = {
    "[Gmail]": "\\Noselect \\HasChildren",
    ALL: "\\All",
    SPAM: "\\Junk",
    TRASH: "\\Trash",
    STARRED: "\\Flagged",
    SENT: "\\Sent",
    DRAFTS: "\\Drafts",
    IMPORTANT: "\\Important",
}
_LABELS = {
    "INBOX": "\\Inbox",
    STARRED: "\\Starred",
    SENT: "\\Sent",
    DRAFTS: "\\Draft",
    IMPORTANT: "\\Important",
}
_CAPABILITIES = (
    "IMAP4rev1 UNSELECT IDLE NAMESPACE QUOTA ID XLIST CHILDREN X-GM-EXT-1 UIDPLUS ENABLE MOVE"
    " CONDSTORE ESEARCH LIST-EXTENDED LIST-STATUS SPECIAL-USE AUTH=PLAIN"
)
_WORD = re.compile(r'"(?:[^"\\]|\\.)*"|\((?:[^()]|\([^()]*\))*\)|\S+')
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

LABEL_UIDS = 5000

Say = Callable[[str], None]


@dataclass
class GmailMessage:
    """`place` is All Mail, Spam or Trash; `labels` are system labels or paths."""

    number: int
    content: bytes
    place: str
    uid: int
    modseq: int
    labels: set[str] = field(default_factory=set)
    flags: set[str] = field(default_factory=set)
    received_at: datetime = datetime(2026, 11, 3, 10, 0, tzinfo=UTC)


class GmailServer(ScriptedImapServer):
    """`selected` holds the folders that were opened; `refused_bodies` hands no body over.

    In a label's folder a message has a UID of that folder's own, `LABEL_UIDS` higher here.
    """

    def __init__(self, labels: Iterable[str] = (), *, shows_all_mail: bool = True) -> None:
        super().__init__()
        self.lock = threading.RLock()
        self.messages: list[GmailMessage] = []
        self.user_labels = list(labels)
        self.shows_all_mail = shows_all_mail
        self.selected: list[str] = []
        self.fetched_bodies = 0
        self.refused_bodies = False
        self.uid_validity = 7
        self._uids: dict[str, int] = {}
        self._numbers = itertools.count(1000)
        self.removed_at = 0

    def deliver(self, content: bytes, *labels: str, place: str = ALL) -> GmailMessage:
        """Put a message somewhere."""
        with self.lock:
            message = GmailMessage(
                next(self._numbers),
                content,
                place,
                self._next_uid(place),
                next(self._numbers),
                set(labels),
            )
            self.messages.append(message)
            return message

    def label(self, message: GmailMessage, *, add: str = "", remove: str = "") -> None:
        """Change a label of a message."""
        with self.lock:
            message.labels = (message.labels | {add} - {""}) - {remove}
            message.modseq = next(self._numbers)

    def move(self, message: GmailMessage, place: str, *labels: str) -> int:
        """Move a message to All Mail, Spam or Trash; its new UID."""
        with self.lock:
            message.place, message.labels = place, set(labels)
            message.uid, message.modseq = self._next_uid(place), next(self._numbers)
            return message.uid

    def rename_label(self, old: str, new: str) -> None:
        """As the settings page does it: the messages' own state stays as it was."""
        with self.lock:
            self.user_labels[self.user_labels.index(old)] = new
            for message in self.messages:
                if old in message.labels:
                    message.labels = message.labels - {old} | {new}

    def in_folder(self, path: str) -> list[GmailMessage]:
        """What a folder shows."""
        if path in (ALL, SPAM, TRASH):
            found = [row for row in self.messages if row.place == path]
        else:
            label = _LABELS.get(path, path)
            found = [row for row in self.messages if row.place == ALL and label in row.labels]
        return sorted(found, key=lambda row: row.uid)

    def speak(self, handler: socketserver.StreamRequestHandler) -> None:
        session = _Session(self, handler)
        try:
            session.say("* OK Gimap ready")
            for line in handler.rfile:
                if not session.take(line.decode().rstrip("\r\n")):
                    return
        except OSError:
            # The client went away, which is its right.
            return

    def folders(self) -> dict[str, str]:
        """Path → attributes."""
        hidden = () if self.shows_all_mail else (ALL,)
        known = {path: words for path, words in _ATTRIBUTES.items() if path not in hidden}
        return {"INBOX": "\\HasNoChildren", **known} | dict.fromkeys(self.user_labels, "")

    def _next_uid(self, place: str) -> int:
        self._uids[place] = self._uids.get(place, 0) + 1
        return self._uids[place]


class _Session:
    def __init__(self, server: GmailServer, handler: socketserver.StreamRequestHandler) -> None:
        self._server, self._handler = server, handler
        self._path = ""

    def say(self, line: str | bytes) -> None:
        octets = line if isinstance(line, bytes) else line.encode()
        self._handler.wfile.write(octets + b"\r\n")

    def take(self, line: str) -> bool:
        """Answer one command; False where it was the last."""
        tag, _, rest = line.partition(" ")
        words = _WORD.findall(rest)
        self._server.received.append(rest.encode())
        verb = " ".join(words[:2]).upper() if words[0].upper() == "UID" else words[0].upper()
        arguments = words[2:] if verb.startswith("UID ") else words[1:]
        if verb == "AUTHENTICATE":
            self.say("+ ")
            self._handler.rfile.readline()
        elif verb == "APPEND":
            self.say("+ go ahead")
            arguments = [*arguments[:-1], self._literal(arguments[-1])]
        with self._server.lock:
            answer = getattr(self, f"_{verb.lower().replace(' ', '_')}", None)
            refusal = answer(*arguments) if answer else None
        self.say(f"{tag} {refusal or 'OK done'}")
        return verb != "LOGOUT"

    def _capability(self) -> None:
        self.say(f"* CAPABILITY {_CAPABILITIES}")

    def _enable(self, *names: str) -> None:
        self.say(f"* ENABLED {' '.join(names)}")

    def _logout(self) -> None:
        self.say("* BYE bye")

    def _list(self, *_: str) -> None:
        for path, attributes in self._server.folders().items():
            self.say(f'* LIST ({attributes}) "/" "{_wire(path)}"')
        for path, attributes in self._server.folders().items():
            if "\\Noselect" not in attributes:
                self._status(f'"{_wire(path)}"')

    def _status(self, name: str, *_: str) -> str | None:
        path = _path(name)
        if path not in self._server.folders():
            return "NO [NONEXISTENT] Unknown Mailbox"
        rows = self._server.in_folder(path)
        unseen = sum("\\Seen" not in row.flags for row in rows)
        self.say(
            f'* STATUS "{_wire(path)}" (MESSAGES {len(rows)} UIDNEXT {self._uid_next(path)}'
            f" UIDVALIDITY {self._server.uid_validity} UNSEEN {unseen}"
            f" HIGHESTMODSEQ {self._highest()})"
        )
        return None

    def _select(self, name: str, *_: str) -> str | None:
        self._path = _path(name)
        if self._path not in self._server.folders():
            return "NO [NONEXISTENT] Unknown Mailbox"
        self._server.selected.append(self._path)
        self.say(f"* {len(self._rows())} EXISTS")
        self.say(f"* OK [UIDVALIDITY {self._server.uid_validity}]")
        self.say(f"* OK [UIDNEXT {self._uid_next(self._path)}]")
        self.say(f"* OK [HIGHESTMODSEQ {self._highest()}]")
        return "OK [READ-WRITE] selected"

    def _examine(self, name: str, *rest: str) -> str | None:
        return (self._select(name, *rest) or "").replace("READ-WRITE", "READ-ONLY")

    def _append(self, name: str, *rest: str) -> str:
        path, content = _path(name), rest[-1].encode("latin-1")
        label = _LABELS.get(path, path)
        labels, place = ([], path) if path in (ALL, SPAM, TRASH) else ([label], ALL)
        row = self._server.deliver(content, *labels, place=place)
        row.flags = {flag for flag in rest[0].strip("()").split() if flag != "\\Draft"}
        uid = row.uid + (LABEL_UIDS if labels else 0)
        return f"OK [APPENDUID {self._server.uid_validity} {uid}] done"

    def _literal(self, announced: str) -> str:
        octets = self._handler.rfile.read(int(announced.strip("{}")))
        self._handler.rfile.readline()
        return octets.decode("latin-1")

    def _uid_search(self, *criteria: str) -> None:
        rows = self._rows()
        words = [word for word in criteria if word != "UNDELETED"]
        if words[:1] == ["UID"]:
            rows = [row for row in rows if _within(self._uid(row), words[1])]
        elif words[:1] == ["MODSEQ"]:
            rows = [row for row in rows if row.modseq >= int(words[1])]
        elif words[:1] == ["HEADER"]:
            rows = [row for row in rows if words[2].strip('"').encode() in row.content]
        self.say(" ".join(["* SEARCH", *(str(self._uid(row)) for row in rows)]))

    def _uid(self, row: GmailMessage) -> int:
        return row.uid + (0 if self._path in (ALL, SPAM, TRASH) else LABEL_UIDS)

    def _uid_fetch(self, numbers: str, items: str, *modifiers: str) -> None:
        since = int(modifiers[0].split()[1].rstrip(")")) if modifiers else 0
        for place, row in enumerate(self._rows(), start=1):
            if _within(self._uid(row), numbers) and row.modseq > since:
                told = [f"UID {self._uid(row)}".encode(), f"MODSEQ ({row.modseq})".encode()]
                wanted = items.upper()
                if "FLAGS" in wanted:
                    told.append(f"FLAGS ({' '.join(sorted(row.flags))})".encode())
                if "INTERNALDATE" in wanted:
                    told.append(f'INTERNALDATE "{_date(row.received_at)}"'.encode())
                if "RFC822.SIZE" in wanted:
                    told.append(f"RFC822.SIZE {len(row.content)}".encode())
                if "X-GM-MSGID" in wanted:
                    told.append(f"X-GM-MSGID {row.number}".encode())
                if "X-GM-LABELS" in wanted:
                    labels = " ".join(map(_quoted, sorted(row.labels)))
                    told.append(f"X-GM-LABELS ({labels})".encode())
                told += self._content(row, wanted)
                self.say(b"* %d FETCH (%s)" % (place, b" ".join(told)))

    def _content(self, row: GmailMessage, wanted: str) -> list[bytes]:
        if "BODY.PEEK[HEADER" in wanted:
            header = row.content.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
            return [b"BODY[HEADER] {%d}\r\n%s" % (len(header), header)]
        if "BODY.PEEK[" in wanted and not self._server.refused_bodies:
            self._server.fetched_bodies += 1
            return [b"BODY[] {%d}\r\n%s" % (len(row.content), row.content)]
        return []

    def _uid_store(self, numbers: str, what: str, values: str) -> None:
        words = {_path(word) for word in _WORD.findall(values.strip("()"))}
        for row in self._rows():
            if _within(self._uid(row), numbers):
                held = row.labels if "LABELS" in what.upper() else row.flags
                changed = held | words if what.startswith("+") else held - words
                if held is row.labels:
                    row.labels = changed
                else:
                    row.flags = changed
                row.modseq = next(self._server._numbers)

    def _uid_move(self, numbers: str, name: str) -> str | None:
        path = _path(name)
        if path not in self._server.folders():
            return "NO [TRYCREATE] No folder"
        rows = [row for row in self._rows() if _within(self._uid(row), numbers)]
        old = [self._uid(row) for row in rows]
        for row in rows:
            if path in (ALL, SPAM, TRASH):
                self._server.move(row, path)
            else:
                self._server.move(row, ALL, _LABELS.get(path, path))
        offset = 0 if path in (ALL, SPAM, TRASH) else LABEL_UIDS
        new = ",".join(str(row.uid + offset) for row in rows)
        self.say(f"* OK [COPYUID {self._server.uid_validity} {','.join(map(str, old))} {new}]")
        return None

    def _uid_expunge(self, numbers: str) -> None:
        gone = [
            row
            for row in self._rows()
            if _within(self._uid(row), numbers) and "\\Deleted" in row.flags
        ]
        self._server.messages = [row for row in self._server.messages if row not in gone]

    def _rows(self) -> list[GmailMessage]:
        return self._server.in_folder(self._path)

    def _uid_next(self, path: str) -> int:
        is_label = path not in (ALL, SPAM, TRASH)
        return self._server._uids.get(ALL if is_label else path, 0) + 1 + LABEL_UIDS * is_label

    def _highest(self) -> int:
        return max((row.modseq for row in self._server.messages), default=1)


def _within(uid: int, numbers: str) -> bool:
    for part in numbers.split(","):
        first, _, last = part.partition(":")
        if int(first) <= uid <= (2**32 if last == "*" else int(last or first)):
            return True
    return False


def _wire(path: str) -> str:
    return imap_utf7.utf7_encode(path).decode("ascii")


def _path(name: str) -> str:
    text = re.sub(r"\\(.)", r"\1", name[1:-1]) if name.startswith('"') else name
    return text if text.startswith("\\") else imap_utf7.utf7_decode(text.encode())


def _quoted(label: str) -> str:
    return '"\\\\' + label[1:] + '"' if label.startswith("\\") else f'"{_wire(label)}"'


def _date(moment: datetime) -> str:
    return f"{moment.day:02}-{_MONTHS[moment.month - 1]}-{moment:%Y %H:%M:%S} +0000"
