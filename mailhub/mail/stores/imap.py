"""An IMAP account (RFC 9051 and 3501) behind `Store`.

    open ── folders, status ──> select ──> uids, flags, fetch (reading)
                                       └─> append, store_flags, move, expunge (writing)

Only UID commands are used: message numbers shift whenever another client deletes.
Bodies are asked for by BODY.PEEK, which leaves \\Seen alone. Nothing expunges a folder
as a whole: other clients' deletions in it are not ours to carry out.
"""

from __future__ import annotations

import imaplib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from mailhub.mail.errors import (
    CommandRefused,
    ConnectionFailed,
    FolderMissing,
    InvalidMessage,
    MailError,
    ProtocolViolation,
    ServerTimeout,
)
from mailhub.mail.server import ServerSettings
from mailhub.mail.stores.base import (
    FolderStatus,
    RemoteFlags,
    RemoteFolder,
    RemoteMessage,
    Store,
)
from mailhub.mail.stores.folder_names import (
    decode_name,
    encode_name,
    quote,
    refuse_controls,
    with_roles,
)
from mailhub.mail.stores.imap_arguments import (
    command_sets,
    compress_set,
    expand_set,
    flag_list,
    given,
)
from mailhub.mail.stores.imap_client import (
    GuardedMailBox,
    connect,
    explained,
    hang_up,
    server_words,
)
from mailhub.mail.stores.imap_responses import (
    FetchedItems,
    Line,
    joined,
    read_fetch,
    read_list,
    read_status,
    whole_messages,
)

# How long a server may take to say goodbye.
_GOODBYE_SECONDS = 5.0
_LINE_BREAK = re.compile(rb"\r\n|\r|\n")
# Words of RFC 5530 for a folder that is there but cannot be used now.
_FOR_NOW = re.compile(r"\[(?:UNAVAILABLE|INUSE|LIMIT|SERVERBUG|EXPUNGEISSUED)\b", re.IGNORECASE)
_EXISTS_ALREADY = re.compile(r"\[ALREADYEXISTS\]|exist", re.IGNORECASE)


