"""The supervisor over small programs of its own, each supervisor in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailhub.supervised import is_stopping
from mailhub.supervision import describe_exit
from tests.servers.processes import descendants, still_alive, wait_until
from tests.servers.site import ROOT

SUPERVISE = """
import json, sys
from pathlib import Path
from mailhub.supervision import Service, Supervisor

programs, patience = json.loads(sys.argv[1])
services = [
    Service(name, [sys.executable, "-c", source], Path.cwd(), niceness=3 * (name == "modest"))
    for name, source in programs.items()
]
sys.exit(Supervisor(services, say=lambda line: print(line, flush=True), patience=patience).run())
"""
SLEEP = "import time; print('sleeping', flush=True); time.sleep(60)"
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEP}"
FORKING = f"""
from mailhub.supervised import join_supervisor
import os
join_supervisor()
os.fork()
os.fork()
{SLEEP}
"""


class Run:
    """A supervisor in a process of its own, and what it has said."""

    def __init__(self, folder: Path, programs: dict[str, str], patience: float) -> None:
        self._log = folder / "log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", SUPERVISE, json.dumps([programs, patience])],
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def said(self) -> str:
        return self._log.read_text()

    def wait_to_say(self, words: str, times: int = 1) -> None:
        wait_until(lambda: self.said().count(words) >= times, f"it says {words!r}")


class Starter:
    """Starts supervisors, and ends what a failing test has left."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.runs: list[Run] = []

    def __call__(self, programs: dict[str, str], patience: float = 20) -> Run:
        self.runs.append(Run(self._folder, programs, patience))
        return self.runs[-1]


@pytest.fixture
def supervise(tmp_path: Path) -> Iterator[Starter]:
    starter = Starter(tmp_path)
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup
    yield starter
    signal.signal(signal.SIGHUP, before)
    for run in starter.runs:
        run.process.kill()
        run.process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_each_signal_to_stop_stops(supervise: Starter, number: signal.Signals) -> None:
    run = supervise({"a": SLEEP, "b": SLEEP})
    run.wait_to_say("sleeping", times=2)
    run.process.send_signal(number)
    assert run.process.wait(timeout=20) == 0
    assert run.said().endswith("Stopped.\n")


def test_what_does_not_end_is_killed_and_named(supervise: Starter) -> None:
    run = supervise({"deaf": DEAF, "good": SLEEP}, patience=0.3)
    run.wait_to_say("sleeping", times=2)
    services = descendants(run.process.pid)
    run.process.terminate()
    assert run.process.wait(timeout=20) == 1
    assert run.said().endswith("Killing what did not end in 0.3 s: deaf\n")
    assert still_alive(services) == []


def test_what_is_to_be_modest_and_its_children_yield_to_the_others(supervise: Starter) -> None:
    niceness = os.getpriority(os.PRIO_PROCESS, 0)
    told = "import os, subprocess as s; s.run(['nice']); print('told', flush=True);" + SLEEP
    run = supervise({"modest": f"import time; time.sleep(0.5); {told}"})
    run.wait_to_say("told")
    assert run.said().split()[0] == str(niceness + 3)


def test_one_that_always_fails_waits_longer_each_time(supervise: Starter) -> None:
    run = supervise({"broken": "raise SystemExit(3)", "good": SLEEP})
    run.wait_to_say("broken ended unexpectedly (exit code 3); starting it again in 1 s")
    run.wait_to_say("broken ended unexpectedly (exit code 3); starting it again in 2 s")
    run.process.terminate()
    assert run.process.wait(timeout=20) == 0
    assert run.said().count("sleeping") == 1, "the other one is left in peace"


def test_children_of_children_end_with_a_killed_supervisor(supervise: Starter) -> None:
    run = supervise({"forking": FORKING})
    run.wait_to_say("sleeping", times=4)
    family = descendants(run.process.pid)
    assert len(family) == 4
    run.process.kill()
    wait_until(lambda: not still_alive(family), "all four end")


def test_a_closed_terminal_does_not_stop_what_runs_under_nohup(supervise: Starter) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        run = supervise({"a": SLEEP})
    finally:
        signal.signal(signal.SIGHUP, before)
    run.wait_to_say("sleeping")
    os.kill(run.process.pid, signal.SIGHUP)
    os.kill(run.process.pid, signal.SIGTERM)
    assert run.process.wait(timeout=20) == 0, "two signals would have killed it"


def test_a_process_without_a_supervisor_never_stops() -> None:
    assert is_stopping() is False


@pytest.mark.parametrize(
    ("code", "words"), [(0, "exit code 0"), (3, "exit code 3"), (-9, "killed by SIGKILL")]
)
def test_an_exit_in_words(code: int, words: str) -> None:
    assert describe_exit(code) == words
