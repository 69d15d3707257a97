"""An IMAP account (RFC 9051 and 3501) behind `Store`.

    open ── folders, status ──> select ──> uids, flags, changes, fetch, outlines, read (reading)
                                       └─> append, store_flags, move, expunge (writing)

UID commands are used, but right after a SELECT: message numbers shift whenever another
client deletes.
Bodies are asked for by BODY.PEEK, which leaves \\Seen alone. Nothing expunges a folder
as a whole: other clients' deletions in it are not ours to carry out.
"""

from __future__ import annotations

import imaplib
import re
from collections.abc import Iterator, Sequence
from datetime import datetime

from mailhub.mail.errors import CommandRefused, FolderMissing, MailError, ProtocolViolation
from mailhub.mail.stores.base import (
    Changes,
    FolderStatus,
    Measure,
    Outline,
    ReadMessage,
    RemoteFlags,
    RemoteFolder,
    RemoteMessage,
)
from mailhub.mail.stores.folder_names import decode_name, quote, refuse_controls, with_roles
from mailhub.mail.stores.gmail import GmailCommands
from mailhub.mail.stores.imap_arguments import (
    command_sets,
    compress_set,
    expand_set,
    flag_list,
    read_ranges,
    with_crlf,
)
from mailhub.mail.stores.imap_reading import OUTLINE_ITEMS, ReadingPlan, outlines_of
from mailhub.mail.stores.imap_responses import (
    LARGEST_UID,
    FetchedItems,
    joined,
    read_list,
    read_number,
    read_status,
    read_status_name,
    whole_messages,
)

_EXISTS_ALREADY = re.compile(r"\[ALREADYEXISTS\]|exist", re.IGNORECASE)


