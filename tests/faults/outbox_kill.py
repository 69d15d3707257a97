"""Single messages asked for while every process is killed, again and again.

A client asks for messages, each with a key of its own, and asks again where it got no
answer. At random moments all processes of the site get SIGKILL at once and are started
again. At the end the server's own record says how often each message arrived.

    make faults ARGS="--only outbox --messages 500 --kills 20 [--postgresql]"
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from email import message_from_bytes
from typing import TYPE_CHECKING, Any

from tests.faults.campaign_kill import prepare_sites

if TYPE_CHECKING:
    from tests.servers.site import RunningSite
    from tests.servers.smtp import SmtpReceiver

# Tenants: each has a lane of its own, and a connection.
LANES = 3
_OPEN = ("scheduled", "queued", "sending", "deferred")
_SETTLES_WITHIN = 60.0


@dataclass
class OutboxRound:
    """What happened, and what must be true of it."""

    messages: int
    kills: int
    states: dict[str, str] = field(default_factory=dict)
    received: Counter[str] = field(default_factory=Counter)
    asked_again: int = 0

    def check(self) -> None:
        """Each request is one message, sent once or in doubt; AssertionError otherwise."""
        assert len(self.states) == self.messages
        twice = {message_id for message_id, count in self.received.items() if count > 1}
        assert not twice, f"sent twice: {twice}"
        sent = {message_id for message_id, state in self.states.items() if state == "sent"}
        assert sent <= self.received.keys(), f"not received: {sent - self.received.keys()}"
        assert set(self.received) <= self.states.keys(), "a message that nobody asked for"
        assert set(self.states.values()) <= {"sent", "uncertain"}, Counter(self.states.values())
        in_doubt = self.messages - len(sent)
        assert in_doubt <= self.kills * LANES, f"{in_doubt} uncertain after {self.kills} kills"

    def __str__(self) -> str:
        counted = Counter(self.states.values())
        return (
            f"{self.messages} messages, {self.kills} kills: {counted['sent']} sent once, "
            f"{counted['uncertain']} uncertain, {self.asked_again} asked for again"
        )


def run_round(
    site: RunningSite, receiver: SmtpReceiver, *, messages: int, kills: int, dice: random.Random
) -> OutboxRound:
    """Ask, kill, start again, until each message has come to its end."""
    result = OutboxRound(messages, kills)
    site.start()
    keys = [site.create_api_key(tenant=f"tenant{number}") for number in range(LANES)]
    clients = [_Client(site, key, result) for key in keys]
    threads = [
        threading.Thread(target=client.ask_for, args=(range(number, messages, LANES),))
        for number, client in enumerate(clients)
    ]
    for thread in threads:
        thread.start()
    for kill in range(kills):
        enough = messages * (kill + dice.random()) / kills
        deadline = time.monotonic() + _SETTLES_WITHIN
        while len(receiver.messages) < enough and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(dice.random() * 0.1)
        site.kill()
        site.start()
    for thread in threads:
        thread.join()
    deadline = time.monotonic() + _SETTLES_WITHIN
    while any(state in _OPEN for state in _states(clients, result).values()):
        assert time.monotonic() < deadline, f"not settled: {Counter(result.states.values())}"
        time.sleep(0.2)
    result.received = Counter(
        str(message_from_bytes(message.content)["Message-ID"]) for message in receiver.messages
    )
    return result


def _states(clients: list[_Client], result: OutboxRound) -> dict[str, str]:
    result.states = {
        row["messageId"]: row["status"] for client in clients for row in client.outbox()
    }
    return result.states


class _Client:
    def __init__(self, site: RunningSite, key: str, result: OutboxRound) -> None:
        self._url, self._key, self._result = site.url, key, result

    def ask_for(self, numbers: range) -> None:
        """Ask for these messages, each until it is promised."""
        for number in numbers:
            while not self._ask(number):
                self._result.asked_again += 1
                time.sleep(0.1)

    def outbox(self) -> Iterator[dict[str, Any]]:
        """All that was asked for."""
        path = "outbox?limit=500"
        page = self._call(path)
        while True:
            yield from page["outbox"]
            if page["nextCursor"] is None:
                return
            page = self._call(f"{path}&cursor={page['nextCursor']}")

    def _ask(self, number: int) -> bool:
        mail = {
            "from": "shop@example.org",
            "to": f"person{number}@example.com",
            "subject": f"Order {number}",
            "text": "Thanks.",
        }
        try:
            self._call("send-email", {"mailOptions": mail}, f"order-{number}")
        except (OSError, http.client.HTTPException, json.JSONDecodeError):
            return False
        return True

    def _call(
        self, path: str, payload: dict[str, Any] | None = None, idempotency_key: str = ""
    ) -> dict[str, Any]:
        headers = {"Authorization": f"Token {self._key}", "Content-Type": "application/json"}
        if idempotency_key:
            headers["Idempotency-Key"] = idempotency_key
        request = urllib.request.Request(
            f"{self._url}/api/{path}",
            data=None if payload is None else json.dumps(payload).encode(),
            headers=headers,
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return dict(json.load(answer))


def settings_for(receiver: SmtpReceiver) -> dict[str, str]:
    """The site's own mail server."""
    return {
        "SMTP_SERVER": receiver.host,
        "SMTP_PORT": str(receiver.port),
        "SMTP_ENCRYPTION": "none",
        "MAILHUB_REQUEST_RATE": "100000",
        "MAILHUB_REQUEST_BURST": "100000",
    }


def main() -> int:
    """Run one round; its seed is printed, for `--seed`."""
    parser = argparse.ArgumentParser(
        prog='make faults ARGS="--only outbox …"',
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--messages", type=int, default=500)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--postgresql", action="store_true", help="on PostgreSQL and Redis")
    options = parser.parse_args()
    print(f"seed {options.seed}: ", end="", flush=True)
    with ExitStack() as stack:
        template = prepare_sites(stack, options.postgresql)
        from tests.servers.site import RunningSite
        from tests.servers.smtp import SmtpReceiver

        receiver = stack.enter_context(SmtpReceiver())
        site = RunningSite(template, only=("web", "dispatcher"), settings=settings_for(receiver))
        stack.callback(site.remove)
        result = run_round(
            site,
            receiver,
            messages=options.messages,
            kills=options.kills,
            dice=random.Random(options.seed),
        )
        print(result, flush=True)
        result.check()
    return 0


if __name__ == "__main__":
    sys.exit(main())
