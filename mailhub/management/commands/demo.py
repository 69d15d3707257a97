"""`manage.py demo`: the main job on a sandbox mail server, then go on serving."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import sys
import threading
import time
from typing import Any

import requests
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from mailhub.demo.cast import Operator, cast_operator
from mailhub.demo.client import Client, DemoFailed
from mailhub.demo.story import Sandbox, Story
from mailhub.supervision import Service, Supervisor

MAILBOX = "demo@sandbox.test"
READY_WITHIN = 60.0


class Command(BaseCommand):
    help = (
        "Sets everything up in var/demo on SQLite (or where MAILHUB_DATA_DIR and DATABASE_URL "
        "say), starts all services and a sandbox mail server, does the main job in front of you, "
        "and goes on serving."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--once", action="store_true", help="stop after the job; exit 0 if it all came true"
        )
        parser.add_argument("--port", type=int, default=8000, help="a free one where it is taken")

    def handle(self, *_: Any, **options: Any) -> None:
        try:
            from mailhub.sandbox import SandboxMailServer  # noqa: PLC0415 - needs more packages
        except ImportError as error:
            raise CommandError(str(error)) from error
        self._say("Set up the database")
        call_command("migrate", verbosity=0)
        operator = cast_operator()
        port = _free_port(options["port"])
        password = secrets.token_urlsafe(12)
        with SandboxMailServer({MAILBOX: password}) as server:
            sandbox = Sandbox(server.host, server.imap_port, server.smtp_port, MAILBOX, password)
            play = _Play(f"http://localhost:{port}", operator, sandbox, self, options["once"])
            supervisor = Supervisor([_serve(port)], say=lambda _: None)
            threading.Thread(target=play.run, name="story", daemon=True).start()
            code = supervisor.run()
        if play.failure:
            raise CommandError(play.failure)
        if code or (options["once"] and not play.came_true):
            sys.exit(code or 1)

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


class _Play:
    """The story beside the running services; it ends them where only it was asked for."""

    def __init__(
        self, address: str, operator: Operator, sandbox: Sandbox, command: BaseCommand, once: bool
    ) -> None:
        self._address = address
        self._operator = operator
        self._sandbox = sandbox
        self._command = command
        self._once = once
        self.came_true = False
        self.failure = ""

    def run(self) -> None:
        try:
            _wait_until_ready(self._address)
            client = Client(self._address, self._operator.key)
            story = Story(client, self._sandbox, self._command.stdout)  # type: ignore[arg-type]  # writes like one
            story.tell()
            self.came_true = True
            self._tell_what_to_look_at(story.campaign_id)
        except (DemoFailed, requests.RequestException) as error:
            self.failure = f"The demo failed: {error}"
        if self._once or self.failure:
            os.kill(os.getpid(), signal.SIGTERM)

    def _tell_what_to_look_at(self, campaign_id: str) -> None:
        operator, address = self._operator, self._address
        lines = [
            "",
            f"  The campaign   {address}/campaigns/{campaign_id}",
            f"  The admin      {address}/admin/",
            f"  The API        {address}/api/docs",
            f"  Log in as      {operator.username}   password {operator.password}",
            f"  API key        {operator.key}",
            "",
            f"  curl -H 'Authorization: Token {operator.key}' {address}/api/contacts?limit=3",
            "",
        ]
        if not self._once:
            lines.append("Serving; Ctrl-C stops everything.")
        for line in lines:
            self._command.stdout.write(line)
        self._command.stdout.flush()


def _serve(port: int) -> Service:
    """All services, allowed to reach the sandbox on loopback without TLS; they log problems."""
    environment = {
        "EMAIL_SERVICE_LOG_LEVEL": "WARNING",
        "MAILHUB_ALLOWED_NETWORKS": "127.0.0.0/8",
        "MAILHUB_ALLOW_PLAINTEXT": "1",
        "MAILHUB_PUBLIC_URL": f"http://localhost:{port}",
    }
    command = [sys.executable, "manage.py", "serve", "--port", str(port)]
    return Service("mailhub", command, settings.BASE_DIR, environment)


def _wait_until_ready(address: str) -> None:
    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline:
        try:
            if requests.get(f"{address}/readyz", timeout=5).ok:
                return
        except requests.RequestException:
            pass
        time.sleep(0.2)
    raise DemoFailed(f"The services were not ready within {READY_WITHIN:.0f} seconds.")


def _free_port(wanted: int) -> int:
    """The wanted port where nothing listens on it, else a free one."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise CommandError("There is no free port on this machine.")
