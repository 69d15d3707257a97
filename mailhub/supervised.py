"""What a process that runs under a supervisor (mailhub.supervision) knows of it.

The supervisor holds the writing ends of two pipes, and hands their reading ends to every
service. One closes when it asks all to stop; the other when it is gone, however it ended.
Descriptors outlive a fork, so that the children of a service know as much.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading

ALIVE_PIPE = "MAILHUB_SUPERVISOR_ALIVE_PIPE"
STOPPING_PIPE = "MAILHUB_SUPERVISOR_STOPPING_PIPE"

_stopping: list[int] = []


def join_supervisor() -> None:
    """End this process, and each that it will fork, as soon as the supervisor is gone.

    To be called once, early, in a process that a supervisor started; does nothing elsewhere.
    """
    alive = os.environ.pop(ALIVE_PIPE, "")
    stopping = os.environ.pop(STOPPING_PIPE, "")
    if not alive or not stopping:
        return
    os.set_inheritable(int(alive), False)
    os.set_inheritable(int(stopping), False)
    _stopping.append(int(stopping))
    _end_when_it_closes(int(alive))
    os.register_at_fork(after_in_child=lambda: _end_when_it_closes(int(alive)))


def is_stopping() -> bool:
    """Whether the supervisor has asked all to stop.

    A long task asks this between two steps, and leaves the rest to the next start; a
    process without a supervisor is never stopping.
    """
    if not _stopping:
        return False
    poll = select.poll()
    poll.register(_stopping[0], select.POLLIN | select.POLLHUP)
    return bool(poll.poll(0))


def _end_when_it_closes(descriptor: int) -> None:
    def wait_for_the_end() -> None:
        with contextlib.suppress(OSError):  # closed in this process: it left its supervisor
            if os.read(descriptor, 1) == b"":
                os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=wait_for_the_end, name="end-with-supervisor", daemon=True).start()
