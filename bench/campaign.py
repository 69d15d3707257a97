"""Campaigns beside what else sends mail in bulk, into one `smtp-sink` (Debian: postfix).

    python -m bench.campaign [--messages 50000] [--million 1000000] [--large 3000]
                             [--only rate|large|million] [--database sqlite|postgresql]

rate: personalised messages of 4 kB in text and HTML, from POST to `completed`, on SQLite and on
PostgreSQL with Redis, beside `smtp-source -d -s 10` (which is what this machine can do),
nodemailer's pool, Django's backend on one connection and django-post_office, all in one run.
large: the same with an attachment of 1 MiB, as a share of what a bare socket sends, into a
server that reads large messages as fast as they come, as smtp-sink does not. million: an
import, an audience, and a minute of sending to it, with the memory of a worker and how long
`campaign-status` takes meanwhile.
"""

from __future__ import annotations

import argparse
import base64
import os
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from bench import mail_peers
from tests.faults.campaign_kill import prepare_sites

if TYPE_CHECKING:
    from bench.campaign_site import Mailing, Run
    from tests.servers.site import SiteTemplate

LETTER_OCTETS = 4096
# As it comes; the tests' waits for no disk.
POSTGRESQL = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "autovacuum": "on",
    "shared_buffers": "128MB",
}
# Of the messages of a run, how many the slower peers send: each is a matter of seconds.
_SHARES = {"nodemailer's pool": 0.1, "Django's backend": 0.04, "django-post_office": 0.02}
_LEAST = 200
_MILLION_SECONDS = 60.0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--messages", type=int, default=50_000)
    parser.add_argument("--large", type=int, default=3_000, help="how many with 1 MiB")
    parser.add_argument("--million", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=_MILLION_SECONDS)
    parser.add_argument("--only", choices=("rate", "large", "million"), default="")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="")
    chosen = parser.parse_args()
    wanted = [chosen.only] if chosen.only else ["rate", "large", "million"]
    with mail_peers.smtp_sink() as port, mail_peers.large_sink() as large_port:
        peers = measure_peers(port, chosen.messages) if "rate" in wanted else {}
        raw = measure_raw((port, large_port), chosen.large) if "large" in wanted else 0.0
        for name in [chosen.database] if chosen.database else ["sqlite", "postgresql"]:
            with ExitStack() as servers:
                template = prepare_sites(servers, name == "postgresql", POSTGRESQL)
                print(f"mailhub on {name}", flush=True)
                if "rate" in wanted:
                    measure_rate(template, port, chosen.messages, peers)
                if "large" in wanted:
                    measure_large(template, large_port, chosen.large, raw)
                if "million" in wanted:
                    measure_million(template, port, chosen.million, chosen.seconds)


def measure_peers(port: int, messages: int) -> dict[str, float]:
    """Messages a second of each, printed."""
    rates = {"smtp-source": mail_peers.smtp_source(port, messages, LETTER_OCTETS)}
    measures = {
        "nodemailer's pool": mail_peers.nodemailer,
        "Django's backend": mail_peers.django,
        "django-post_office": mail_peers.post_office,
    }
    for name, measure in measures.items():
        rate = measure(port, max(_LEAST, int(messages * _SHARES[name])))
        if rate is not None:
            rates[name] = rate
    for name, rate in rates.items():
        print(f"  {name:20} {rate:8.0f} messages/s", flush=True)
    return rates


def measure_rate(template: SiteTemplate, port: int, messages: int, peers: dict[str, float]) -> None:
    """One campaign to everybody."""
    with mailing(template) as site:
        site.import_people(messages)
        run = site.send(port)
    assert run.sent == messages
    beside = ", ".join(f"{run.rate / rate:.2f} of {name}" for name, rate in peers.items())
    print(f"  {messages} messages: {run.rate:.0f}/s ({beside})", flush=True)
    describe(run)


def measure_raw(ports: Sequence[int], messages: int) -> float:
    """Octets a second of a bare socket, and of smtp-source into both sinks."""
    octets = 4 * LETTER_OCTETS * LETTER_OCTETS * 64
    raw = mail_peers.raw_loopback(octets)
    size = mail_peers.ATTACHED_OCTETS
    few = min(messages, _LEAST)
    source, fast = (mail_peers.smtp_source(port, few, size) * size for port in ports)
    print(
        f"  raw loopback {raw / 1e6:.0f} MB/s, smtp-source {fast / 1e6:.0f} MB/s"
        f" ({source / 1e6:.0f} into smtp-sink)",
        flush=True,
    )
    return raw


def measure_large(template: SiteTemplate, port: int, messages: int, raw: float) -> None:
    """With an attachment of 1 MiB."""
    content = base64.b64encode(os.urandom(1024 * 1024)).decode()
    attachment = {"filename": "prices.pdf", "content": content}
    with mailing(template) as site:
        site.import_people(messages)
        run = site.send(port, attachments=[attachment])
    octets = run.rate * mail_peers.ATTACHED_OCTETS
    print(
        f"  {messages} with 1 MiB: {run.rate:.0f}/s, {octets / 1e6:.0f} MB/s, "
        f"{octets / raw:.2f} of raw loopback",
        flush=True,
    )
    describe(run)


def measure_million(template: SiteTemplate, port: int, people: int, seconds: float) -> None:
    """An import, an audience, and sending to it for so long."""
    with mailing(template) as site:
        few = min(10_000, people)
        small = site.send(port, emails=[f"few{number}@example.com" for number in range(few)])
        print(f"  peak of a worker at {few} recipients: {small.peak / 1e6:.0f} MB", flush=True)
        taken = site.import_people(people)
        print(f"  import of {people} rows: {taken:.1f} s", flush=True)
        run = site.send(port, seconds=seconds)
    print(f"  audience of {run.recipients} fixed in {run.fixed:.1f} s", flush=True)
    describe(run)


def describe(run: Run) -> None:
    """What was seen beside the sending."""
    print(
        f"    campaign-status p95 {run.p95 * 1000:.1f} ms of {len(run.polls)}, "
        f"peak of a worker {run.peak / 1e6:.0f} MB",
        flush=True,
    )


def mailing(template: SiteTemplate) -> Mailing:
    """A site on an empty database."""
    from bench.campaign_site import Mailing  # noqa: PLC0415 - the environment comes first

    return Mailing(template)


if __name__ == "__main__":
    main()
