"""What was sent from an account is put in its Sent folder, once, and what it answers is marked.

Some servers file it themselves (Gmail does, and many others by a setting): the folder is
looked through for the Message-ID first, so that neither they nor a crash in between
leaves two copies.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from django.utils import timezone

from accounts.models import AccountProtocol, EmailAccount
from mailboxes.clerk import Clerk
from mailboxes.connections import store_of
from mailboxes.models import OutboxContent, OutboxMessage
from mailboxes.outbox.marking import mark_origins
from mailhub.errors import MailhubError
from mailhub.logs import get_logger
from mailhub.mail.errors import MailError
from mailhub.mail.stores.base import Role, Store
from mailhub.mail.stores.special_folders import find_message, folder_or_new

log = get_logger(__name__)

_AT_ONCE = 20
_CLAIMED_FOR = timedelta(seconds=90)
_FIRST_PAUSE = timedelta(seconds=15)
_TRIES = 8
# It files what it sends; to look for it there at once would come too early.
_FILES_ITSELF = "X-GM-EXT-1"


def file_due() -> None:
    """File all copies that are due, in this thread."""
    while accounts := _due_accounts(1):
        file_copies(accounts[0])


def file_copies(account_id: UUID) -> None:
    """File the account's copies that are due. Trouble is logged, and tried again later."""
    messages = _claim(account_id)
    if not messages:
        return
    account = EmailAccount.objects.select_related("credential").get(pk=account_id)
    filed = {message.pk for message in _filed(account, messages)}
    for message in messages:
        if mark_origins(message) and message.pk in filed:
            OutboxMessage.objects.filter(pk=message.pk).update(copy_due_at=None)


def _filed(account: EmailAccount, messages: Sequence[OutboxMessage]) -> list[OutboxMessage]:
    """Those that need no more filing."""
    if account.protocol != AccountProtocol.IMAP:
        return list(messages)
    filed = []
    try:
        with store_of(account) as store:
            path = "" if _FILES_ITSELF in store.capabilities else folder_or_new(store, Role.SENT)
            for message in messages:
                _file(store, path, message)
                filed.append(message)
    except (MailError, MailhubError) as error:
        log.info("sent copies wait", account=str(account.pk), reason=error.message)
    return filed


def _due_accounts(most: int) -> list[UUID]:
    due = OutboxMessage.objects.filter(copy_due_at__lte=timezone.now()).order_by("copy_due_at")
    found = due.values_list("account_id", flat=True)[: _AT_ONCE * most]
    return [pk for pk in dict.fromkeys(found) if pk is not None][:most]


def _claim(account_id: UUID) -> list[OutboxMessage]:
    """Those that nobody else takes meanwhile; each is due again later, unless it is filed."""
    now = timezone.now()
    mine = []
    due = OutboxMessage.objects.filter(account=account_id, copy_due_at__lte=now)
    for message in due.order_by("pk")[:_AT_ONCE]:
        again = now + max(_CLAIMED_FOR, _FIRST_PAUSE * 2**message.copy_tries)
        is_last = message.copy_tries + 1 >= _TRIES
        same = OutboxMessage.objects.filter(pk=message.pk, copy_due_at=message.copy_due_at)
        if same.update(copy_due_at=None if is_last else again, copy_tries=message.copy_tries + 1):
            mine.append(message)
    return mine


def _file(store: Store, path: str, message: OutboxMessage) -> None:
    content = OutboxContent.objects.filter(pk=message.pk).first()
    if path and content is not None and find_message(store, path, message.message_id) is None:
        store.append(path, own_copy(content), flags=["\\Seen"])


def own_copy(content: OutboxContent) -> bytes:
    """The writer's copy: as it left, and whom it went to besides."""
    wire = bytes(content.wire)
    return f"Bcc: {content.bcc}\r\n".encode() + wire if content.bcc else wire


COPY_CLERK = Clerk("sent-copies", _due_accounts, file_copies)
