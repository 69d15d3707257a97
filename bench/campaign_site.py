"""A whole mailhub that imports people and sends campaigns, watched from outside as it does."""

from __future__ import annotations

import http.client
import json
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

from tests.servers.processes import descendants
from tests.servers.site import RunningSite, SiteTemplate

WORKERS = 2
_LOOK_EVERY = 0.1
_PROSE = "All that is new this spring, told in a few words for whoever has the time.\n" * 21
_LINKS = '<p><a href="https://shop.example.org/{{ first_name }}">See them</a></p>'
_COUNTS = ("sent_count", "failed_count", "skipped_count", "uncertain_count", "remaining_count")


@dataclass
class Run:
    """What was seen of a campaign: seconds from its POST, and how it was meanwhile.

    `fixed` is when its audience was fixed, `ended` when it was over. `polls` are the seconds
    that each look at its status took. `peak` is the most memory that one worker held for
    itself, in octets, without the pages of a database's file that are mapped into several.
    """

    recipients: int = 0
    fixed: float = 0.0
    ended: float = 0.0
    sent: int = 0
    polls: list[float] = field(default_factory=list)
    peak: int = 0

    @property
    def rate(self) -> float:
        """Messages a second from POST to the end."""
        return self.sent / self.ended

    @property
    def p95(self) -> float:
        """What 95 of 100 looks at the status took less than."""
        return sorted(self.polls)[max(0, round(0.95 * len(self.polls)) - 1)]


class Mailing:
    """One site on an empty database, its people, and campaigns to them."""

    def __init__(self, template: SiteTemplate) -> None:
        self.site = RunningSite(
            template, only=("web", "workers", "dispatcher"), workers=WORKERS,
            # One-click unsubscribing wants an address that begins so.
            settings={"MAILHUB_PUBLIC_URL": "https://news.example.org"},
        )  # fmt: skip
        self._connection: http.client.HTTPConnection | None = None

    def __enter__(self) -> Self:
        self.site.start()
        self._key = self.site.create_api_key()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            error.add_note(self.site.said()[-4000:])
        self.site.remove()

    def import_people(self, count: int) -> float:
        """Import a CSV file of so many new people; seconds from POST to `completed`."""
        lines = "".join(
            f"person{number}@example.com,First{number},Last,Company {number % 997},Ulm\n"
            for number in range(count)
        )
        content = f"email,first_name,last_name,company,city\n{lines}".encode()
        before = time.perf_counter()
        job = self._upload("contacts/import", "people.csv", content)
        while True:
            status = self.call(f"contacts/imports/{job['id']}")
            if status["status"] not in ("pending", "in_progress"):
                break
            time.sleep(0.2)
        assert status["status"] == "completed", status
        return time.perf_counter() - before

    def send(self, port: int, *, seconds: float | None = None, **fields: Any) -> Run:
        """A campaign to everybody, or to `emails`; cancelled after so many seconds, if at all."""
        run = Run()
        payload = {**letter(port), **fields}
        before = time.perf_counter()
        identity = self.call("smtp-campaign", payload)["campaign_id"]
        with watched_memory(self.site, run):
            while True:
                began = time.perf_counter()
                status = self.call(f"campaign-status/{identity}")
                now = time.perf_counter()
                run.polls.append(now - began)
                assert status["total_contacts"] == sum(status[each] for each in _COUNTS), status
                if status["status"] != "pending" and not run.fixed:
                    run.fixed = now - before
                if status["status"] not in ("pending", "in_progress"):
                    break
                if seconds is not None and run.fixed and now - before - run.fixed > seconds:
                    self.call(f"campaigns/{identity}/cancel", {})
                time.sleep(_LOOK_EVERY)
        run.ended = now - before
        run.recipients, run.sent = status["total_contacts"], status["sent_count"]
        assert status["status"] == ("completed" if seconds is None else "cancelled"), status
        return run

    def call(self, path: str, payload: dict[str, Any] | None = None) -> dict[str, Any]:
        """Ask over one connection that is kept open; its answer's JSON."""
        body = None if payload is None else json.dumps(payload).encode()
        headers = {"Authorization": f"Token {self._key}", "Content-Type": "application/json"}
        for is_last in (False, True):
            if self._connection is None:
                self._connection = http.client.HTTPConnection("127.0.0.1", self.site.port)
            try:
                self._connection.request(
                    "GET" if body is None else "POST", f"/api/{path}", body, headers
                )
                response = self._connection.getresponse()
                answer = json.load(response)
            except (http.client.HTTPException, ConnectionError):
                # The server ends a connection now and then; this opens another.
                self._connection = None
                if is_last:
                    raise
                continue
            assert response.status < 300, answer
            return dict(answer)
        raise AssertionError

    def _upload(self, path: str, name: str, content: bytes) -> dict[str, Any]:
        boundary = uuid4().hex
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
            "Content-Type: text/csv\r\n\r\n"
        )
        request = urllib.request.Request(
            f"{self.site.url}/api/{path}",
            data=b"".join((head.encode(), content, f"\r\n--{boundary}--\r\n".encode())),
            headers={
                "Authorization": f"Token {self._key}",
                "Content-Type": f"multipart/form-data; boundary={boundary}",
            },
        )
        with urllib.request.urlopen(request, timeout=120) as answer:
            return dict(json.load(answer))


def letter(port: int) -> dict[str, Any]:
    """A personalised message of 4 kB in text and HTML, by the server at this port."""
    return {
        "campaign_name": "Bench",
        "subject": "News for {{ first_name }}",
        "from_email": "Shop <shop@example.org>",
        "body": f"<html><body><p>Dear {{{{ first_name }}}},</p>{_PROSE}{_LINKS}</body></html>",
        "text_body": f"Dear {{{{ first_name }}}},\n\n{_PROSE}",
        "tracking": {"opens": True, "clicks": True},
        "smtp_server": "127.0.0.1",
        "smtp_port": port,
        "smtp_encryption": "none",
    }


@contextmanager
def watched_memory(site: RunningSite, run: Run) -> Iterator[None]:
    """Note the most that a worker of the site holds meanwhile."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.25):
            for pid in descendants(site.pid):
                run.peak = max(run.peak, _private_memory(pid))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _private_memory(pid: int) -> int:
    """Octets that a process holds for itself, 0 for what is no worker."""
    try:
        title = Path(f"/proc/{pid}/cmdline").read_bytes()
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    if b"worker" not in title and b"qcluster" not in title:
        return 0
    for line in status.splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0
