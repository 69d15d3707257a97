"""Raw messages that nothing names: what a kill between two commits left behind.

A raw message is kept before its row is written, and deleted after its row is gone. A process
that is killed in between leaves it there, where no message names it. They are looked for
once a day, and in a full pass.
"""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from django.db.models import Exists, OuterRef
from django.utils import timezone

from mailboxes.models import Message, RawMessage, RawPack, SyncRun, SyncState
from mailboxes.raw_store import RawStore
from mailboxes.sync.batches import in_batches
from mailboxes.sync.control import Control
from mailhub.logs import get_logger

log = get_logger(__name__)

# What is younger may be about to be named.
_YOUNG_FOR = timedelta(hours=1)
_PACKS_AT_ONCE = 50


def is_sweep_due(account_id: UUID, run_id: UUID) -> bool:
    """Whether no pass over the whole account has ended today (UTC) before this run."""
    ended = SyncRun.objects.filter(account=account_id, folders=[], state=SyncState.COMPLETED)
    today = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    return not ended.filter(finished_at__gte=today).exclude(pk=run_id).exists()


def sweep_raw_messages(account_id: UUID, control: Control) -> None:
    """Delete the account's raw messages that no message names. May be interrupted."""
    named = Message.objects.filter(account_id=account_id, raw_digest=OuterRef("digest"))
    unnamed = RawMessage.objects.filter(~Exists(named))
    packs = RawPack.objects.filter(
        account_id=account_id, is_complete=True, created_at__lt=timezone.now() - _YOUNG_FOR
    )
    count = 0
    for some in in_batches(list(packs.order_by("pk").values_list("pk", flat=True)), _PACKS_AT_ONCE):
        control.check()
        digests = list(unnamed.filter(pack_id__in=some).values_list("digest", flat=True))
        RawStore(account_id).delete(digests)
        count += len(digests)
    if count:
        log.info("raw messages that nothing names are gone", account=str(account_id), count=count)
