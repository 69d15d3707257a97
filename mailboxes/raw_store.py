"""Raw messages, addressed by their content, behind one small interface.

A message is a file named by its SHA-256 in a folder of its account's own, so that one
run at a time writes there and nothing is shared between tenants. A file appears whole or
not at all. Nothing is forced to the disk: after a power cut a file may be damaged, which
its name tells, and the message is fetched from its server again.
"""

from __future__ import annotations

import hashlib
import secrets
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from django.conf import settings

WRITERS = 4


def digest_of(content: bytes) -> str:
    """The name of a raw message: its SHA-256 in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


class RawStore:
    """The raw messages of one account."""

    def __init__(self, account_id: UUID) -> None:
        self._root = Path(settings.MAILHUB_DATA_DIR) / "raw" / account_id.hex

    def put_many(self, contents: Iterable[bytes]) -> list[str]:
        """Keep these messages; their digests in the same order. Raises OSError."""
        with self.putting(contents) as digests:
            return list(digests)

    @contextmanager
    def putting(self, contents: Iterable[bytes]) -> Iterator[Iterator[str]]:
        """The same beside other work: digests in the same order, each once it is known.

        All messages are kept when the block ends.
        """
        # A file system's journal lets one file wait while another is made.
        with ThreadPoolExecutor(WRITERS, thread_name_prefix="raw-store") as pool:
            writings = [pool.submit(self._put, content) for content in contents]
            yield (writing.result() for writing in writings)
            for writing in writings:
                writing.result()

    def get(self, digest: str) -> bytes | None:
        """The message, or None where it is missing or damaged."""
        try:
            content = self._path(digest).read_bytes()
        except FileNotFoundError:
            return None
        return content if digest_of(content) == digest else None

    def delete(self, digests: Iterable[str]) -> None:
        """Forget these messages; one that is missing is no error."""
        for digest in digests:
            self._path(digest).unlink(missing_ok=True)

    def delete_all(self) -> None:
        """Forget every message of the account."""
        shutil.rmtree(self._root, ignore_errors=True)

    def _put(self, content: bytes) -> str:
        digest = digest_of(content)
        path = self._path(digest)
        try:
            if path.stat().st_size == len(content):
                return digest
        except FileNotFoundError:
            pass
        draft = path.with_name(f"{digest}.{secrets.token_hex(4)}")
        try:
            draft.write_bytes(content)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            draft.write_bytes(content)
        draft.replace(path)
        return digest

    def _path(self, digest: str) -> Path:
        if len(digest) != 64 or not digest.isalnum():
            raise ValueError("not a digest")
        # Sixteen folders: making a folder costs as much as many files do.
        return self._root / digest[0] / digest
