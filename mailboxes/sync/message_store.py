"""What a pass keeps of the messages of an account: where they lie, headers, bodies.

Every method that writes does so in transactions of a hundred rows, as SQLite has one
writer. All of them may be repeated: a pass that was killed between two of them, and is
carried out again, comes to the same end.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Count, Exists, F, OuterRef, QuerySet
from django.utils import timezone

from mailboxes.journal import forget_old_removals, writing
from mailboxes.models import Attachment, BodyState, FolderEntry, Message, SkippedMessage
from mailboxes.models.skipped_message import TRIES_BEFORE_LEAVING
from mailboxes.raw_store import RawStore
from mailboxes.signals import message_stored
from mailboxes.sync.batches import in_batches
from mailboxes.sync.envelopes import Body, Envelope
from mailboxes.sync.matching import Placing, flag_values, place_envelopes
from mailboxes.sync.plan import Flags, within
from mailboxes.threads import drop_empty_threads, refresh_threads

BATCH = 100
LOOKUP = 500
LONGEST_FILENAME = 255
LONGEST_TYPE = 255
LONGEST_ID = 998


@dataclass(frozen=True, slots=True)
class Pending:
    """A message in a folder whose body is to be fetched."""

    uid: int
    message_id: int
    size: int


class MessageStore:
    """The messages of one account."""

    def __init__(self, account_id: UUID) -> None:
        self.account_id = account_id
        self.raw = RawStore(account_id)
        self._messages = Message.objects.filter(account_id=account_id)

    def flags_between(self, folder_id: int, first: int, last: int) -> dict[int, Flags]:
        """What is stored of the folder, from one UID to another."""
        return _flags_by_uid(
            FolderEntry.objects.filter(folder_id=folder_id, uid__gte=first, uid__lte=last)
        )

    def flags_of(self, folder_id: int, uids: Sequence[int]) -> dict[int, Flags]:
        """What is stored of these messages of the folder."""
        found: dict[int, Flags] = {}
        for some in in_batches(uids, LOOKUP):
            found |= _flags_by_uid(FolderEntry.objects.filter(folder_id=folder_id, uid__in=some))
        return found

    def uids_within(self, folder_id: int, ranges: Sequence[tuple[int, int]]) -> list[int]:
        """The UIDs stored of the folder that lie in one of these ascending ranges."""
        if not ranges:
            return []
        rows = FolderEntry.objects.filter(folder_id=folder_id, uid__gt=0)
        rows = rows.filter(uid__gte=ranges[0][0], uid__lte=max(last for _, last in ranges))
        return within(rows.order_by("uid").values_list("uid", flat=True).iterator(2000), ranges)

    def count_known(self, folder_id: int) -> int:
        """How many messages of the folder are stored, or are left alone because they failed."""
        entries = FolderEntry.objects.filter(folder_id=folder_id, uid__gt=0)
        alone = self.left_alone(folder_id)
        stored = self.flags_of(folder_id, sorted(alone))
        return entries.count() + len(alone - stored.keys())

    def change_flags(self, folder_id: int, changed: Mapping[int, Flags]) -> None:
        """These messages of the folder have these flags now."""
        alike: dict[Flags, list[int]] = defaultdict(list)
        for uid, flags in changed.items():
            alike[flags].append(uid)
        for flags, uids in alike.items():
            for some in in_batches(uids, BATCH):
                with writing(self.account_id) as note:
                    rows = FolderEntry.objects.filter(folder_id=folder_id, uid__in=some)
                    rows.update(**flag_values(flags))
                    note.changed(rows.values_list("message_id", flat=True))

    def forget(self, folder_id: int, uids: Iterable[int]) -> None:
        """These messages lie in the folder no more; one that lies nowhere is an orphan."""
        for some in in_batches(list(uids), BATCH):
            with writing(self.account_id) as note:
                entries = FolderEntry.objects.filter(folder_id=folder_id, uid__in=some)
                messages = list(entries.values_list("message_id", flat=True))
                entries.delete()
                placed = FolderEntry.objects.filter(message_id=OuterRef("pk"))
                alone = self._messages.filter(~Exists(placed), pk__in=messages)
                orphans = dict(alone.values_list("pk", "thread_id"))
                self._messages.filter(pk__in=orphans).update(orphaned_at=timezone.now())
                refresh_threads(orphans.values())
                note.changed(set(messages) - orphans.keys())
                note.removed(orphans)
                SkippedMessage.objects.filter(folder_id=folder_id, uid__in=some).delete()

    def make_stale(self, folder_id: int) -> None:
        """The folder's UIDs mean nothing any more; its messages stay in sight meanwhile."""
        SkippedMessage.objects.filter(folder_id=folder_id).delete()
        current = FolderEntry.objects.filter(folder_id=folder_id, uid__gt=0)
        while some := list(current.order_by("uid").values_list("pk", flat=True)[:BATCH]):
            FolderEntry.objects.filter(pk__in=some).update(uid=-F("pk"))

    def forget_stale(self, folder_id: int) -> None:
        """What a rebuild has not found again lies in the folder no more."""
        self.forget_between(folder_id, None, -1)

    def forget_between(self, folder_id: int, first: int | None, last: int | None) -> None:
        """All of the folder between two UIDs; None where there is no bound."""
        rows = FolderEntry.objects.filter(folder_id=folder_id)
        if first is not None:
            rows = rows.filter(uid__gte=first)
        if last is not None:
            rows = rows.filter(uid__lte=last)
        while some := list(rows.order_by("uid").values_list("uid", flat=True)[:BATCH]):
            self.forget(folder_id, some)

    def place(self, folder_id: int, envelopes: Sequence[Envelope]) -> Placing:
        """Store these messages of the folder: known ones by their placement alone."""
        result = Placing()
        for some in in_batches(envelopes, BATCH):
            with writing(self.account_id) as note:
                placing = place_envelopes(self.account_id, folder_id, some)
                found_again = [row.pk for row in placing.attached if row.orphaned_at is not None]
                note.changed([*(row.pk for row in placing.attached), *placing.rethreaded])
                note.added([*(message.pk for message, _ in placing.created), *found_again])
                self._describe_attachments(
                    (message.pk, envelope.body)
                    for message, envelope in placing.created
                    if envelope.body is not None
                )
                self._announce(message.pk for message, envelope in placing.created if envelope.body)
            result.add(placing)
        return result

    def pending(self, folder_id: int, limit: int) -> list[Pending]:
        """Messages of the folder whose bodies are missing, newest UID first."""
        rows = FolderEntry.objects.filter(folder_id=folder_id, lacks_body=True, uid__gt=0)
        found = rows.order_by("-uid").values_list("uid", "message_id", "message__size")
        return [Pending(*row) for row in found[:limit]]

    def count_pending(self, folder_id: int) -> int:
        """How many bodies of the folder are missing."""
        return FolderEntry.objects.filter(folder_id=folder_id, lacks_body=True).count()

    def count_all_pending(self) -> dict[int, int]:
        """Folder id → how many of its bodies are missing, where any are."""
        rows = FolderEntry.objects.filter(folder__account_id=self.account_id, lacks_body=True)
        counted = rows.order_by().values("folder_id").annotate(total=Count("pk"))
        return {row["folder_id"]: row["total"] for row in counted}

    def all_skipped(self) -> set[int]:
        """Ids of the folders that have messages to be tried again."""
        rows = SkippedMessage.objects.filter(
            folder__account_id=self.account_id, tries__lt=TRIES_BEFORE_LEAVING
        )
        return set(rows.values_list("folder_id", flat=True))

    def store_bodies(self, bodies: Sequence[tuple[int, Body]]) -> None:
        """The bodies of these messages (by id); their raw messages are in the raw store."""
        for some in in_batches(bodies, BATCH):
            with writing(self.account_id) as note:
                _write_bodies(some)
                ids = [pk for pk, _ in some]
                Attachment.objects.filter(message_id__in=ids).delete()
                self._describe_attachments(some)
                FolderEntry.objects.filter(message_id__in=ids).update(lacks_body=False)
                note.changed(ids)
                self._announce(ids)

    def leave_bodies(self, message_ids: Sequence[int], state: BodyState) -> None:
        """These bodies will not be fetched; `state` says why."""
        for some in in_batches(message_ids, BATCH):
            with transaction.atomic():
                self._messages.filter(pk__in=some).update(body_state=state)
                FolderEntry.objects.filter(message_id__in=some).update(lacks_body=False)

    def want_bodies_again(self) -> None:
        """A full pass tries once more what the servers did not hand over."""
        SkippedMessage.objects.filter(folder__account_id=self.account_id).delete()
        unavailable = self._messages.filter(body_state=BodyState.UNAVAILABLE)
        while some := list(unavailable.values_list("pk", flat=True)[:BATCH]):
            with transaction.atomic():
                self._messages.filter(pk__in=some).update(body_state=BodyState.PENDING)
                FolderEntry.objects.filter(message_id__in=some).update(lacks_body=True)

    def skip(self, folder_id: int, reasons: Mapping[int, str]) -> set[int]:
        """Record that these could not be fetched; the UIDs that are left alone from now on."""
        now = timezone.now()
        with transaction.atomic():
            rows = SkippedMessage.objects.filter(folder_id=folder_id, uid__in=list(reasons))
            known = set(rows.values_list("uid", flat=True))
            rows.update(tries=F("tries") + 1, last_tried_at=now)
            SkippedMessage.objects.bulk_create(
                SkippedMessage(folder_id=folder_id, uid=uid, reason=reason, last_tried_at=now)
                for uid, reason in reasons.items()
                if uid not in known
            )
        return self.left_alone(folder_id) & reasons.keys()

    def left_alone(self, folder_id: int) -> set[int]:
        """UIDs that failed too often to be tried again."""
        rows = SkippedMessage.objects.filter(folder_id=folder_id, tries__gte=TRIES_BEFORE_LEAVING)
        return set(rows.values_list("uid", flat=True))

    def has_skipped(self, folder_id: int) -> bool:
        """Whether there are messages to be tried again."""
        return SkippedMessage.objects.filter(
            folder_id=folder_id, tries__lt=TRIES_BEFORE_LEAVING
        ).exists()

    def forget_skipped(self, folder_id: int, uids: Sequence[int]) -> None:
        """These came in after all."""
        for some in in_batches(uids, 500):
            SkippedMessage.objects.filter(folder_id=folder_id, uid__in=some).delete()

    def remove_orphans(self, before: datetime) -> None:
        """Delete what has lain in no folder since `before`, with its raw message."""
        orphans = self._messages.filter(orphaned_at__lt=before)
        while some := dict(orphans.values_list("pk", "raw_digest")[:BATCH]):
            with writing(self.account_id):
                gone = self._messages.filter(pk__in=some)
                threads = list(gone.values_list("thread_id", flat=True))
                gone.delete()
                drop_empty_threads(threads)
            digests = {digest for digest in some.values() if digest}
            shared = self._messages.filter(raw_digest__in=digests)
            self.raw.delete(digests - set(shared.values_list("raw_digest", flat=True)))
        forget_old_removals(self.account_id)

    def _describe_attachments(self, bodies: Iterable[tuple[int, Body]]) -> None:
        Attachment.objects.bulk_create(
            Attachment(
                message_id=pk,
                index=attachment.index,
                filename=attachment.filename[:LONGEST_FILENAME],
                content_type=attachment.content_type[:LONGEST_TYPE],
                size=attachment.size,
                content_id=attachment.content_id[:LONGEST_ID],
                is_inline=attachment.inline,
            )
            for pk, body in bodies
            for attachment in body.attachments
        )

    def _announce(self, message_ids: Iterable[int]) -> None:
        ids = list(message_ids)
        if ids:
            send = partial(
                message_stored.send_robust,
                sender=MessageStore,
                account_id=self.account_id,
                message_ids=ids,
            )
            transaction.on_commit(send, robust=True)


def _flags_by_uid(rows: QuerySet[FolderEntry]) -> dict[int, Flags]:
    return {
        uid: Flags(seen, flagged, answered, draft, tuple(keywords))
        for uid, seen, flagged, answered, draft, keywords in rows.values_list(
            "uid", "is_seen", "is_flagged", "is_answered", "is_draft", "keywords"
        ).iterator(2000)
    }


def _write_bodies(bodies: Sequence[tuple[int, Body]]) -> None:
    """One prepared statement for all: the ORM would compile each row's anew."""
    with connection.cursor() as cursor:
        cursor.executemany(
            'UPDATE "messages" SET "raw_digest" = %s, "snippet" = %s, "text" = %s,'
            ' "has_attachments" = %s, "body_state" = %s WHERE "id" = %s',
            [
                (
                    body.raw_digest,
                    body.snippet,
                    body.text,
                    body.has_attachments,
                    BodyState.STORED.value,
                    pk,
                )
                for pk, body in bodies
            ],
        )
