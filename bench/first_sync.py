"""The first sync of a mailbox: messages a second, beside mbsync and a plain imap-tools loop.

    python -m bench.first_sync [--messages 20000] [--rounds 2] [--only mailhub] [--profile FILE]

All read the same mailbox from a Dovecot on loopback, in turns, over a plain connection, and
keep every message: mailhub raw and searchable in its database, mbsync in a Maildir, the loop
one file a message. The best round of each counts. mailhub runs on SQLite and, where its
binaries are, on a PostgreSQL that commits as it does by default but leaves flushing to the
operating system. mbsync is left out where it is not installed (Debian: isync).
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import psycopg
from imap_tools import MailBoxUnencrypted

from bench.letters import fill_maildir, letters
from tests.servers.dovecot import DovecotServer, DovecotUser
from tests.servers.postgresql import PostgreSQLServer, find_binaries

# Makes an empty database and names it by its URL; "" stands for a file of SQLite.
Database = Callable[[], str]

ROOT = Path(__file__).resolve().parent.parent
# Messages in the inbox of an account of many folders.
INBOX = 100
# Messages of 49 MB.
LARGE = 8


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", default="", help="what of it to run, by a part of its name")
    parser.add_argument("--profile", default="", help="where to write cProfile's data")
    chosen = parser.parse_args()
    with ExitStack() as servers:
        server = DovecotServer()
        server.start()
        servers.callback(server.stop)
        databases: dict[str, Database] = {"SQLite": lambda: ""}
        if find_binaries() is not None:
            postgresql = PostgreSQLServer()
            postgresql.start()
            servers.callback(postgresql.stop)
            databases["PostgreSQL"] = empty_databases(postgresql)
        user = server.add_user("bench@example.org")
        octets = fill(user, chosen.messages)
        print(f"{chosen.messages} messages, {octets / 1e6:.0f} MB, {busy()}", flush=True)
        warm_up(user)
        report(user, databases, chosen)
        many_folders(server, databases, chosen.only)
        large_messages(server, databases, chosen.only)
        print(busy())


def busy() -> str:
    """How much else the machine does: its load beside its processors."""
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"


def empty_databases(server: PostgreSQLServer) -> Database:
    """Makes a database a run, and says its URL."""
    numbers = itertools.count(1)

    def make() -> str:
        name = f"bench{next(numbers)}"
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
            # The server of the tests is told to wait for nothing.
            connection.execute(f"ALTER DATABASE {name} SET synchronous_commit = on".encode())
        return server.url.rsplit("/", 1)[0] + f"/{name}"

    return make


def fill(user: DovecotUser, count: int) -> int:
    """Put the messages where Dovecot finds them."""
    home = user.server.folder / "mail" / user.name
    octets = fill_maildir(home / "Maildir", letters(count))
    user.server._own(user.server.folder / "mail")
    return octets


def warm_up(user: DovecotUser) -> None:
    """Let Dovecot build its index, and the octets come into the machine's memory."""
    with MailBoxUnencrypted("127.0.0.1", user.server.port).login(user.name, user.password) as box:
        box.client.uid("FETCH", "1:*", "(RFC822.SIZE)")
    for file in (user.server.folder / "mail").rglob("*.bench*"):
        file.read_bytes()


def report(user: DovecotUser, databases: dict[str, Database], chosen: argparse.Namespace) -> None:
    """Run each in turn and print what came out."""
    count: int = chosen.messages
    rates: dict[str, float] = {}
    runs: dict[str, Callable[[], float]] = {
        f"mailhub on {name}": partial(mailhub, user, count, make, chosen.profile)
        for name, make in databases.items()
    }
    runs["imap-tools loop"] = lambda: count / imap_tools_loop(user)
    if shutil.which("mbsync"):
        runs["mbsync"] = lambda: count / mbsync(user, count)
    runs = {name: run for name, run in runs.items() if chosen.only in name}
    for _ in range(chosen.rounds):
        for name, run in runs.items():
            rate = run()
            print(f"  {name}: {rate:.0f} messages/s", flush=True)
            rates[name] = max(rates.get(name, 0), rate)
    for own in (name for name in rates if name.startswith("mailhub")):
        for other in ("imap-tools loop", "mbsync"):
            if other in rates:
                print(f"{own} / {other}: {rates[own] / rates[other]:.2f}")


