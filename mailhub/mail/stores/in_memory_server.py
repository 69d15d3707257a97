"""The accounts and folders of the in-memory mail server.

Their methods are what a second mail program does meanwhile, and what an operator breaks.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from mailhub.mail.errors import FolderMissing, LoginDeferred, LoginFailed, MailError
from mailhub.mail.server import Login
from mailhub.mail.stores.base import FolderStatus, Role
from mailhub.mail.stores.in_memory_login import account_of

_CAPABILITIES = frozenset({"IMAP4REV1", "UIDPLUS", "MOVE", "SPECIAL-USE", "CONDSTORE", "OBJECTID"})
_SPECIAL_USE = {
    Role.SENT: "Sent",
    Role.DRAFTS: "Drafts",
    Role.TRASH: "Trash",
    Role.JUNK: "Junk",
    Role.ARCHIVE: "Archive",
}


@dataclass(slots=True)
class StoredMessage:
    """One message in a folder of the server."""

    uid: int
    content: bytes = field(repr=False)
    flags: set[str]
    received_at: datetime
    modseq: int
    remote_id: str


class InMemoryFolder:
    """A folder; its methods are what another mail program does to it meanwhile."""

    def __init__(self, account: InMemoryAccount, path: str, flags: tuple[str, ...] = ()) -> None:
        self._account = account
        self.path = path
        self.flags = flags
        self.selectable = True
        self.uid_validity = account.server.next_number()
        self.uid_next = 1
        self.messages: dict[int, StoredMessage] = {}
        # UID → the MODSEQ at which its message was removed.
        self.gone: dict[int, int] = {}
        self.highest_modseq = account.server.next_number()

    def deliver(
        self,
        content: bytes,
        *,
        flags: Iterable[str] = (),
        received_at: datetime | None = None,
        remote_id: str = "",
    ) -> int:
        """Put a message at the end; its UID."""
        with self._account.server.lock:
            uid = self.uid_next
            self.uid_next += 1
            self.messages[uid] = StoredMessage(
                uid=uid,
                content=content,
                flags=set(flags),
                received_at=(received_at or datetime.now(UTC))
                .astimezone(UTC)
                .replace(microsecond=0),
                modseq=self._raise_modseq(),
                remote_id=remote_id or f"M{self._account.server.next_number()}",
            )
            return uid

    def set_flags(self, uid: int, flags: Iterable[str]) -> None:
        """Give a message these flags and no others."""
        with self._account.server.lock:
            message = self.messages[uid]
            if message.flags != set(flags):
                message.flags = set(flags)
                message.modseq = self._raise_modseq()

    def remove(self, uid: int) -> StoredMessage:
        """Delete a message for good."""
        server = self._account.server
        with server.lock:
            # Servers without QRESYNC need not tell of it by HIGHESTMODSEQ, and known ones do not.
            tells = "QRESYNC" in server.capabilities
            self.gone[uid] = self._raise_modseq() if tells else server.next_number()
            return self.messages.pop(uid)

    def move(self, uid: int, path: str) -> int:
        """Move a message to another folder; its UID there."""
        with self._account.server.lock:
            target = self._account.folder(path)
            message = self.remove(uid)
            return target.deliver(
                message.content,
                flags=message.flags,
                received_at=message.received_at,
                remote_id=message.remote_id,
            )

    def renumber(self) -> None:
        """A new UIDVALIDITY: the messages stay, their UIDs begin again at 1."""
        with self._account.server.lock:
            self.uid_validity = self._account.server.next_number()
            kept = [self.messages[uid] for uid in sorted(self.messages)]
            self.messages, self.gone = {}, {}
            for uid, message in enumerate(kept, start=1):
                message.uid = uid
                self.messages[uid] = message
            self.uid_next = len(kept) + 1
            self._raise_modseq()

    def status(self) -> FolderStatus:
        """What STATUS says."""
        unseen = sum("\\Seen" not in message.flags for message in self.messages.values())
        return FolderStatus(
            self.path,
            self.uid_validity,
            self.uid_next,
            len(self.messages),
            unseen,
            self.highest_modseq,
        )

    def _raise_modseq(self) -> int:
        self.highest_modseq = self._account.server.next_number()
        return self.highest_modseq


class InMemoryAccount:
    """One user's folders. The delimiter is "/"."""

    def __init__(self, server: InMemoryMailServer, password: str) -> None:
        self.server = server
        self.password = password
        self.folders: dict[str, InMemoryFolder] = {}
        self.add_folder("INBOX")
        for role, name in _SPECIAL_USE.items():
            self.add_folder(name, flags=(f"\\{role.value.capitalize()}",))

    def add_folder(self, path: str, *, flags: tuple[str, ...] = ()) -> InMemoryFolder:
        """The folder of that path, made where it is missing."""
        with self.server.lock:
            if path not in self.folders:
                self.folders[path] = InMemoryFolder(self, path, flags)
            return self.folders[path]

    def remove_folder(self, path: str) -> None:
        """Delete a folder with all that is in it."""
        with self.server.lock:
            del self.folders[path]

    def rename_folder(self, path: str, name: str) -> None:
        """Give a folder another name; what is in it keeps its UIDs."""
        with self.server.lock:
            self.folders[name] = self.folders.pop(path)
            self.folders[name].path = name

    def folder(self, path: str) -> InMemoryFolder:
        """Raises FolderMissing."""
        found = self.folders.get("INBOX" if path.upper() == "INBOX" else path)
        if found is None:
            raise FolderMissing(f"There is no folder {path}.")
        return found

    def deliver(self, content: bytes, path: str = "INBOX", *, flags: Iterable[str] = ()) -> int:
        """Put a message into a folder; its UID."""
        return self.folder(path).deliver(content, flags=flags)


