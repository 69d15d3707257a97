"""The first sync of a mailbox: messages a second, beside mbsync and a plain imap-tools loop.

    python -m bench.first_sync [--messages 5000] [--rounds 2] [--profile FILE]

All read the same mailbox from a Dovecot on loopback, in turns, over a plain connection, and
keep every message: mailhub raw and searchable in its database (SQLite, or what DATABASE_URL
names), mbsync in a Maildir, the loop one file a message. The best round of each counts.
mbsync is left out where it is not installed (Debian: isync).
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from imap_tools import MailBoxUnencrypted

from bench.letters import fill_maildir, letters
from tests.servers.dovecot import DovecotServer, DovecotUser

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--messages", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--profile", default="")
    chosen = parser.parse_args()
    server = DovecotServer()
    server.start()
    try:
        user = server.add_user("bench@example.org")
        octets = fill(user, chosen.messages)
        print(f"{chosen.messages} messages, {octets / 1e6:.0f} MB", flush=True)
        warm_up(user)
        report(user, chosen.messages, chosen.rounds, chosen.profile)
        many_folders(server)
    finally:
        server.stop()


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


def report(user: DovecotUser, count: int, rounds: int, profile: str) -> None:
    """Run each in turn and print what came out."""
    rates: dict[str, float] = {}
    runs: dict[str, Callable[[], float]] = {
        "mailhub": lambda: mailhub(user, count, profile),
        "imap-tools loop": lambda: count / imap_tools_loop(user),
    }
    if shutil.which("mbsync"):
        runs["mbsync"] = lambda: count / mbsync(user, count)
    for _ in range(rounds):
        for name, run in runs.items():
            rate = run()
            print(f"  {name}: {rate:.0f} messages/s", flush=True)
            rates[name] = max(rates.get(name, 0), rate)
    for other in ("imap-tools loop", "mbsync"):
        if other in rates:
            print(f"mailhub / {other}: {rates['mailhub'] / rates[other]:.2f}")


def many_folders(server: DovecotServer, count: int = 200) -> None:
    """How long a pass takes, from connecting to the end, where nothing happened anywhere."""
    user = server.add_user("folders@example.org")
    for number, content in enumerate(letters(count, seed=2)):
        user.deliver(content, f"Folder {number}")
    print(f"{count} folders, nothing new since the last pass")
    mailhub(user, count, "")


def mailhub(user: DovecotUser, count: int, profile: str) -> float:
    """Messages a second of a first pass; says what else was measured."""
    told = {"port": user.server.port, "user": user.name, "password": user.password}
    if profile:
        told["profile"] = profile
    ended = subprocess.run(
        [sys.executable, "-m", "bench.sync_once", json.dumps(told)],
        cwd=ROOT,
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
        f"  {found['processor_seconds'] / count * 1000:.2f} ms of processor a message,"
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
