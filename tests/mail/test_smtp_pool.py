"""Kept-open transports shared by threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event, Lock

import pytest

from mailhub.mail.errors import ConnectionFailed, ServerTimeout
from mailhub.mail.server import Encryption, Protocol, ServerSettings
from mailhub.mail.transports.base import Envelope, Result
from mailhub.mail.transports.connected import ConnectedTransport
from mailhub.mail.transports.in_memory import InMemoryServer, InMemoryTransport
from mailhub.mail.transports.pool import TransportPool
from tests.servers.smtp import SmtpReceiver

CONTENT = b"Subject: x\r\n\r\nhello\r\n"


def to(name: object) -> Envelope:
    return Envelope("ann@example.org", (f"{name}@example.com",))


def test_a_connection_is_used_again(smtp_receiver: SmtpReceiver) -> None:
    with TransportPool(smtp_receiver.settings(), 4) as pool:
        for number in range(10):
            with pool.transport() as transport:
                assert transport.send(to(number), CONTENT).result is Result.SENT
    assert smtp_receiver.connections == 1
    assert smtp_receiver.commands[-1] == "QUIT"


def test_threads_never_share_and_never_exceed_the_size(smtp_receiver: SmtpReceiver) -> None:
    in_use: set[int] = set()
    lock = Lock()
    most = 0

    def work(number: int) -> Result:
        nonlocal most
        with pool.transport() as transport:
            with lock:
                assert id(transport) not in in_use
                in_use.add(id(transport))
                most = max(most, len(in_use))
            outcome = transport.send(to(number), CONTENT)
            with lock:
                in_use.remove(id(transport))
        return outcome.result

    with (
        TransportPool(smtp_receiver.settings(), 3) as pool,
        ThreadPoolExecutor(12) as threads,
    ):
        assert set(threads.map(work, range(60))) == {Result.SENT}
    assert most <= 3
    assert smtp_receiver.connections <= 3
    assert len(smtp_receiver.messages) == 60


def test_a_thread_waits_for_a_place(smtp_receiver: SmtpReceiver) -> None:
    held, done = Event(), Event()

    def hold() -> None:
        with pool.transport():
            held.set()
            done.wait(20)

    with TransportPool(smtp_receiver.settings(), 1) as pool, ThreadPoolExecutor(1) as threads:
        holder = threads.submit(hold)
        held.wait(20)
        with pytest.raises(ServerTimeout), pool.transport(wait=0.01):
            pass
        done.set()
        holder.result(5)
        with pool.transport(wait=5) as transport:
            assert transport.send(to("a"), CONTENT).result is Result.SENT


def test_a_connection_that_was_closed_meanwhile_is_replaced(smtp_receiver: SmtpReceiver) -> None:
    with TransportPool(smtp_receiver.settings(), 2) as pool:
        with pool.transport() as transport:
            transport.send(to("a"), CONTENT)
        smtp_receiver.close_connections()
        with pool.transport() as transport:
            assert transport.is_alive()
            assert transport.send(to("b"), CONTENT).result is Result.SENT
    assert smtp_receiver.connections == 2


def test_after_an_exception_the_connection_is_not_kept(smtp_receiver: SmtpReceiver) -> None:
    with TransportPool(smtp_receiver.settings(), 1) as pool:
        with pytest.raises(LookupError), pool.transport():
            raise LookupError
        with pool.transport(wait=1) as transport:
            assert transport.send(to("a"), CONTENT).result is Result.SENT
    assert smtp_receiver.connections == 2


def test_a_failed_connection_gives_its_place_back(smtp_receiver: SmtpReceiver) -> None:
    with TransportPool(smtp_receiver.settings(), 1) as pool:
        smtp_receiver.stop()
        for _ in range(3):
            with pytest.raises(ConnectionFailed), pool.transport(wait=1):
                pass


def twin_pool(server: InMemoryServer, size: int, idle_seconds: float) -> TransportPool:
    settings = ServerSettings(Protocol.SMTP, "memory", 25, Encryption.NONE)

    def make(_: object) -> ConnectedTransport:
        return InMemoryTransport(server)

    return TransportPool(settings, size, idle_seconds=idle_seconds, make=make)


def test_what_lies_idle_too_long_is_closed() -> None:
    server = InMemoryServer()
    with twin_pool(server, 2, idle_seconds=0) as pool:
        for _ in range(3):
            with pool.transport() as transport:
                transport.send(to("a"), CONTENT)
    assert server.connections == 3


def test_what_comes_back_after_the_end_is_closed() -> None:
    server = InMemoryServer()
    pool = twin_pool(server, 2, idle_seconds=60)
    meeting = Barrier(2)

    def work() -> ConnectedTransport:
        with pool.transport() as transport:
            meeting.wait(20)
            meeting.wait(20)
            assert transport.send(to("a"), CONTENT).result is Result.SENT
        return transport

    with ThreadPoolExecutor(1) as threads:
        working = threads.submit(work)
        meeting.wait(20)
        pool.close()
        meeting.wait(20)
        assert not working.result(5).is_alive()
