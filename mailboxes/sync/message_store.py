"""What a pass keeps of the messages of an account: where they lie, headers, bodies.

Every method that writes does so in transactions of two hundred rows, as SQLite has one
writer; on PostgreSQL more messages are placed at once. All of them may be repeated: a pass
that was killed between two of them, and is carried out again, comes to the same end.
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
from mailboxes.news import NewMail
from mailboxes.raw_store import RawStore
from mailboxes.signals import message_stored
from mailboxes.sync.batches import in_batches
from mailboxes.sync.envelopes import Envelope
from mailboxes.sync.letters import Body
from mailboxes.sync.matching import Placing, flag_values, place_envelopes
from mailboxes.sync.plan import Flags, within
from mailboxes.sync.statistics import count_for_the_first_time
from mailboxes.sync.writing import write_attachments, write_suspects
from mailboxes.threads import drop_empty_threads, refresh_threads
from mailhub.mail.stores.base import Measure

BATCH = 200
# Where nobody else waits meanwhile, fewer statements a message.
_BATCH_BESIDE_OTHERS = 500
LOOKUP = 500
# So many messages of a pass make a database that knew of none plan anew.
WORTH_COUNTING = 500


@dataclass(frozen=True, slots=True)
class Pending:
    """A message in a folder whose body is to be fetched."""

    uid: int
    message_id: int
    size: int


@dataclass(frozen=True, slots=True)
class Alike:
    """`elsewhere`: UIDs of new messages that may be known from elsewhere. `here`: UIDs under
    which the folder holds a message, or held it, → those of new ones that may be the same.
    """

    elsewhere: set[int]
    here: Mapping[int, Sequence[int]]


class MessageStore:
    """The messages of one account. `all_are_new`: what is stored arrived a moment ago.

    `placed_at_once`: so many messages are one transaction of `place`.
    """

    def __init__(self, account_id: UUID, *, all_are_new: bool = False) -> None:
        self.account_id = account_id
        self.raw = RawStore(account_id)
        self._news = NewMail(account_id, all_are_new=all_are_new)
        self._placed = 0
        self._messages = Message.objects.filter(account_id=account_id)
        self.placed_at_once = BATCH if connection.vendor == "sqlite" else _BATCH_BESIDE_OTHERS

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

    def newest_uid(self, folder_id: int) -> int:
        """The highest UID stored of the folder; 0 where there is none."""
        rows = FolderEntry.objects.filter(folder_id=folder_id, uid__gt=0)
        return rows.order_by("-uid").values_list("uid", flat=True).first() or 0

    def uids_within(self, folder_id: int, ranges: Sequence[tuple[int, int]]) -> list[int]:
        """The UIDs stored of the folder that lie in one of these ascending ranges."""
        if not ranges:
            return []
        rows = FolderEntry.objects.filter(folder_id=folder_id, uid__gt=0)
        rows = rows.filter(uid__gte=ranges[0][0], uid__lte=max(last for _, last in ranges))
        return within(rows.order_by("uid").values_list("uid", flat=True).iterator(2000), ranges)

    def uids_alike(self, folder_id: int, envelopes: Sequence[Envelope]) -> list[int]:
        """Other UIDs of the folder under which a message with one of these headers is stored."""
        found: set[int] = set()
        for some in in_batches([envelope.letter.header_digest for envelope in envelopes], LOOKUP):
            rows = FolderEntry.objects.filter(folder_id=folder_id, uid__gt=0)
            alike = self._messages.filter(header_digest__among=some)
            found |= set(rows.filter(message__in=alike).values_list("uid", flat=True))
        return sorted(found - {envelope.uid for envelope in envelopes})

    def possibly_known(self, folder_id: int, measures: Iterable[Measure]) -> Alike:
        """Which of these new messages of the folder arrived when one that is stored did, with
        the same size.
        """
        wanted: dict[tuple[datetime, int], list[int]] = defaultdict(list)
        for measure in measures:
            wanted[measure.received_at, measure.size].append(measure.uid)
        found: dict[int, list[int]] = {}
        for moments in in_batches(sorted({received_at for received_at, _ in wanted}), LOOKUP):
            rows = self._messages.filter(received_at__among=moments)
            for pk, moment, size in rows.values_list("pk", "received_at", "size").iterator(2000):
                if (uids := wanted.get((moment, size))) is not None:
                    found[pk] = uids
        here: dict[int, list[int]] = {}
        for some in in_batches(list(found), LOOKUP):
            entries = FolderEntry.objects.filter(
                folder_id=folder_id, uid__gt=0, message_id__in=some
            )
            for pk, uid in entries.values_list("message_id", "uid"):
                here[uid] = found.pop(pk)
        return Alike({uid for uids in found.values() for uid in uids}, here)

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
        for some in in_batches(envelopes, self.placed_at_once):
            with writing(self.account_id) as note:
                placing = place_envelopes(self.account_id, folder_id, some)
                self._news.arrived(folder_id, placing.created)
                found_again = [row.pk for row in placing.attached if row.orphaned_at is not None]
                note.changed([*(row.pk for row in placing.attached), *placing.rethreaded])
                note.added(found_again)
                note.created(placing.created)
                self._announce(placing.complete)
            result.add(placing)
        self._count_placed(len(envelopes))
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
                write_attachments(some)
                write_suspects(some)
                FolderEntry.objects.filter(message_id__in=ids).update(lacks_body=False)
                note.changed(ids)
                self._announce(ids)

    def leave_bodies(self, message_ids: Sequence[int], state: BodyState) -> None:
        """These bodies will not be fetched; `state` says why."""
        for some in in_batches(message_ids, BATCH):
            with transaction.atomic():
                self._messages.filter(pk__in=some).update(body_state=state)
                FolderEntry.objects.filter(message_id__in=some).update(lacks_body=False)
                self._news.readable(some)

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
                (
                    SkippedMessage(folder_id=folder_id, uid=uid, reason=reason, last_tried_at=now)
                    for uid, reason in reasons.items()
                    if uid not in known
                ),
                ignore_conflicts=True,
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
        skipped = SkippedMessage.objects.filter(folder_id=folder_id)
        if skipped.exists():
            for some in in_batches(uids, LOOKUP):
                skipped.filter(uid__in=some).delete()

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
        self.raw.delete_abandoned()
        forget_old_removals(self.account_id)

    def _count_placed(self, messages: int) -> None:
        before, self._placed = self._placed, self._placed + messages
        if before < WORTH_COUNTING <= self._placed:
            count_for_the_first_time()

    def _announce(self, message_ids: Iterable[int]) -> None:
        ids = list(message_ids)
        if ids:
            self._news.readable(ids)
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
    """In one statement, at the end of which SQLite flushes its index of words."""
    values = [
        value
        for pk, body in bodies
        for value in (
            pk,
            body.raw_digest,
            body.snippet,
            body.text,
            body.has_attachments,
            BodyState.STORED.value,
        )
    ]
    if not values:
        return
    rows = ", ".join(["(%s, %s, %s, %s, %s, %s)"] * len(bodies))
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE messages SET raw_digest = column2, snippet = column3, text = column4,"  # noqa: S608 - places of values
            " has_attachments = column5, body_state = column6"
            f" FROM (VALUES {rows}) AS body WHERE messages.id = column1",
            values,
        )
