"""A whole mailhub, run as an operator runs it: `manage.py serve` in processes of its own.

`RunningSite` has a data folder, a database and a port of its own; the database is a copy of
one that was migrated once a test run. Where the run has a PostgreSQL, so has the site, and
then it has Redis databases of its own too.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import redis

from tests import environment
from tests.servers.processes import descendants, free_port, still_alive, wait_until

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("web", "workers", "dispatcher", "watcher")
_numbers = itertools.count(1)


class SiteTemplate:
    """The migrated database that each site's own is copied from, made once a test run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server = os.environ["DATABASE_URL"]
        self._name = f"mailhub_sites_{folder.parent.name.replace('-', '_')}_template"
        with (folder / "site-template.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (folder / "site-template.made").exists():
                self._make()
                (folder / "site-template.made").touch()

    def copy(self, data: Path) -> str:
        """Make a site's database, under `data` where it is a file; its DATABASE_URL."""
        if not self._on_postgresql:
            path = data / "mailhub.sqlite3"
            shutil.copyfile(self._folder / "site-template.sqlite3", path)
            return f"sqlite:///{path}"
        name = data.name.replace("-", "_").lower()
        self._administer(f'CREATE DATABASE "{name}" TEMPLATE "{self._name}"')
        return self._url(name)

    def drop(self, url: str) -> None:
        """Remove a site's database."""
        if self._on_postgresql:
            name = urlsplit(url).path.lstrip("/")
            self._administer(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    @property
    def _on_postgresql(self) -> bool:
        return self._server.startswith("postgres")

    def _make(self) -> None:
        if self._on_postgresql:
            self._administer(f'DROP DATABASE IF EXISTS "{self._name}"')
            self._administer(f'CREATE DATABASE "{self._name}"')
            url = self._url(self._name)
        else:
            url = f"sqlite:///{self._folder / 'site-template.sqlite3'}"
        run_manage({**os.environ, "DATABASE_URL": url, "REDIS_URL": ""}, "migrate", "-v", "0")

    def _url(self, name: str) -> str:
        return urlsplit(self._server)._replace(path=f"/{name}").geturl()

    def _administer(self, statement: str) -> None:
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())


def run_manage(variables: dict[str, str], *arguments: str) -> str:
    """What `manage.py` prints on standard output; AssertionError with all it said otherwise."""
    finished = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), *arguments],
        env=variables,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, f"{arguments}: {finished.stdout}\n{finished.stderr}"
    return finished.stdout


class RunningSite:
    """One mailhub on a loopback port; it may be stopped, killed and started again."""

    def __init__(
        self,
        template: SiteTemplate,
        *,
        only: Sequence[str] = SERVICES,
        workers: int = 2,
        settings: dict[str, str] | None = None,
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.data = Path(tempfile.mkdtemp(prefix="mailhub-site-"))
        self.log = self.data / "serve.log"
        self._only = only
        self._workers = workers
        self._template = template
        self._process: subprocess.Popen[bytes] | None = None
        self.variables = {
            **os.environ,
            "MAILHUB_DATA_DIR": str(self.data),
            "DATABASE_URL": template.copy(self.data),
            "REDIS_URL": self._empty_redis(),
            "MAILHUB_PUBLIC_URL": self.url,
            "PYTHONUNBUFFERED": "1",
            **(settings or {}),
        }

    def start(self) -> None:
        """Start every service, and wait until the site answers."""
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(ROOT / "manage.py"), "serve", "--host", "127.0.0.1",
                 "--port", str(self.port), "--workers", str(self._workers), "--web-processes", "1",
                 "--skip-checks",
                 "--only", ",".join(self._only)],
                env=self.variables, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        try:
            wait_until(self._is_ready, "the site is ready", seconds=40)
        except RuntimeError as error:
            error.add_note(self.said())
            self.kill()
            raise

    def stop(self, seconds: float = 30) -> int:
        """End it as an operator does, with SIGTERM; its exit code."""
        os.kill(self.pid, signal.SIGTERM)
        return self.wait(seconds)

    def wait(self, seconds: float = 30) -> int:
        """Wait for its end; its exit code."""
        assert self._process is not None, "the site is not running"
        code = self._process.wait(timeout=seconds)
        self._process = None
        return code

    def kill(self) -> None:
        """kill -9 of every process of it at once, as a power cut would."""
        if self._process is None:
            return
        doomed = self.processes()
        for pid in doomed:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        self._process = None
        wait_until(lambda: not still_alive(doomed), "every process of the site is gone")

    def processes(self) -> list[int]:
        """The process ids of the supervisor and of everything beneath it."""
        return [self.pid, *descendants(self.pid)]

    @property
    def pid(self) -> int:
        """The process id of the supervisor."""
        assert self._process is not None, "the site is not running"
        return self._process.pid

    def manage(self, *arguments: str) -> str:
        """Run a management command on the site's database; what it printed."""
        return run_manage(self.variables, *arguments)

    def create_api_key(
        self,
        tenant: str = "acme",
        user: str = "alice",
        *,
        service: bool = False,
        scopes: str = "",
    ) -> str:
        """A new API key of a user, both made where they are missing."""
        arguments = ["create_api_key", "--tenant", tenant, "--user", user, "--create"]
        arguments += ["--service"] if service else []
        arguments += ["--scopes", scopes] if scopes else []
        return self.manage(*arguments).strip()

    def said(self) -> str:
        """All that its processes have printed since it was started."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def remove(self) -> None:
        """End it, however it is, and remove its data."""
        if self._process is not None:
            self.kill()
        self._template.drop(self.variables["DATABASE_URL"])
        shutil.rmtree(self.data, ignore_errors=True)

    def _is_ready(self) -> bool:
        assert self._process is not None, "the site is not running"
        if self._process.poll() is not None:
            raise RuntimeError(f"serve ended with {self._process.returncode} as it started")
        return "Ready" in self.said()

    @staticmethod
    def _empty_redis() -> str:
        url = environment.redis_url(1 + next(_numbers) % 15)
        if url:
            with redis.Redis.from_url(url) as server:
                server.flushdb()
        return url


@pytest.fixture(scope="session")
def site_template(tmp_path_factory: pytest.TempPathFactory) -> SiteTemplate:
    """The migrated database that sites are copied from, shared by all xdist workers."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    return SiteTemplate(shared)


@pytest.fixture(scope="module")
def site(site_template: SiteTemplate) -> Iterator[RunningSite]:
    """A site with every service, running, for the tests of one module."""
    running = RunningSite(site_template)
    try:
        running.start()
        yield running
    finally:
        running.remove()
