"""Amazon SES as far as it matters here: API version 2 over real HTTP, with its limits enforced.

It checks who signs, counts recipients against a rate and a daily quota, knows a sandbox, and
is told to throttle, fail, hang, or take a message and fall silent.
"""

from __future__ import annotations

import base64
import json
import random
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote

import pytest

from mailhub.mail.aws import AwsKeys
from mailhub.mail.transports.base import Envelope
from mailhub.mail.transports.in_memory import Disturbance, ReceivedMessage, Script, Step
from mailhub.mail.transports.ses import SesSettings
from tests.servers.aws_signature import signature_fault
from tests.servers.http_server import QuietHandler, QuietServer

REGION = "eu-west-1"
KEYS = AwsKeys("AKIATESTTESTTEST", "a-secret-access-key-9c41")
DAY = 86_400.0


@dataclass(frozen=True)
class Refusal:
    """An answer that is no acceptance, as SES's API gives it."""

    status: int
    name: str
    words: str


THROTTLED = Refusal(429, "TooManyRequestsException", "Maximum sending rate exceeded.")
USED_UP = Refusal(400, "ThrottlingException", "Daily message quota exceeded.")
FAILED = Refusal(500, "InternalFailure", "We are sorry.")


@dataclass
class Limits:
    """`rate` recipients a second, `daily` in 24 hours; 0 is no limit. `daily` -1 says so."""

    rate: float = 0.0
    daily: float = 0.0


@dataclass
class Account:
    """What GetAccount says, and what follows from it."""

    in_sandbox: bool = False
    verified: set[str] = field(default_factory=set)
    sending_enabled: bool = True
    suppressed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Accepted:
    """One request to send that was taken."""

    received: ReceivedMessage
    message_id: str
    configuration_set: str
    tags: dict[str, str]
    at: float


