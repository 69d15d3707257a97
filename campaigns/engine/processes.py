"""Which process holds something, in words that another process can check.

A process is named by its machine, the machine's boot, its number and when it started: a
number alone is given again to others. On the same machine one can be told for certain
whether it is gone; of a process elsewhere only its silence is known. A container counts as
a machine of its own, for the numbers inside it mean nothing outside.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
from enum import Enum
from functools import cache
from pathlib import Path

_FIELDS_BEFORE_STATE = ") "
_STATE, _STARTED = 0, 19  # proc(5): fields 3 and 22, counted after the command's name


class Life(Enum):
    """What is known of a process.

    HIDDEN: in another container on this machine. REBOOTED: gone with an earlier boot of this
    machine, and with it what was not yet on disk. ELSEWHERE: on another machine.
    """

    LIVES = "lives"
    GONE = "gone"
    HIDDEN = "hidden"
    REBOOTED = "rebooted"
    ELSEWHERE = "elsewhere"


@cache
def _machine() -> str:
    try:
        inside = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        inside = ""
    return f"{socket.gethostname()} {inside}".strip()


@cache
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return _ask("sysctl", "-n", "kern.boottime")


def this_process() -> str:
    """The name of this process."""
    pid = os.getpid()
    return json.dumps([_machine(), _boot(), pid, _started(pid)])


def life_of(process: str) -> Life:
    """What can be told from here of a process named by `this_process`."""
    machine, boot, pid, started = json.loads(process)
    if machine != _machine():
        return Life.HIDDEN if boot and boot == _boot() else Life.ELSEWHERE
    if boot != _boot():
        return Life.REBOOTED
    return Life.LIVES if started == _started(pid) else Life.GONE


def _started(pid: int) -> str:
    """When a living process started, in words of its system; "" for one that is gone."""
    if not Path("/proc/self/stat").exists():
        return _ask("ps", "-o", "lstart=", "-p", str(pid))
    try:
        line = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    fields = line.rpartition(_FIELDS_BEFORE_STATE)[2].split()
    return "" if fields[_STATE] in "ZX" else fields[_STARTED]


def _ask(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed commands
    return done.stdout.strip()
