"""Raw messages, addressed by their content, behind one small interface.

Messages that come together are written one behind the other into one file, a pack, since
making a file costs more than all else that is done with a message. The database says
where in which pack a message lies, and is told once the octets are written: what it names
survives whatever happens to our processes. Nothing is forced to the disk: after a power cut
a message may be damaged, which its digest tells; it is then fetched from its server again.

Each account has packs of its own, in a folder of its own: nothing is shared between
tenants. A pack that is more than half holes is written anew without them. Of a large message
the `Beginning` is handled, and its octets go from file to file.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import timedelta
from itertools import accumulate
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from mailboxes.models import RawMessage, RawPack
from mailboxes.rows import insert_rows
from mailboxes.sync.batches import in_batches
from mailboxes.sync.letters import digest_of
from mailhub.installation import make_private_folder
from mailhub.mail.octets import Beginning, FileOctets, whole_of

LOOKUP = 500
# No process writes a pack for so long.
ABANDONED_AFTER = timedelta(hours=1)
_WHERE = ("pack_id", "digest", "offset", "length")


class RawStore:
    """The raw messages of one account."""

    def __init__(self, account_id: UUID) -> None:
        self._account_id = account_id
        self._root = Path(settings.MAILHUB_DATA_DIR) / "raw" / account_id.hex

    def put_many(self, contents: Iterable[bytes]) -> list[str]:
        """Keep these messages; their digests in the same order. Raises OSError."""
        messages = list(contents)
        digests = [digest_of(content) for content in messages]
        self.put(dict(zip(digests, messages, strict=True)))
        return digests

    def put(self, contents: Mapping[str, bytes]) -> None:
        """The same for messages whose digests are known."""
        known = set(self._stored(contents).values_list("digest", flat=True))
        fresh = {digest: content for digest, content in contents.items() if digest not in known}
        if fresh:
            self._write(fresh)

    def get(self, digest: str) -> bytes | None:
        """The message, or None where it is missing or damaged."""
        found = self.find(digest)
        return found.read(0, len(found)) if found is not None else None

    def find(self, digest: str) -> FileOctets | None:
        """The same where it lies."""
        _check(digest)
        # A pack may be written anew, and go, between the look at the database and at the file.
        damaged: RawMessage | None = None
        for _ in range(2):
            row = self._stored([digest]).first()
            if row is None:
                return None
            found = self._find(row)
            if found is not None:
                return found
            if damaged is not None and damaged.pk == row.pk:
                # It must not keep a sound copy from being put in its place.
                row.delete()
            damaged = row
        return None

    def delete(self, digests: Iterable[str]) -> None:
        """Forget these messages; one that is missing is no error."""
        for some in in_batches(list(digests), LOOKUP):
            for digest in some:
                _check(digest)
            rows = self._stored(some)
            packs = set(rows.values_list("pack_id", flat=True))
            rows.delete()
            for pack in RawPack.objects.filter(pk__in=packs):
                self._tidy(pack)

    def delete_abandoned(self) -> None:
        """Remove packs that a process began and did not live to end."""
        long_ago = timezone.now() - ABANDONED_AFTER
        packs = RawPack.objects.filter(account_id=self._account_id, is_complete=False)
        for pack in packs.filter(created_at__lt=long_ago):
            self._remove(pack)

    def delete_all(self) -> None:
        """Forget every message of the account."""
        RawPack.objects.filter(account_id=self._account_id).delete()
        shutil.rmtree(self._root, ignore_errors=True)

    def _stored(self, digests: Iterable[str]) -> QuerySet[RawMessage]:
        return RawMessage.objects.filter(
            digest__among=list(digests), pack__account_id=self._account_id
        )

    def _write(self, contents: Mapping[str, bytes], instead_of: RawPack | None = None) -> None:
        """A new pack of these messages, by digest."""
        lengths = [len(whole_of(content)) for content in contents.values()]
        pack = RawPack.objects.create(account_id=self._account_id, octets=sum(lengths))
        try:
            self._write_file(pack, contents.values())
        except OSError:
            # Where even that fails, it is left for `delete_abandoned`.
            with suppress(OSError):
                self._remove(pack)
            raise
        rows = [
            (pack.pk, digest, end - length, length)
            for digest, length, end in zip(contents, lengths, accumulate(lengths), strict=True)
        ]
        with transaction.atomic():
            insert_rows(RawMessage, _WHERE, rows)
            RawPack.objects.filter(pk=pack.pk).update(is_complete=True)
            if instead_of is not None:
                RawMessage.objects.filter(pack=instead_of).delete()
                RawPack.objects.filter(pk=instead_of.pk).update(is_complete=False)

    def _write_file(self, pack: RawPack, contents: Iterable[bytes]) -> None:
        # A file of that name can only be what a transaction that came to nothing left.
        path, flags = self._path(pack.pk), os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        try:
            descriptor = os.open(path, flags, 0o600)
        except FileNotFoundError:
            make_private_folder(self._root.parent)
            make_private_folder(path.parent)
            descriptor = os.open(path, flags, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            for content in contents:
                if isinstance(content, Beginning):
                    file.writelines(content.whole.pieces())
                else:
                    file.write(content)

    def _find(self, row: RawMessage) -> FileOctets | None:
        """The sound octets of a message, if they are there."""
        try:
            with self._path(row.pack_id).open("rb") as file:
                found = FileOctets(file, row.offset, row.length)
        except FileNotFoundError:
            return None
        return found if found.digest() == row.digest else None

    def _tidy(self, pack: RawPack) -> None:
        """Give back what the holes of a pack take up, once they are the larger part."""
        rows = list(pack.messages.all())
        if sum(row.length for row in rows) * 2 >= pack.octets and rows:
            return
        sound = {row.digest: found.held() for row in rows if (found := self._find(row)) is not None}
        if sound:
            self._write(sound, instead_of=pack)
        self._remove(pack)

    def _remove(self, pack: RawPack) -> None:
        self._path(pack.pk).unlink(missing_ok=True)
        pack.delete()

    def _path(self, pack_id: int) -> Path:
        return self._root / f"{pack_id}.pack"


def _check(digest: str) -> None:
    if len(digest) != 64 or not digest.isalnum():
        raise ValueError("not a digest")
