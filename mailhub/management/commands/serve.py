"""`manage.py serve`: everything that mailhub needs to run, under one parent."""

from __future__ import annotations

import argparse
import http.client
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections
from django.db.migrations.executor import MigrationExecutor

from mailhub.supervision import Service, Supervisor

SERVICES = ("web", "workers", "dispatcher", "watcher")
ANSWER_WITHIN = 60.0
# Whoever looks at a page does not wait for a campaign.
_WORKERS_NICENESS = 5


class Command(BaseCommand):
    help = (
        "Run the web server, the background workers, the dispatcher of scheduled mail and the "
        "mailbox watcher. Ctrl-C or SIGTERM stops them cleanly; a second one kills them."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
        parser.add_argument("--port", type=int, default=8000, help="0 chooses a free one")
        parser.add_argument(
            "--workers",
            type=_positive,
            default=settings.MAILHUB_WORKERS,
            help="processes that carry out background tasks (default: %(default)s)",
        )
        parser.add_argument(
            "--web-processes",
            type=_positive,
            default=2,
            help="processes that answer requests, of 8 threads each (default: %(default)s)",
        )
        parser.add_argument(
            "--only",
            type=_services,
            default=SERVICES,
            metavar="SERVICE,…",
            help=f"run these alone: {','.join(SERVICES)}",
        )
        parser.add_argument(
            "--patience",
            type=float,
            default=150,
            help="seconds that a stop waits for work in hand (default: %(default)s)",
        )

    def handle(self, *_: Any, **options: Any) -> None:
        chosen: tuple[str, ...] = options["only"]
        _refuse_unmigrated_database()
        listener = _listen(options["host"], options["port"]) if "web" in chosen else None
        supervisor = Supervisor(
            [_describe(name, options, listener) for name in chosen],
            say=self._say,
            patience=options["patience"],
            before_stopping=listener.close if listener else lambda: None,
        )
        names = ", ".join(chosen)
        if listener is None:
            self._say(f"Ready: {names}. Ctrl-C stops.")
        else:
            address = listener.getsockname()[:2]
            url = _url(*address)
            _when_it_answers(address, lambda: self._say(f"Ready: {names} on {url}. Ctrl-C stops."))
        code = supervisor.run()
        if code:
            sys.exit(code)

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


def _describe(name: str, options: dict[str, Any], listener: socket.socket | None) -> Service:
    """The command behind a service's name; this process has made Django's checks for all."""
    if name == "web":
        assert listener is not None, "web listens"
        command = ["-m", "gunicorn", "--config", "python:mailhub.gunicorn_settings"]
        command += ["--bind", f"fd://{listener.fileno()}"]
        command += ["--workers", str(options["web_processes"])]
        return _service(name, command, descriptors=(listener.fileno(),))
    if name == "workers":
        variables = {"MAILHUB_WORKERS": str(options["workers"])}
        command = ["manage.py", "qcluster", "--skip-checks"]
        return _service(name, command, environment=variables, niceness=_WORKERS_NICENESS)
    subcommand = {"dispatcher": "dispatch", "watcher": "watch_mailboxes"}[name]
    return _service(name, ["manage.py", subcommand, "--skip-checks"])


def _service(name: str, command: list[str], **more: Any) -> Service:
    return Service(name, [sys.executable, *command], settings.BASE_DIR, **more)


def _listen(host: str, port: int) -> socket.socket:
    """The listening socket, which outlives a web server that has to be started again."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(1024)
    except OSError as error:
        raise CommandError(f"Cannot listen on {_url(host, port)}: {error.strerror}") from error
    return listener


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _when_it_answers(address: tuple[str, int], announce: Callable[[], None]) -> None:
    """Call `announce` once, from a thread, when /healthz is answered."""
    host, port = address
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared

    def ask() -> None:
        deadline = time.monotonic() + ANSWER_WITHIN
        while time.monotonic() < deadline:
            connection = http.client.HTTPConnection(reachable, port, timeout=ANSWER_WITHIN)
            try:
                connection.request("GET", "/healthz")
                if connection.getresponse().status < http.HTTPStatus.INTERNAL_SERVER_ERROR:
                    announce()
                    return
            except (OSError, http.client.HTTPException):
                pass
            finally:
                connection.close()
            time.sleep(0.2)

    threading.Thread(target=ask, name="announce", daemon=True).start()


def _refuse_unmigrated_database() -> None:
    connection = connections["default"]
    executor = MigrationExecutor(connection)
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    connection.close()
    if missing:
        raise CommandError(
            f"The database lacks {len(missing)} migrations. Run first: manage.py migrate"
        )


def _services(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    unknown = [name for name in names if name not in SERVICES]
    if unknown or not names:
        raise argparse.ArgumentTypeError(f"choose among {', '.join(SERVICES)}")
    return names


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError("a number from 1 on")
    return int(text)
