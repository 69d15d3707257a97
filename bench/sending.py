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
import shutil
import socket
import statistics
import subprocess
import tempfile
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Self

from tests import environment

environment.prepare()

from bench.letters import letters  # noqa: E402 - the environment has to be there first
from tests.servers.dovecot import DovecotServer, DovecotUser  # noqa: E402
from tests.servers.processes import free_port  # noqa: E402
from tests.servers.site import RunningSite, SiteTemplate  # noqa: E402
from tests.servers.smtp import SmtpReceiver  # noqa: E402

PAGE = 10
INBOX = 200
WARM_UP = 3
PASSWORD = "secret"
SINK = shutil.which("smtp-sink") or shutil.which("smtp-sink", path="/usr/sbin")


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


# The operations


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


# The same without us

LETTER = next(iter(letters(1, seed=7)))
FIELDS = "UID FLAGS INTERNALDATE RFC822.SIZE BODYSTRUCTURE BODY.PEEK[HEADER]"


class Line:
    """A connection on which lines are sent and answers awaited, a round trip each."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._socket.close()

    def imap(self, *commands: str, literal: bytes = b"") -> bytes:
        """All of them at once; what is told up to the answer to the last."""
        lines = [f"{number} {command}\r\n".encode() for number, command in enumerate(commands)]
        self._socket.sendall(b"".join(lines) + literal)
        told = b""
        while not (line := self._file.readline()).startswith(b"%d " % (len(commands) - 1)):
            told += line
            if line.endswith(b"}\r\n"):
                told += self._file.read(int(line[line.rindex(b"{") + 1 : -3]))
        assert b" OK" in line, line
        return told

    def smtp(self, octets: bytes, replies: int = 1) -> None:
        """So many replies, each of which may have several lines."""
        self._socket.sendall(octets)
        while replies:
            replies -= self._file.readline()[3:4] != b"-"


@contextmanager
def logged_in(port: int, user: str) -> Iterator[Line]:
    with Line(port) as line:
        line._file.readline()
        line.imap(f"LOGIN {user} {PASSWORD}")
        yield line


def bare_send(port: int, user: str) -> None:
    login = b64encode(f"\0{user}\0{PASSWORD}".encode())
    with Line(port) as line:
        line.smtp(b"")
        line.smtp(b"EHLO bench\r\n")
        line.smtp(b"AUTH PLAIN %s\r\n" % login)
        line.smtp(b"MAIL FROM:<a@b.test>\r\nRCPT TO:<bo@example.org>\r\nDATA\r\n", 3)
        line.smtp(b"Subject: Hello\r\n\r\nHi there.\r\n.\r\n")


def bare_page(port: int, user: str) -> None:
    with logged_in(port, user) as line:
        told = line.imap("EXAMINE INBOX")
        total = int(told[: told.index(b" EXISTS")].split()[-1])
        page = f"{total - PAGE + 1}:{total}"
        line.imap(f"FETCH {page} ({FIELDS})")
        line.imap(f"FETCH {page} (BODY.PEEK[1])")


def bare_append(port: int, user: str) -> None:
    with logged_in(port, user) as line:
        line.imap('LIST "" "*" RETURN (SPECIAL-USE)')
        command = f"APPEND Drafts (\\Draft \\Seen) {{{len(LETTER)}+}}"
        line.imap(command, literal=LETTER + b"\r\n")


def bare_move(port: int, user: str, uid: int) -> None:
    with logged_in(port, user) as line:
        line.imap('LIST "" "*" RETURN (SPECIAL-USE)', "SELECT INBOX")
        line.imap(f"UID MOVE {uid} Trash")


def bare_delete(port: int, user: str, uid: int) -> None:
    with logged_in(port, user) as line:
        line.imap('LIST "" "*" RETURN (SPECIAL-USE)')
        line.imap("SELECT Trash")
        line.imap(f"UID STORE {uid} +FLAGS.SILENT (\\Deleted)", f"UID EXPUNGE {uid}")


def deliver(user: DovecotUser, path: str) -> int:
    """A message is put there; its UID."""
    user.deliver(LETTER, path)
    with logged_in(user.server.port, user.name) as line:
        line.imap(f"EXAMINE {path}")
        return int(line.imap("UID SEARCH ALL").split()[-1])


@contextmanager
def at_distance(port: int, seconds: float) -> Iterator[int]:
    """A port behind which the server is so far away in each direction."""
    if not seconds:
        yield port
        return
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=_forward_all, args=(listener, port, seconds), daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def _forward_all(listener: socket.socket, port: int, seconds: float) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        server = socket.create_connection(("127.0.0.1", port))
        for source, target in ((client, server), (server, client)):
            source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            queue: SimpleQueue[tuple[float, bytes]] = SimpleQueue()
            for act in (_read, _write):
                arguments = (source if act is _read else target, queue, seconds)
                threading.Thread(target=act, args=arguments, daemon=True).start()


def _read(source: socket.socket, queue: SimpleQueue[tuple[float, bytes]], seconds: float) -> None:
    octets = b"-"
    while octets:
        try:
            octets = source.recv(65_536)
        except OSError:
            octets = b""
        queue.put((time.perf_counter() + seconds, octets))


def _write(target: socket.socket, queue: SimpleQueue[tuple[float, bytes]], _: float) -> None:
    with suppress(OSError):
        while True:
            due, octets = queue.get()
            time.sleep(max(0.0, due - time.perf_counter()))
            if not octets:
                target.shutdown(socket.SHUT_WR)
                return
            target.sendall(octets)


# The outbox


def throughput(template: SiteTemplate, messages: int) -> None:
    """Messages a second, from what is queued to what the receiver has taken."""
    port = free_port()
    sink = subprocess.Popen([str(SINK), *(["-u", "nobody"] if not os.geteuid() else []),
                             f"127.0.0.1:{port}", "1000"])  # fmt: skip
    variables = {"SMTP_SERVER": "127.0.0.1", "SMTP_PORT": str(port), "SMTP_ENCRYPTION": "none"}
    site = RunningSite(template, only=("dispatcher",), settings=variables)
    try:
        site.manage("shell", "--no-imports", "-c", f"{QUEUE}\nqueue({messages})")
        site.start()
        ours = float(site.manage("shell", "--no-imports", "-c", RATE))
        peer = float(site.manage("shell", "--no-imports", "-c", f"{DJANGO}\nsend({messages})"))
        print(f"The outbox: {ours:.0f} messages a second, Django's backend {peer:.0f}, "
              f"ratio {ours / peer:.2f}")  # fmt: skip
    finally:
        site.remove()
        sink.terminate()
        sink.wait()


# Run in processes with the site's settings.
QUEUE = """
from accounts.caller import caller_from_key
from accounts.models import ApiKey, Membership, Role, Tenant
from mailboxes.operations.composing import MailOptions
from mailboxes.outbox.default_sender import send_by_default
from mailhub.mail.message import Address

