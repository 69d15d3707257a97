"""One message: what an operation takes beside the bare conversation, and the outbox beside Django.

    python -m bench.sending [--calls 40] [--messages 2000] [--distance 20]

The five operations are called over HTTP, on a whole mailhub with a Dovecot and an SMTP server on
loopback. Their peer is a client without anything to spare: a new connection, a login, no
command that could be left out, no wait for a goodbye. Both are measured on loopback, and with
the servers so many milliseconds away in each direction, where round trips are what counts.

Then the outbox sends what is queued, into the same smtp-sink (Debian: postfix) as Django's own
SMTP backend, which is given the same messages; both over one connection.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import environment

environment.prepare()

from bench.bare_mail import (
    LETTER,
    PAGE,
    PASSWORD,
    bare_append,
    bare_delete,
    bare_move,
    bare_page,
    bare_send,
    deliver,
)
from bench.distance import at_distance
from bench.letters import letters
from bench.outbox import SINK, throughput
from tests.servers.dovecot import DovecotServer, DovecotUser
from tests.servers.site import RunningSite, SiteTemplate
from tests.servers.smtp import SmtpReceiver

INBOX = 200
WARM_UP = 3


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--calls", type=int, default=40)
    parser.add_argument("--messages", type=int, default=2000)
    parser.add_argument("--distance", type=int, default=20, help="milliseconds each way")
    chosen = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="mailhub-bench-"))
        template = SiteTemplate(Path(folder))
        latency(template, chosen.calls, chosen.distance)
        if SINK:
            throughput(template, chosen.messages)
        else:
            print("The outbox: not measured without smtp-sink")


def latency(template: SiteTemplate, calls: int, distance: int) -> None:
    """What a call of each operation takes."""
    with ExitStack() as stack:
        dovecot = DovecotServer()
        dovecot.start()
        stack.callback(dovecot.stop)
        user = dovecot.add_user("bench@example.org", PASSWORD)
        for content in letters(INBOX, seed=5):
            user.deliver(content)
        for path in ("Drafts", "Trash"):
            user.deliver(LETTER, path)
        receiver = stack.enter_context(SmtpReceiver(users={user.name: PASSWORD}))
        site = RunningSite(template, only=("web",))
        stack.callback(site.remove)
        site.start()
        api = Api(site.port, site.create_api_key())
        for name, delay in (("on loopback", 0.0), (f"{distance} ms away", distance / 1000)):
            smtp = stack.enter_context(at_distance(receiver.port, delay))
            imap = stack.enter_context(at_distance(dovecot.port, delay))
            print(f"An operation, {name}, milliseconds (median of {calls}):")
            for operation in operations(api, user, smtp, imap):
                compare(operation, calls)


@dataclass(frozen=True)
class Operation:
    """`prepare` puts a message where both find it and says its UID."""

    name: str
    prepare: Callable[[], int]
    ours: Callable[[int], None]
    bare: Callable[[int], None]


def operations(api: Api, user: DovecotUser, smtp: int, imap: int) -> list[Operation]:
    """The five, with servers on these ports."""
    mail = {"from": user.name, "to": "bo@example.org", "subject": "Hello", "text": "Hi there."}

    def call(operation: str, port: int, **body: Any) -> None:
        auth = {"user": user.name, "pass": PASSWORD}
        server = {"host": "127.0.0.1", "port": port, "secure": False, "allowPlaintext": True}
        api.post(operation, {"smtpCredentials": {**server, "auth": auth}, **body})

    def at(path: str) -> Callable[[], int]:
        return lambda: deliver(user, path)

    return [
        Operation(
            "send-email",
            lambda: 0,
            lambda _: call("send-email", smtp, mailOptions=mail),
            lambda _: bare_send(smtp, user.name),
        ),
        Operation(
            "retrieve-emails",
            lambda: 0,
            lambda _: call("retrieve-emails", imap, pageSize=PAGE),
            lambda _: bare_page(imap, user.name),
        ),
        Operation(
            "save-to-draft",
            lambda: 0,
            lambda _: call("save-to-draft", imap, mailOptions=mail),
            lambda _: bare_append(imap, user.name),
        ),
        Operation(
            "move-to-trash",
            at("INBOX"),
            lambda uid: call("move-to-trash", imap, uid=uid, path="INBOX"),
            lambda uid: bare_move(imap, user.name, uid),
        ),
        Operation(
            "empty-trash",
            at("Trash"),
            lambda uid: call("empty-trash", imap, uid=uid),
            lambda uid: bare_delete(imap, user.name, uid),
        ),
    ]


def compare(operation: Operation, calls: int) -> None:
    """In turns, so that both meet the same machine."""
    seconds: dict[str, list[float]] = {"ours": [], "bare": []}
    for number in range(WARM_UP + calls):
        for name, act in (("ours", operation.ours), ("bare", operation.bare)):
            uid = operation.prepare()
            began = time.perf_counter()
            act(uid)
            if number >= WARM_UP:
                seconds[name].append(time.perf_counter() - began)
    ours, bare = (1000 * statistics.median(seconds[name]) for name in ("ours", "bare"))
    words = f"{ours:6.1f}  bare {bare:6.1f}  ratio {ours / bare:.2f}"
    print(f"  {operation.name:16} {words}", flush=True)


class Api:
    """Calls over one connection that is kept open."""

    def __init__(self, port: int, key: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._headers = {"Authorization": f"Token {key}", "Content-Type": "application/json"}

    def post(self, path: str, body: dict[str, Any]) -> None:
        """Raises SystemExit where it is refused."""
        self._connection.request("POST", f"/api/{path}", json.dumps(body), self._headers)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise SystemExit(f"{path}: {answer.status} {content.decode()}")


if __name__ == "__main__":
    main()