class ImapStore(Store):
    """One connection to an IMAP account; see `Store` for what each method promises."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._mailbox: GuardedMailBox | None = None
        self._selected: str | None = None
        # Octets of names that cannot be had by encoding the path again.
        self._raw_names: dict[str, bytes] = {}

    def __repr__(self) -> str:
        return f"ImapStore({self._settings.address})"

    def open(self) -> None:
        if self._mailbox is None:
            self._selected = None
            self._mailbox = connect(self._settings)

    def close(self) -> None:
        mailbox, self._mailbox = self._mailbox, None
        if mailbox is None:
            return
        try:
            mailbox.client.sock.settimeout(min(self._settings.timeout, _GOODBYE_SECONDS))
            mailbox.client.logout()
        except (imaplib.IMAP4.error, OSError, ValueError):
            hang_up(mailbox.client)

    @property
    def capabilities(self) -> frozenset[str]:
        return frozenset(self._client.capabilities)

    def folders(self) -> list[RemoteFolder]:
        arguments: list[bytes | str] = ['""', '"*"']
        if {"SPECIAL-USE", "LIST-EXTENDED"} <= self.capabilities:
            arguments.append("RETURN (SPECIAL-USE)")
        self._command("LIST", *arguments)
        found: dict[str, RemoteFolder] = {}
        for response in joined(self._take("LIST")):
            listed = read_list(response)
            if listed is None:
                continue
            flags, delimiter, raw = listed
            path = decode_name(raw)
            lowered = {flag.lower() for flag in flags}
            selectable = not lowered & {"\\noselect", "\\nonexistent"}
            if path and path not in found:
                found[path] = RemoteFolder(path, delimiter, None, selectable, flags)
                self._remember_name(path, raw)
        return with_roles(list(found.values()))

    def status(self, path: str) -> FolderStatus:
        wanted = "MESSAGES UIDNEXT UIDVALIDITY UNSEEN"
        if self._has_modseq:
            wanted += " HIGHESTMODSEQ"
        if path == self._selected:
            # Of its selected folder a session is told what it knew, unless it asks for news.
            self._command("NOOP")
        self._folder_command("STATUS", path, f"({wanted})")
        told: dict[str, int] = {}
        for response in joined(self._take("STATUS")):
            told.update(read_status(response))
        if "UIDVALIDITY" not in told:
            raise ProtocolViolation(f"{self._settings.address} told no UIDVALIDITY of a folder.")
        return FolderStatus(
            path=path,
            uid_validity=told["UIDVALIDITY"],
            uid_next=told.get("UIDNEXT", 0),
            messages=told.get("MESSAGES", 0),
            unseen=told.get("UNSEEN", 0),
            highest_modseq=told.get("HIGHESTMODSEQ", 0),
        )

    def select(self, path: str, *, read_only: bool = True) -> FolderStatus:
        client = self._client
        client.is_readonly = read_only
        option = "(CONDSTORE)" if self._has_modseq else None
        try:
            self._folder_command("EXAMINE" if read_only else "SELECT", path, option)
        except (FolderMissing, CommandRefused):
            # A refused SELECT leaves no folder selected (RFC 9051 section 6.3.2).
            client.state, self._selected = "AUTH", None
            raise
        client.state, self._selected = "SELECTED", path
        if not read_only and "READ-ONLY" in client.untagged_responses:
            client.is_readonly = True
            raise CommandRefused(f"The folder {path} can only be read.")
        return FolderStatus(
            path=path,
            uid_validity=self._last_number("UIDVALIDITY"),
            uid_next=self._last_number("UIDNEXT"),
            messages=self._last_number("EXISTS"),
            highest_modseq=self._last_number("HIGHESTMODSEQ"),
        )

    def uids(self, criteria: str = "ALL") -> list[int]:
        refuse_controls(criteria, "A search")
        charset = [] if criteria.isascii() else ["CHARSET", "UTF-8"]
        self._command("UID", "SEARCH", *charset, criteria.encode())
        words = b" ".join(line for line in self._take("SEARCH") if isinstance(line, bytes))
        # SEARCH may end in (MODSEQ n), which is no UID (RFC 7162 section 3.1.5).
        numbers = words.replace(b"(", b" (").split(b" (")[0].split() if words else []
        return sorted({int(number) for number in numbers if number.isdigit()})

    def flags(self, first: int = 1, last: int | None = None) -> Iterator[RemoteFlags]:
        wanted = "(UID FLAGS MODSEQ)" if self._has_modseq else "(UID FLAGS)"
        highest = "*" if last is None else str(last)
        items, failure = self._ask(f"{first}:{highest}", wanted)
        if failure is not None:
            # Half a list of UIDs would read as if the other half had been deleted.
            raise failure
        found: dict[int, RemoteFlags] = {}
        for item in items:
            # `n:*` names the last message even where its UID is below n.
            inside = first <= item.uid and (last is None or item.uid <= last)
            if inside and item.flags is not None:
                found[item.uid] = RemoteFlags(item.uid, item.flags, item.modseq)
        yield from (found[uid] for uid in sorted(found))

    def fetch(self, uids: Sequence[int], *, headers_only: bool = False) -> Iterator[RemoteMessage]:
        wanted = ["UID", "FLAGS", "INTERNALDATE", "RFC822.SIZE"]
        if self._has_modseq:
            wanted.append("MODSEQ")
        if "OBJECTID" in self.capabilities:
            wanted.append("EMAILID")
        elif "X-GM-EXT-1" in self.capabilities:
            wanted.append("X-GM-MSGID")
        wanted.append("BODY.PEEK[HEADER]" if headers_only else "BODY.PEEK[]")
        for some in command_sets(uids):
            yield from self._fetch_some(expand_set(some), f"({' '.join(wanted)})")

    def append(
        self,
        path: str,
        content: bytes,
        *,
        flags: Sequence[str] = (),
        received_at: datetime | None = None,
    ) -> int | None:
        initial = flag_list(flags) if flags else None
        date = imaplib.Time2Internaldate(received_at) if received_at else None
        octets = _LINE_BREAK.sub(b"\r\n", content)
        self._folder_command("APPEND", path, initial, date, literal=octets)
        code = self._take("APPENDUID")
        words = code[-1].split() if code and isinstance(code[-1], bytes) else []
        return int(words[1]) if len(words) == 2 and words[1].isdigit() else None

    def store_flags(
        self, uids: Sequence[int], *, add: Sequence[str] = (), remove: Sequence[str] = ()
    ) -> None:
        for some in command_sets(uids):
            if add:
                self._command("UID", "STORE", some, "+FLAGS.SILENT", flag_list(add))
            if remove:
                self._command("UID", "STORE", some, "-FLAGS.SILENT", flag_list(remove))

    def move(self, uids: Sequence[int], path: str) -> dict[int, int]:
        """See `Store.move`. Without MOVE and UIDPLUS the old ones stay, marked \\Deleted."""
        moved: dict[int, int] = {}
        moves = "MOVE" in self.capabilities
        for some in command_sets(uids):
            self._folder_command("UID MOVE" if moves else "UID COPY", path, before=some)
            moved.update(self._copied_uids())
            if not moves:
                self.store_flags(expand_set(some), add=["\\Deleted"])
                if "UIDPLUS" in self.capabilities:
                    self._command("UID", "EXPUNGE", some)
        return moved

    def expunge(self, uids: Sequence[int]) -> None:
        """See `Store.expunge`. Raises CommandRefused where the server has no UIDPLUS.

        There the messages stay, marked \\Deleted, until some client expunges the folder.
        """
        self.store_flags(uids, add=["\\Deleted"])
        if "UIDPLUS" not in self.capabilities:
            raise CommandRefused(
                f"{self._settings.address} cannot delete single messages; they are marked."
            )
        for some in command_sets(uids):
            self._command("UID", "EXPUNGE", some)

    def create_folder(self, path: str) -> None:
        name = self._wire_name(path)
        try:
            self._command("CREATE", name)
        except CommandRefused as error:
            if not _EXISTS_ALREADY.search(error.message) and not self._is_listed(name):
                raise
            return
        try:
            self._command("SUBSCRIBE", name)
        except CommandRefused:
            # Some servers keep no subscriptions; the folder is there all the same.
            return

    # What stands below is about one command: send it, explain its failure, take its data.

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
        client = self._client
        # What earlier commands left behind would be taken for this one's answer.
        goodbye = client.untagged_responses.get("BYE")
        client.untagged_responses = {"BYE": goodbye} if goodbye else {}
        # imaplib sends this after the line (its stub says str).
        client.literal = literal  # type: ignore[assignment]
        with self._explained(name):
            kind, answer = client._simple_command(name, *arguments)
        if kind != "OK":
            words = server_words(answer[-1] if answer else b"", self._settings)
            raise CommandRefused(f"{self._settings.address} refused {name}: {words}")

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
        raise FolderMissing(f"The folder {path} cannot be used. {refusal.message}")

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

    def _take(self, name: str) -> list[Line]:
        return list(self._client.untagged_responses.pop(name, []))

    def _last_number(self, name: str) -> int:
        lines = self._client.untagged_responses.get(name, [])
        words = lines[-1].split() if lines and isinstance(lines[-1], bytes) else []
        return int(words[0]) if words and words[0].isdigit() else 0

    def _copied_uids(self) -> dict[int, int]:
        """COPYUID (RFC 4315 section 3): the two sets correspond in the order written."""
        moved: dict[int, int] = {}
        for line in self._take("COPYUID"):
            words = line.decode("ascii", "replace").split() if isinstance(line, bytes) else []
            if len(words) == 3:
                moved.update(zip(expand_set(words[1]), expand_set(words[2]), strict=False))
        return moved

    def _ask(self, uid_set: str, wanted: str) -> tuple[list[FetchedItems], MailError | None]:
        """What UID FETCH told, and what ended it early: what arrived until then is whole."""
        client, failure = self._client, None
        try:
            self._command("UID", "FETCH", uid_set, wanted)
        except MailError as error:
            failure = error
        lines = client.untagged_responses.pop("FETCH", [])
        return [item for item in map(read_fetch, joined(lines)) if item is not None], failure

    def _fetch_some(self, uids: list[int], wanted: str) -> Iterator[RemoteMessage]:
        items, failure = self._ask(compress_set(uids), wanted)
        messages = whole_messages(items, set(uids))
        arrived = set(messages)
        while messages:
            yield messages.pop(next(iter(messages)))
        if not isinstance(failure, CommandRefused):
            if failure is not None:
                raise failure
            return
        # One message that the server cannot read must not cost the others of its batch.
        missing = [uid for uid in uids if uid not in arrived]
        for uid in missing if len(uids) > 1 else []:
            yield from self._fetch_some([uid], wanted)
