"""Keys of an installation: made once, for their owner alone, never where they must be shared."""

from __future__ import annotations

import multiprocessing
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured

from mailhub.installation import (
    fresh_encryption_key,
    fresh_secret_key,
    keep_key,
    make_private_folder,
)

ROOT = Path(__file__).resolve().parents[2]


def test_folder_and_key_are_for_their_owner_alone(tmp_path: Path) -> None:
    umask = os.umask(0)
    try:
        folder = make_private_folder(tmp_path / "data")
        keep_key(folder / "key", "KEY", may_create=True, fresh="made")
    finally:
        os.umask(umask)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "key").stat().st_mode) == 0o600
    assert [path.name for path in folder.iterdir()] == ["key"]


def test_key_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "key"
    assert keep_key(path, "KEY", may_create=True, fresh="first") == "first"
    assert keep_key(path, "KEY", may_create=True, fresh="second") == "first"
    assert keep_key(path, "KEY", may_create=False, fresh="third") == "first"


def test_key_that_must_be_shared_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(ImproperlyConfigured, match="SHARED_KEY is not set"):
        keep_key(tmp_path / "key", "SHARED_KEY", may_create=False, fresh="x")
    assert list(tmp_path.iterdir()) == []


def test_empty_key_file_is_an_error_not_a_key(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("\n")
    with pytest.raises(ImproperlyConfigured, match="is empty"):
        keep_key(tmp_path / "key", "KEY", may_create=True, fresh="x")


def make_key(arguments: tuple[str, int]) -> str:
    folder, number = arguments
    return keep_key(Path(folder) / "key", "KEY", may_create=True, fresh=f"key {number}")


def test_processes_that_start_at_once_end_with_one_key(tmp_path: Path) -> None:
    with multiprocessing.get_context("fork").Pool(4) as pool:
        kept = pool.map(make_key, [(str(tmp_path), number) for number in range(40)], chunksize=1)
    assert len(set(kept)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_fresh_keys_are_good_and_differ() -> None:
    Fernet(fresh_encryption_key())
    assert fresh_encryption_key() != fresh_encryption_key()
    assert len({fresh_secret_key() for _ in range(20)}) == 20
    assert len(fresh_secret_key()) >= 50


def load_settings(tmp_path: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Load the settings in a process that has no other environment."""
    path = os.environ["PATH"]
    return subprocess.run(
        [sys.executable, "-c", "import mailhub.settings as s; print(s.SECRET_KEY, "
         "s.MAILHUB_ENCRYPTION_KEYS[0])"],
        env={"PATH": path, "MAILHUB_DATA_DIR": str(tmp_path / "data"), **variables},
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_embedded_installation_makes_its_keys(tmp_path: Path) -> None:
    first = load_settings(tmp_path, SECRET_KEY="", MAILHUB_ENCRYPTION_KEYS="")
    assert first.returncode == 0, first.stderr
    assert load_settings(tmp_path).stdout == first.stdout
    made = {path.name for path in (tmp_path / "data").iterdir()}
    assert made == {"secret_key", "encryption_keys", "mailhub.sqlite3"}


def test_database_in_a_folder_that_was_there_is_for_its_owner_alone(tmp_path: Path) -> None:
    write = (
        "import os; os.umask(0o022); import mailhub.settings\n"
        "import django; django.setup()\n"
        "from django.core.cache import cache; cache.set('a', 1)\n"
        "from django.db import connection; from pathlib import Path\n"
        "connection.cursor().execute('CREATE TABLE t (x)')\n"
        "for path in Path(os.environ['MAILHUB_DATA_DIR']).iterdir():\n"
        "    print(path.name, format(path.stat().st_mode & 0o777, 'o'))\n"
    )
    tmp_path.chmod(0o755)
    given = {"MAILHUB_DATA_DIR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "mailhub.settings"}
    written = subprocess.run(
        [sys.executable, "-c", write],
        env={"PATH": os.environ["PATH"], **given},
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert dict(line.split() for line in written.stdout.splitlines()) == {
        "mailhub.sqlite3": "600",
        "mailhub.sqlite3-wal": "600",
        "mailhub.sqlite3-shm": "600",
        "secret_key": "600",
        "encryption_keys": "600",
        "cache": "700",
    }


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({}, "SECRET_KEY"),
        ({"SECRET_KEY": "x" * 50}, "MAILHUB_ENCRYPTION_KEYS"),
        ({"MAILHUB_ENCRYPTION_KEYS": "x"}, "SECRET_KEY"),
    ],
)
def test_server_database_without_its_keys_does_not_start(
    tmp_path: Path, given: dict[str, str], missing: str
) -> None:
    ended = load_settings(tmp_path, DATABASE_URL="postgres://u:p@127.0.0.1/db", **given)
    assert ended.returncode != 0
    assert f"{missing} is not set" in ended.stderr


def test_server_database_with_its_keys_starts(tmp_path: Path) -> None:
    ended = load_settings(
        tmp_path,
        DATABASE_URL="postgres://u:p@127.0.0.1/db",
        SECRET_KEY="x" * 50,
        MAILHUB_ENCRYPTION_KEYS=f"{fresh_encryption_key()},{fresh_encryption_key()}",
    )
    assert ended.returncode == 0, ended.stderr
