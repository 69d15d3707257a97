"""From an account to a connection that waits for news of it: a thread's work."""

from __future__ import annotations

from uuid import UUID

from accounts.connections import incoming_settings
from accounts.models import EmailAccount
from mailboxes.connections import refuse_unreadable
from mailboxes.models import Folder
from mailhub.errors import NotFound
from mailhub.mail.stores.base import FolderStatus
from mailhub.mail.watching.opening import Leash, Opened, open_inbox
from mailhub.mail.watching.session import INBOX


def open_account(account_id: UUID, leash: Leash) -> tuple[Opened, bool]:
    """The connection, and whether its inbox differs from what is stored of it.

    Raises MailError, or what `incoming_settings` does.
    """
    account = EmailAccount.objects.select_related("credential").filter(pk=account_id).first()
    if account is None:
        raise NotFound("There is no such account.")
    refuse_unreadable(account)
    opened = open_inbox(incoming_settings(account), leash)
    try:
        return opened, _is_behind(account_id, opened.inbox)
    except BaseException:
        opened.close()
        raise


def _is_behind(account_id: UUID, now: FolderStatus) -> bool:
    """Something happened while nobody listened. A folder never read is left to the interval."""
    stored = Folder.objects.filter(account=account_id, path=INBOX, uid_validity__gt=0).first()
    if stored is None:
        return False
    told = [
        (stored.uid_validity, now.uid_validity),
        (stored.server_total, now.messages),
        (stored.uid_next, now.uid_next or stored.uid_next),
        (stored.highest_modseq, now.highest_modseq or stored.highest_modseq),
    ]
    return any(before != after for before, after in told)