class ImapStore(GmailCommands):
    """One connection to an IMAP account; see `Store` for what each method promises."""

    def folders(self) -> list[RemoteFolder]:
        return self._list([])[0]

    def folders_and_states(self) -> tuple[list[RemoteFolder], dict[str, FolderStatus]]:
        if "LIST-STATUS" not in self.capabilities:
            return self.folders(), {}
        folders, names = self._list([f"STATUS ({self._status_items})"])
        states: dict[str, FolderStatus] = {}
        for response in joined(self._take("STATUS")):
            path = names.get(read_status_name(response) or b"")
            told = read_status(response)
            # Of its selected folder a session is told what it knew.
            if path and path != self._selected and told.get("UIDVALIDITY"):
                states[path] = _state(path, told)
        return folders, states

    def _list(self, options: list[str]) -> tuple[list[RemoteFolder], dict[bytes, str]]:
        """The folders, and the path of each name as the server writes it."""
        if {"SPECIAL-USE", "LIST-EXTENDED"} <= self.capabilities:
            options = ["SPECIAL-USE", *options]
        returned = [f"RETURN ({' '.join(options)})"] if options else []
        self._command("LIST", '""', '"*"', *returned)
        found: dict[str, RemoteFolder] = {}
        names: dict[bytes, str] = {}
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
                names[raw] = path
                self._remember_name(path, raw)
        return with_roles(list(found.values())), names

    @property
    def _status_items(self) -> str:
        modseq = " HIGHESTMODSEQ" if self._has_modseq else ""
        return f"MESSAGES UIDNEXT UIDVALIDITY UNSEEN{modseq}"

    def status(self, path: str) -> FolderStatus:
        if path == self._selected:
            # Of its selected folder a session is told what it knew, unless it asks for news.
            self._command("NOOP")
        self._folder_command("STATUS", path, f"({self._status_items})")
        told: dict[str, int] = {}
        for response in joined(self._take("STATUS")):
            told.update(read_status(response))
        if "UIDVALIDITY" not in told:
            raise ProtocolViolation(f"{self._settings.address} told no UIDVALIDITY of a folder.")
        return _state(path, told)

    def track_changes(self) -> None:
        if "ENABLE" in self.capabilities and self._selected is None:
            for capability in ("QRESYNC", "CONDSTORE"):
                # The first brings the second along (RFC 7162 section 3.2.3).
                if capability in self.capabilities and not self._enabled:
                    self._enable(capability)

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
            permanent_flags=self._permanent_flags(),
        )

    def uids(self, criteria: str = "ALL") -> list[int]:
        refuse_controls(criteria, "A search")
        charset = [] if criteria.isascii() else ["CHARSET", "UTF-8"]
        self._command("UID", "SEARCH", *charset, criteria.encode())
        return self._found_uids()

    def search(self, words: str) -> list[int]:
        refuse_controls(words, "A search")
        if words.isascii():
            return self.uids(f"TEXT {quote(words.encode()).decode()}")
        # Quoted strings are ASCII on most servers; a literal takes anything.
        self._command("UID", "SEARCH", "CHARSET", "UTF-8", "TEXT", literal=words.encode())
        return self._found_uids()

    def _found_uids(self) -> list[int]:
        words = b" ".join(line for line in self._take("SEARCH") if isinstance(line, bytes))
        # SEARCH may end in (MODSEQ n), which is no UID (RFC 7162 section 3.1.5).
        numbers = words.replace(b"(", b" (").split(b" (")[0].split() if words else []
        found = {read_number(number, LARGEST_UID) for number in numbers}
        return sorted(found - {0})

    def flags(self, first: int = 1, last: int | None = None) -> Iterator[RemoteFlags]:
        wanted = "(UID FLAGS MODSEQ)" if self._has_modseq else "(UID FLAGS)"
        highest = "*" if last is None else str(last)
        items, failure = self._ask(f"{first}:{highest}", wanted)
        if failure is not None:
            # Half a list of UIDs would read as if the other half had been deleted.
            raise failure
        yield from _flags_between(items, first, last)

    def changes(self, since: int, first: int = 1, last: int | None = None) -> Changes:
        if not self._has_modseq:
            raise CommandRefused(f"{self._settings.address} does not tell what changed.")
        tells_vanished = "QRESYNC" in self._enabled
        asked = f"(CHANGEDSINCE {max(1, since)}{' VANISHED' if tells_vanished else ''})"
        highest = "*" if last is None else str(last)
        items, failure = self._ask(f"{first}:{highest}", "(UID FLAGS)", asked)
        if failure is not None:
            raise failure
        return Changes(
            flags=_flags_between(items, first, last),
            vanished=self._vanished() if tells_vanished else None,
        )

    def _vanished(self) -> tuple[tuple[int, int], ...]:
        """`* VANISHED (EARLIER) 41,43:116`, and of what went this moment without EARLIER."""
        lines = [line for line in self._take("VANISHED") if isinstance(line, bytes)]
        sets = [line.split()[-1].decode("ascii", "replace") for line in lines if line.split()]
        return read_ranges(",".join(sets))

    def fetch(self, uids: Sequence[int], *, headers_only: bool = False) -> Iterator[RemoteMessage]:
        wanted = self._message_items(headers_only=headers_only)
        for some in command_sets(uids):
            yield from self._fetch_some(expand_set(some), wanted)

    def request(self, uids: Sequence[int]) -> Iterator[RemoteMessage]:
        sets, wanted = list(command_sets(uids)), self._message_items()
        if not sets:
            return iter(())
        tag = self._begin("UID", "FETCH", sets[0], wanted)
        return self._requested(sets, wanted, tag)

    def _requested(self, sets: list[str], wanted: str, tag: bytes) -> Iterator[RemoteMessage]:
        client, failure = self._client, None
        try:
            self._finish("UID", tag)
        except MailError as error:
            failure = error
        yield from self._hand_over(expand_set(sets[0]), wanted, self._fetched(client), failure)
        for some in sets[1:]:
            yield from self._fetch_some(expand_set(some), wanted)

    def measures(self, uids: Sequence[int]) -> list[Measure]:
        found: dict[int, Measure] = {}
        asked = set(uids)
        for some in command_sets(uids):
            items, failure = self._ask(some, "(UID INTERNALDATE RFC822.SIZE)")
            if failure is not None and not isinstance(failure, CommandRefused):
                raise failure
            for item in items:
                # Flags that come uninvited tell no size.
                if item.uid in asked and item.size:
                    found[item.uid] = Measure(item.uid, item.received_at, item.size)
        return list(found.values())

    def _message_items(self, *, headers_only: bool = False) -> str:
        wanted = ["UID", "FLAGS", "INTERNALDATE", "RFC822.SIZE"]
        if self._has_modseq:
            wanted.append("MODSEQ")
        if "OBJECTID" in self.capabilities:
            wanted.append("EMAILID")
        elif "X-GM-EXT-1" in self.capabilities:
            wanted.append("X-GM-MSGID")
        wanted.append("BODY.PEEK[HEADER]" if headers_only else "BODY.PEEK[]")
        return f"({' '.join(wanted)})"

    def outlines(self, uids: Sequence[int]) -> list[Outline]:
        found: list[Outline] = []
        for some in command_sets(uids):
            asked = expand_set(some)
            found += outlines_of(self._outlined(asked, by_place=False), set(asked))
        return found

    def outlines_at(self, first: int, last: int) -> list[Outline]:
        return outlines_of(self._outlined(list(range(first, last + 1)), by_place=True))

    def read(
        self, outlines: Sequence[Outline], *, with_attachments: bool = False
    ) -> Iterator[ReadMessage]:
        plan = ReadingPlan(outlines, with_attachments=with_attachments)
        plan.take(self._fetch_together(plan.requests()))
        # What cannot be had in parts, from servers that get sections wrong, is had as a whole.
        if plan.missing and not with_attachments:
            plan.take_whole(self.fetch(plan.missing))
        yield from plan.messages()

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
        self._folder_command("APPEND", path, initial, date, literal=with_crlf(content))
        code = self._take("APPENDUID")
        words = code[-1].split() if code and isinstance(code[-1], bytes) else []
        return read_number(words[1], LARGEST_UID) or None if len(words) == 2 else None

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

    def _ask(
        self, numbers: str, wanted: str, *modifiers: str, by_place: bool = False
    ) -> tuple[list[FetchedItems], MailError | None]:
        """What UID FETCH told, and what ended it early: what arrived until then is whole."""
        # A connection that breaks takes its client away, but not what had arrived.
        client, failure = self._client, None
        try:
            self._command(*([] if by_place else ["UID"]), "FETCH", numbers, wanted, *modifiers)
        except MailError as error:
            failure = error
        return self._fetched(client), failure

    def _outlined(self, numbers: list[int], *, by_place: bool) -> list[FetchedItems]:
        """Raises CommandRefused where the server tells of none of them."""
        items, failure = self._ask(compress_set(numbers), OUTLINE_ITEMS, by_place=by_place)
        if failure is None:
            return items
        if not isinstance(failure, CommandRefused):
            raise failure
        # One message that the server cannot read must not cost the others of its page.
        for number in numbers if len(numbers) > 1 else []:
            more, refusal = self._ask(str(number), OUTLINE_ITEMS, by_place=by_place)
            if refusal is not None and not isinstance(refusal, CommandRefused):
                raise refusal
            items += more
        if not items:
            raise failure
        return items

    def _fetch_some(self, uids: list[int], wanted: str) -> Iterator[RemoteMessage]:
        items, failure = self._ask(compress_set(uids), wanted)
        yield from self._hand_over(uids, wanted, items, failure)

    def _hand_over(
        self, uids: list[int], wanted: str, items: list[FetchedItems], failure: MailError | None
    ) -> Iterator[RemoteMessage]:
        """What has arrived of a batch, and what of the rest can be had message by message."""
        if isinstance(failure, ProtocolViolation):
            # Nonsense may be the rest of a message that is longer than was said.
            items = items[:-1]
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


def _state(path: str, told: dict[str, int]) -> FolderStatus:
    return FolderStatus(
        path=path,
        uid_validity=told["UIDVALIDITY"],
        uid_next=told.get("UIDNEXT", 0),
        messages=told.get("MESSAGES", 0),
        unseen=told.get("UNSEEN", 0),
        highest_modseq=told.get("HIGHESTMODSEQ", 0),
    )


def _flags_between(
    items: list[FetchedItems], first: int, last: int | None
) -> tuple[RemoteFlags, ...]:
    found: dict[int, RemoteFlags] = {}
    for item in items:
        # `n:*` names the last message even where its UID is below n.
        inside = first <= item.uid and (last is None or item.uid <= last)
        if inside and item.flags is not None:
            found[item.uid] = RemoteFlags(item.uid, item.flags, item.modseq)
    return tuple(found[uid] for uid in sorted(found))
