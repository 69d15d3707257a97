"""The newest version of each draft is put in the account's Drafts folder, older ones go.

    look     whether the version lies there already, as it may after a crash
    append   unless it does
    note     where it lies, in our row
    expunge  our other copies of the draft, by UID and none but those

The draft stays due until all of that is done. Who takes longer than its claim may have been
followed by another: whoever ends last removes what the other has put there. Only copies that
say what we wrote are removed: one that another program has changed is left for the next sync
to take in. A server that is away is tried again, later and later; a new version tries at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import F, Q, QuerySet
from django.utils import timezone

from accounts.models import EmailAccount
from mailboxes.clerk import Clerk
from mailboxes.connections import store_of
from mailboxes.drafts.marks import Mark, message_id_stem
from mailboxes.drafts.writing import copied_message
from mailboxes.models import Draft, DraftRemoval
from mailhub.errors import MailhubError
from mailhub.logs import get_logger
from mailhub.mail.errors import CommandRefused, FolderMissing, InvalidMessage, MailError
from mailhub.mail.stores.base import Role, Store
from mailhub.mail.stores.imap_arguments import compress_set
from mailhub.mail.stores.special_folders import find_message, folder_of, folder_or_new
from mailhub.retrying import next_try

log = get_logger(__name__)

_AT_ONCE = 50
_CLAIMED_FOR = timedelta(seconds=12)
# A line slower than that is taken for dead.
_OCTETS_A_SECOND = 20_000
_REMEMBERED_FOR = timedelta(days=1)
_FLAGS = ("\\Draft", "\\Seen")
# What is expunged from a label there stays among all mail.
_GMAIL = "X-GM-EXT-1"
_ABOUT_THE_DRAFT = (CommandRefused, InvalidMessage)


def copy_due() -> None:
    """Bring all Drafts folders up to date that are due, in this thread."""
    while accounts := _due_accounts(1):
        keep_copies(accounts[0])


def keep_copies(
    account_id: UUID, *, open_store: Callable[[EmailAccount], Store] = store_of
) -> None:
    """Bring the account's Drafts folder up to date. Trouble is noted, and tried again later."""
    now = timezone.now()
    if not _due(now).filter(account=account_id).exists() and not _removals(account_id, now):
        return
    account = EmailAccount.objects.select_related("credential").get(pk=account_id)
    draft: Draft | None = None
    try:
        with open_store(account) as store:
            visit = _Visit.to(store)
            while (removal := _claim_removal(account_id)) is not None:
                visit.remove(removal)
            while (draft := _claim_draft(account_id)) is not None:
                _guard(visit, draft)
    except (MailError, MailhubError) as error:
        log.info("drafts wait", account=str(account_id), reason=error.message)
        waiting = [*_due(timezone.now()).filter(account=account_id)]
        for each in [*waiting, *([draft] if draft is not None else [])]:
            _put_off(each, error.message)
        # Those that were claimed just now too.
        _put_off_removals(_removals(account_id, timezone.now() + _CLAIMED_FOR))


def forget_removals() -> None:
    """Draft ids that no copy can come back under any more."""
    old = timezone.now() - _REMEMBERED_FOR
    DraftRemoval.objects.filter(due_at=None, removed_at__lt=old).delete()


