"""Gmail's dialect of IMAP (X-GM-EXT-1): labels instead of folders.

A message lies once, in All Mail, Spam or Trash. What else LIST shows as folders are labels:
X-GM-LABELS tells and changes those of a message of All Mail. System labels begin with a
backslash (`\\Inbox`), a user's are the paths of their folders. A change of labels raises
the message's MODSEQ, as a change of its flags does.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mailhub.mail.errors import ProtocolViolation
from mailhub.mail.stores.base import RemoteFolder, Role
from mailhub.mail.stores.folder_names import decode_name, encode_name, quote, refuse_controls
from mailhub.mail.stores.imap_arguments import command_sets
from mailhub.mail.stores.imap_commands import ImapCommands
from mailhub.mail.stores.imap_responses import (
    LARGEST_UID,
    Item,
    Response,
    joined,
    read_items,
    read_number,
)

CAPABILITY = "X-GM-EXT-1"
INBOX_LABEL = "\\Inbox"
_LABEL_OF_FLAG = {
    "\\sent": "\\Sent",
    "\\drafts": "\\Draft",
    "\\flagged": "\\Starred",
    "\\important": "\\Important",
}
_SYSTEM_LABELS = {label.lower(): label for label in (INBOX_LABEL, *_LABEL_OF_FLAG.values())}
_NO_LABELS = (Role.ALL, Role.JUNK, Role.TRASH)


@dataclass(frozen=True, slots=True)
class RemoteLabels:
    """The labels of one message: system labels, or paths of folders."""

    uid: int
    labels: frozenset[str]


class LabelledStore(ABC):
    """A store whose server may have labels."""

    @property
    @abstractmethod
    def has_labels(self) -> bool:
        """Whether the server speaks this dialect."""

    @abstractmethod
    def labels(self, first: int, last: int, *, since: int = 0) -> list[RemoteLabels]:
        """The labels of messages of the current folder between two UIDs, both included.

        Of those alone that changed after the MODSEQ `since`, unless it is 0.
        """

    @abstractmethod
    def change_labels(
        self, uids: Sequence[int], *, add: Sequence[str] = (), remove: Sequence[str] = ()
    ) -> None:
        """Change labels of messages of the current folder (selected for writing)."""


class GmailCommands(ImapCommands, LabelledStore):
    """The same over IMAP."""

    @property
    def has_labels(self) -> bool:
        return CAPABILITY in self.capabilities

    def labels(self, first: int, last: int, *, since: int = 0) -> list[RemoteLabels]:
        modifiers = [f"(CHANGEDSINCE {since})"] if since else []
        self._command("UID", "FETCH", f"{first}:{last}", "(UID X-GM-LABELS)", *modifiers)
        found = [_read_labels(response) for response in joined(self._take("FETCH"))]
        return [row for row in found if row is not None and first <= row.uid <= last]

    def change_labels(
        self, uids: Sequence[int], *, add: Sequence[str] = (), remove: Sequence[str] = ()
    ) -> None:
        for some in command_sets(uids):
            for verb, labels in (("+", add), ("-", remove)):
                if labels:
                    names = b" ".join(_wire_label(label) for label in labels)
                    self._command("UID", "STORE", some, f"{verb}X-GM-LABELS", b"(%s)" % names)


def labels_of_folders(folders: Iterable[RemoteFolder]) -> dict[str, str]:
    """Path → label of the folders that are labels; none where All Mail is not shown.

    A user can hide All Mail from IMAP: then what LIST shows must be read as folders.
    """
    folders = list(folders)
    if not any(folder.role is Role.ALL and folder.selectable for folder in folders):
        return {}
    found = {}
    for folder in folders:
        if not folder.selectable or folder.role in _NO_LABELS:
            continue
        flagged = (_LABEL_OF_FLAG.get(flag.lower()) for flag in folder.flags)
        known = INBOX_LABEL if folder.role is Role.INBOX else next(filter(None, flagged), None)
        found[folder.path] = known or folder.path
    return found


def _wire_label(label: str) -> bytes:
    refuse_controls(label, "A label")
    return label.encode() if label in _SYSTEM_LABELS.values() else quote(encode_name(label))


def _read_labels(response: Response) -> RemoteLabels | None:
    items = next((item for item in read_items(response) if isinstance(item, list)), [])
    told: dict[bytes, Item] = {}
    for name, value in zip(items[::2], items[1::2], strict=False):
        if isinstance(name, bytes):
            told[name.upper()] = value
    uid, labels = read_number(told.get(b"UID"), LARGEST_UID), told.get(b"X-GM-LABELS")
    if not uid or b"X-GM-LABELS" not in told:
        return None
    if labels is None:
        return RemoteLabels(uid, frozenset())
    if not isinstance(labels, list):
        raise ProtocolViolation("The server gave a senseless answer about labels.")
    names = (decode_name(label) for label in labels if isinstance(label, bytes))
    return RemoteLabels(uid, frozenset(_SYSTEM_LABELS.get(name.lower(), name) for name in names))
