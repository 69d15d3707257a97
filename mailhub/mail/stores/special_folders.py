"""Drafts, Sent and Trash: found by their use, and made where they are missing."""

from __future__ import annotations

from collections.abc import Iterable

from mailhub.mail.errors import CommandRefused
from mailhub.mail.stores.base import RemoteFolder, Role, Store
from mailhub.mail.stores.folder_names import quote

# What mail programs call the folder that they make where there is none.
_NAMES = {Role.DRAFTS: "Drafts", Role.SENT: "Sent", Role.TRASH: "Trash"}


def folder_of(folders: Iterable[RemoteFolder], role: Role) -> RemoteFolder | None:
    """The folder for this use that messages can lie in."""
    return next((folder for folder in folders if folder.role is role and folder.selectable), None)


def folder_or_new(store: Store, role: Role) -> str:
    """The path of the folder for this use, which is made where it is missing. Raises MailError."""
    folders = store.folders()
    found = folder_of(folders, role)
    if found is not None:
        return found.path
    name = _NAMES[role]
    try:
        store.create_folder(name)
    except CommandRefused:
        # Some servers keep all folders of a person beneath INBOX.
        inbox = next((folder for folder in folders if folder.path == "INBOX"), None)
        if inbox is None or not inbox.delimiter:
            raise
        name = f"INBOX{inbox.delimiter}{name}"
        store.create_folder(name)
    return name


def find_message(store: Store, path: str, message_id: str) -> int | None:
    """The UID of the newest message of this Message-ID in a folder, which is then selected."""
    if not message_id.strip("<>") or not message_id.isascii():
        return None
    store.select(path)
    found = store.uids(f"HEADER Message-ID {quote(message_id.encode()).decode()}")
    return found[-1] if found else None
