"""save-to-draft, move-to-trash, empty-trash: single messages in special folders."""

from __future__ import annotations

from dataclasses import dataclass

from mailhub.mail.errors import FolderMissing, MessageMissing
from mailhub.mail.parsing import parse_headers
from mailhub.mail.stores.base import Role, Store
from mailhub.mail.stores.special_folders import find_message, folder_of, folder_or_new


@dataclass(frozen=True, slots=True)
class Saved:
    """Where a draft lies; `uid` is None where the server neither told nor finds it."""

    path: str
    uid: int | None


@dataclass(frozen=True, slots=True)
class Moved:
    """From where to where a message went; `new_uid` as `Saved.uid`."""

    uid: int
    source: str
    path: str
    new_uid: int | None


def save_to_draft(store: Store, content: bytes, message_id: str) -> Saved:
    """Add the message to Drafts, which is made where it is missing."""
    path = folder_or_new(store, Role.DRAFTS)
    uid = store.append(path, content, flags=["\\Draft", "\\Seen"])
    if uid is None:
        uid = find_message(store, path, message_id)
    return Saved(path, uid)


def move_to_trash(store: Store, uid: int, source: str) -> Moved:
    """Move one message to Trash, which is made where it is missing.

    One that lies in Trash already stays as it is. Raises FolderMissing, MessageMissing.
    """
    source = "INBOX" if source.upper() == "INBOX" else source
    store.select(source, read_only=False)
    message = next(iter(store.fetch([uid], headers_only=True)), None)
    if message is None:
        raise MessageMissing(f"There is no message {uid} in {source}.")
    path = folder_or_new(store, Role.TRASH)
    if path == source:
        return Moved(uid, source, path, uid)
    new_uid = store.move([uid], path).get(uid)
    if new_uid is None:
        new_uid = find_message(store, path, f"<{parse_headers(message.content).message_id}>")
    return Moved(uid, source, path, new_uid)


def empty_trash(store: Store, uid: int | None) -> int:
    """Delete one message in Trash for good, or all of them where `uid` is None; how many.

    Raises FolderMissing where there is no Trash, MessageMissing, CommandRefused where the
    server cannot delete single messages.
    """
    folder = folder_of(store.folders(), Role.TRASH)
    if folder is None:
        raise FolderMissing("The account has no Trash folder.")
    store.select(folder.path, read_only=False)
    uids = store.uids() if uid is None else store.uids(f"UID {uid}")
    if uid is not None and uid not in uids:
        raise MessageMissing(f"There is no message {uid} in {folder.path}.")
    if uids:
        store.expunge(uids)
    return len(uids)
