"""What every mail store (an IMAP account, its in-memory twin) promises.

A store is a context manager over one logged-in connection and serves one thread. UIDs
are the server's and mean something only together with the folder's UIDVALIDITY
(RFC 9051 section 2.3.1.1). Methods raise `MailError`; a message that the server cannot
hand over is left out of an iteration, never raised in the middle of it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from mailhub.mail.octets import FileOctets, whole_of
from mailhub.mail.opened import Opened
from mailhub.mail.parsing import ParsedMessage
from mailhub.mail.parsing.part_tree import Part

NO_ARRIVAL = datetime(1970, 1, 1, tzinfo=UTC)


class Role(StrEnum):
    """What a folder is for (special use, RFC 6154)."""

    INBOX = "inbox"
    SENT = "sent"
    DRAFTS = "drafts"
    TRASH = "trash"
    JUNK = "junk"
    ARCHIVE = "archive"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class RemoteFolder:
    """A folder as LIST shows it. `path` is decoded (Unicode), `role` by flag or known name."""

    path: str
    delimiter: str
    role: Role | None = None
    selectable: bool = True
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FolderStatus:
    """What STATUS says; `highest_modseq` is 0 on a server without CONDSTORE.

    `permanent_flags` are those that a selected folder keeps, None where it does not say.
    """

    path: str
    uid_validity: int
    uid_next: int
    messages: int
    unseen: int = 0
    highest_modseq: int = 0
    permanent_flags: frozenset[str] | None = None

    def keeps(self, flag: str) -> bool:
        """Whether the folder takes this flag for good: any keyword where it says `\\*`."""
        allowed = self.permanent_flags
        return flag.startswith("\\") or allowed is None or bool({flag, "\\*"} & allowed)


@dataclass(frozen=True, slots=True)
class RemoteFlags:
    """The flags of one message, system flags as the server writes them (`\\Seen`)."""

    uid: int
    flags: frozenset[str]
    modseq: int = 0


@dataclass(frozen=True, slots=True)
class Changes:
    """What happened in a folder since a MODSEQ (RFC 7162).

    `flags` are of messages that are new or whose flags changed. `vanished` are stretches of
    UIDs, both ends included, in which those that had messages have none any more; None
    where the server does not tell (no QRESYNC).
    """

    flags: tuple[RemoteFlags, ...]
    vanished: tuple[tuple[int, int], ...] | None = None


@dataclass(frozen=True, slots=True)
class RemoteMessage:
    """One fetched message: its flags, arrival and size, and the octets asked for.

    `content` holds the whole raw message, or only its header where headers were asked for; the
    beginning of a large one where the settings have a `spool_folder`. `whole` is all of it.
    `remote_id` is the server's own content id (EMAILID, RFC 8474, or X-GM-MSGID) or "".
    `received_at` is `NO_ARRIVAL` where the server tells none that can be read.
    """

    uid: int
    flags: frozenset[str]
    received_at: datetime
    size: int
    content: bytes = field(repr=False)
    modseq: int = 0
    remote_id: str = ""

    @property
    def whole(self) -> bytes | FileOctets:
        """All octets that were fetched."""
        return whole_of(self.content)


@dataclass(frozen=True, slots=True)
class Measure:
    """When a message arrived and how many octets it has, as the server tells."""

    uid: int
    received_at: datetime
    size: int


@dataclass(frozen=True, slots=True)
class Outline:
    """What is known of a message before its content is fetched.

    `header` holds the fields that a list shows; `tree` its parts without their octets, None
    where the server told of none that can be read.
    """

    uid: int
    flags: frozenset[str]
    received_at: datetime
    size: int
    header: bytes = field(default=b"", repr=False)
    tree: Part | None = field(default=None, repr=False)
    text_octets: int = 0


@dataclass(frozen=True, slots=True)
class ReadMessage:
    """A message as a person reads it; `contents` are its attachments' octets, where asked for."""

    outline: Outline
    message: ParsedMessage
    contents: tuple[bytes, ...] = field(default=(), repr=False)


