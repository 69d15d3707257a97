"""What an installation needs before Django can start: a data folder, its keys, its database file.

Embedded installations (SQLite under the data folder) make missing keys once, readable
by their owner alone. An installation with a server database shares its keys among
machines, so there a missing key is an error: two machines would make two.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured


def make_private_folder(path: Path) -> Path:
    """The folder, made readable by its owner alone where it was missing."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def make_private_database(path: Path) -> None:
    """Have SQLite find an empty file, readable by its owner alone, where it would make one.

    SQLite's own follows the umask, and holds all mail; its -wal and -shm get the mode of the
    database beside which they lie. Where the folder is missing SQLite is left to say so.
    """
    with suppress(FileExistsError, FileNotFoundError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def keep_key(path: Path, variable: str, *, may_create: bool, fresh: str) -> str:
    """The key kept in `path`, written there from `fresh` where it is missing.

    Two processes that start at once end with the same key: the file appears whole, by
    a link that fails for the second. Raises ImproperlyConfigured naming `variable`
    where no key may be made.
    """
    if not path.exists():
        if not may_create:
            raise ImproperlyConfigured(
                f"{variable} is not set. Set it in the environment or in .env: an installation "
                "with a database server must share it among all its machines."
            )
        draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(fresh)
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    kept = path.read_text().strip()
    if not kept:
        raise ImproperlyConfigured(f"{variable}: {path} is empty. Put the key back, or remove it.")
    return kept


def fresh_secret_key() -> str:
    """A new SECRET_KEY."""
    return secrets.token_urlsafe(50)


def fresh_encryption_key() -> str:
    """A new Fernet key (32 bytes, url-safe base64)."""
    return Fernet.generate_key().decode()
