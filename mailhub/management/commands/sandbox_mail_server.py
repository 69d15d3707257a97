"""`manage.py sandbox_mail_server`: mail sent to it over SMTP can be read over IMAP."""

from __future__ import annotations

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser


class Command(BaseCommand):
    help = "Run a mail server for trying things out; its mail is gone when it ends."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--smtp-port", type=int, default=2525, help="0 chooses a free one")
        parser.add_argument("--imap-port", type=int, default=2143, help="0 chooses a free one")
        parser.add_argument(
            "--account",
            action="append",
            metavar="ADDRESS:PASSWORD",
            help="a mailbox; the first gets the mail of every other recipient too "
            "(default: demo@sandbox.test:sandbox)",
        )

    def handle(self, *_: Any, **options: Any) -> None:
        try:
            from mailhub.sandbox import SandboxMailServer  # noqa: PLC0415 - needs more packages
        except ImportError as error:
            raise CommandError(str(error)) from error
        accounts = _read_accounts(options["account"] or ["demo@sandbox.test:sandbox"])
        server = SandboxMailServer(
            accounts,
            host=options["host"],
            smtp_port=options["smtp_port"],
            imap_port=options["imap_port"],
        )
        stop = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        try:
            server.start()
        except OSError as error:
            raise CommandError(f"Cannot listen: {error.strerror}") from error
        self.stdout.write(
            f"Ready: SMTP on {server.host}:{server.smtp_port}, IMAP on "
            f"{server.host}:{server.imap_port}, accounts {', '.join(accounts)}. Ctrl-C stops."
        )
        self.stdout.flush()
        stop.wait()
        server.stop()


def _read_accounts(given: list[str]) -> dict[str, str]:
    accounts = {}
    for entry in given:
        address, separator, password = entry.partition(":")
        if not separator or "@" not in address or not password:
            raise CommandError(f"--account takes ADDRESS:PASSWORD, not {address!r}")
        accounts[address] = password
    return accounts
