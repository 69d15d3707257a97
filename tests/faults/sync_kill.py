"""A mailbox on a real server, synced by a process that is killed again and again.

`manage.py sync_mailboxes` gets SIGKILL at random moments, with all its group, while another
mail program delivers, moves, flags and deletes. At the end the copy is compared with the
server's own files: each message once, octet by octet, each found by its words.

    python -m tests.faults.sync_kill --kills 50 [--postgresql]
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rest_framework.test import APIClient

    from accounts.models import EmailAccount
    from tests.servers.dovecot import DovecotUser

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("INBOX", "Archive", "Work")
KILLS = "MAILHUB_FAULTS_KILLS"
SEED = "MAILHUB_FAULTS_SEED"
LIVES = "MAILHUB_FAULTS_LIVES"
_DEAD_FOR = timedelta(minutes=1)


@dataclass
class KilledSync:
    """`live` through so many kills, then `check`."""

    account: EmailAccount
    user: DovecotUser
    api: APIClient
    environment: dict[str, str]
    dice: random.Random
    delivered: int = 0
    known: dict[str, int] = field(default_factory=dict)

    def live(self, kills: int, messages: int) -> None:
        """Deliver, kill, meddle; in the end take up what the last one left."""
        for _ in range(messages):
            self.deliver()
        for _ in range(kills):
            self._kill_one(messages // (kills + 1))
            self._remember()
            self._meddle()
        for _ in range(2):
            self._sync_here()

    def deliver(self) -> None:
        """One message of up to 40 kB into one of the folders, the moment it is asked for."""
        number = self.delivered
        self.delivered += 1
        text = "\r\n".join([f"everywhere word{number}x", "z" * 70] * self.dice.randrange(1, 280))
        head = f"From: a@example.org\r\nSubject: m{number}\r\nMessage-ID: <{number}@kill.test>"
        self.user.deliver(f"{head}\r\n\r\n{text}\r\n".encode(), self.dice.choice(FOLDERS))

    def check(self) -> None:
        """Nothing lost, nothing doubled; AssertionError otherwise."""
        from mailboxes.models import FolderEntry, Message
        from mailboxes.raw_store import RawStore

        raw, stored = RawStore(self.account.pk), Counter[tuple[str, str, str]]()
        entries = FolderEntry.objects.filter(account=self.account, lacks_body=False)
        for path, name, digest in entries.values_list(
            "folder__path", "message__message_id", "message__raw_digest"
        ):
            content = raw.get(digest)
            assert content is not None, f"{name} cannot be read"
            stored[path, name, hashlib.sha256(content).hexdigest()] += 1
        assert stored == self._on_the_server()
        assert max(stored.values()) == 1
        ids = dict(Message.objects.visible().values_list("message_id", "pk"))
        kept = {name: pk for name, pk in self.known.items() if name in ids}
        assert kept == {name: ids[name] for name in kept}, "ids are kept"
        listed = self._pages("")
        assert sorted(listed) == sorted(ids.values())
        assert sorted(self._pages("everywhere")) == sorted(ids.values()), "search finds each, once"
        for name in self.dice.sample(sorted(ids), 5):
            assert self._pages(f"word{name.partition('@')[0]}x") == [ids[name]]

    def _on_the_server(self) -> Counter[tuple[str, str, str]]:
        maildir = self.user.server.folder / "mail" / self.user.name / "Maildir"
        found = Counter[tuple[str, str, str]]()
        for path in FOLDERS:
            folder = maildir if path == "INBOX" else maildir / f".{path}"
            for file in [*folder.glob("new/*"), *folder.glob("cur/*")]:
                content = file.read_bytes()
                name = content.partition(b"Message-ID: <")[2].partition(b">")[0].decode()
                found[path, name, hashlib.sha256(content).hexdigest()] += 1
        return found

    def _pages(self, words: str) -> list[int]:
        found: list[int] = []
        query = {"limit": "500", **({"q": words} if words else {})}
        while True:
            answer = self.api.get("/api/messages", query).json()
            found += [int(message["id"]) for message in answer["messages"]]
            if answer["nextCursor"] is None:
                return found
            query["cursor"] = answer["nextCursor"]

    def _sync_here(self) -> None:
        from mailboxes.models import SyncState
        from mailboxes.sync.requesting import request_sync
        from mailboxes.sync.running import carry_out

        self._let_time_pass()
        run = request_sync(self.account, enqueue=False).run
        assert carry_out(run.pk, seconds=None)
        run.refresh_from_db()
        assert run.state == SyncState.COMPLETED, run.error

    @staticmethod
    def _let_time_pass() -> None:
        """As if the dead one had been silent, and its connection gone, for long enough."""
        from django.utils import timezone

        from mailboxes.models import HeldConnection, SyncRun

        long_ago = timezone.now() - _DEAD_FOR
        SyncRun.objects.update(heartbeat_at=long_ago)
        HeldConnection.objects.update(renewed_at=long_ago)

    def _start(self) -> subprocess.Popen[bytes]:
        self._let_time_pass()
        return subprocess.Popen(
            [sys.executable, str(ROOT / "manage.py"), "sync_mailboxes"],
            env=self.environment,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _kill_one(self, enough: int) -> None:
        """At some moment after its start, or after it has stored some more."""
        from mailboxes.models import FolderEntry

        stored = FolderEntry.objects.filter(account=self.account, lacks_body=False)
        process, begun = self._start(), time.monotonic()
        wanted = stored.count() + self.dice.randrange(enough + 1)
        until = begun + self.dice.random() * 3 if self.dice.random() < 0.2 else begun + 60
        while stored.count() < wanted and time.monotonic() < until and process.poll() is None:
            time.sleep(0.002)
        time.sleep(self.dice.random() * 0.02)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def _remember(self) -> None:
        """The ids that a client may have seen are for good."""
        from mailboxes.models import Message

        seen = dict(Message.objects.visible().values_list("message_id", "pk"))
        changed = {name: pk for name, pk in seen.items() if self.known.get(name, pk) != pk}
        assert not changed, f"other ids: {changed}"
        self.known |= seen

    def _meddle(self) -> None:
        from mailhub.mail.stores.imap import ImapStore

        for _ in range(self.dice.randrange(10)):
            self.deliver()
        source, target = self.dice.sample(FOLDERS, 2)
        with ImapStore(self.user.settings()) as other:
            other.select(source, read_only=False)
            uids = other.uids()
            chosen = self.dice.sample(uids, min(12, len(uids)))
            other.store_flags(chosen[:4], add=["\\Seen"])
            other.move(chosen[2:9], target)
            other.expunge(chosen[9:])


def main() -> int:
    """The same test as in every run, with more kills; its seed is printed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--lives", type=int, default=1000, help="of the model of a mailbox")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--postgresql", action="store_true")
    options = parser.parse_args()
    environment = {
        **os.environ,
        KILLS: str(options.kills),
        SEED: str(options.seed),
        LIVES: str(options.lives),
    }
    print(f"{options.kills} kills, seed {options.seed}", flush=True)
    with ExitStack() as stack:
        if options.postgresql:
            from tests.servers.postgresql import PostgreSQLServer

            server = PostgreSQLServer()
            server.start()
            stack.callback(server.stop)
            environment["DATABASE_URL"] = server.url
        tests = ["tests/faults/test_sync_kill.py", "tests/faults/test_sync_model.py"]
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
        return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
