"""`manage.py send_outbox`: sends what is due now, where no dispatcher runs."""

from __future__ import annotations

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand

from mailboxes.outbox.sending import send_due


class Command(BaseCommand):
    help = "Sends every message of the outbox that is due now, then ends."

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        count = send_due(stop=stop)
        self.stdout.write(f"{count} lanes of the outbox had something to send.")
