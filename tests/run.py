"""`make test`: the whole suite on SQLite, then what asks the database on PostgreSQL and Redis.

Installs the servers that the tests start where it may (Debian, as root or with sudo that
asks no password), and names those it could not. Arguments go to pytest: with any, the
suite is filtered as they say, the same in both runs. `--only sqlite` or `--only postgresql` makes
one run. A tier that could not run here is named at the end, and fails where CI is set.

Nearly all tests wait for real servers, four at once, on a machine that others may be using.
So a few that fail are asked once more, by themselves; those that pass then are named at the
end as unsteady, to be mended. More than a few are a failure at once.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers.chromium import find_chromium
from tests.servers.dovecot import find_dovecot
from tests.servers.postgresql import PostgreSQLServer, find_binaries
from tests.servers.redis import RedisServer

ROOT = Path(__file__).resolve().parent.parent
TESTS_FAILED, NO_TESTS_COLLECTED = 1, 5
A_FEW = 3
# The protocol library knows no database, and what a page asks of it is asked by tests/pages.
ONCE = ("tests/mail", "tests/browser")


@dataclass(frozen=True)
class Requirement:
    """Something that some tests start, and the Debian packages that bring it."""

    name: str
    packages: tuple[str, ...]
    on_macos: str
    is_here: Callable[[], bool]


REQUIREMENTS = [
    Requirement(
        "Dovecot",
        ("dovecot-imapd", "dovecot-pop3d"),
        "brew install dovecot",
        lambda: find_dovecot() is not None,
    ),
    Requirement(
        "PostgreSQL",
        ("postgresql",),
        "brew install postgresql",
        lambda: find_binaries() is not None,
    ),
    Requirement(
        "Redis",
        ("redis-server",),
        "brew install redis",
        lambda: shutil.which("redis-server") is not None,
    ),
    Requirement(
        "Chromium",
        ("chromium", "fonts-liberation"),
        "brew install --cask chromium",
        lambda: find_chromium() is not None,
    ),
]


def install_what_is_missing() -> list[Requirement]:
    """Install missing Debian packages where this user may; answers what is still missing."""
    missing = [requirement for requirement in REQUIREMENTS if not requirement.is_here()]
    privileged = _privileged_prefix()
    if not missing or shutil.which("apt-get") is None or privileged is None:
        return missing
    packages = [package for requirement in missing for package in requirement.packages]
    print(f"Installing {', '.join(packages)}", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "update", "-q"],
        ["apt-get", "install", "-qy", "--no-install-recommends", *packages],
    ):
        finished = subprocess.run(
            [*privileged, *command],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if finished.returncode != 0:
            print(f"{' '.join(command)} failed:\n{finished.stderr[-2000:]}", file=sys.stderr)
    return [requirement for requirement in REQUIREMENTS if not requirement.is_here()]


def _privileged_prefix() -> list[str] | None:
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") is None:
        return None
    asks = subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode
    return None if asks else ["sudo", "-n", "--preserve-env=DEBIAN_FRONTEND"]


@contextmanager
def scaled_servers() -> Iterator[dict[str, str]]:
    """The environment that moves the suite to a PostgreSQL and a Redis started for it."""
    database, queue = PostgreSQLServer(), RedisServer()
    try:
        database.start()
        queue.start()
        yield {"DATABASE_URL": database.url, "REDIS_URL": queue.url}
    finally:
        queue.stop()
        database.stop()


def run_suite(title: str, environment: dict[str, str], arguments: list[str]) -> tuple[str, int]:
    """Run the suite once, and a few failures again; its line for the summary, and the exit code."""
    print(f"\nThe suite on {title}", flush=True)
    line, code = run_pytest(environment, ["-n", "4", "--dist", "worksteal", *arguments])
    failed = sum(map(int, re.findall(r"(\d+) (?:failed|errors?)\b", line)))
    if code == TESTS_FAILED and 0 < failed <= A_FEW:
        print("\nWhat failed, once more and by itself", flush=True)
        again, code = run_pytest(environment, ["--last-failed", "-rA", *arguments])
        line += f"; by themselves: {again}{'' if code else ' (UNSTEADY, see above)'}"
    return f"{title}: {line}", code


def run_pytest(environment: dict[str, str], arguments: list[str]) -> tuple[str, int]:
    """Its last line and exit code."""
    clean = {
        name: value
        for name, value in os.environ.items()
        if name not in {"DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE"}
    }
    pytest = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", *arguments],
        cwd=ROOT,
        env={**clean, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    try:
        last_line = _show(pytest)
    except BaseException:  # Ctrl-C, or the SIGTERM below: the tests end with this
        pytest.terminate()
        pytest.wait()
        raise
    return last_line, pytest.wait()


def _show(process: subprocess.Popen[bytes]) -> str:
    """Pass a process's output on as it comes; its last line, which is pytest's own result."""
    assert process.stdout is not None
    tail = b""
    while piece := os.read(process.stdout.fileno(), 65536):
        sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
        tail = (tail + piece)[-4096:]
    lines = tail.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "no output"


def main(arguments: list[str]) -> int:
    """The exit code: 0 where every run passed, and in CI no tier was left out."""
    parser = argparse.ArgumentParser(prog="make test", add_help=False)
    parser.add_argument("--only", choices=["sqlite", "postgresql"])
    chosen, for_pytest = parser.parse_known_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    missing = install_what_is_missing()
    names = {requirement.name for requirement in missing}
    lines: list[str] = []
    codes: list[int] = []
    if chosen.only != "postgresql":
        line, code = run_suite("SQLite", {}, for_pytest)
        lines.append(line)
        codes.append(code)
    absent = sorted(names & {"PostgreSQL", "Redis"})
    if chosen.only != "sqlite" and absent:
        lines.append(f"PostgreSQL and Redis: NOT RUN, without {' and '.join(absent)}")
    elif chosen.only != "sqlite":
        with scaled_servers() as environment:
            again = for_pytest or [f"--ignore={folder}" for folder in ONCE]
            line, code = run_suite("PostgreSQL and Redis", environment, again)
        lines.append(line)
        codes.append(code)
    print("\nRuns", *lines, sep="\n  ")
    for requirement in missing:
        print(f"  {requirement.name}: NOT TESTED, it is not installed. {_advice(requirement)}")
    failed = any(code not in {0, NO_TESTS_COLLECTED} for code in codes)
    nothing_ran = all(code == NO_TESTS_COLLECTED for code in codes)  # a filter too fine
    return int(failed or nothing_ran or bool(missing and os.environ.get("CI")))


def _advice(requirement: Requirement) -> str:
    if sys.platform == "darwin":
        return f"Try: {requirement.on_macos}"
    return f"Try: apt-get install {' '.join(requirement.packages)}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
