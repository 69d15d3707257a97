"""SES over real HTTP: what its answers mean, and what is certain when one is lost."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from email import message_from_bytes, policy

import pytest

from mailhub.mail.aws import aws_client
from mailhub.mail.errors import (
    AccountClosed,
    CommandRefused,
    ConnectionFailed,
    InvalidMessage,
    LoginDeferred,
    LoginFailed,
    MailError,
    QuotaExceeded,
    RateExceeded,
    Reply,
    SendingPaused,
)
from mailhub.mail.headers import check_header_name
from mailhub.mail.transports.base import Envelope, Job, Result
from mailhub.mail.transports.in_memory import Disturbance, Step
from mailhub.mail.transports.pacing import NoPace
from mailhub.mail.transports.ses import SesTransport
from tests.servers.ses import THROTTLED, USED_UP, Refusal, SesFake

CONTENT = b"From: shop@example.org\r\nSubject: x\r\n\r\nhello\r\n"


def to(*names: str) -> Envelope:
    return Envelope("shop@example.org", tuple(f"{name}@example.com" for name in names))


def jobs(names: str) -> list[Job[str]]:
    return [Job(name, to(name), CONTENT) for name in names]


class Watched(NoPace):
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def take(self, recipients: int) -> float:
        self.told.append(f"take {recipients}")
        return 0.0

    def slow_down(self) -> None:
        self.told.append("slow down")

    def use_up(self, reply: Reply) -> QuotaExceeded:
        self.told.append("used up")
        return super().use_up(reply)


@pytest.mark.parametrize(
    ("status", "name", "words", "result", "said", "code"),
    [
        (400, "MessageRejected", "Bad content.", "failed", 554, "message_refused"),
        (400, "MailFromDomainNotVerifiedException", "No MX.", "failed", 554, "message_refused"),
        (400, "BadRequestException", "Missing final '@domain'", "failed", 554, "message_refused"),
        (403, "AccessDeniedException", "Not authorized.", "failed", 554, "message_refused"),
        (413, "RequestEntityTooLarge", "Too long.", "failed", 552, "message_refused"),
        (500, "InternalFailure", "Sorry.", "deferred", 451, "message_refused"),
        (503, "ServiceUnavailable", "Sorry.", "deferred", 451, "message_refused"),
        (502, "", "", "uncertain", None, "delivery_uncertain"),
        (504, "", "", "uncertain", None, "delivery_uncertain"),
    ],
)
def test_an_answer_about_one_message_decides_about_it_alone(
    *,
    ses_fake: SesFake,
    status: int,
    name: str,
    words: str,
    result: str,
    said: int | None,
    code: str,
) -> None:
    ses_fake.answers.append(Refusal(status, name, words))
    with SesTransport(ses_fake.settings()) as transport:
        outcomes = dict(transport.send_many(jobs("ab")))
    refused = outcomes["a"]
    assert refused.result == result
    assert (refused.reply.code if refused.reply else None) == said
    assert refused.error is not None
    assert refused.error.code == code
    assert refused.error.permanent is (result == "failed")
    assert refused.reply is None or words in refused.reason
    assert outcomes["b"].result is Result.SENT


@pytest.mark.parametrize(
    ("status", "name", "words", "error", "permanent"),
    [
        (403, "UnrecognizedClientException", "Invalid token.", LoginFailed, True),
        (403, "InvalidSignatureException", "Does not match.", LoginFailed, True),
        (403, "InvalidSignatureException", "Signature expired: 1 < 2", LoginDeferred, False),
        (403, "ExpiredTokenException", "Expired.", LoginDeferred, False),
        (400, "AccountSuspendedException", "Suspended.", AccountClosed, True),
        (400, "SendingPausedException", "Paused.", SendingPaused, False),
        (404, "NotFoundException", "Configuration set <x> does not exist.", CommandRefused, True),
        (400, "ThrottlingException", "Daily message quota exceeded.", QuotaExceeded, False),
        (429, "TooManyRequestsException", "Daily message quota exceeded", QuotaExceeded, False),
    ],
)
def test_an_answer_about_the_account_stops_the_run(
    *,
    ses_fake: SesFake,
    status: int,
    name: str,
    words: str,
    error: type[MailError],
    permanent: bool,
) -> None:
    transport = SesTransport(ses_fake.settings())
    ses_fake.answers.append(Refusal(status, name, words))
    with pytest.raises(error) as raised:
        list(transport.send_many(jobs("abc")))
    assert raised.value.permanent is permanent
    assert words in str(raised.value.reply)
    ses_fake.answers.extend([Refusal(status, name, words)])
    with pytest.raises(error):
        transport.send(to("a"), CONTENT)
    # In the middle of a run the rest waits.
    run = transport.send_many(jobs("abc"))
    assert next(run)[1].result is Result.SENT
    ses_fake.answers.append(Refusal(status, name, words))
    rest = [outcome for _, outcome in run]
    assert [outcome.result for outcome in rest] == [Result.DEFERRED, Result.DEFERRED]
    assert all(isinstance(outcome.error, error) for outcome in rest)
    assert len(ses_fake.messages) == 1


def test_throttling_slows_down_and_loses_nothing(ses_fake: SesFake) -> None:
    pace = Watched()
    ses_fake.answers.extend([THROTTLED, THROTTLED])
    begun: list[str] = []
    with SesTransport(ses_fake.settings(), pace) as transport:
        outcomes = dict(transport.send_many(jobs("ab"), before_data=begun.append))
    assert {outcome.result for outcome in outcomes.values()} == {Result.SENT}
    assert begun == ["a", "a", "a", "b"]
    assert pace.told == ["take 1", "slow down", "take 1", "slow down", "take 1", "take 1"]
    assert len(ses_fake.messages) == 2


def test_what_is_throttled_for_long_is_deferred(ses_fake: SesFake) -> None:
    ses_fake.throttle_share = 1.0
    with SesTransport(ses_fake.settings()) as transport:
        outcome = transport.send(to("a"), CONTENT)
    assert outcome.result is Result.DEFERRED
    assert isinstance(outcome.error, RateExceeded)
    assert outcome.reason.startswith("454 TooManyRequestsException: Maximum sending rate exceeded")


def test_the_pace_is_asked_for_every_recipient_and_waited_for(ses_fake: SesFake) -> None:
    class Slow(NoPace):
        def take(self, recipients: int) -> float:
            return recipients / 2

    waited: list[float] = []
    transport = SesTransport(ses_fake.settings(), Slow(), sleep=waited.append)
    transport.send(to("a", "b", "c"), CONTENT)
    assert waited == [1.5]


def test_a_used_up_quota_is_told_to_the_pace(ses_fake: SesFake) -> None:
    pace = Watched()
    ses_fake.answers.append(USED_UP)
    with pytest.raises(QuotaExceeded):
        SesTransport(ses_fake.settings(), pace).send(to("a"), CONTENT)
    assert pace.told == ["take 1", "used up"]


def test_the_sandbox_is_said_in_clear_words(ses_fake: SesFake) -> None:
    ses_fake.account.in_sandbox = True
    ses_fake.account.verified = {"example.org", "bo@example.com"}
    with SesTransport(ses_fake.settings()) as transport:
        assert transport.send(to("bo"), CONTENT).result is Result.SENT
        outcome = transport.send(to("cy"), CONTENT)
    assert outcome.result is Result.FAILED
    assert outcome.error is not None
    assert "sandbox" in outcome.error.message
    assert "cy@example.com" in outcome.reason


def test_configuration_set_tags_and_id(ses_fake: SesFake) -> None:
    settings = ses_fake.settings(
        configuration_set="main", tags=(("tenant", "acme"), ("campaign", "Élan & co"))
    )
    with SesTransport(settings) as transport:
        outcome = transport.send(to("a"), CONTENT)
    [accepted] = ses_fake.accepted
    assert accepted.configuration_set == "main"
    assert accepted.tags == {"tenant": "acme", "campaign": "-lan---co"}
    assert outcome.provider_id == accepted.message_id
    assert str(outcome.reply) == f"250 Ok {accepted.message_id}"


def test_more_than_fifty_recipients_go_in_several_requests(ses_fake: SesFake) -> None:
    names = [f"n{number}" for number in range(120)]
    begun: list[None] = []
    with SesTransport(ses_fake.settings()) as transport:
        [(_, outcome)] = transport.send_many(
            [Job(None, to(*names), CONTENT)], before_data=begun.append
        )
    assert outcome.result is Result.SENT
    assert outcome.accepted == to(*names).recipients
    assert [len(message.envelope.recipients) for message in ses_fake.messages] == [50, 50, 20]
    assert begun == [None]
    assert outcome.provider_id.split() == [each.message_id for each in ses_fake.accepted]


@pytest.mark.parametrize(
    ("second", "third", "result", "refused"),
    [
        ("554 No", None, Result.SENT, {"n50": True}),
        ("451 Later", None, Result.SENT, {"n50": False}),
        (None, "554 No", Result.SENT, {"n119": True}),
        (None, Disturbance.ACCEPT_AND_DROP, Result.UNCERTAIN, {}),
    ],
)
def test_a_request_that_fails_among_others_decides_about_its_recipients(
    ses_fake: SesFake,
    second: str | None,
    third: str | Disturbance | None,
    result: Result,
    refused: dict[str, bool],
) -> None:
    names = [f"n{number}" for number in range(120)]
    for answer, name in ((second, "n50"), (third, "n119")):
        if answer is not None:
            ses_fake.script.answer(Step.CONTENT, answer, address=f"{name}@example.com")
    with SesTransport(ses_fake.settings()) as transport:
        outcome = transport.send(to(*names), CONTENT)
    assert outcome.result is result
    for name, permanent in refused.items():
        assert outcome.refused[f"{name}@example.com"].permanent is permanent
        assert f"{name}@example.com" not in outcome.accepted
    assert len(outcome.refused) == sum(50 if name == "n50" else 20 for name in refused)
    assert "n0@example.com" in outcome.accepted


def test_a_server_that_is_not_there_cannot_be_reached() -> None:
    with SesFake() as fake:
        settings = fake.settings()
    with pytest.raises(ConnectionFailed):
        SesTransport(settings).send(to("a"), CONTENT)


def test_a_server_that_goes_in_mid_run_defers_the_rest() -> None:
    fake = SesFake()
    with fake:
        run = SesTransport(fake.settings()).send_many(jobs("abc"))
        assert next(run)[1].result is Result.SENT
    rest = [outcome for _, outcome in run]
    assert [outcome.result for outcome in rest] == [Result.DEFERRED, Result.DEFERRED]
    assert len(fake.messages) == 1


@contextmanager
def closing_server(read: int) -> Iterator[tuple[str, Callable[[], int]]]:
    """Closes each connection when it has read so many octets; how many there were."""
    count = 0

    def serve(listener: socket.socket) -> None:
        nonlocal count
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            count += 1
            with connection:
                left = read
                while left > 0 and (piece := connection.recv(min(left, 4096))):
                    left -= len(piece)
                # With octets unread, the client is told at once and not after its last one.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{port}", lambda: count
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


def test_a_connection_lost_before_the_last_octet_is_no_doubt(ses_fake: SesFake) -> None:
    large = CONTENT + b"x" * 70 + b"\r\n" * 4_000_000
    with closing_server(read=100_000) as (url, connections):
        settings = ses_fake.settings(endpoint=url)
        outcome = SesTransport(settings).send(to("a"), large)
        assert outcome.result is Result.DEFERRED
        assert isinstance(outcome.error, ConnectionFailed)
        assert connections() == 2


def test_a_message_with_eight_bits_is_encoded(ses_fake: SesFake) -> None:
    content = (
        "From: shop@example.org\nSubject: x\nMIME-Version: 1.0\n"
        'Content-Type: text/plain; charset="utf-8"\nContent-Transfer-Encoding: 8bit\n\nGrüße\n'
    ).encode()
    with SesTransport(ses_fake.settings()) as transport:
        transport.send(to("a"), content)
    [message] = ses_fake.messages
    assert message.content.isascii()
    parsed = message_from_bytes(message.content, policy=policy.default)
    assert parsed.get_content().strip() == "Grüße"


@pytest.mark.parametrize(
    ("envelope", "size", "words"),
    [
        (Envelope("shop@example.org", ("jörg@example.com",)), 10, "ASCII"),
        (to("a"), 2000, "larger"),
    ],
)
def test_what_ses_cannot_take_is_refused_here(
    ses_fake: SesFake, envelope: Envelope, size: int, words: str
) -> None:
    with SesTransport(ses_fake.settings(size_limit=1000)) as transport:
        outcome = transport.send(envelope, b"x" * size)
    assert outcome.result is Result.FAILED
    assert isinstance(outcome.error, InvalidMessage)
    assert words in outcome.error.message
    assert ses_fake.requests == []


def test_domains_beyond_ascii_go_as_a_labels(ses_fake: SesFake) -> None:
    with SesTransport(ses_fake.settings()) as transport:
        outcome = transport.send(Envelope("a@bücher.example", ("b@grüße.example",)), CONTENT)
    assert outcome.accepted == ("b@grüße.example",)
    [message] = ses_fake.messages
    assert message.envelope == Envelope("a@xn--bcher-kva.example", ("b@xn--gre-6ka8l.example",))


def test_headers_that_steer_ses_are_no_users_to_set() -> None:
    with pytest.raises(InvalidMessage):
        check_header_name("X-SES-CONFIGURATION-SET")


def test_many_threads_share_one_client_and_its_connections(ses_fake: SesFake) -> None:
    ses_fake.latency = 0.01

    def send(number: int) -> Result:
        with SesTransport(ses_fake.settings()) as transport:
            return transport.send(to(f"n{number}"), CONTENT).result

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(send, range(64))) == {Result.SENT}
    assert len(ses_fake.messages) == 64
    assert ses_fake.connections <= 8
    service = ses_fake.settings().service
    assert aws_client(service) is aws_client(service)
