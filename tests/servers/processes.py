"""What the fixtures of real servers share: ports, and starting and ending processes."""

from __future__ import annotations

import random
import socket
import subprocess
import time
from collections.abc import Callable


def free_port() -> int:
    """A loopback port that is free now and that no outgoing connection will be given.

    It lies below the range from which systems number their outgoing connections, so that
    a server may be stopped and started again on it.
    """
    chooser = random.SystemRandom()
    for _ in range(200):
        port = chooser.randrange(15000, 32000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise RuntimeError("no free loopback port between 15000 and 32000")


def wait_until(
    came_true: Callable[[], bool], what: str, seconds: float = 60, pause: float = 0.02
) -> None:
    """Return as soon as `came_true()`; RuntimeError naming `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not came_true():
        if time.monotonic() > deadline:
            raise RuntimeError(f"waited {seconds:g} s in vain: {what}")
        time.sleep(pause)


def answers(port: int, host: str = "127.0.0.1") -> bool:
    """Whether something accepts connections there."""
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False


def descendants(pid: int) -> list[int]:
    """The living processes beneath `pid`, children before grandchildren."""
    children: dict[int, list[int]] = {}
    for number, parent, state in _process_table():
        if not state.startswith("Z"):
            children.setdefault(parent, []).append(number)
    found = list(children.get(pid, []))
    for process in found:
        found.extend(children.get(process, []))
    return found


def still_alive(pids: list[int]) -> list[int]:
    """Those of `pids` that run; a zombie does not."""
    running = {number for number, _, state in _process_table() if not state.startswith("Z")}
    return [pid for pid in pids if pid in running]


def _process_table() -> list[tuple[int, int, str]]:
    listing = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid=,stat="], capture_output=True, text=True, check=True
    )
    rows = (line.split() for line in listing.stdout.splitlines())
    return [(int(pid), int(parent), state) for pid, parent, state in rows]
