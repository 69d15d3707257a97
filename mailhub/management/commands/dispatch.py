"""`manage.py dispatch`: runs the dispatcher until it is told to stop."""

from __future__ import annotations

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand

from mailhub.dispatch import attend


class Command(BaseCommand):
    help = "Starts scheduled work on time and takes up work that a crash left behind."

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        attend(stop)