@dataclass(slots=True)
class Misbehaviour:
    """What the server does wrong. All off in the beginning; change it at any time.

    `drop_after` closes each connection after that many more messages; `refuse_login` and
    `defer_login` hold the words of the refusal; `withheld` are (path, uid) that are listed
    but never handed over; `unselectable` are paths that refuse SELECT and STATUS;
    `fail_commands` is raised by every command.
    """

    drop_after: int | None = None
    refuse_login: str = ""
    defer_login: str = ""
    withheld: set[tuple[str, int]] = field(default_factory=set)
    unselectable: set[str] = field(default_factory=set)
    fail_commands: MailError | None = None


class InMemoryMailServer:
    """Accounts by user name. Safe to use from several threads.

    `capabilities` may be replaced to take CONDSTORE, MOVE or UIDPLUS away, or to add QRESYNC
    and LIST-STATUS. `commands`
    counts what stores asked for, by name: "select", "fetch", …
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.accounts: dict[str, InMemoryAccount] = {}
        self.capabilities = _CAPABILITIES
        self.misbehaviour = Misbehaviour()
        self.commands: dict[str, int] = {}
        self.open_connections = 0
        self._numbers = itertools.count(1)

    def next_number(self) -> int:
        """A number never given before; UIDVALIDITY, MODSEQ and ids are made of these."""
        return next(self._numbers)

    def add_account(self, username: str, password: str = "") -> InMemoryAccount:
        """A new account with INBOX and the usual folders."""
        with self.lock:
            self.accounts[username] = InMemoryAccount(self, password)
            return self.accounts[username]

    def log_in(self, login: Login | None) -> InMemoryAccount:
        """The account of a login. Raises LoginFailed or LoginDeferred."""
        if self.misbehaviour.defer_login:
            raise LoginDeferred(self.misbehaviour.defer_login)
        if self.misbehaviour.refuse_login:
            raise LoginFailed(self.misbehaviour.refuse_login)
        return account_of(self.accounts, login)