def queue(count):
    tenant = Tenant.objects.create(slug="bench", name="Bench")
    membership = Membership.objects.add_user(tenant, "bench", Role.OWNER)
    caller = caller_from_key(ApiKey.objects.issue(membership)[0], None, None)
    for number in range(count):
        send_by_default(caller, MailOptions(
            sender=Address("", "shop@example.org"), to=[Address("", f"p{number}@example.com")],
            subject=f"Order {number}", text="Thanks for your order.\\n" * 40,
            html="<p>Thanks for your order.</p>" * 40))
"""
RATE = """
import time
from django.db.models import Count, Max, Min
from mailboxes.models import OutboxMessage, SendAttempt
while OutboxMessage.objects.exclude(state="sent").exists():
    time.sleep(0.5)
found = SendAttempt.objects.aggregate(n=Count("pk"), first=Min("ended_at"), last=Max("ended_at"))
print((found["n"] - 1) / (found["last"] - found["first"]).total_seconds())
"""
DJANGO = """
import time
from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.core.mail.backends.smtp import EmailBackend

def send(count):
    made = []
    for number in range(count):
        message = EmailMultiAlternatives(
            f"Order {number}", "Thanks for your order.\\n" * 40, "shop@example.org",
            [f"p{number}@example.com"])
        message.attach_alternative("<p>Thanks for your order.</p>" * 40, "text/html")
        made.append(message)
    backend = EmailBackend(host=settings.SMTP_SERVER, port=settings.SMTP_PORT, use_tls=False)
    began = time.perf_counter()
    assert backend.send_messages(made) == count
    print(count / (time.perf_counter() - began))
"""


if __name__ == "__main__":
    main()
