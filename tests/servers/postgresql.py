"""A real PostgreSQL, started unprivileged on a loopback port in a temporary folder."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.servers.processes import free_port, wait_until

USER = "mailhub"
DATABASE = "mailhub"
FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "max_connections": "300",
    "shared_buffers": "64MB",
}


def find_binaries() -> Path | None:
    """The folder with `initdb` and `postgres` of the newest version here, or None."""
    folders = [
        folder
        for pattern in (
            "/usr/lib/postgresql/*/bin",
            "/opt/homebrew/opt/postgresql*/bin",
            "/usr/local/opt/postgresql*/bin",
        )
        for folder in Path("/").glob(pattern.lstrip("/"))
        if (folder / "initdb").exists()
    ]
    if folders:
        return max(folders, key=_version)
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


def _version(folder: Path) -> int:
    digits = "".join(character for character in folder.parent.name if character.isdigit())
    return int(digits or 0)


class PostgreSQLServer:
    """A server whose data last as long as it does; `url` is a DATABASE_URL for it.

    Those in a `folder` that is named stay, and are found there by the next one. `settings`
    are added to those that make tests quick.
    """

    def __init__(
        self, folder: Path | None = None, settings: Mapping[str, str] | None = None
    ) -> None:
        binaries = find_binaries()
        if binaries is None:
            raise FileNotFoundError("PostgreSQL's initdb is not installed")
        self._binaries = binaries
        self._is_kept = folder is not None
        self._folder = folder or Path(tempfile.mkdtemp(prefix="mailhub-postgresql-", dir="/tmp"))
        self._settings = {**FAST, **(settings or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()

    @property
    def url(self) -> str:
        return f"postgres://{USER}@127.0.0.1:{self.port}/{DATABASE}"

    def start(self) -> None:
        """Make the cluster and wait until it accepts queries."""
        if self._account:
            shutil.chown(self._folder, *self._account)
        data = self._folder / "data"
        is_new = not data.exists()
        if is_new:
            self._run("initdb", "-D", str(data), "-U", USER, "-A", "trust", "-E", "UTF8",
                      "--no-sync", "--locale=C")  # fmt: skip
        options = [
            part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")
        ]
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [str(self._binaries / "postgres"), "-D", str(data), "-p", str(self.port),
                 "-k", str(self._folder), "-c", "listen_addresses=127.0.0.1", *options],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self._folder,
                start_new_session=True, **self._as_account(),
            )  # fmt: skip
        try:
            wait_until(self._is_ready, "PostgreSQL accepts queries")
        except RuntimeError as error:
            error.add_note((self._folder / "log").read_text())
            self.stop()
            raise
        if is_new:
            self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", USER, DATABASE)

    def stop(self) -> None:
        """End it at once, and remove its data, unless they are to be kept."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(timeout=60 if self._is_kept else 10)
            except subprocess.TimeoutExpired:
                self._process.send_signal(signal.SIGQUIT)
                self._process.wait(timeout=10)
            self._process = None
        if not self._is_kept:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _is_ready(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise RuntimeError("PostgreSQL ended as it started")
        command = [str(self._binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p",
                   str(self.port), "-U", USER]  # fmt: skip
        return subprocess.run(command, check=False).returncode == 0

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [str(self._binaries / program), *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=self._folder,
            **self._as_account(),
        )

    @property
    def _account(self) -> tuple[int, int] | None:
        """PostgreSQL refuses to run as root: then the account of its package runs it."""
        if os.geteuid() != 0:
            return None
        entry = pwd.getpwnam("postgres")
        return entry.pw_uid, entry.pw_gid

    def _as_account(self) -> dict[str, Any]:
        if self._account is None:
            return {}
        user, group = self._account
        return {"user": user, "group": group, "extra_groups": []}


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgreSQLServer]:
    """A PostgreSQL of this test process's own."""
    try:
        server = PostgreSQLServer()
    except FileNotFoundError as error:
        pytest.skip(str(error))
    server.start()
    yield server
    server.stop()
