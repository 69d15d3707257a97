"""A mail server that lives in memory, and the store that talks to it.

The twin of an IMAP account: the same contract, the same errors, no network. Tests and
trials of everything above the store run over it. What a second mail program would do
is done on the server itself (`account.folder("INBOX").deliver(...)`), and the server
can be told to misbehave.

    server = InMemoryMailServer()
    account = server.add_account("ada@example.org", "secret")
    account.deliver(b"Subject: hello\\r\\n\\r\\nHi")
    with InMemoryStore(server, PasswordLogin("ada@example.org", "secret")) as store:
        store.select("INBOX")
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from mailhub.mail.errors import CommandRefused, ConnectionFailed, FolderMissing, InvalidMessage
from mailhub.mail.living_token import with_living_token
from mailhub.mail.parsing import open_message, parse_message
from mailhub.mail.server import Login
from mailhub.mail.stores.base import (
    Changes,
    FolderStatus,
    Measure,
    Outline,
    ReadMessage,
    RemoteFlags,
    RemoteFolder,
    RemoteMessage,
    Store,
)
from mailhub.mail.stores.criteria import read_criteria
from mailhub.mail.stores.folder_names import quote, refuse_controls, with_roles
from mailhub.mail.stores.in_memory_server import (
    InMemoryAccount,
    InMemoryFolder,
    InMemoryMailServer,
    Misbehaviour,
    StoredMessage,
)

__all__ = [
    "InMemoryAccount",
    "InMemoryFolder",
    "InMemoryMailServer",
    "InMemoryStore",
    "Misbehaviour",
]


class InMemoryStore(Store):
    """One connection to an account of an `InMemoryMailServer`."""

    def __init__(self, server: InMemoryMailServer, login: Login | None) -> None:
        self._server = server
        self._login = login
        self._account: InMemoryAccount | None = None
        self._selected: InMemoryFolder | None = None
        self._read_only = True
        self._tells_vanished = False

    def open(self) -> None:
        if self._account is None:
            self._count("open")
            self._account = with_living_token(self._login, self._server.log_in)
            self._server.open_connections += 1

    def close(self) -> None:
        if self._account is not None:
            self._server.open_connections -= 1
        self._account = self._selected = None
        self._tells_vanished = False

    @property
    def capabilities(self) -> frozenset[str]:
        return self._server.capabilities

    def folders(self) -> list[RemoteFolder]:
        account = self._command("folders")
        with self._server.lock:
            found = list(account.folders.values())
        return with_roles([RemoteFolder(f.path, "/", None, f.selectable, f.flags) for f in found])

    def folders_and_states(self) -> tuple[list[RemoteFolder], dict[str, FolderStatus]]:
        folders = self.folders()
        if "LIST-STATUS" not in self.capabilities or self._account is None:
            return folders, {}
        with self._server.lock:
            states = {
                path: self._told(folder.status())
                for path, folder in self._account.folders.items()
                if folder.selectable and path not in self._server.misbehaviour.unselectable
            }
        return folders, states

    def track_changes(self) -> None:
        self._command("track_changes")
        self._tells_vanished = self._selected is None and "QRESYNC" in self.capabilities

    def status(self, path: str) -> FolderStatus:
        folder = self._usable(self._command("status"), path)
        with self._server.lock:
            return self._told(folder.status())

    def select(self, path: str, *, read_only: bool = True) -> FolderStatus:
        account = self._command("select")
        refuse_controls(path, "A folder name")
        self._selected = None
        self._selected, self._read_only = self._usable(account, path), read_only
        with self._server.lock:
            return self._told(self._selected.status())

    def uids(self, criteria: str = "ALL") -> list[int]:
        refuse_controls(criteria, "A search")
        folder = self._current("uids")
        test = read_criteria(criteria)
        with self._server.lock:
            return [
                uid
                for uid, message in sorted(folder.messages.items())
                if test(message, folder.uid_next - 1)
            ]

    def flags(self, first: int = 1, last: int | None = None) -> Iterator[RemoteFlags]:
        folder = self._current("flags")
        with self._server.lock:
            found = [
                RemoteFlags(uid, frozenset(message.flags), self._modseq(message.modseq))
                for uid, message in sorted(folder.messages.items())
                if first <= uid and (last is None or uid <= last)
            ]
        yield from found

    def changes(self, since: int, first: int = 1, last: int | None = None) -> Changes:
        folder = self._current("changes")
        if "CONDSTORE" not in self.capabilities:
            raise CommandRefused("The server does not tell what changed.")
        inside = range(first, folder.uid_next if last is None else last + 1)
        with self._server.lock:
            changed = tuple(
                RemoteFlags(uid, frozenset(message.flags), message.modseq)
                for uid, message in sorted(folder.messages.items())
                if message.modseq > since and uid in inside
            )
            gone = sorted(u for u, modseq in folder.gone.items() if modseq > since and u in inside)
        vanished = tuple((uid, uid) for uid in gone) if self._tells_vanished else None
        return Changes(changed, vanished)

    def fetch(self, uids: Sequence[int], *, headers_only: bool = False) -> Iterator[RemoteMessage]:
        folder = self._current("fetch")
        for uid in sorted(set(uids)):
            with self._server.lock:
                message = folder.messages.get(uid)
                withheld = (folder.path, uid) in self._server.misbehaviour.withheld
                if message is None or withheld:
                    continue
                self._hand_over()
                told = RemoteMessage(
                    uid=uid,
                    flags=frozenset(message.flags),
                    received_at=message.received_at,
                    size=len(message.content),
                    content=_header(message.content) if headers_only else message.content,
                    modseq=self._modseq(message.modseq),
                    remote_id=message.remote_id if "OBJECTID" in self.capabilities else "",
                )
            yield told

    def measures(self, uids: Sequence[int]) -> list[Measure]:
        folder, wanted = self._current("measures"), set(uids)
        with self._server.lock:
            return [
                Measure(uid, message.received_at, len(message.content))
                for uid, message in sorted(folder.messages.items())
                if uid in wanted
            ]

    def search(self, words: str) -> list[int]:
        refuse_controls(words, "A search")
        return self.uids(f"TEXT {quote(words.encode()).decode()}")

    def outlines(self, uids: Sequence[int]) -> list[Outline]:
        folder, wanted = self._current("outlines"), set(uids)
        with self._server.lock:
            return [
                _outline(message)
                for uid, message in sorted(folder.messages.items())
                if uid in wanted and (folder.path, uid) not in self._server.misbehaviour.withheld
            ]

    def outlines_at(self, first: int, last: int) -> list[Outline]:
        folder = self._current("outlines")
        with self._server.lock:
            uids = sorted(folder.messages)[first - 1 : last]
            return [_outline(folder.messages[uid]) for uid in uids]

    def read(
        self, outlines: Sequence[Outline], *, with_attachments: bool = False
    ) -> Iterator[ReadMessage]:
        folder = self._current("read")
        for outline in outlines:
            with self._server.lock:
                message = folder.messages.get(outline.uid)
                if message is None:
                    continue
                self._hand_over()
                content = message.content
            parsed, contents = open_message(content)
            yield ReadMessage(outline, parsed, contents if with_attachments else ())

    def append(
        self,
        path: str,
        content: bytes,
        *,
        flags: Sequence[str] = (),
        received_at: datetime | None = None,
    ) -> int | None:
        folder = self._usable(self._command("append"), path)
        content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")
        uid = folder.deliver(content, flags=_checked(flags), received_at=received_at)
        return uid if "UIDPLUS" in self.capabilities else None

    def store_flags(
        self, uids: Sequence[int], *, add: Sequence[str] = (), remove: Sequence[str] = ()
    ) -> None:
        folder = self._current("store_flags", writing=True)
        added, removed = set(_checked(add)), set(_checked(remove))
        with self._server.lock:
            for uid in uids:
                if uid in folder.messages:
                    folder.set_flags(uid, (folder.messages[uid].flags | added) - removed)

    def move(self, uids: Sequence[int], path: str) -> dict[int, int]:
        self._usable(self._command("move"), path)
        folder = self._current("move", writing=True)
        with self._server.lock:
            moved = {
                uid: folder.move(uid, path) for uid in sorted(set(uids)) if uid in folder.messages
            }
        return moved if "UIDPLUS" in self.capabilities else {}

    def expunge(self, uids: Sequence[int]) -> None:
        folder = self._current("expunge", writing=True)
        self.store_flags(uids, add=["\\Deleted"])
        if "UIDPLUS" not in self.capabilities:
            raise CommandRefused("The server cannot delete single messages; they are marked.")
        with self._server.lock:
            for uid in uids:
                if uid in folder.messages:
                    folder.remove(uid)

    def create_folder(self, path: str) -> None:
        refuse_controls(path, "A folder name")
        self._command("create_folder").add_folder(path)

    def _count(self, name: str) -> None:
        with self._server.lock:
            self._server.commands[name] = self._server.commands.get(name, 0) + 1

    def _command(self, name: str) -> InMemoryAccount:
        if self._account is None:
            raise ConnectionFailed("The connection is not open.")
        self._count(name)
        if self._server.misbehaviour.fail_commands is not None:
            raise self._server.misbehaviour.fail_commands
        return self._account

    def _current(self, name: str, *, writing: bool = False) -> InMemoryFolder:
        self._command(name)
        if self._selected is None:
            raise CommandRefused("No folder is selected.")
        if writing and self._read_only:
            raise CommandRefused(f"The folder {self._selected.path} was selected for reading.")
        return self._selected

    def _usable(self, account: InMemoryAccount, path: str) -> InMemoryFolder:
        refuse_controls(path, "A folder name")
        folder = account.folder(path)
        if not folder.selectable or path in self._server.misbehaviour.unselectable:
            raise FolderMissing(f"The folder {path} cannot be used.")
        return folder

    def _hand_over(self) -> None:
        """Count a message down; the connection ends where none may pass any more."""
        left = self._server.misbehaviour.drop_after
        if left is None:
            return
        if left <= 0:
            self.close()
            raise ConnectionFailed("The server closed the connection.")
        self._server.misbehaviour.drop_after = left - 1

    def _modseq(self, modseq: int) -> int:
        return modseq if "CONDSTORE" in self.capabilities else 0

    def _told(self, status: FolderStatus) -> FolderStatus:
        return FolderStatus(
            status.path,
            status.uid_validity,
            status.uid_next,
            status.messages,
            status.unseen,
            self._modseq(status.highest_modseq),
        )


def _outline(message: StoredMessage) -> Outline:
    parsed = parse_message(message.content)
    return Outline(
        uid=message.uid,
        flags=frozenset(message.flags),
        received_at=message.received_at,
        size=len(message.content),
        header=_header(message.content),
        text_octets=len(parsed.text) + len(parsed.html),
    )


def _header(content: bytes) -> bytes:
    head, blank, _ = content.partition(b"\r\n\r\n")
    return head + blank


def _checked(flags: Sequence[str]) -> Sequence[str]:
    for flag in flags:
        refuse_controls(flag, "A flag")
        if not flag or " " in flag or not flag.isascii():
            raise InvalidMessage(f"{flag!r} cannot be a flag.")
    return flags
