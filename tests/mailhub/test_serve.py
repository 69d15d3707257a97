"""`manage.py serve` as an operator sees it: real processes, real signals."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from tests.servers.processes import still_alive, wait_until
from tests.servers.site import ROOT, RunningSite, SiteTemplate


@pytest.fixture(scope="module")
def own_site(site_template: SiteTemplate) -> Iterator[RunningSite]:
    """A site for these tests alone: they stop and kill it."""
    running = RunningSite(site_template, only=("web", "workers"))
    yield running
    running.remove()


@pytest.fixture
def started(own_site: RunningSite) -> Iterator[RunningSite]:
    """The site, running at the start of the test, and ended after it."""
    own_site.start()
    yield own_site
    own_site.kill()


def test_stops_with_its_tasks_ended_and_no_process_left(
    started: RunningSite, tmp_path: Path
) -> None:
    """One task is in the middle and runs to its end; another asks and leaves off."""
    enqueue(started, ("work", tmp_path, 1.5), ("work_until_stopping", tmp_path))
    wait_until((tmp_path / "work").exists, "the first begins")
    wait_until((tmp_path / "work_until_stopping").exists, "the second begins")
    processes = started.processes()
    assert len(processes) > 7, "supervisor, gunicorn, cluster and their children"

    assert started.stop() == 0

    assert (tmp_path / "ended").exists()
    assert (tmp_path / "left off").exists()
    assert still_alive(processes) == []


def test_kill_minus_nine_of_the_parent_leaves_no_process(
    started: RunningSite, tmp_path: Path
) -> None:
    enqueue(started, ("work", tmp_path, 60))
    wait_until((tmp_path / "work").exists, "the task begins")
    processes = started.processes()

    os.kill(started.pid, signal.SIGKILL)

    wait_until(lambda: not still_alive(processes[1:]), "all of them end")
    assert not (tmp_path / "ended").exists()


def test_a_second_signal_kills_at_once(started: RunningSite, tmp_path: Path) -> None:
    enqueue(started, ("work", tmp_path, 60))
    wait_until((tmp_path / "work").exists, "the task begins")
    processes = started.processes()

    os.kill(started.pid, signal.SIGINT)
    wait_until(lambda: "Stopping" in started.said(), "it says that it stops")
    os.kill(started.pid, signal.SIGINT)

    wait_until(lambda: not still_alive(processes[1:]), "all of them end")
    assert started.wait() == 130
    assert not (tmp_path / "ended").exists()


def test_a_service_that_dies_is_started_again(started: RunningSite) -> None:
    before = started.processes()

    os.kill(master_of(started, "gunicorn"), signal.SIGKILL)
    os.kill(master_of(started, "qcluster"), signal.SIGKILL)

    wait_until(lambda: master_of(started, "gunicorn") not in {0, *before}, "gunicorn runs")
    wait_until(lambda: master_of(started, "qcluster") not in {0, *before}, "the cluster runs")
    assert "web ended unexpectedly (killed by SIGKILL); starting it again in 1 s" in started.said()
    wait_until(lambda: is_up(started), "the site answers")
    assert still_alive(before) == [started.pid], "what the dead ones left behind is gone"


@pytest.mark.skipif(
    connection.vendor != "postgresql", reason="SQLite has no connection that could be lost"
)
def test_connections_that_the_database_ended_are_opened_again(started: RunningSite) -> None:
    key = started.create_api_key()
    for _ in range(3):
        for _ in range(4):
            assert ask_for_campaigns(started, key) == 200
        with psycopg.connect(started.variables["DATABASE_URL"], autocommit=True) as administrator:
            ended = administrator.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            ).fetchall()
        assert ended


def test_a_busy_port_is_named(own_site: RunningSite) -> None:
    with socket.create_server(("127.0.0.1", 0)) as occupant:
        port = occupant.getsockname()[1]
        finished = run_serve(own_site.variables, "--port", str(port))
    assert finished.returncode == 1
    assert f"Cannot listen on http://127.0.0.1:{port}: Address already in use" in finished.stderr


def test_an_empty_database_is_refused_with_what_to_do(tmp_path: Path) -> None:
    finished = run_serve({"DATABASE_URL": f"sqlite:///{tmp_path}/empty.sqlite3"}, "--port", "0")
    assert finished.returncode == 1
    assert "Run first: manage.py migrate" in finished.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--only", "web,cook"], "choose among web, workers, dispatcher, watcher"),
        (["--only", ""], "choose among"),
        (["--workers", "0"], "a number from 1 on"),
        (["--port", "http"], "invalid int value"),
    ],
)
def test_wrong_arguments_are_refused(arguments: list[str], sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence):
        call_command("serve", *arguments)


def enqueue(site: RunningSite, *calls: tuple[object, ...]) -> None:
    """Queue calls of functions in slow_task: (name, argument, …) each."""
    lines = ["from django_q.tasks import async_task"]
    for name, *arguments in calls:
        given = [str(part) if isinstance(part, Path) else part for part in arguments]
        lines.append(f"async_task('tests.mailhub.slow_task.{name}', *{given!r})")
    site.manage("shell", "--no-imports", "-c", "\n".join(lines))


def master_of(site: RunningSite, command: str) -> int:
    """The process that the supervisor started for a service; 0 while there is none."""
    listing = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True
    )
    for line in listing.stdout.splitlines():
        pid, parent, arguments = line.split(None, 2)
        if int(parent) == site.pid and command in arguments:
            return int(pid)
    return 0


def ask_for_campaigns(site: RunningSite, key: str) -> int:
    """The status of the answer."""
    request = urllib.request.Request(
        f"{site.url}/api/campaigns", headers={"Authorization": f"Token {key}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def is_up(site: RunningSite) -> bool:
    try:
        with urllib.request.urlopen(f"{site.url}/healthz", timeout=20) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def run_serve(variables: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "serve", "--skip-checks", *arguments],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