class SesFake:
    """`script` disturbs as that of the other servers does (at CONTENT, by recipient);
    `answers` (to what is sent) and `answers_to_account` are used up one request at a time.
    An address of `refused_addresses` is not taken on the list of those that are suppressed.
    `clock` is in seconds: a test may have its own. `throttle_share` of the requests is
    throttled without a reason, by a seeded chance; answers take `latency` seconds.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.script = Script()
        self.answers: deque[Refusal] = deque()
        self.answers_to_account: deque[Refusal] = deque()
        self.limits = Limits()
        self.account = Account()
        self.keys: dict[str, str] = {KEYS.access_key_id: KEYS.secret_access_key}
        self.refused_addresses: dict[str, Refusal] = {}
        self.throttle_share = 0.0
        self.latency = 0.0
        self.accepted: list[Accepted] = []
        self.requests: list[str] = []
        self.throttled = 0
        self.connections = 0
        self.clock = clock
        self._tokens = (1.0, clock())
        self._chance = random.Random(4)
        self._lock = threading.RLock()
        self._let_go = threading.Event()
        self._open: set[socket.socket] = set()
        self._server = _Listener(self)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), name="ses-fake", daemon=True
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def messages(self) -> list[ReceivedMessage]:
        with self._lock:
            return [each.received for each in self.accepted]

    def settings(self, **changes: Any) -> SesSettings:
        """Settings with which a client reaches this server."""
        values: dict[str, Any] = {"region": REGION, "keys": KEYS, "endpoint": self.url}
        return SesSettings(**{**values, "timeout": 5.0, **changes})

    def site_settings(self) -> dict[str, str]:
        """The variables of a site whose own account this is."""
        return {
            "AWS_SES_REGION_NAME": REGION,
            "AWS_SES_REGION_ENDPOINT_URL": self.url,
            "AWS_SES_ACCESS_KEY_ID": KEYS.access_key_id,
            "AWS_SES_SECRET_ACCESS_KEY": KEYS.secret_access_key,
        }

    def recipients_within(self, seconds: float = 1.0) -> int:
        """The most recipients that were taken in any so long a time."""
        most, held = 0, deque[tuple[float, int]]()
        for each in sorted(self.accepted, key=lambda each: each.at):
            held.append((each.at, len(each.received.envelope.recipients)))
            while each.at - held[0][0] >= seconds:
                held.popleft()
            most = max(most, sum(count for _, count in held))
        return most

    def sent_last_24_hours(self) -> int:
        since = self.clock() - DAY
        with self._lock:
            return sum(
                len(each.received.envelope.recipients) for each in self.accepted if each.at > since
            )

    def close_connections(self) -> None:
        """Close every open connection, as a server does with idle ones."""
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def stop(self) -> None:
        """Close the port and all connections."""
        self._let_go.set()
        self.close_connections()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def connected(self, connection: socket.socket) -> None:
        with self._lock:
            self.connections += 1
            self._open.add(connection)

    def disconnected(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.discard(connection)

    def wait(self) -> None:
        """Until the server ends."""
        self._let_go.wait(30)

    def pause(self) -> None:
        self._let_go.wait(self.latency)

    def take(self, request: dict[str, Any]) -> Refusal | Disturbance | str:
        """What comes of one request to send: an id where it is taken."""
        destination = request.get("Destination", {})
        recipients = [
            address
            for kind in ("ToAddresses", "CcAddresses", "BccAddresses")
            for address in destination.get(kind) or []
        ]
        scripted = self.script.take(Step.CONTENT, recipients)
        with self._lock:
            refusal = self._refusal(request, recipients)
            if refusal is not None:
                return refusal
            if isinstance(scripted, str) and not isinstance(scripted, Disturbance):
                for_good = scripted.startswith("5")
                name = "MessageRejected" if for_good else "InternalFailure"
                return Refusal(400 if for_good else 503, name, scripted)
            if scripted is None or scripted is Disturbance.ACCEPT_AND_DROP:
                message_id = self._keep(request, recipients)
            return scripted or message_id

    def _keep(self, request: dict[str, Any], recipients: list[str]) -> str:
        message_id = f"0102{self._chance.getrandbits(128):032x}-000000"
        content = base64.b64decode(request["Content"]["Raw"]["Data"])
        envelope = Envelope(request.get("FromEmailAddress", ""), tuple(recipients))
        tags = {tag["Name"]: tag["Value"] for tag in request.get("EmailTags", [])}
        self.accepted.append(
            Accepted(
                ReceivedMessage(envelope, content),
                message_id,
                request.get("ConfigurationSetName", ""),
                tags,
                self.clock(),
            )
        )
        return message_id

    def _refusal(self, request: dict[str, Any], recipients: list[str]) -> Refusal | None:
        if self.answers:
            return self.answers.popleft()
        if not self.account.sending_enabled:
            return Refusal(400, "SendingPausedException", "Email sending is disabled.")
        if not 0 < len(recipients) <= 50:
            return Refusal(400, "BadRequestException", "Recipient count exceeds 50.")
        unverified = self._unverified(request.get("FromEmailAddress", ""), recipients)
        if unverified:
            words = "Email address is not verified. The following identities failed the check in "
            return Refusal(400, "MessageRejected", f"{words}region EU-WEST-1: {unverified}")
        if self.limits.daily > 0 and self.sent_last_24_hours() >= self.limits.daily:
            return USED_UP
        return THROTTLED if self._is_too_fast(len(recipients)) else None

    def _unverified(self, sender: str, recipients: list[str]) -> str:
        checked = [sender, *recipients] if self.account.in_sandbox else [sender]
        known = self.account.verified
        if not known and not self.account.in_sandbox:
            return ""
        return ", ".join(
            each for each in checked if each not in known and each.rpartition("@")[2] not in known
        )

    def _is_too_fast(self, count: int) -> bool:
        """A message leaves while any of the second's allowance is there, and may overdraw it."""
        if self._chance.random() < self.throttle_share:
            self.throttled += 1
            return True
        if self.limits.rate <= 0:
            return False
        tokens, last = self._tokens
        now = self.clock()
        tokens = min(max(1.0, self.limits.rate), tokens + (now - last) * self.limits.rate)
        too_fast = tokens < 1
        self._tokens = (tokens if too_fast else tokens - count, now)
        self.throttled += too_fast
        return too_fast

    def describe(self) -> dict[str, Any] | Refusal:
        """What GetAccount answers."""
        with self._lock:
            if self.answers_to_account:
                return self.answers_to_account.popleft()
            return {
                "ProductionAccessEnabled": not self.account.in_sandbox,
                "SendingEnabled": self.account.sending_enabled,
                "EnforcementStatus": "HEALTHY",
                "SendQuota": {
                    "Max24HourSend": float(self.limits.daily or 50_000),
                    "MaxSendRate": float(self.limits.rate or 1_000),
                    "SentLast24Hours": float(self.sent_last_24_hours()),
                },
            }


