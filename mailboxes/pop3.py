"""What else is done to mail of POP3 accounts: changing it, and fetching a message again.

Flags are kept here alone, as POP3 has none. A deletion is for good; it reaches the server
where the account lets messages be deleted there. There is one folder, so nothing moves.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from django.db import transaction

from accounts.models import EmailAccount
from mailboxes.connections import maildrop_of
from mailboxes.models import Folder, FolderEntry, MaildropMessage, Message
from mailboxes.placements import drop, set_flags
from mailboxes.sync.letters import header_digest
from mailboxes.sync.pop3_store import discard
from mailboxes.wishes import Problem, Wish
from mailhub.errors import Busy, Conflict, MailhubError, NotFound
from mailhub.mail.errors import CommandRefused, MailError, MessageMissing
from mailhub.mail.stores.maildrop import LARGEST_MESSAGE, Maildrop

OpenMaildrop = Callable[[EmailAccount], Maildrop]


def change_pop3_messages(
    account: EmailAccount,
    message_ids: Sequence[int],
    wish: Wish,
    *,
    open_maildrop: OpenMaildrop = maildrop_of,
) -> dict[int, Problem]:
    """Carry the wish out; which messages it was not done to, and why.

    Conflict (`one_folder`) for a move. Raises what `open_maildrop` does.
    """
    problems: dict[int, Problem] = {}
    placements: dict[int, list[FolderEntry]] = defaultdict(list)
    rows = FolderEntry.objects.filter(account=account, message_id__in=message_ids)
    for entry in rows.select_related("folder").order_by("folder_id"):
        placements[entry.message_id].append(entry)
    entries: list[FolderEntry] = []
    for message_id in dict.fromkeys(message_ids):
        try:
            entries += _concerned(placements[message_id], wish)
        except MailhubError as error:
            problems[message_id] = error
    if wish.delete and entries and account.delete_from_server_after_days is not None:
        try:
            _delete_there(account, entries, open_maildrop)
        except MailError as error:
            return problems | {entry.message_id: error for entry in entries}
    for folder, uids in _by_folder(entries):
        if wish.delete:
            with transaction.atomic():
                discard(folder.pk, uids)
                drop(folder, uids)
        elif wish.added or wish.removed:
            set_flags(folder, uids, add=wish.added, remove=wish.removed)
    return problems


def fetch_again(
    message: Message,
    *,
    largest: int = LARGEST_MESSAGE,
    open_maildrop: OpenMaildrop = maildrop_of,
) -> bytes:
    """A message's octets from its server. Raises MailError, and what `open_maildrop` does."""
    entries = FolderEntry.objects.filter(message=message).values_list("folder_id", "uid")
    names = {
        name
        for folder_id, uid in entries
        for name in MaildropMessage.objects.filter(
            folder_id=folder_id, uid=uid, absent_since=None
        ).values_list("unique_id", flat=True)
    }
    if names:
        with open_maildrop(message.account) as maildrop:
            numbers = [row.number for row in maildrop.listing() if row.unique_id in names]
            for row in maildrop.retrieve(numbers[:1], largest=largest):
                if row.content and header_digest(row.content) == message.header_digest:
                    return row.content
    raise MessageMissing("The server does not have this message any more.")


def _concerned(placements: Sequence[FolderEntry], wish: Wish) -> list[FolderEntry]:
    """The placements of one message that the wish is about."""
    if not placements:
        raise NotFound("The message lies in no folder any more.")
    if wish.folder is not None and any(row.folder_id != wish.folder.pk for row in placements):
        raise Conflict(
            "An account that is read over POP3 has one folder: nothing can be moved.",
            code="one_folder",
        )
    found = list(placements)
    if wish.delete and wish.from_folder_id is not None:
        found = [entry for entry in found if entry.folder_id == wish.from_folder_id]
        if not found:
            raise Conflict("The message does not lie in that folder.", code="not_in_folder")
    if wish.delete and any(entry.uid < 0 for entry in found):
        raise Busy("The folder is about to be read anew; try again.", retry_after=30)
    return found


def _delete_there(
    account: EmailAccount, entries: Sequence[FolderEntry], open_maildrop: OpenMaildrop
) -> None:
    """What the server has no more is deleted there already."""
    names: set[str] = set()
    for folder, uids in _by_folder(entries):
        rows = MaildropMessage.objects.filter(folder=folder, uid__in=uids, absent_since=None)
        names.update(rows.values_list("unique_id", flat=True))
    if not names:
        return
    with open_maildrop(account) as maildrop:
        numbers = [row.number for row in maildrop.listing() if row.unique_id in names]
        if not numbers:
            return
        if maildrop.delete(numbers) != set(numbers):
            raise CommandRefused("The server refused to delete the messages.")
        maildrop.finish()


def _by_folder(entries: Sequence[FolderEntry]) -> list[tuple[Folder, list[int]]]:
    grouped: dict[int, tuple[Folder, list[int]]] = {}
    for entry in entries:
        grouped.setdefault(entry.folder_id, (entry.folder, []))[1].append(entry.uid)
    return list(grouped.values())
