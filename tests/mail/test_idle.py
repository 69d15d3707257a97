"""Waiting for news over IDLE: a real Dovecot, servers that misbehave, connections that die."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from mailhub.mail.errors import (
    CapabilityMissing,
    CommandRefused,
    ConnectionFailed,
    EncryptionRefused,
    HostNotAllowed,
    LoginDeferred,
    LoginFailed,
    MailError,
    ProtocolViolation,
    ServerTimeout,
)
from mailhub.mail.host_guard import HostGuard
from mailhub.mail.server import Encryption, OAuth2Login, PasswordLogin, ServerSettings
from mailhub.mail.stores.imap import ImapStore
from mailhub.mail.watching.back_off import BackOff
from mailhub.mail.watching.connection import WaitingConnection
from mailhub.mail.watching.opening import Leash, open_inbox
from mailhub.mail.watching.session import EVERYWHERE, LONGEST_LINE, IdleSession, News
from tests.mail.scripted_imap import SILENCE, ScriptedImapServer
from tests.servers.dovecot import DovecotServer, DovecotUser
from tests.servers.oauth2 import TokenServer
from tests.servers.relay import Relay

INBOX = News(frozenset({"INBOX"}))
RAW = b"Subject: Hello\r\n\r\nHi.\r\n"
WITH_IDLE = {
    "CAPABILITY": b"* CAPABILITY IMAP4rev1 IDLE\r\n<tag> OK\r\n",
    "IDLE": b"+ idling\r\n",
    "DONE": b"",
}


def waiting(
    settings: ServerSettings, test: Callable[[WaitingConnection], Any], **clocks: float
) -> Any:
    """Open a connection and run the test with it in an event loop."""
    opened = open_inbox(settings, Leash())

    async def run() -> Any:
        connection = WaitingConnection(opened, **clocks)
        try:
            async with asyncio.timeout(10):
                return await test(connection)
        finally:
            connection.close()

    return asyncio.run(run())


@contextmanager
def scripted(**answers: bytes) -> Iterator[ScriptedImapServer]:
    with ScriptedImapServer(WITH_IDLE | answers) as server:
        yield server


async def first_news(connection: WaitingConnection) -> News:
    return await connection.next_news()


async def its_end(connection: WaitingConnection) -> MailError:
    try:
        while True:
            await connection.next_news()
    except MailError as error:
        return error


@pytest.mark.parametrize("encryption", [Encryption.STARTTLS, Encryption.NONE])
def test_the_other_ways_to_connect(dovecot_user: DovecotUser, encryption: Encryption) -> None:
    async def test(connection: WaitingConnection) -> News:
        dovecot_user.deliver(RAW)
        return await connection.next_news()

    assert waiting(dovecot_user.settings(encryption), test) == INBOX


def test_dovecot_tells_of_what_happens_in_the_inbox(dovecot_user: DovecotUser) -> None:
    async def test(connection: WaitingConnection) -> None:
        dovecot_user.deliver(RAW)
        assert await connection.next_news() == INBOX
        await asyncio.to_thread(change, lambda store: store.store_flags([1], add=["\\Seen"]))
        assert await connection.next_news() == INBOX
        await asyncio.to_thread(change, lambda store: store.expunge([1]))
        assert await connection.next_news() == INBOX

    def change(act: Callable[[ImapStore], object]) -> None:
        with ImapStore(dovecot_user.settings()) as other:
            other.select("INBOX", read_only=False)
            act(other)

    waiting(dovecot_user.settings(), test)


def test_dovecot_tells_of_other_folders_by_notify(dovecot_user: DovecotUser) -> None:
    with ImapStore(dovecot_user.settings()) as other:
        other.create_folder("Wörk")

    async def test(connection: WaitingConnection) -> None:
        for folder in ("Wörk", "Sent"):
            await asyncio.to_thread(append, folder)
            news = await connection.next_news()
            while folder not in news.folders:
                news = await connection.next_news()

    def append(folder: str) -> None:
        with ImapStore(dovecot_user.settings()) as other:
            other.append(folder, RAW)

    waiting(dovecot_user.settings(), test)


def test_a_server_without_notify_is_heard_of_its_inbox(plain_dovecot_user: DovecotUser) -> None:
    opened = open_inbox(plain_dovecot_user.settings(), Leash())
    opened.close()
    assert not opened.hears_all

    async def test(connection: WaitingConnection) -> News:
        plain_dovecot_user.deliver(RAW)
        return await connection.next_news()

    assert waiting(plain_dovecot_user.settings(), test) == INBOX


def test_renewal_loses_nothing(dovecot_user: DovecotUser) -> None:
    with Relay(dovecot_user.server.port) as relay:
        settings = replace(dovecot_user.settings(Encryption.NONE), port=relay.port)

        async def test(connection: WaitingConnection) -> None:
            for _ in range(3):
                before = relay.sent.count(b"DONE")
                while relay.sent.count(b"DONE") == before:
                    await asyncio.sleep(0.01)
                dovecot_user.deliver(RAW)
                assert await connection.next_news() == INBOX

        waiting(settings, test, renew_after=0.05)


def test_a_token_logs_in(oauth2_dovecot: DovecotServer, token_server: TokenServer) -> None:
    user = oauth2_dovecot.add_user("token-idle@example.org")
    login = OAuth2Login(user.name, lambda: token_server.grant(user.name).access_token)
    opened = open_inbox(user.settings(login=login), Leash())
    opened.close()
    assert opened.inbox.path == "INBOX"


def test_what_keeps_us_out_is_told_apart(dovecot_user: DovecotUser) -> None:
    for changes, expected in (
        ({"login": PasswordLogin(dovecot_user.name, "wrong-secret")}, LoginFailed),
        ({"ca_file": None}, EncryptionRefused),
        ({"guard": HostGuard()}, HostNotAllowed),
        ({"port": 1}, ConnectionFailed),
    ):
        with pytest.raises(expected) as refused:
            open_inbox(dovecot_user.settings(**changes), Leash())
        assert "wrong-secret" not in repr(refused.value) + str(refused.value)


def test_nothing_shows_a_secret(dovecot_user: DovecotUser) -> None:
    opened = open_inbox(dovecot_user.settings(), Leash())
    opened.close()
    assert dovecot_user.password not in repr(opened)


def test_a_server_without_idle_is_named() -> None:
    with ScriptedImapServer() as server, pytest.raises(CapabilityMissing, match="by itself"):
        open_inbox(server.settings(), Leash())


def test_too_many_connections_are_no_refusal_for_good() -> None:
    refusal = b"<tag> NO [LIMIT] Too many simultaneous connections.\r\n"
    with scripted(LOGIN=refusal) as server, pytest.raises(LoginDeferred):
        open_inbox(server.settings(), Leash())
    bye = b"* BYE too many connections\r\n<close>"
    with ScriptedImapServer(greeting=bye) as server, pytest.raises(LoginDeferred):
        open_inbox(server.settings(), Leash())


def test_a_goodbye_in_idle_says_whether_to_come_back() -> None:
    for words, kind in (
        (b"* BYE Too many connections from your address\r\n", LoginDeferred),
        (b"* BYE Server shutting down\r\n", ConnectionFailed),
    ):
        with scripted(IDLE=b"+ idling\r\n" + words) as server:
            assert type(waiting(server.settings(), its_end)) is kind


def test_news_before_a_goodbye_are_heard() -> None:
    said = b"+ idling\r\n* 4 EXISTS\r\n* BYE gone\r\n<close>"
    with scripted(IDLE=said) as server:
        assert waiting(server.settings(), first_news) == INBOX


def test_what_is_said_at_once_with_the_answer_before_is_heard() -> None:
    examined = b"* 3 EXISTS\r\n* OK [UIDVALIDITY 7]\r\n<tag> OK\r\n* 4 EXISTS\r\n"
    with scripted(EXAMINE=examined) as server:
        assert waiting(server.settings(), first_news) == INBOX


def test_a_server_that_hangs_up_is_noticed() -> None:
    with scripted(IDLE=b"+ idling\r\n<close>") as server:
        assert isinstance(waiting(server.settings(), its_end), ConnectionFailed)


def test_a_refused_idle_is_an_end() -> None:
    with scripted(IDLE=b"<tag> NO not today\r\n") as server:
        error = waiting(server.settings(), its_end)
    assert isinstance(error, CommandRefused)
    assert "not today" in error.message


def test_a_refused_notify_leaves_the_inbox() -> None:
    capability = b"* CAPABILITY IMAP4rev1 IDLE NOTIFY\r\n<tag> OK\r\n"
    with scripted(CAPABILITY=capability, NOTIFY=b"<tag> NO [BADEVENT (FlagChange)] no\r\n") as it:
        opened = open_inbox(it.settings(), Leash())
        opened.close()
    assert not opened.hears_all


@pytest.mark.parametrize(
    "answers",
    [{"IDLE": b""}, {"DONE": b""}],
    ids=["to IDLE", "to DONE"],
)
def test_silence_where_an_answer_is_due_is_an_end(answers: dict[str, bytes]) -> None:
    with scripted(**answers) as server:
        error = waiting(server.settings(), its_end, renew_after=0.05, answer_within=0.1)
    assert isinstance(error, ServerTimeout)


def test_a_connection_that_a_router_dropped_is_noticed(dovecot_user: DovecotUser) -> None:
    with Relay(dovecot_user.server.port) as relay:
        settings = replace(dovecot_user.settings(Encryption.NONE), port=relay.port)

        async def test(connection: WaitingConnection) -> MailError:
            while b"DONE" not in relay.sent:
                await asyncio.sleep(0.01)
            relay.fall_silent()
            return await its_end(connection)

        error = waiting(settings, test, renew_after=0.1, answer_within=1.0)
    assert isinstance(error, ServerTimeout)


@pytest.mark.parametrize(
    "said",
    [
        b"* " + b"x" * 200_000,
        b"* STATUS {999999999}\r\n",
        b"".join(b"* STATUS {60000}\r\n" + b"x" * 60_000 for _ in range(2)),
        (b"* OK " + b"x" * 60_000 + b"\r\n") * 600,
        b"Z9 OK what?\r\n",
    ],
    ids=["a line without an end", "a huge literal", "many literals", "endless talk", "nonsense"],
)
def test_a_hostile_server_is_left(said: bytes) -> None:
    with scripted(IDLE=b"+ idling\r\n" + said) as server:
        error = waiting(server.settings(), its_end)
    assert isinstance(error, ProtocolViolation)


def test_an_opening_that_takes_for_ever_can_be_cut_short() -> None:
    for greeting in (SILENCE, b"* OK ready\r\n" + b"* OK and on\r\n"):
        with ScriptedImapServer({"CAPABILITY": SILENCE}, greeting=greeting) as server:
            leash, ended = Leash(), threading.Event()

            def open_it(server: ScriptedImapServer = server, leash: Leash = leash) -> None:
                with pytest.raises(MailError):
                    open_inbox(server.settings(timeout=20), leash)
                ended.set()  # noqa: B023 - joined below

            thread = threading.Thread(target=open_it)
            thread.start()
            leash.cut()
            thread.join(20)
            assert ended.is_set()


def session(exists: int = 3) -> IdleSession:
    with ScriptedImapServer() as server:
        return IdleSession(server.settings(), exists)


def heard(*pieces: bytes) -> News | None:
    told = session()
    for piece in pieces:
        told.receive(piece)
    return told.take_news()


@pytest.mark.parametrize(
    ("said", "news"),
    [
        (b"* 4 EXISTS\r\n", INBOX),
        (b"* 3 EXISTS\r\n* 0 RECENT\r\n", None),
        (b"* 2 EXPUNGE\r\n", INBOX),
        (b"* 2 EXPUNGE\r\n* 3 EXISTS\r\n", INBOX),
        (b"* 2 FETCH (FLAGS (\\Seen) UID 7)\r\n", INBOX),
        (b"* VANISHED 7:9\r\n", INBOX),
        (b'* OK Still here\r\n* LIST () "/" x\r\n\r\n*\r\n* \r\n* NO sorry\r\n', None),
        (b"* STATUS Sent (MESSAGES 1)\r\n", News(frozenset({"Sent"}))),
        (b'* status "a b" (MESSAGES 1)\r\n', News(frozenset({"a b"}))),
        (b"* STATUS {5}\r\nW\xc3\xb6rk (UIDNEXT 3)\r\n", News(frozenset({"Wörk"}))),
        (b"* STATUS W&APY-rk (UIDNEXT 3)\n", News(frozenset({"Wörk"}))),
        (b"* STATUS\r\n* STATUS ()\r\n* 99999999999999 EXISTS\r\n", None),
    ],
)
def test_lines_are_understood(said: bytes, news: News | None) -> None:
    assert heard(b"+ idling\r\n", said) == news
    pieces = [said[position : position + 1] for position in range(len(said))]
    assert heard(b"+ idling\r\n", *pieces) == news


@pytest.mark.parametrize(
    "gone", [b"* VANISHED 5\r\n", b"* VANISHED 300:301,405\r\n* 1 EXPUNGE\r\n"]
)
def test_an_arrival_that_makes_up_for_what_vanished_is_news(gone: bytes) -> None:
    told = session(exists=10)
    told.receive(b"+ idling\r\n" + gone)
    assert told.take_news() == INBOX
    told.receive(b"* 10 EXISTS\r\n")
    assert told.take_news() == INBOX
    told.receive(b"* 10 EXISTS\r\n")
    assert told.take_news() is None, "a number that is repeated is none"


def test_more_folders_than_can_be_remembered_are_all() -> None:
    lines = b"".join(b"* STATUS folder%d (MESSAGES 1)\r\n" % number for number in range(200))
    assert heard(lines) == EVERYWHERE


def test_a_server_that_has_too_much_to_tell_is_asked_anew() -> None:
    told = session()
    with pytest.raises(ConnectionFailed):
        told.receive(b"* OK [NOTIFICATIONOVERFLOW] too much\r\n")
    assert told.take_news() == EVERYWHERE


def test_a_session_goes_through_its_states() -> None:
    told = session()
    assert (told.take_output(), told.owes_an_answer) == (b"W1 IDLE\r\n", True)
    told.receive(b"+ idling\r\n")
    assert not told.owes_an_answer
    told.renew()
    assert (told.take_output(), told.owes_an_answer) == (b"DONE\r\n", True)
    told.receive(b"* 4 EXISTS\r\nW1 OK done\r\n")
    assert told.take_output() == b"W2 IDLE\r\n"
    assert told.take_news() == INBOX
    assert told.take_news() is None


def test_the_longest_line_that_is_taken() -> None:
    assert heard(b"* STATUS " + b"x" * (LONGEST_LINE - 100) + b" ()\r\n") is not None


def test_pauses_grow_to_a_bound_and_are_spread() -> None:
    pauses = [BackOff(1, 60) for _ in range(50)]
    first = [each.next() for each in pauses]
    assert all(0 <= pause <= 1 for pause in first)
    assert len(set(first)) > 25, "spread"
    for _ in range(2000):
        assert pauses[0].next() <= 60
    assert max(each.next() for each in pauses[1:] for _ in range(9)) > 30
    pauses[0].reset()
    assert pauses[0].next() <= 1
