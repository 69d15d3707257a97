"""Whom a person has written to before, to be offered while an address is typed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from accounts.caller import Caller
from accounts.models import EmailAccount
from mailboxes.models import Folder, FolderEntry, FolderRole
from mailboxes.models.draft import Person

_MESSAGES_LOOKED_AT = 500
_LONGEST_BEGINNING = 100


def people_written_to(caller: Caller, beginning: str, *, most: int = 8) -> list[Person]:
    """Those of whose name or address a word begins so, whom most was written to first.

    The newest messages of the Sent folders of the caller's own accounts are looked at.
    """
    wanted = beginning.strip().casefold()[:_LONGEST_BEGINNING]
    if not wanted:
        return []
    times: Counter[str] = Counter()
    named: dict[str, Person] = {}
    for person in _recipients(caller):
        key = person["address"].casefold()
        if not key or not _begins(person, wanted):
            continue
        times[key] += 1
        # The newest come first, and their names with them.
        if key not in named or not named[key]["name"]:
            named[key] = person
    return [named[key] for key, _ in times.most_common(most)]


def _recipients(caller: Caller) -> Iterator[Person]:
    accounts = EmailAccount.objects.owned_by(caller).order_by().values("pk")
    sent = Folder.objects.filter(account__in=accounts, role=FolderRole.SENT)
    for folder_id in sent.values_list("pk", flat=True):
        entries = FolderEntry.objects.filter(folder=folder_id).order_by("-received_at")
        rows = entries.values_list("message__to", "message__cc", "message__bcc")
        for groups in rows[:_MESSAGES_LOOKED_AT]:
            for group in groups:
                yield from group


def _begins(person: Person, wanted: str) -> bool:
    words: Iterable[str] = [person["name"], person["address"], *person["name"].split()]
    return any(word.casefold().startswith(wanted) for word in words)
