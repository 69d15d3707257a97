"""The API's lists and searches over one database, which is filled where it is empty.

    python -m bench.list_and_search DATABASE_URL MESSAGES REQUESTS [PART-OF-A-KIND'S-NAME]

The requests go through the whole of Django in this process (its test client, with a real
API key), and ask for pages of fifty of an account that holds seven tenths of the messages.
Printed of each kind, in milliseconds: p50, p95 and the longest by the clock, and p95 of
the processor time of this process and of PostgreSQL's for it; in the end, which kinds take
longer than 50 ms at p95. On a busy machine the clock tells of others' work as well, the
processor time hardly. A kind is measured for some seconds at most. The peer, in the same
run, is the bare statement that looks for a word in subjects by LIKE, as a table without an
index of words is searched.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests import environment

environment.prepare()

os.environ["DATABASE_URL"] = sys.argv[1]
os.environ["EMAIL_SERVICE_LOG_LEVEL"] = "ERROR"
os.environ["DJANGO_SETTINGS_MODULE"] = "mailhub.settings"

import django

django.setup()

from django.core.management import call_command
from django.db import connection
from rest_framework.test import APIClient

from accounts.models import ApiKey, EmailAccount, Membership
from bench.stored_mail import fill, names
from bench.stored_mail_questions import Draw, Questions
from mailboxes.models import Message
from mailhub.warm_up import warm_up
from tests.people import People, client_with

ADDRESS = "mary@acme.example"
OTHERS = 6
# Milliseconds at p95.
AIM = 50
# A kind of slow requests is asked fewer of them, but some.
SECONDS = 4
FEWEST = 10


@dataclass
class Times:
    """Milliseconds of each request, by the clock and of the processor."""

    clock: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)

    def measure(self, call: Callable[[], object]) -> None:
        """Once."""
        before, processor = time.perf_counter(), processor_time()
        call()
        self.clock.append((time.perf_counter() - before) * 1000)
        self.processor.append((processor_time() - processor) * 1000)

    def add(self, other: Times) -> None:
        """Count another kind in."""
        self.clock += other.clock
        self.processor += other.processor

    def line(self, name: str) -> str:
        """As it is printed."""
        return (
            f"  {name:42} p50 {_share(self.clock, 0.5):7.1f}  p95 {_share(self.clock, 0.95):7.1f}"
            f"  max {max(self.clock):7.1f}  processor p95 {_share(self.processor, 0.95):7.1f}"
        )


def main() -> None:
    """Run as the docstring says."""
    messages, requests = int(sys.argv[2]), int(sys.argv[3])
    part = sys.argv[4] if len(sys.argv) > 4 else ""
    call_command("migrate", verbosity=0)
    account = EmailAccount.objects.filter(email_address=ADDRESS).first() or filled(messages)
    membership = Membership.objects.get(user=account.user)
    _, key = ApiKey.objects.issue(membership)
    api = client_with(key)
    questions = Questions(account.pk, names(), messages)
    # As a web process does, whose first request imports what it still lacks.
    warm_up()
    ask(api, "/api/messages", {"q": "warm"})
    print(f"{connection.vendor}, {messages} messages; milliseconds a request", flush=True)
    measured: dict[str, Times] = {}
    for name, kinds in (
        ("lists", questions.lists()),
        ("searches", questions.searches()),
        ("searches by relevance", questions.rankings()),
    ):
        asked = {kind: draw for kind, draw in kinds.items() if part in kind}
        measured |= measure(name, asked, api, requests)
    peer = Times()
    for word in names().words[5000:5003]:
        peer.measure(partial(subjects_like, account, word))
    print(peer.line("peer: subject LIKE, the newest fifty"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"  peak memory of the process {peak:.0f} MB")
    print(verdict(measured), flush=True)


def filled(messages: int) -> EmailAccount:
    """The large account of a database that is filled."""
    people = People()
    large = people.connect_account(people.member, email_address=ADDRESS)
    others = [
        people.connect_account(people.namesake, email_address=f"other{number}@globex.example")
        for number in range(OTHERS)
    ]
    before = time.perf_counter()
    fill(large, others, messages)
    # SQLite forgets what its planner is told with the indexes that it is told of.
    call_command("migrate", verbosity=0)
    print(f"filled in {time.perf_counter() - before:.0f} s", flush=True)
    return large


def measure(
    group: str, kinds: Mapping[str, Draw], api: APIClient, requests: int
) -> dict[str, Times]:
    """Every kind alone; printed with the mix of all."""
    measured, mix = {name: Times() for name in kinds}, Times()
    for name, draw in kinds.items():
        end = time.perf_counter() + SECONDS
        for number in range(requests):
            if number >= FEWEST and time.perf_counter() > end:
                break
            path, query = draw()
            measured[name].measure(partial(ask, api, path, query))
        print(measured[name].line(name), flush=True)
        mix.add(measured[name])
    if mix.clock:
        print(mix.line(f"all {group}"), flush=True)
    return measured


def verdict(measured: Mapping[str, Times]) -> str:
    """Which kinds miss the aim."""
    slow = [name for name, times in measured.items() if _share(times.clock, 0.95) >= AIM]
    dear = [name for name, times in measured.items() if _share(times.processor, 0.95) >= AIM]
    return (
        f"{connection.vendor}: {len(measured) - len(slow)} of {len(measured)} kinds under"
        f" {AIM} ms at p95 by the clock, {len(measured) - len(dear)} by processor time;"
        f" missed by the clock: {', '.join(slow) or 'none'};"
        f" by processor time: {', '.join(dear) or 'none'}"
    )


def processor_time() -> float:
    """Seconds that this process has used, and the database's process for it."""
    used = time.process_time()
    if connection.vendor == "postgresql":
        connection.ensure_connection()
        server = connection.connection.info.backend_pid
        used += int(Path(f"/proc/{server}/schedstat").read_text().split()[0]) / 1e9
    return used


def ask(api: APIClient, path: str, query: dict[str, str]) -> None:
    """One request, which must succeed."""
    response = api.get(path, query)
    assert response.status_code == 200, (path, query, response.content[:300])


def subjects_like(account: EmailAccount, word: str) -> None:
    """Without an index of words."""
    rows = Message.objects.filter(account=account, subject__icontains=word)
    list(rows.order_by("-received_at", "-pk").values_list("pk", flat=True)[:50])


def _share(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


if __name__ == "__main__":
    main()
