"""One IMAP connection's commands: send one, explain its failure, take its data."""

from __future__ import annotations

import imaplib
import re
from collections.abc import Iterator
from contextlib import contextmanager

from mailhub.mail.errors import (
    CommandRefused,
    ConnectionFailed,
    FolderMissing,
    InvalidMessage,
    ProtocolViolation,
    Reply,
    ServerTimeout,
)
from mailhub.mail.server import ServerSettings
from mailhub.mail.stores.base import Store
from mailhub.mail.stores.folder_names import encode_name, quote, refuse_controls
from mailhub.mail.stores.imap_arguments import expand_set, given
from mailhub.mail.stores.imap_client import GuardedMailBox, explained, hang_up, server_words
from mailhub.mail.stores.imap_login import connect
from mailhub.mail.stores.imap_responses import FetchedItems, Line, joined, read_fetch, read_number

# How long a goodbye may take to leave.
_GOODBYE_SECONDS = 5.0
# Words of RFC 5530 for a folder that is there but cannot be used now.
_FOR_NOW = re.compile(r"\[(?:UNAVAILABLE|INUSE|LIMIT|SERVERBUG|EXPUNGEISSUED)\b", re.IGNORECASE)


class ImapCommands(Store):
    """The connection beneath `ImapStore`."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._mailbox: GuardedMailBox | None = None
        self._selected: str | None = None
        # What ENABLE (RFC 5161) has switched on in this connection.
        self._enabled: frozenset[str] = frozenset()
        # Octets of names that cannot be had by encoding the path again.
        self._raw_names: dict[str, bytes] = {}

    def __repr__(self) -> str:
        return f"ImapStore({self._settings.address})"

    def open(self) -> None:
        if self._mailbox is None:
            self._selected, self._enabled = None, frozenset()
            self._mailbox = connect(self._settings)

    def close(self) -> None:
        mailbox, self._mailbox = self._mailbox, None
        if mailbox is None:
            return
        try:
            mailbox.client.sock.settimeout(min(self._settings.timeout, _GOODBYE_SECONDS))
            # All that was asked is answered, and nothing follows from the server's goodbye.
            mailbox.client._command("LOGOUT")
        except (imaplib.IMAP4.error, OSError, ValueError):
            pass  # there is nobody left to say goodbye to
        finally:
            hang_up(mailbox.client)

    @property
    def capabilities(self) -> frozenset[str]:
        return frozenset(self._client.capabilities)

    @property
    def _client(self) -> imaplib.IMAP4:
        if self._mailbox is None:
            raise ConnectionFailed(f"The connection to {self._settings.address} is not open.")
        return self._mailbox.client

    @property
    def _has_modseq(self) -> bool:
        return bool({"CONDSTORE", "QRESYNC"} & self.capabilities)

    @contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        """Errors become MailError; one that leaves the connection useless closes it."""
        try:
            with explained(self._settings, doing):
                yield
        except (ConnectionFailed, ServerTimeout, ProtocolViolation):
            mailbox, self._mailbox = self._mailbox, None
            if mailbox is not None:
                hang_up(mailbox.client)
            raise

    def _command(self, name: str, *arguments: bytes | str, literal: bytes | None = None) -> None:
        """One command to its end. Raises CommandRefused with the server's words on NO and BAD."""
        self._finish(name, self._begin(name, *arguments, literal=literal))

    def _begin(self, name: str, *arguments: bytes | str, literal: bytes | None = None) -> bytes:
        """Send a command; the tag by which `_finish` reads its answer, before any other is sent."""
        client = self._client
        # What earlier commands left behind would be taken for this one's answer.
        goodbye = client.untagged_responses.get("BYE")
        client.untagged_responses = {"BYE": goodbye} if goodbye else {}
        # imaplib sends this after the line (its stub says str).
        client.literal = literal  # type: ignore[assignment]
        with self._explained(name):
            tag: bytes = client._command(name, *arguments)
        return tag

    def _finish(self, name: str, tag: bytes) -> None:
        """Read to the end of a command. Raises CommandRefused on NO and BAD."""
        with self._explained(name):
            kind, answer = self._client._command_complete(name, tag)
        if kind != "OK":
            words = server_words(answer[-1] if answer else b"", self._settings)
            raise CommandRefused(
                f"{self._settings.address} refused {name}: {words}", Reply(0, words)
            )

    def _folder_command(
        self,
        name: str,
        path: str,
        *arguments: str | None,
        before: str = "",
        literal: bytes | None = None,
    ) -> None:
        """A command about a folder. Raises FolderMissing where the server refuses the folder."""
        verb, *rest = name.split()
        words = given(*rest, before, self._wire_name(path), *arguments)
        try:
            self._command(verb, *words, literal=literal)
            return
        except CommandRefused as error:
            refusal = error
        # The name may be one that only LIST tells: octets that are no modified UTF-7.
        if not path.isascii() and not self._raw_names and not _FOR_NOW.search(refusal.message):
            self.folders()
            if path in self._raw_names:
                self._folder_command(name, path, *arguments, before=before, literal=literal)
                return
        if _FOR_NOW.search(refusal.message):
            raise refusal
        raise FolderMissing(f"The folder {path} cannot be used. {refusal.message}", refusal.reply)

    def _wire_name(self, path: str) -> bytes:
        refuse_controls(path, "A folder name")
        return quote(self._raw_names.get(path) or encode_name(path))

    def _remember_name(self, path: str, raw: bytes) -> None:
        try:
            again = encode_name(path)
        except InvalidMessage:
            again = b""
        if again != raw and path != "INBOX":
            self._raw_names[path] = raw

    def _is_listed(self, name: bytes) -> bool:
        self._command("LIST", '""', name)
        return bool([line for line in self._take("LIST") if line])

    def _enable(self, capability: str) -> None:
        """ENABLE it; a server that announces it and then refuses is taken at its last word."""
        try:
            self._command("ENABLE", capability)
        except CommandRefused:
            return
        lines = [line for line in self._take("ENABLED") if isinstance(line, bytes)]
        words = b" ".join(lines).decode("ascii", "replace").upper().split()
        self._enabled |= frozenset(words)

    def _take(self, name: str) -> list[Line]:
        return list(self._client.untagged_responses.pop(name, []))

    def _last_number(self, name: str) -> int:
        lines = self._client.untagged_responses.get(name, [])
        words = lines[-1].split() if lines and isinstance(lines[-1], bytes) else []
        return read_number(words[0]) if words else 0

    def _permanent_flags(self) -> frozenset[str] | None:
        lines = self._client.untagged_responses.get("PERMANENTFLAGS", [])
        if not lines or not isinstance(lines[-1], bytes):
            return None
        return frozenset(lines[-1].decode("ascii", "replace").strip("()").split())

    def _copied_uids(self) -> dict[int, int]:
        """COPYUID (RFC 4315 section 3): the two sets correspond in the order written."""
        moved: dict[int, int] = {}
        for line in self._take("COPYUID"):
            words = line.decode("ascii", "replace").split() if isinstance(line, bytes) else []
            if len(words) == 3:
                moved.update(zip(expand_set(words[1]), expand_set(words[2]), strict=False))
        return moved

    @staticmethod
    def _fetched(client: imaplib.IMAP4) -> list[FetchedItems]:
        """What the FETCH responses told that have come in."""
        lines = client.untagged_responses.pop("FETCH", [])
        return [item for item in map(read_fetch, joined(lines)) if item is not None]

    def _fetch_together(self, requests: list[tuple[str, str]]) -> list[FetchedItems]:
        """What UID FETCH tells for each (set, items), all sent before the first is answered.

        A request that the server refuses adds nothing.
        """
        client = self._client
        goodbye = client.untagged_responses.get("BYE")
        client.untagged_responses = {"BYE": goodbye} if goodbye else {}
        with self._explained("FETCH"):
            tags = [client._command("UID", "FETCH", *request) for request in requests]
        for tag in tags:
            try:
                with self._explained("FETCH"):
                    client._command_complete("UID", tag)
            except CommandRefused:
                continue
        return self._fetched(client)
