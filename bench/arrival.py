"""From the delivery of a message until the API shows it, beside a bare client in IDLE.

    python -m bench.arrival [--deliveries 50] [--folders 50] [--tls]

A whole mailhub serves over HTTP (SQLite, or what DATABASE_URL names). Messages are
delivered one after another, at odd moments, into a Dovecot's Maildir, by a rename, as a
delivery agent does. For each, the clock stops when `GET /api/messages` lists it, and for the
peer when imap-tools' IDLE hears EXISTS in the same mailbox. Dovecot itself waits for half a
second before it tells anybody, so that the difference is what mailhub takes. Then the
same with every worker occupied by something else.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import statistics
import tempfile
import threading
import time
from pathlib import Path
from queue import Queue
from typing import Any

from tests import environment

environment.prepare()

from imap_tools import MailBoxUnencrypted

from bench.letters import letters
from mailhub.demo.client import Client
from tests.servers.dovecot import DovecotServer, DovecotUser
from tests.servers.processes import wait_until
from tests.servers.site import RunningSite, SiteTemplate

WORKERS = 2
PATIENCE = 30.0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--deliveries", type=int, default=50)
    parser.add_argument("--folders", type=int, default=50)
    parser.add_argument("--tls", action="store_true")
    chosen = parser.parse_args()
    server = DovecotServer()
    with tempfile.TemporaryDirectory(prefix="mailhub-bench-") as folder:
        server.start()
        variables = {"MAILHUB_CA_FILE": server.ca_file}
        site = RunningSite(SiteTemplate(Path(folder)), workers=WORKERS, settings=variables)
        try:
            site.start()
            print(f"{chosen.deliveries} deliveries into an account of {chosen.folders} folders")
            for words in ("workers idle", "workers busy"):
                # An account of its own: one that gets mail all the time is looked at less often.
                user = server.add_user(f"{words.replace(' ', '-')}@example.org")
                fill(user, chosen.folders)
                api, account = connect(site, user, is_encrypted=chosen.tls)
                if words == "workers busy":
                    occupy_workers(site, Path(folder))
                measure(user, api, account, chosen.deliveries, words)
        finally:
            site.remove()
            server.stop()


def fill(user: DovecotUser, folders: int) -> None:
    """Some mail in each folder, and a few hundred messages in the inbox."""
    for number, content in enumerate(letters(folders, seed=3)):
        user.deliver(content, f"Folder {number}")
    for content in letters(300, seed=4):
        user.deliver(content)


def connect(site: RunningSite, user: DovecotUser, *, is_encrypted: bool) -> tuple[Api, str]:
    """An account that has been synced and is watched."""
    key = site.create_api_key()
    client = Client(site.url, key)
    account = client.post(
        "accounts",
        {
            "accountName": "Arrival",
            "emailAddress": user.name,
            "protocol": "imap",
            "hostname": "localhost",
            "port": user.server.tls_port if is_encrypted else user.server.port,
            "encryption": "tls" if is_encrypted else "none",
            "username": user.name,
            "password": user.password,
        },
    )["id"]
    client.post(f"sync/{account}", {})
    client.watch(f"sync/{account}/status", lambda status: status["status"] == "completed")
    wait_until(lambda: is_watched(site, account), "the account is watched")
    return Api(site.port, key), account


def is_watched(site: RunningSite, account: str) -> bool:
    """Whether the watcher has a connection open for the account."""
    rows = f"Watch.objects.filter(account='{account}').values_list('state')"
    line = f"from mailboxes.models import Watch; print(*{rows})"
    return "watching" in site.manage("shell", "--no-imports", "-c", line)


def occupy_workers(site: RunningSite, folder: Path) -> None:
    """Give every worker something to do for longer than this takes."""
    lines = ["from django_q.tasks import async_task"]
    for number in range(WORKERS):
        place = folder / str(number)
        place.mkdir()
        lines.append(f"async_task('tests.mailhub.slow_task.work', {str(place)!r}, 110)")
    site.manage("shell", "--no-imports", "-c", "\n".join(lines))
    wait_until(
        lambda: all((folder / str(number) / "work").exists() for number in range(WORKERS)),
        "every worker is busy",
    )


def measure(user: DovecotUser, api: Api, account: str, count: int, words: str) -> None:
    """Deliver, and print when each message was seen."""
    ours: list[float] = []
    theirs: list[float] = []
    chance = random.Random(5)
    with BareClient(user) as bare:
        for number in range(count):
            subject = f"{words} {number}"
            time.sleep(chance.uniform(0.2, 0.7))
            before = time.perf_counter()
            message_id = f"{words.replace(' ', '-')}.{number}@example.net"
            header = f"Subject: {subject}\r\nMessage-ID: <{message_id}>\r\n"
            user.deliver(f"{header}\r\nHi.\r\n".encode())
            api.wait_for(account, subject)
            ours.append(time.perf_counter() - before)
            theirs.append(bare.heard.get(timeout=PATIENCE) - before)
    extra = [mine - other for mine, other in zip(ours, theirs, strict=True)]
    print(f"{words}:")
    for name, seconds in (("API", ours), ("bare IDLE", theirs), ("difference", extra)):
        print(f"  {name:10} p50 {statistics.median(seconds):.3f} s, p95 {p95(seconds):.3f} s")
    print(f"  API / bare IDLE at p95: {p95(ours) / p95(theirs):.2f}")


def p95(seconds: list[float]) -> float:
    """What 95 of 100 stay below."""
    return sorted(seconds)[max(0, round(0.95 * len(seconds)) - 1)]


class Api:
    """Asks over one connection that is kept open."""

    def __init__(self, port: int, key: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        self._headers = {"Authorization": f"Token {key}"}

    def wait_for(self, account: str, subject: str) -> None:
        """Ask every 10 ms until the list shows the message."""
        deadline = time.perf_counter() + PATIENCE
        # The server ends one that was unused for some seconds; this opens another.
        self._connection.close()
        while subject not in self._subjects(account):
            if time.perf_counter() > deadline:
                raise SystemExit(f"{subject} did not arrive within {PATIENCE:g} s")
            time.sleep(0.01)

    def _subjects(self, account: str) -> list[str]:
        path = f"/api/messages?accountId={account}&limit=3"
        self._connection.request("GET", path, headers=self._headers)
        answer: Any = json.load(self._connection.getresponse())
        return [message["subject"] for message in answer["messages"]]


class BareClient:
    """Does nothing but wait in IDLE; `heard` gets the moment of each EXISTS."""

    def __init__(self, user: DovecotUser) -> None:
        self.heard: Queue[float] = Queue()
        self._box = MailBoxUnencrypted("127.0.0.1", user.server.port)
        self._box.login(user.name, user.password)
        self._is_over = False
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> BareClient:
        self._box.idle.start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over = True
        self._thread.join()
        self._box.idle.stop()
        self._box.logout()

    def _listen(self) -> None:
        while not self._is_over:
            for line in self._box.idle.poll(timeout=0.5):
                if b"EXISTS" in line:
                    self.heard.put(time.perf_counter())


if __name__ == "__main__":
    main()