def many_folders(
    server: DovecotServer, databases: dict[str, Database], only: str, count: int = 200
) -> None:
    """When the inbox can be read, and how long a pass takes where nothing happened anywhere."""
    user = server.add_user("folders@example.org")
    for number, content in enumerate(letters(count, seed=2)):
        user.deliver(content, f"Folder {number}")
    for content in letters(INBOX, seed=3):
        user.deliver(content)
    print(f"{count} folders with a message in each, {INBOX} in the inbox")
    for name, make in databases.items():
        if only in f"mailhub on {name}":
            print(f"  mailhub on {name}")
            mailhub(user, count + INBOX, make, "")


def large_messages(server: DovecotServer, databases: dict[str, Database], only: str) -> None:
    """How much memory it takes to keep messages of the largest size that is kept."""
    user = server.add_user("large@example.org")
    line = b"QUJD" * 19 + b"\r\n"
    for number in range(LARGE):
        header = b"Subject: %d\r\nContent-Type: image/png\r\n" % number
        header += b"Content-Transfer-Encoding: base64\r\n\r\n"
        user.deliver(header + line * (49 * 1024 * 1024 // len(line)))
    print(f"{LARGE} messages of 49 MB")
    for name, make in databases.items():
        if only in f"mailhub on {name}":
            print(f"  mailhub on {name}")
            mailhub(user, LARGE, make, "")


def mailhub(user: DovecotUser, count: int, database: Database, profile: str) -> float:
    """Messages a second of a first pass; says what else was measured."""
    told = {"port": user.server.port, "user": user.name, "password": user.password}
    if profile:
        told["profile"] = profile
    ended = subprocess.run(
        [sys.executable, "-m", "bench.sync_once", json.dumps(told)],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": database()},
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise SystemExit(ended.stderr)
    found = json.loads(ended.stdout.splitlines()[-1])
    assert found["messages"] == count, found
    page = found["first_page_seconds"]
    shown = f"first page after {page:.2f} s, " if page is not None else ""
    print(
        f"    {found['processor_seconds'] / count * 1000:.2f} ms of processor a message,"
        f" {shown}a pass without changes {found['no_change_seconds']:.3f} s,"
        f" peak memory {found['peak_mb']:.0f} MB"
    )
    return float(count / found["seconds"])


def imap_tools_loop(user: DovecotUser) -> float:
    """Seconds that the loop of its documentation takes, each message kept in a file."""
    with tempfile.TemporaryDirectory() as folder:
        before = time.perf_counter()
        login = MailBoxUnencrypted("127.0.0.1", user.server.port).login
        with login(user.name, user.password) as box:
            for message in box.fetch(mark_seen=False):
                kept = Path(folder) / f"{message.uid}.eml"
                kept.write_bytes(message.obj.as_bytes())
                _ = message.subject, message.from_, message.date, message.text
        return time.perf_counter() - before


def mbsync(user: DovecotUser, count: int) -> float:
    """Seconds that mbsync takes to pull all of it into a Maildir."""
    with tempfile.TemporaryDirectory() as folder:
        configuration = Path(folder) / "mbsyncrc"
        configuration.write_text(
            f"IMAPAccount bench\nHost 127.0.0.1\nPort {user.server.port}\nUser {user.name}\n"
            f"Pass {user.password}\nSSLType None\nAuthMechs PLAIN\n\n"
            "IMAPStore far\nAccount bench\n\n"
            f"MaildirStore near\nPath {folder}/near/\nInbox {folder}/near/INBOX\n"
            "SubFolders Verbatim\n\n"
            "Channel all\nFar :far:\nNear :near:\nPatterns INBOX\nCreate Near\nSync Pull\n"
            f"SyncState {folder}/state/\n"
        )
        (Path(folder) / "near").mkdir()
        (Path(folder) / "state").mkdir()
        before = time.perf_counter()
        ended = subprocess.run(
            ["mbsync", "-q", "-c", str(configuration), "all"],
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.perf_counter() - before
        kept = sum(1 for file in (Path(folder) / "near").rglob("*") if file.is_file())
        if ended.returncode or kept < count:
            raise SystemExit(f"mbsync kept {kept} messages: {ended.stderr}")
        return seconds


if __name__ == "__main__":
    main()
