"""One round of the harshest test: a campaign during which everything is killed, again and again.

A whole site (`manage.py serve`) sends to a real SMTP server, or by Amazon SES as
`tests.servers.ses` is it, which keeps what it takes. At random moments something ends without a
warning (see Harm). At the end the server's own record says the truth about each recipient.

    make faults ARGS="--only campaigns --rounds 50 --recipients 20000 [--ses] [--postgresql]"
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import random
import signal
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import psycopg

if TYPE_CHECKING:
    from mailhub.mail.transports.in_memory import ReceivedMessage
    from tests.servers.ses import SesFake
    from tests.servers.site import RunningSite, SiteTemplate
    from tests.servers.smtp import SmtpReceiver


class Harm(StrEnum):
    """What ends: all processes of the site by SIGKILL, which is then started again; its workers
    or its web processes alone, which `serve` starts again; every connection to PostgreSQL (all
    processes where there is none); the mail server with its connections, back after a moment."""

    SITE = "site"
    WORKERS = "workers"
    WEB = "web"
    DATABASE = "database"
    SERVER = "server"


HARMS = tuple(Harm)
_COMMANDS = {Harm.WORKERS: "qcluster", Harm.WEB: "gunicorn"}
CONNECTIONS = 4
WORKERS = 2
GOES_ON_WITHIN = 15.0
ACTIVE = ("pending", "in_progress")
# Of the SES that campaigns are killed over: seconds for an answer, so that requests are open at
# the kill; recipients a second, far from which it refuses this part of them all the same.
_SES_LATENCY, _SES_RATE, _SES_THROTTLED = 0.02, 2_000.0, 0.01
_COUNTS = ("sent_count", "failed_count", "skipped_count", "uncertain_count", "remaining_count")


class Receiver(Protocol):
    """Who takes the messages, and outlives the site."""

    @property
    def messages(self) -> list[ReceivedMessage]:
        """What was taken."""
        ...


@dataclass(frozen=True)
class Way:
    """By whom a campaign goes: the API's name for it, and what its call says beside the letter.

    `restart` ends the receiver with every connection, and has it there again.
    """

    receiver: Receiver
    restart: Callable[[], None]
    call: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def by_smtp(cls, receiver: SmtpReceiver) -> Way:
        """Over this server."""
        server = {"smtp_server": "127.0.0.1", "smtp_port": receiver.port, "smtp_encryption": "none"}
        return cls(receiver, receiver.restart, "smtp-campaign", server)

    @classmethod
    def by_ses(cls, fake: SesFake) -> Way:
        """Over this account, which answers slowly and refuses some for a moment."""
        from tests.servers.ses import Limits

        fake.latency, fake.throttle_share = _SES_LATENCY, _SES_THROTTLED
        fake.limits = Limits(rate=_SES_RATE, daily=-1)
        settings = {**fake.site_settings(), "MAILHUB_SES_CONNECTIONS": str(CONNECTIONS)}
        return cls(fake, fake.close_connections, "ses-campaign", settings=settings)


@dataclass
class KillRound:
    """What happened in one round, and what must be true of it."""

    recipients: int
    kills: int
    harms: list[Harm] = field(default_factory=list)
    received: Counter[str] = field(default_factory=Counter)
    states: dict[str, str] = field(default_factory=dict)
    polls: int = 0
    slowest_start: float = 0.0
    status: dict[str, Any] = field(default_factory=dict)

    def check(self) -> None:
        """Nobody lost, nobody twice, few in doubt; AssertionError otherwise."""
        assert self.status["status"] == "completed", self.status
        assert len(self.states) == self.recipients
        twice = {email: count for email, count in self.received.items() if count > 1}
        assert not twice, f"mailed twice: {twice}"
        claimed = {email for email, state in self.states.items() if state == "sent"}
        lost = claimed - self.received.keys()
        assert not lost, f"said to be sent and not received: {sorted(lost)[:5]}"
        others = set(self.states.values()) - {"sent", "uncertain"}
        assert not others, f"in no final state: {others}"
        in_doubt = sum(state == "uncertain" for state in self.states.values())
        most = self.kills * WORKERS * CONNECTIONS
        assert in_doubt <= most, f"{in_doubt} uncertain after {self.kills} kills"
        assert self.slowest_start < GOES_ON_WITHIN, f"went on after {self.slowest_start:.1f} s"

    def __str__(self) -> str:
        uncertain = sum(state == "uncertain" for state in self.states.values())
        return (
            f"{self.recipients} recipients, killed {', '.join(self.harms)}: {uncertain} uncertain, "
            f"went on within {self.slowest_start:.1f} s, {self.polls} polls"
        )


def run_round(
    site: RunningSite,
    way: Way,
    *,
    recipients: int,
    kills: int,
    dice: random.Random,
    harms: Sequence[Harm] = (Harm.SITE,),
) -> KillRound:
    """Send, kill, start again, until the campaign is over."""
    result = KillRound(recipients, kills)
    receiver = way.receiver
    site.start()
    client = _Client(site, site.create_api_key(), result)
    emails = [f"person{number}@example.com" for number in range(recipients)]
    campaign_id = client.create_campaign(way, emails)
    for kill in range(kills):
        enough = recipients * (kill + dice.random()) / kills
        _wait_for(lambda enough=enough: len(receiver.messages) >= enough, client, campaign_id)
        time.sleep(dice.random() * 0.1)
        harm = dice.choice(harms)
        result.harms.append(harm)
        do_harm(harm, site, way)
        before = len(receiver.messages)
        started = time.monotonic()
        status = client.patiently_status(campaign_id)
        if status["remaining_count"]:
            _wait_for(lambda before=before: len(receiver.messages) > before, client, campaign_id)
            result.slowest_start = max(result.slowest_start, time.monotonic() - started)
    while (status := client.patiently_status(campaign_id))["status"] in ACTIVE:
        time.sleep(0.1)
    result.status = status
    result.states = client.states(campaign_id)
    result.received = Counter(
        recipient for message in receiver.messages for recipient in message.envelope.recipients
    )
    return result


def do_harm(harm: Harm, site: RunningSite, way: Way) -> None:
    """End something. A site whose processes were all killed is there again afterwards."""
    url = site.variables["DATABASE_URL"]
    if harm in _COMMANDS:
        for pid in site.processes():
            if _COMMANDS[harm].encode() in _command_line(pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
    elif harm == Harm.DATABASE and url.startswith("postgres"):
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
    elif harm == Harm.SERVER:
        way.restart()
    else:
        site.kill()
        site.start()


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _wait_for(came_true: Any, client: _Client, campaign_id: str) -> None:
    deadline = time.monotonic() + 60
    while not came_true():
        status = client.patiently_status(campaign_id)
        if status["status"] not in ("pending", "in_progress"):
            return
        assert time.monotonic() < deadline, f"nothing moves: {status}"
        time.sleep(0.05)


class _Client:
    def __init__(self, site: RunningSite, key: str, result: KillRound) -> None:
        self._url, self._key, self._result = site.url, key, result

    def create_campaign(self, way: Way, emails: list[str]) -> str:
        payload = {
            "subject": "Hello {{ email }}",
            "body": "<p>Dear {{ email }}</p>" + "<p>words</p>" * 100,
            "campaign_name": "Kill",
            "from_email": "shop@example.org",
            "emails": emails,
            **way.fields,
        }
        return str(self._call(way.call, payload)["campaign_id"])

    def status(self, campaign_id: str) -> dict[str, Any]:
        """The campaign's status; its sum is checked at every poll."""
        status = self._call(f"campaign-status/{campaign_id}")
        self._result.polls += 1
        assert status["total_contacts"] == sum(status[name] for name in _COUNTS), status
        return status

    def patiently_status(self, campaign_id: str) -> dict[str, Any]:
        """The same of a site whose web processes, or connections, may just have been killed."""
        deadline = time.monotonic() + GOES_ON_WITHIN
        while True:
            try:
                return self.status(campaign_id)
            except (OSError, http.client.HTTPException):  # URLError is an OSError
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def states(self, campaign_id: str) -> dict[str, str]:
        states: dict[str, str] = {}
        path = f"campaigns/{campaign_id}/deliveries?limit=500"
        page = self._call(path)
        while True:
            states.update((row["email"], row["state"]) for row in page["deliveries"])
            if page["next_cursor"] is None:
                return states
            page = self._call(f"{path}&cursor={page['next_cursor']}")

    def _call(self, path: str, payload: dict[str, Any] | None = None) -> dict[str, Any]:
        request = urllib.request.Request(
            f"{self._url}/api/{path}",
            data=None if payload is None else json.dumps(payload).encode(),
            headers={"Authorization": f"Token {self._key}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return dict(json.load(answer))


def main() -> int:
    """Run rounds until one fails; its seed is printed, for `--seed`."""
    parser = argparse.ArgumentParser(
        prog='make faults ARGS="--only campaigns …"',
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--recipients", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--ses", action="store_true", help="over SES in place of SMTP")
    parser.add_argument("--postgresql", action="store_true", help="on PostgreSQL and Redis")
    options = parser.parse_args()
    with ExitStack() as stack:
        template = prepare_sites(stack, options.postgresql)
        for number in range(options.rounds):
            print(f"round {number + 1}, seed {options.seed + number}: ", end="", flush=True)
            result = _one_round(template, options, random.Random(options.seed + number))
            print(result, flush=True)
            result.check()
    return 0


def prepare_sites(
    stack: ExitStack, on_postgresql: bool, settings: Mapping[str, str] | None = None
) -> SiteTemplate:
    """The database that sites are copied from; on servers of its own where so wanted.

    `settings` are those of PostgreSQL, in place of what makes tests quick.
    """
    if on_postgresql:
        from tests.servers.postgresql import PostgreSQLServer
        from tests.servers.redis import RedisServer

        for server, variable in (
            (PostgreSQLServer(settings=settings), "DATABASE_URL"),
            (RedisServer(), "REDIS_URL"),
        ):
            server.start()
            stack.callback(server.stop)
            os.environ[variable] = server.url
    from tests import environment

    environment.prepare()
    from tests.servers.site import SiteTemplate

    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mailhub-faults-")))
    return SiteTemplate(folder)


def _one_round(
    template: SiteTemplate, options: argparse.Namespace, dice: random.Random
) -> KillRound:
    from tests.servers.ses import SesFake
    from tests.servers.smtp import SmtpReceiver

    with ExitStack() as stack:
        if options.ses:
            way = Way.by_ses(stack.enter_context(SesFake()))
        else:
            way = Way.by_smtp(stack.enter_context(SmtpReceiver()))
        site = running_site(template, way)
        stack.callback(site.remove)
        try:
            return run_round(
                site,
                way,
                recipients=options.recipients,
                kills=options.kills,
                dice=dice,
                harms=HARMS,
            )
        except BaseException as error:
            error.add_note(site.said()[-6000:])
            raise


def running_site(template: SiteTemplate, way: Way) -> RunningSite:
    """The site of a round, which is not started yet."""
    from tests.servers.site import RunningSite

    services = ("web", "workers", "dispatcher")
    return RunningSite(template, only=services, workers=WORKERS, settings=dict(way.settings))


if __name__ == "__main__":
    sys.exit(main())
