"""Telling the tenant's webhooks of new mail: `message.received`.

A message is new mail where its folder had been read to the end before it came in. It is
marked as such in the transaction that stores it, and told of in the one that stores its
body: whatever is killed in between, each is told of once. Nothing of this happens where
nobody wants to be told.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from functools import cached_property
from uuid import UUID

from accounts.events.publishing import is_wanted, publish_many
from accounts.models import EmailAccount
from mailboxes.models import Folder, FolderEntry, FolderRole, Message

RECEIVED = "message.received"
# What lies there was written or thrown away by the user.
_NOT_RECEIVED = (FolderRole.SENT, FolderRole.DRAFTS, FolderRole.TRASH)


class NewMail:
    """The new mail of one account, for as long as a pass takes: whether anybody wants to be
    told is asked once. Both methods are parts of a transaction that the caller has begun.
    `all_are_new`: what is stored came while its folder was being read.
    """

    def __init__(self, account_id: UUID, *, all_are_new: bool = False) -> None:
        self._account_id, self._all_are_new = account_id, all_are_new
        self._messages = Message.objects.filter(account_id=account_id)

    def arrived(self, folder_id: int, message_ids: Collection[int]) -> None:
        """These are stored for the first time, as a folder holds them."""
        if not message_ids or self._listener is None:
            return
        folder = Folder.objects.filter(pk=folder_id)
        if not self._all_are_new:
            folder = folder.filter(is_complete=True)
        if folder.exclude(role__in=_NOT_RECEIVED).exists():
            self._messages.filter(pk__in=message_ids).update(is_unannounced=True)

    def readable(self, message_ids: Collection[int]) -> None:
        """The bodies of these are here, or will not be fetched."""
        if not message_ids or self._listener is None:
            return
        new = self._messages.filter(pk__in=message_ids, is_unannounced=True)
        threads = dict(new.values_list("pk", "thread_id"))
        if not threads:
            return
        folders: dict[int, list[str]] = defaultdict(list)
        places = FolderEntry.objects.filter(message_id__in=threads).order_by("folder_id")
        for message_id, folder_id in places.values_list("message_id", "folder_id"):
            folders[message_id].append(str(folder_id))
        publish_many(
            self._listener,
            RECEIVED,
            [
                {
                    "accountId": str(self._account_id),
                    "id": str(message_id),
                    "threadId": str(threads[message_id]) if threads[message_id] else None,
                    "folderIds": folders[message_id],
                }
                for message_id in sorted(folders)
            ],
        )
        self._messages.filter(pk__in=threads).update(is_unannounced=False)

    @cached_property
    def _listener(self) -> UUID | None:
        """The tenant, where one of its webhooks wants to be told."""
        accounts = EmailAccount.objects.filter(pk=self._account_id)
        tenant_id = accounts.values_list("tenant_id", flat=True).first()
        return tenant_id if tenant_id is not None and is_wanted(tenant_id, RECEIVED) else None
