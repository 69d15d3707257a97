"""What every transport promises: the twin in memory, real SMTP, and SES where it can be alike."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailhub.mail.errors import MailError
from mailhub.mail.transports.base import Envelope, Job, Outcome, Result, Transport
from mailhub.mail.transports.in_memory import (
    Disturbance,
    InMemoryServer,
    InMemoryTransport,
    ReceivedMessage,
    Step,
)
from mailhub.mail.transports.ses import SesTransport
from mailhub.mail.transports.smtp import SmtpTransport
from tests.servers.ses import SesFake
from tests.servers.smtp import SmtpReceiver

CONTENT = b"Subject: x\r\n\r\nhello\r\n.\r\n..two\r\n"
# Seconds that a server may hang; an honest one on a busy machine answers within them.
SHORT = 1.0


@dataclass
class Pair:
    """A server, and a way to make transports to it."""

    server: SmtpReceiver | InMemoryServer | SesFake
    connect: Callable[[], Transport]

    def transport(self) -> Transport:
        return self.connect()

    def recipients(self) -> list[str]:
        """Who was taken, message by message."""
        return [",".join(message.envelope.recipients) for message in self.server.messages]


CONVERSING = ["memory", "pipelined", "one by one"]
# For what needs no conversation before the content.
and_ses = pytest.mark.parametrize("pair", [*CONVERSING, "ses"], indirect=True)


@pytest.fixture(params=CONVERSING)
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    with ExitStack() as stack:
        if request.param == "memory":
            twin = InMemoryServer()
            yield Pair(twin, lambda: InMemoryTransport(twin))
            return
        if request.param == "ses":
            ses = stack.enter_context(SesFake())
            yield Pair(ses, lambda: SesTransport(ses.settings(timeout=SHORT)))
            return
        pipelining = request.param == "pipelined"
        receiver = stack.enter_context(SmtpReceiver(pipelining=pipelining))

        def connect() -> Transport:
            return SmtpTransport(receiver.settings(timeout=SHORT), verdict_timeout=SHORT)

        yield Pair(receiver, connect)


def to(*names: str) -> Envelope:
    return Envelope("sender@example.org", tuple(f"{name}@example.com" for name in names))


def jobs(names: str) -> list[Job[str]]:
    return [Job(name, to(name), CONTENT) for name in names]


def send(pair: Pair, *names: str) -> Outcome:
    with pair.transport() as transport:
        return transport.send(to(*names), CONTENT)


def send_many(pair: Pair, names: str) -> dict[str, Outcome]:
    with pair.transport() as transport:
        return dict(transport.send_many(jobs(names)))


def results(outcomes: dict[str, Outcome]) -> dict[str, str]:
    return {key: outcome.result.value for key, outcome in outcomes.items()}


@and_ses
def test_a_message_arrives_as_it_was(pair: Pair) -> None:
    outcome = send(pair, "a", "b")
    assert outcome.result is Result.SENT
    assert outcome.accepted == ("a@example.com", "b@example.com")
    assert outcome.reply is not None
    assert outcome.reply.code == 250
    assert pair.server.messages == [ReceivedMessage(to("a", "b"), CONTENT)]


@and_ses
def test_a_run_goes_over_one_connection_in_order(pair: Pair) -> None:
    outcomes = send_many(pair, "abcdefgh")
    assert set(results(outcomes).values()) == {"sent"}
    assert list(outcomes) == list("abcdefgh")
    assert pair.recipients() == [f"{name}@example.com" for name in "abcdefgh"]
    assert pair.server.connections == 1


@and_ses
def test_an_empty_run_sends_nothing(pair: Pair) -> None:
    assert send_many(pair, "") == {}


@pytest.mark.parametrize(
    ("reply", "result"),
    [
        ("550 5.1.1 No such user", "failed"),
        ("553 5.1.3 Bad address", "failed"),
        ("554 5.7.1 Policy", "failed"),
        ("500 What", "failed"),
        ("552 5.3.4 Too big", "failed"),
        ("552 Mailbox full", "deferred"),
        ("552 5.2.2 Mailbox full", "deferred"),
        ("503 Bad sequence", "deferred"),
        ("450 4.2.0 Greylisted", "deferred"),
        ("451 4.3.0 Try later", "deferred"),
        ("452 4.2.2 Full", "deferred"),
        ("454 Maximum sending rate", "deferred"),
    ],
)
@pytest.mark.parametrize("step", [Step.MAIL, Step.RCPT, Step.DATA, Step.CONTENT])
def test_a_reply_decides_and_the_next_message_goes_on(
    pair: Pair, step: Step, reply: str, result: str
) -> None:
    pair.server.script.answer(step, reply, after=1, times=1)
    outcomes = send_many(pair, "abc")
    assert results(outcomes) == {"a": "sent", "b": result, "c": "sent"}
    assert outcomes["b"].reply is not None
    assert outcomes["b"].reply.code == int(reply[:3])
    assert outcomes["b"].error is not None
    assert outcomes["b"].error.permanent is (result == "failed")
    assert pair.recipients() == ["a@example.com", "c@example.com"]
    assert pair.server.connections == 1


def test_sent_to_some_is_sent_and_says_who_was_refused(pair: Pair) -> None:
    pair.server.script.answer(Step.RCPT, "550 5.1.1 No such user", address="b@example.com")
    pair.server.script.answer(Step.RCPT, "450 4.2.0 Later", address="c@example.com")
    outcome = send(pair, "a", "b", "c")
    assert outcome.result is Result.SENT
    assert outcome.accepted == ("a@example.com",)
    assert {key: str(reply) for key, reply in outcome.refused.items()} == {
        "b@example.com": "550 5.1.1 No such user",
        "c@example.com": "450 4.2.0 Later",
    }
    assert pair.recipients() == ["a@example.com"]


def test_all_refused_is_failed_only_if_none_may_be_taken_later(pair: Pair) -> None:
    pair.server.script.answer(Step.RCPT, "550 5.1.1 No such user", address="b@example.com")
    assert send(pair, "b").result is Result.FAILED
    pair.server.script.answer(Step.RCPT, "450 4.2.0 Later", address="c@example.com")
    outcome = send(pair, "b", "c")
    assert outcome.result is Result.DEFERRED
    assert set(outcome.refused) == {"b@example.com", "c@example.com"}
    assert outcome.reply is not None
    assert outcome.reply.code == 450


@and_ses
@pytest.mark.parametrize(
    "disturbance", [Disturbance.DROP, Disturbance.HANG, Disturbance.ACCEPT_AND_DROP]
)
def test_no_answer_after_the_final_dot_is_uncertain_and_never_repeated(
    pair: Pair, disturbance: Disturbance
) -> None:
    pair.server.script.answer(Step.CONTENT, disturbance, address="b@example.com")
    begun: list[str] = []
    with pair.transport() as transport:
        outcomes = dict(transport.send_many(jobs("abc"), before_data=begun.append))
    assert results(outcomes) == {"a": "sent", "b": "uncertain", "c": "sent"}
    assert begun == ["a", "b", "c"]
    accepted = ["b@example.com"] if disturbance is Disturbance.ACCEPT_AND_DROP else []
    assert pair.recipients() == ["a@example.com", *accepted, "c@example.com"]
    assert pair.server.connections == 2


@pytest.mark.parametrize("step", [Step.MAIL, Step.RCPT, Step.DATA])
@pytest.mark.parametrize("answer", [Disturbance.DROP, Disturbance.HANG, "421 4.7.0 Enough"])
def test_a_loss_before_the_content_on_a_used_connection_is_made_good(
    pair: Pair, step: Step, answer: str | Disturbance
) -> None:
    pair.server.script.answer(step, answer, after=2, times=1)
    outcomes = send_many(pair, "abcd")
    assert set(results(outcomes).values()) == {"sent"}
    assert pair.recipients() == [f"{name}@example.com" for name in "abcd"]
    assert pair.server.connections == 2


@pytest.mark.parametrize("step", [Step.MAIL, Step.RCPT, Step.DATA])
@pytest.mark.parametrize("answer", [Disturbance.DROP, Disturbance.HANG, "421 4.7.0 Not you"])
def test_a_loss_before_the_content_on_a_new_connection_is_deferred(
    pair: Pair, step: Step, answer: str | Disturbance
) -> None:
    pair.server.script.answer(step, answer, times=1)
    # Not opened beforehand: a connection that lay idle counts as used.
    transport = pair.transport()
    outcomes = dict(transport.send_many(jobs("ab")))
    transport.close()
    assert results(outcomes) == {"a": "deferred", "b": "sent"}
    assert pair.recipients() == ["b@example.com"]
    if not isinstance(answer, Disturbance):
        assert outcomes["a"].reason == answer


def test_a_421_to_the_content_is_an_answer_and_closes_the_connection(pair: Pair) -> None:
    pair.server.script.answer(Step.CONTENT, "421 4.3.2 Going down", address="b@example.com")
    outcomes = send_many(pair, "abc")
    assert results(outcomes) == {"a": "sent", "b": "deferred", "c": "sent"}
    assert pair.server.connections == 2


def test_a_server_that_always_closes_is_left_alone_soon(pair: Pair) -> None:
    pair.server.script.answer(Step.MAIL, "421 4.7.0 Go away")
    outcomes = send_many(pair, "abcdefghijklmnopqrstuvwxyz")
    assert set(results(outcomes).values()) == {"deferred"}
    assert len(outcomes) == 26
    assert pair.server.connections <= 6


def test_a_server_that_is_gone_in_mid_run_defers_the_rest(pair: Pair) -> None:
    pair.server.script.answer(Step.CONNECT, "554 Closed", after=1)
    pair.server.script.answer(Step.MAIL, Disturbance.DROP, after=2, times=1)
    outcomes = send_many(pair, "abcde")
    assert results(outcomes) == {
        "a": "sent",
        "b": "sent",
        "c": "deferred",
        "d": "deferred",
        "e": "deferred",
    }
    assert "refus" in outcomes["e"].reason or outcomes["e"].error is not None


def test_a_server_that_cannot_be_reached_raises_before_the_first(pair: Pair) -> None:
    pair.server.script.answer(Step.CONNECT, "554 5.3.2 Closed")
    transport = pair.transport()
    with pytest.raises(MailError):
        transport.open()
    with pytest.raises(MailError):
        transport.send(to("a"), CONTENT)
    with pytest.raises(MailError):
        next(transport.send_many(jobs("ab")))
    transport.close()


@and_ses
def test_an_idle_connection_that_the_server_closed_costs_nothing(pair: Pair) -> None:
    with pair.transport() as transport:
        assert transport.send(to("a"), CONTENT).result is Result.SENT
        pair.server.close_connections()
        assert transport.send(to("b"), CONTENT).result is Result.SENT
        pair.server.close_connections()
        assert set(results(dict(transport.send_many(jobs("cd")))).values()) == {"sent"}
    assert pair.recipients() == [f"{name}@example.com" for name in "abcd"]


def test_before_data_comes_before_the_content_and_one_at_a_time(pair: Pair) -> None:
    pair.server.script.answer(Step.RCPT, "550 5.1.1 No", address="b@example.com")
    events: list[str] = []

    def begin(key: str) -> None:
        assert f"{key}@example.com" not in pair.recipients()
        events.append(f"begin {key}")

    with pair.transport() as transport:
        for key, _ in transport.send_many(jobs("abcd"), before_data=begin):
            events.append(f"end {key}")
    assert events == [
        "begin a", "end a", "end b", "begin c", "end c", "begin d", "end d",
    ]  # fmt: skip


@and_ses
def test_a_run_that_is_stopped_leaves_the_transport_usable(pair: Pair) -> None:
    with pair.transport() as transport:
        run = transport.send_many(jobs("abcd"))
        assert isinstance(run, Generator)
        assert next(run)[0] == "a"
        run.close()
        assert transport.send(to("z"), CONTENT).result is Result.SENT
    assert pair.recipients() == ["a@example.com", "z@example.com"]


@and_ses
def test_an_exception_of_the_callers_stops_the_run_before_the_content(pair: Pair) -> None:
    def refuse(key: str) -> None:
        if key == "b":
            raise LookupError(key)

    with pair.transport() as transport:
        with pytest.raises(LookupError):
            list(transport.send_many(jobs("abc"), before_data=refuse))
        assert transport.send(to("z"), CONTENT).result is Result.SENT
    assert pair.recipients() == ["a@example.com", "z@example.com"]


@and_ses
@pytest.mark.parametrize(
    "envelope",
    [
        Envelope("a@b.c>\r\nDATA", ("b@example.com",)),
        Envelope("a@b.c", ("b@example.com>\r\nRCPT TO:<c@example.com",)),
        Envelope("a@b.c", ("b@example.com\0",)),
        Envelope("a@b.c", ("b",)),
        Envelope("a@b.c", ()),
    ],
)
def test_an_envelope_that_would_inject_commands_is_refused(pair: Pair, envelope: Envelope) -> None:
    with pair.transport() as transport:
        run = [Job("a", to("a"), CONTENT), Job("x", envelope, CONTENT), Job("b", to("b"), CONTENT)]
        outcomes = dict(transport.send_many(run))
    assert results(outcomes) == {"a": "sent", "x": "failed", "b": "sent"}
    assert outcomes["x"].error is not None
    assert outcomes["x"].error.code == "invalid_message"
    assert pair.recipients() == ["a@example.com", "b@example.com"]


@and_ses
def test_the_null_sender_is_allowed(pair: Pair) -> None:
    with pair.transport() as transport:
        assert transport.send(Envelope("", ("a@example.com",)), CONTENT).result is Result.SENT
    assert pair.server.messages[0].envelope.sender == ""


def test_closing_twice_and_opening_again_is_harmless(pair: Pair) -> None:
    transport = pair.transport()
    transport.close()
    transport.open()
    transport.open()
    assert pair.server.connections == 1
    transport.close()
    transport.close()
    assert transport.send(to("a"), CONTENT).result is Result.SENT
    transport.close()
    assert pair.server.connections == 2


ANSWERS = st.none() | st.sampled_from(
    ["450 4.2.0 Later", "550 5.1.1 No", "421 4.7.0 Enough", Disturbance.DROP]
)
VERDICTS = ANSWERS | st.just(Disturbance.ACCEPT_AND_DROP)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(ANSWERS, ANSWERS, VERDICTS), min_size=1, max_size=9))
def test_the_twin_and_the_real_server_agree_on_any_conversation(
    behaviours: list[tuple[str | None, str | None, str | None]],
) -> None:
    def run(pair: Pair) -> tuple[dict[int, str], list[str], list[int]]:
        steps = (Step.MAIL, Step.RCPT, Step.CONTENT)
        for number, answers in enumerate(behaviours):
            addresses = (f"s{number}@example.org", *[f"r{number}@example.com"] * 2)
            for step, answer, address in zip(steps, answers, addresses, strict=True):
                if answer is not None:
                    pair.server.script.answer(step, answer, address=address)
        begun: list[int] = []
        run = [
            Job(number, Envelope(f"s{number}@example.org", (f"r{number}@example.com",)), CONTENT)
            for number in range(len(behaviours))
        ]
        with pair.transport() as transport:
            outcomes = dict(transport.send_many(run, before_data=begun.append))
        return (
            {key: f"{outcome.result} {outcome.reply}" for key, outcome in outcomes.items()},
            pair.recipients(),
            begun,
        )

    twin = InMemoryServer()
    expected = run(Pair(twin, lambda: InMemoryTransport(twin)))
    for pipelining in (True, False):
        with SmtpReceiver(pipelining=pipelining) as receiver:
            where = receiver.settings()
            assert run(Pair(receiver, partial(SmtpTransport, where))) == expected
    # Nothing is taken twice, and nothing that was taken is called failed or deferred.
    outcomes, recipients, begun = expected
    assert len(set(recipients)) == len(recipients)
    assert len(set(begun)) == len(begun)
    for number, result in outcomes.items():
        taken = f"r{number}@example.com" in recipients
        assert taken == result.startswith("sent") or result.startswith("uncertain")
