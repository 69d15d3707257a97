"""What other mail programs did in the Drafts folder, taken in after a sync has read it.

A copy on the server never changes: a program that edits a draft adds another message and
removes the old one. So each message there that is not known yet is one of

    ours      it bears our mark, and says what it did when we wrote it
    edited    it bears our mark and says something else, or it came when the copy of a
              draft that it is like went
    foreign   a draft that was begun elsewhere

and a draft whose copy is there no more was edited, or thrown away. What was changed on both
sides is kept twice, and each of the two names the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from mailboxes.drafts.marks import Mark
from mailboxes.drafts.reading import take_content
from mailboxes.drafts.returning import forget_draft
from mailboxes.models import BodyState, Draft, DraftRemoval, Folder, FolderEntry, FolderRole
from mailboxes.raw_store import RawStore
from mailhub.logs import get_logger
from mailhub.mail.parsing import ParsedMessage, parse_message

log = get_logger(__name__)

# How alike a draft and a message must be, for the message to be an edit of it.
_ALIKE = 2
_COMPARED_CHARACTERS = 60


def reconcile_drafts(account_id: UUID, began: datetime, check: Callable[[], None]) -> None:
    """Take in the Drafts folder as it is stored, read by a pass that began then.

    `check` is called between two drafts, and may raise: what is left is for the next pass.
    """
    folders = Folder.objects.filter(account=account_id, role=FolderRole.DRAFTS)
    folder = folders.filter(is_selectable=True, failures=0, uid_validity__gt=0).first()
    if folder is not None:
        _Reconciliation(folder, began, check).run()


@dataclass(frozen=True, slots=True)
class _Found:
    """A message of the folder that no draft is known to have as its copy."""

    message_id: int
    uid: int
    digest: str
    mark: Mark | None
    is_ours: bool


@dataclass(frozen=True, slots=True)
class _SortedOut:
    """Edits and the drafts they are of, foreign drafts, and ids whose newest copy was seen."""

    edits: list[tuple[_Found, Draft]]
    foreign: list[_Found]
    seen: set[UUID]


class _Reconciliation:
    def __init__(self, folder: Folder, began: datetime, check: Callable[[], None]) -> None:
        self._check, self._store = check, RawStore(folder.account_id)
        self._folder, self._account_id, self._began = folder, folder.account_id, began
        self._drafts = Draft.objects.filter(account=self._account_id)
        self._entries = FolderEntry.objects.filter(folder=folder, uid__gt=0)
        self._is_complete = True

    def run(self) -> None:
        sorted_out = self._sort()
        gone = [draft for draft in self._vanished() if draft.pk not in sorted_out.seen]
        lost = [*gone, *self._drafts.filter(copy_went=True)]
        edits = [*sorted_out.edits, *self._matched(sorted_out.foreign, lost)]
        taken = {found.message_id for found, _ in edits}
        for found, draft in edits:
            self._check()
            if (raw := self._store.get(found.digest)) is not None:
                self._take_edit(found, draft, raw)
        for found in sorted_out.foreign:
            self._check()
            raw = self._store.get(found.digest) if found.message_id not in taken else None
            if raw is not None:
                self._begin(found, raw)
        edited = {draft.pk for _, draft in edits}
        for draft in gone:
            if draft.pk not in edited:
                self._let_go(draft)
        self._drafts.filter(copy_went=True, copied_at__lt=self._began).update(copy_went=False)

    def _sort(self) -> _SortedOut:
        """What each unknown message is; ours are noted at once."""
        sorted_out = _SortedOut([], [], set())
        for found in self._unknown():
            draft = self._drafts.filter(pk=found.mark.draft_id).first() if found.mark else None
            if draft is not None and not found.is_ours:
                sorted_out.edits.append((found, draft))
            elif draft is not None and found.mark is not None:
                if self._recognise(found, found.mark, draft):
                    sorted_out.seen.add(draft.pk)
            elif found.mark is None or not found.is_ours or not self._remove(found.mark.draft_id):
                sorted_out.foreign.append(found)
        return sorted_out

    def _unknown(self) -> Iterable[_Found]:
        known = self._drafts.filter(copy__isnull=False).values("copy")
        entries = self._entries.exclude(message__in=known).order_by("uid")
        for pk, uid, state, digest in entries.values_list(
            "message_id", "uid", "message__body_state", "message__raw_digest"
        ):
            self._check()
            raw = self._store.get(digest) if state == BodyState.STORED else None
            if raw is None:
                self._is_complete &= state != BodyState.PENDING
                continue
            mark = Mark.read(raw)
            is_ours = mark is not None and self._is_ours(uid, mark, raw)
            yield _Found(pk, uid, digest, mark, is_ours)

    def _is_ours(self, uid: int, mark: Mark, raw: bytes) -> bool:
        named = self._drafts.filter(
            pk=mark.draft_id,
            copy_uid=uid,
            copy_uid_validity=self._folder.uid_validity,
            copied_version=mark.version,
        )
        if not self._folder.label and named.exists():
            return True
        # A database that was restored knows less than the folder does.
        is_ahead = self._drafts.filter(pk=mark.draft_id, version__lt=mark.version).exists()
        return not is_ahead and mark.is_true(raw)

    def _recognise(self, found: _Found, mark: Mark, draft: Draft) -> bool:
        """Whether it is the newest version, and so the draft's copy; an older one is to go."""
        if mark.version < draft.copied_version:
            return False
        rows = self._drafts.filter(pk=draft.pk, copied_version__lte=mark.version)
        if mark.version > draft.copied_version:
            # Whoever put it there did not live to note it.
            rows.update(copied_at=timezone.now(), **self._place(found))
        rows.update(copy=found.message_id, copied_version=mark.version)
        return True

    def _remove(self, draft_id: UUID) -> bool:
        """A copy of a draft that is no more; False where nothing is known of that."""
        removals = DraftRemoval.objects.filter(pk=draft_id, account=self._account_id)
        removals.filter(due_at=None).update(due_at=timezone.now())
        return removals.exists()

    def _vanished(self) -> list[Draft]:
        """Drafts whose copy was in the folder before this pass, and is there no more."""
        if not self._is_complete:
            return []
        there = self._entries.values("message_id")
        lost = Q(copy=None) | ~Q(copy__in=there)
        rows = self._drafts.filter(lost, copied_version__gt=0, copied_at__lt=self._began)
        return list(rows.select_related("account"))

    def _take_edit(self, found: _Found, draft: Draft, raw: bytes) -> None:
        with transaction.atomic():
            row = self._locked(draft)
            base = found.mark.version if found.mark else draft.copied_version
            if row is None or row.outbox_id is not None or row.version > base or row.copy_went:
                other = self._begin(found, raw)
                if row is not None:
                    log.info("draft changed on both sides", draft=str(row.pk))
                    self._drafts.filter(pk=other.pk).update(conflict_with=row)
                    self._drafts.filter(pk=row.pk).update(conflict_with=other, copy_went=False)
                    self._keep(row)
                return
            row.version += 1
            row.updated_at = timezone.now()
            self._adopt(row, found)
            take_content(row, raw, is_copy=True)

    def _begin(self, found: _Found, raw: bytes) -> Draft:
        """A draft of ours from a message that another program has written."""
        with transaction.atomic():
            draft = Draft(account=self._folder.account)
            if found.mark is not None and _is_free(found.mark.draft_id):
                # One that was thrown away elsewhere, and restored.
                draft.pk, draft.version = found.mark.draft_id, found.mark.version
            arrived = self._entries.get(message_id=found.message_id).received_at
            draft.created_at = draft.updated_at = arrived
            draft.save(force_insert=True)
            self._adopt(draft, found)
            take_content(draft, raw, is_copy=True)
        return draft

    def _let_go(self, draft: Draft) -> None:
        """Its copy went, and nothing came in its place."""
        with transaction.atomic():
            row = self._locked(draft)
            if row is None or row.copied_version != draft.copied_version:
                return
            if row.has_news or row.outbox_id is not None:
                self._keep(row)
            else:
                forget_draft(row)

    def _keep(self, row: Draft) -> None:
        """Ours says what nobody else knows: the folder gets it again, where its copy went."""
        if row.copy_id is not None and self._entries.filter(message=row.copy_id).exists():
            return
        self._drafts.filter(pk=row.pk, copied_version=row.copied_version).update(
            copy=None,
            copied_version=0,
            copy_uid=None,
            copy_due_at=None if row.outbox_id is not None else timezone.now(),
        )

    def _adopt(self, draft: Draft, found: _Found) -> None:
        """The message is the draft's copy; unsaved."""
        draft.copy_id, draft.copied_version = found.message_id, draft.version
        draft.copied_at, draft.copy_due_at = timezone.now(), None
        for name, value in self._place(found).items():
            setattr(draft, name, value)

    def _place(self, found: _Found) -> dict[str, object]:
        folder, uid = self._folder, found.uid
        if folder.label:
            # Only where it is at home has it a UID that we know.
            entries = FolderEntry.objects.filter(message=found.message_id, folder__label="")
            home = entries.select_related("folder").first()
            if home is not None:
                folder, uid = home.folder, home.uid
        return {
            "copy_uid": uid,
            "copy_uid_validity": folder.uid_validity,
            "copy_path": folder.path,
        }

    def _matched(
        self, foreign: Sequence[_Found], gone: Sequence[Draft]
    ) -> list[tuple[_Found, Draft]]:
        """Messages that came in the place of copies that went: the likeliest for each."""
        pairs: list[tuple[int, _Found, Draft]] = []
        for found in foreign if gone else ():
            parsed = parse_message(self._store.get(found.digest) or b"")
            pairs += [(_likeness(draft, parsed), found, draft) for draft in gone]
        matched: list[tuple[_Found, Draft]] = []
        taken: set[object] = set()
        for points, found, draft in sorted(pairs, key=lambda pair: -pair[0]):
            if points >= _ALIKE and not taken & {found.message_id, draft.pk}:
                taken |= {found.message_id, draft.pk}
                matched.append((found, draft))
        return matched

    def _locked(self, draft: Draft) -> Draft | None:
        rows = self._drafts.select_for_update(of=("self",)).select_related("account")
        return rows.filter(pk=draft.pk).first()


def _is_free(draft_id: UUID) -> bool:
    """Whether no draft has this id, nor had it a short while ago."""
    return not (
        Draft.objects.filter(pk=draft_id).exists()
        or DraftRemoval.objects.filter(pk=draft_id).exists()
    )


def _likeness(draft: Draft, parsed: ParsedMessage) -> int:
    people = {person["address"].casefold() for person in (*draft.to, *draft.cc, *draft.bcc)}
    theirs = {person.address.casefold() for person in (*parsed.to, *parsed.cc, *parsed.bcc)}
    beginnings = [_beginning(draft.text), _beginning(parsed.text)]
    same_answer = bool(parsed.in_reply_to) and f"<{parsed.in_reply_to}>" == draft.in_reply_to
    same_subject = bool(parsed.subject) and parsed.subject.split() == draft.subject.split()
    same_text = bool(beginnings[0]) and beginnings[0] == beginnings[1]
    return 3 * same_answer + 2 * same_subject + 2 * same_text + bool(people & theirs)


def _beginning(text: str) -> str:
    return "".join(text.split())[:_COMPARED_CHARACTERS]