@dataclass
class _Visit:
    """An open Drafts folder, selected for writing."""

    store: Store
    path: str
    uid_validity: int
    trash: str = ""

    @classmethod
    def to(cls, store: Store) -> _Visit:
        path = folder_or_new(store, Role.DRAFTS)
        trash = folder_of(store.folders(), Role.TRASH) if _GMAIL in store.capabilities else None
        status = store.select(path, read_only=False)
        return cls(store, path, status.uid_validity, trash.path if trash else "")

    def put(self, draft: Draft) -> None:
        """Have the folder hold this version, and no older one."""
        message_id, octets = copied_message(draft)
        rows = Draft.objects.filter(pk=draft.pk)
        if not rows.filter(version=draft.version, outbox=None).exists():
            rows.update(copy_claimed_until=None)
            rows.exclude(outbox=None).update(copy_due_at=None)
            return
        noted = self._noted(draft)
        ours = self._ours(draft.pk, noted)
        if not noted.keys() <= ours.keys():
            rows.update(copy_went=True)
        uid = next((uid for uid, version in ours.items() if version == draft.version), None)
        if uid is None:
            takes = timedelta(seconds=len(octets) / _OCTETS_A_SECOND)
            rows.update(copy_claimed_until=timezone.now() + max(takes, _CLAIMED_FOR))
            uid = self._append(message_id, octets)
            noted |= {} if uid is None else {uid: draft.version}
            ours = self._ours(draft.pk, noted)
        if not self._note(draft, uid):
            uid = None  # It was thrown away meanwhile.
        self._expunge([each for each in ours if each != uid])
        self._expunge_at_home(draft)
        rows.update(copy_claimed_until=None, copy_tries=0, copy_error="")
        rows.filter(version=draft.version).update(copy_due_at=None)

    def remove(self, removal: DraftRemoval) -> None:
        """Have the folder hold no copy of a draft that is no more."""
        self._expunge(list(self._ours(removal.pk, self._noted(removal))))
        self._expunge_at_home(removal)
        DraftRemoval.objects.filter(pk=removal.pk).update(due_at=None, tries=0)

    def _append(self, message_id: str, octets: bytes) -> int | None:
        uid = self.store.append(self.path, octets, flags=_FLAGS)
        if uid is None:
            uid = find_message(self.store, self.path, message_id)
        # So that a search finds it too.
        self.store.select(self.path, read_only=False)
        return uid

    def _noted(self, row: Draft | DraftRemoval) -> dict[int, int]:
        """UID → version of the copy that we know of."""
        is_here = row.copy_path == self.path and row.copy_uid_validity == self.uid_validity
        if row.copy_uid is None or not is_here:
            return {}
        return {row.copy_uid: row.copied_version if isinstance(row, Draft) else 0}

    def _ours(self, draft_id: UUID, noted: Mapping[int, int]) -> dict[int, int]:
        """UID → version of our copies of the draft that lie there.

        Those that are not noted, as after a crash, are fetched, and must say what we wrote.
        """
        named = f'UNDELETED HEADER Message-ID "{message_id_stem(draft_id)}"'
        found = set(self.store.uids(named))
        if absent := noted.keys() - found:
            found |= set(self.store.uids(f"UNDELETED UID {compress_set(absent)}"))
        ours = {uid: version for uid, version in noted.items() if uid in found}
        for message in self.store.fetch(sorted(found - noted.keys())):
            mark = Mark.read(message.content)
            if mark is not None and mark.draft_id == draft_id and mark.is_true(message.content):
                ours[message.uid] = mark.version
        return ours

    def _note(self, draft: Draft, uid: int | None) -> bool:
        """Where the version lies; False where the draft is no more."""
        rows = Draft.objects.filter(pk=draft.pk)
        return bool(
            rows.exclude(copied_version=draft.version).update(copy=None)
            + rows.update(
                copied_version=draft.version,
                copied_at=timezone.now(),
                copy_path=self.path,
                copy_uid_validity=self.uid_validity,
                copy_uid=uid,
            )
        )

    def _expunge_at_home(self, row: Draft | DraftRemoval) -> None:
        """A draft that was begun elsewhere, and that a label shows here, is known by its home."""
        if not self.trash or row.copy_uid is None or row.copy_path in ("", self.path):
            return
        try:
            status = self.store.select(row.copy_path, read_only=False)
            found = self.store.uids(f"UID {row.copy_uid}")
            if found and status.uid_validity == row.copy_uid_validity:
                self.store.move(found, self.trash)
        except FolderMissing as error:
            log.info("an older draft stays", reason=error.message)
        finally:
            self.store.select(self.path, read_only=False)

    def _expunge(self, uids: Sequence[int]) -> None:
        if not uids:
            return
        try:
            if self.trash:
                self.store.move(uids, self.trash)
            else:
                self.store.expunge(uids)
        except CommandRefused as error:
            # Without UIDPLUS they are marked, and go when a program expunges the folder.
            log.info("older drafts stay", reason=error.message)


def _guard(visit: _Visit, draft: Draft) -> None:
    """One draft that the server does not take costs the others nothing."""
    try:
        visit.put(draft)
    except _ABOUT_THE_DRAFT as error:
        _put_off(draft, error.message)


def _due(now: datetime) -> QuerySet[Draft]:
    free = Q(copy_claimed_until=None) | Q(copy_claimed_until__lte=now)
    # One that waits in the outbox is never due; to ask for that costs the better index.
    return Draft.objects.filter(
        free, copy_due_at__lte=now, account__is_enabled=True, account__tenant__is_active=True
    )


def _due_accounts(most: int) -> list[UUID]:
    now = timezone.now()
    limit = _AT_ONCE * most
    found = list(_due(now).order_by("copy_due_at").values_list("account_id", flat=True)[:limit])
    removals = DraftRemoval.objects.filter(due_at__lte=now, account__is_enabled=True)
    found += removals.order_by("due_at").values_list("account_id", flat=True)[:limit]
    return list(dict.fromkeys(found))[:most]


def _claim_draft(account_id: UUID) -> Draft | None:
    """One that nobody else takes meanwhile."""
    now = timezone.now()
    for draft in _due(now).filter(account=account_id).order_by("copy_due_at")[:_AT_ONCE]:
        same = Draft.objects.filter(pk=draft.pk, copy_claimed_until=draft.copy_claimed_until)
        if same.update(copy_claimed_until=now + _CLAIMED_FOR):
            return Draft.objects.select_related("account").filter(pk=draft.pk).first()
    return None


def _claim_removal(account_id: UUID) -> DraftRemoval | None:
    now = timezone.now()
    for removal in _removals(account_id, now):
        same = DraftRemoval.objects.filter(pk=removal.pk, due_at=removal.due_at)
        if same.update(due_at=now + _CLAIMED_FOR):
            return removal
    return None


def _removals(account_id: UUID, until: datetime) -> list[DraftRemoval]:
    due = DraftRemoval.objects.filter(account=account_id, due_at__lte=until)
    return list(due.order_by("due_at")[:_AT_ONCE])


def _put_off(draft: Draft, reason: str) -> None:
    rows = Draft.objects.filter(pk=draft.pk)
    rows.update(copy_claimed_until=None, copy_tries=F("copy_tries") + 1, copy_error=reason)
    # A version that was saved meanwhile is due at once.
    due = next_try(draft.copy_tries + 1, timezone.now())
    rows.filter(version=draft.version).update(copy_due_at=due)


def _put_off_removals(removals: Sequence[DraftRemoval]) -> None:
    for removal in removals:
        due = next_try(removal.tries + 1, timezone.now())
        DraftRemoval.objects.filter(pk=removal.pk).update(due_at=due, tries=F("tries") + 1)


DRAFT_CLERK = Clerk("draft-copies", _due_accounts, keep_copies)
