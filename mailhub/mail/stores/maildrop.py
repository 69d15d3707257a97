"""What every maildrop (a POP3 account, its in-memory twin) promises.

POP3 (RFC 1939) knows one list of messages, numbered anew in each session, and no flags,
folders or dates. What lasts is a message's unique-id (UIDL). A maildrop is a context
manager over one logged-in session and serves one thread. Methods raise `MailError`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from mailhub.mail.opened import Opened

# No honest list is longer, and a longer one would fill our memory.
MOST_MESSAGES = 500_000
# How much of a message that is larger than announced is read before the server is left.
LARGEST_MESSAGE = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ListedMessage:
    """A message that the server holds.

    `number` means something in this session only. `unique_id` is visible ASCII, at most 71
    characters; copies of one message may share it (RFC 1939 section 7, UIDL). `size` is in
    octets as the server tells it, 0 where it does not.
    """

    number: int
    unique_id: str
    size: int = 0


@dataclass(frozen=True, slots=True)
class Retrieved:
    """A message by its number of this session; `content` None where the server refused it.

    Of a large one it is the `Beginning`, where the settings have a `spool_folder`.
    """

    number: int
    content: bytes | None = field(repr=False)
    refusal: str = ""


class Maildrop(Opened):
    """One open POP3 session."""

    @abstractmethod
    def close(self) -> None:
        """End the session; what was marked by `delete` stays. Never raises."""

    @property
    @abstractmethod
    def capabilities(self) -> frozenset[str]:
        """Upper-case capabilities (RFC 2449) as told after the login, without arguments."""

    @abstractmethod
    def listing(self) -> list[ListedMessage]:
        """Every message, oldest first, without sizes; those without a unique-id are left out.

        Raises CapabilityMissing where the server has no unique-ids.
        """

    @abstractmethod
    def sizes(self) -> dict[int, int]:
        """Number → octets, as the server tells them."""

    @abstractmethod
    def retrieve(
        self, numbers: Sequence[int], *, largest: int = LARGEST_MESSAGE
    ) -> Iterator[Retrieved]:
        """These messages, whole, in this order, one at a time in memory.

        Asked for all at once where the server takes that (PIPELINING). Raises
        ProtocolViolation, and leaves the server, where one has more than `largest` octets.
        """

    @abstractmethod
    def header(self, number: int) -> bytes:
        """The header of a message (TOP). Raises CommandRefused."""

    @abstractmethod
    def delete(self, numbers: Collection[int]) -> set[int]:
        """Mark messages to be deleted by `finish`; the numbers that the server marked."""

    @abstractmethod
    def finish(self) -> None:
        """Delete for good what is marked, and end the session (QUIT).

        Raises CommandRefused where the server says that it did not delete all.
        """