class _Listener(QuietServer):
    request_queue_size = 128

    def __init__(self, fake: SesFake) -> None:
        super().__init__(_Handler)
        self.fake = fake


class _Handler(QuietHandler):
    server: _Listener
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.server.fake.connected(self.connection)

    def finish(self) -> None:
        self.server.fake.disconnected(self.connection)
        super().finish()

    def _serve(self) -> None:
        fake = self.server.fake
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fake.requests.append(f"{self.command} {self.path}")
        fault = signature_fault(self, body, fake.keys, region=REGION, service="ses")
        if fault is not None:
            self._answer(Refusal(403, *fault))
            return
        path = [unquote(part) for part in self.path.partition("?")[0].strip("/").split("/")]
        match self.command, path[2:]:
            case "POST", ["outbound-emails"]:
                outcome = fake.take(json.loads(body))
                fake.pause()
                self._act(outcome)
            case "GET", ["account"]:
                self._answer(fake.describe())
            case "GET", ["identities", name]:
                self._answer(self._identity(name))
            case method, ["suppression", "addresses", *rest]:
                self._answer(self._suppression(method, rest, body))
            case _:
                self._answer(Refusal(404, "NotFoundException", "No such operation."))

    do_GET = do_POST = do_PUT = do_DELETE = _serve

    def _act(self, outcome: Refusal | Disturbance | str) -> None:
        if outcome is Disturbance.HANG:
            self.server.fake.wait()
        if isinstance(outcome, Disturbance):
            self.close_connection = True
        else:
            self._answer({"MessageId": outcome} if isinstance(outcome, str) else outcome)

    def _identity(self, name: str) -> dict[str, Any] | Refusal:
        if name not in self.server.fake.account.verified:
            return Refusal(404, "NotFoundException", f"Email identity {name} does not exist.")
        return {
            "IdentityType": "EMAIL_ADDRESS" if "@" in name else "DOMAIN",
            "VerifiedForSendingStatus": True,
            "DkimAttributes": {"SigningEnabled": True, "Status": "SUCCESS"},
        }

    def _suppression(self, method: str, rest: list[str], body: bytes) -> dict[str, Any] | Refusal:
        suppressed = self.server.fake.account.suppressed
        if method == "PUT":
            asked = json.loads(body)
            refusal = self.server.fake.refused_addresses.get(asked["EmailAddress"])
            if refusal is not None:
                return refusal
            suppressed[asked["EmailAddress"]] = asked["Reason"]
            return {}
        if not rest:
            return {"SuppressedDestinationSummaries": [_listed(*row) for row in suppressed.items()]}
        address = rest[0]
        if address not in suppressed:
            return Refusal(404, "NotFoundException", f"{address} is not on the list.")
        listed = _listed(address, suppressed[address])
        if method == "DELETE":
            del suppressed[address]
            return {}
        return {"SuppressedDestination": listed}

    def _answer(self, answer: dict[str, Any] | Refusal) -> None:
        if isinstance(answer, Refusal):
            octets = json.dumps({"message": answer.words}).encode()
            self.send_response(answer.status)
            self.send_header("x-amzn-ErrorType", answer.name)
        else:
            octets = json.dumps(answer).encode()
            self.send_response(200)
        self.send_header("x-amzn-RequestId", f"request-{len(self.server.fake.requests)}")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(octets)))
        self.end_headers()
        self.wfile.write(octets)


def _listed(address: str, reason: str) -> dict[str, Any]:
    return {"EmailAddress": address, "Reason": reason, "LastUpdateTime": 1_790_000_000}


@pytest.fixture
def ses_fake() -> Iterator[SesFake]:
    """An account with production access that takes everything, until told otherwise."""
    with SesFake() as fake:
        yield fake
