"""A connection to PostgreSQL that has nothing to say is alive, and need not be asked.

Django asks each connection whether it lives before the first statement of each request: a
statement more, for which two processes have to be woken. A server that ends a connection, or
ends itself, says so on it: a look at the socket tells as much, and costs a call of the system.
"""

from __future__ import annotations

import select
import threading
import time
from typing import Any

from django.db import connections

# One that lay unused for longer may have been forgotten by what stands between, silently.
_TRUSTED_SECONDS = 30.0

_mine = threading.local()


def trust_quiet_connections(**_: Any) -> None:
    """Spare this thread's connections the question. A receiver of `request_started`."""
    now = time.monotonic()
    is_recent = now - getattr(_mine, "asked_at", -_TRUSTED_SECONDS) < _TRUSTED_SECONDS
    _mine.asked_at = now
    for wrapper in connections.all(initialized_only=True) if is_recent else ():
        opened = wrapper.connection
        if wrapper.vendor == "postgresql" and opened is not None and not opened.closed:
            socket = select.poll()
            socket.register(opened.fileno(), select.POLLIN)
            is_quiet = not socket.poll(0)
            # Django has just set it to False, for its question.
            wrapper.health_check_done = is_quiet  # type: ignore[attr-defined]  # not in the stubs