class Store(Opened):
    """One open mailbox account."""

    @property
    @abstractmethod
    def capabilities(self) -> frozenset[str]:
        """Upper-case capabilities as told after the login."""

    @abstractmethod
    def folders(self) -> list[RemoteFolder]:
        """Every folder of the account."""

    @abstractmethod
    def folders_and_states(self) -> tuple[list[RemoteFolder], dict[str, FolderStatus]]:
        """Every folder, and by path the states that the server tells along (LIST-STATUS).

        One round trip; states that are missing are to be had by `status`.
        """

    @abstractmethod
    def track_changes(self) -> None:
        """Have the server tell `changes` of what vanished, where it can (QRESYNC).

        Once a connection, before the first `select`.
        """

    @abstractmethod
    def status(self, path: str) -> FolderStatus:
        """The state of a folder without selecting it. Raises FolderMissing."""

    @abstractmethod
    def select(self, path: str, *, read_only: bool = True) -> FolderStatus:
        """Make a folder the current one. Raises FolderMissing."""

    @abstractmethod
    def uids(self, criteria: str = "ALL") -> list[int]:
        """The UIDs in the current folder that match, ascending."""

    @abstractmethod
    def flags(self, first: int = 1, last: int | None = None) -> Iterator[RemoteFlags]:
        """UIDs and flags of the current folder between two UIDs, both included."""

    @abstractmethod
    def changes(self, since: int, first: int = 1, last: int | None = None) -> Changes:
        """What happened in the current folder after this MODSEQ, between two UIDs.

        Raises CommandRefused on a server without CONDSTORE.
        """

    @abstractmethod
    def fetch(self, uids: Sequence[int], *, headers_only: bool = False) -> Iterator[RemoteMessage]:
        """These messages of the current folder; those that are gone are left out.

        One round trip: the caller chooses the batch and so the memory. Never sets \\Seen.
        """

    def request(self, uids: Sequence[int]) -> Iterator[RemoteMessage]:
        """The same as `fetch` of whole messages, asked for before this returns where possible.

        The server then works while the caller does; nothing else may be asked of the store
        until the iteration has ended.
        """
        return self.fetch(uids)

    @abstractmethod
    def measures(self, uids: Sequence[int]) -> list[Measure]:
        """When these messages of the current folder arrived, and their sizes.

        Those that are gone, or of which the server does not tell it, are left out.
        """

    @abstractmethod
    def search(self, words: str) -> list[int]:
        """The UIDs in the current folder whose header or body holds these words, ascending.

        Any script; not as criteria are read, but as they stand. Raises InvalidMessage on
        control characters.
        """

    @abstractmethod
    def outlines(self, uids: Sequence[int]) -> list[Outline]:
        """These messages of the current folder, ascending; those that are gone are left out.

        One round trip, whatever the messages weigh. Never sets \\Seen.
        """

    @abstractmethod
    def outlines_at(self, first: int, last: int) -> list[Outline]:
        """The same by place in the current folder, both included; 1 is the oldest.

        Places hold good from `select` to the next other command.
        """

    @abstractmethod
    def read(
        self, outlines: Sequence[Outline], *, with_attachments: bool = False
    ) -> Iterator[ReadMessage]:
        """The content of outlined messages of the current folder.

        One round trip for all, in which attachments travel only where asked for: about
        `text_octets` a message, else its `size`. Never sets \\Seen.
        """

    @abstractmethod
    def append(
        self,
        path: str,
        content: bytes,
        *,
        flags: Sequence[str] = (),
        received_at: datetime | None = None,
    ) -> int | None:
        """Add a message to a folder; its new UID where the server tells it (UIDPLUS)."""

    @abstractmethod
    def store_flags(
        self, uids: Sequence[int], *, add: Sequence[str] = (), remove: Sequence[str] = ()
    ) -> None:
        """Change flags of messages in the current folder (selected for writing)."""

    @abstractmethod
    def move(self, uids: Sequence[int], path: str) -> dict[int, int]:
        """Move messages of the current folder; old UID → new UID where the server tells.

        MOVE (RFC 6851), else COPY and UID EXPUNGE of those UIDs alone (RFC 4315).
        """

    @abstractmethod
    def expunge(self, uids: Sequence[int]) -> None:
        """Delete these messages of the current folder for good, and no others."""

    @abstractmethod
    def create_folder(self, path: str) -> None:
        """Create a folder; nothing happens where it exists."""
