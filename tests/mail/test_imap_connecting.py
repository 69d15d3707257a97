"""IMAP servers that cannot be reached or let nobody in: what is said, and what is never sent."""

from __future__ import annotations

import errno
import socket
from dataclasses import replace
from typing import Any

import pytest

from mailhub.mail.errors import (
    ConnectionFailed,
    EncryptionRefused,
    HostNotAllowed,
    HostNotFound,
    LoginDeferred,
    LoginFailed,
    MailError,
    ProtocolViolation,
    ServerTimeout,
    connection_failed,
)
from mailhub.mail.host_guard import HostGuard
from mailhub.mail.server import Encryption, OAuth2Login, PasswordLogin, Protocol, ServerSettings
from mailhub.mail.stores.imap import ImapStore
from tests.mail.scripted_imap import CLOSE, SILENCE, ScriptedImapServer


def _refusal(server: ScriptedImapServer, **changes: Any) -> MailError:
    with server, pytest.raises(MailError) as caught:
        ImapStore(server.settings(**changes)).open()
    assert "top-secret" not in repr(caught.value) + str(caught.value.__cause__)
    return caught.value


def test_a_server_that_never_greets() -> None:
    assert isinstance(_refusal(ScriptedImapServer(greeting=SILENCE), timeout=0.3), ServerTimeout)


def test_a_port_where_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        settings = ServerSettings(
            Protocol.IMAP,
            "127.0.0.1",
            taken.getsockname()[1],
            Encryption.NONE,
            guard=HostGuard.allowing(["127.0.0.0/8"]),
        )
        with pytest.raises(ConnectionFailed):
            ImapStore(settings).open()


def test_private_addresses_and_unknown_names_are_refused_before_a_connection() -> None:
    with ScriptedImapServer() as server:
        settings = ServerSettings(Protocol.IMAP, "localhost", server.port, Encryption.NONE)
        with pytest.raises(HostNotAllowed):
            ImapStore(settings).open()
        assert server.received == []
    with pytest.raises(HostNotFound):
        ImapStore(ServerSettings(Protocol.IMAP, "no.such.invalid", 993, Encryption.TLS)).open()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"<tag> NO [AUTHENTICATIONFAILED] Invalid credentials\r\n", LoginFailed),
        (b"<tag> NO Login failed, please try again\r\n", LoginFailed),
        (b"<tag> NO [EXPIRED] password is too old, try again later\r\n", LoginFailed),
        (b"<tag> BAD what?\r\n", LoginFailed),
        (b"<tag> NO [UNAVAILABLE] Temporary authentication failure\r\n", LoginDeferred),
        (b"<tag> NO [INUSE] mailbox is locked\r\n", LoginDeferred),
        (b"<tag> NO [LIMIT] slow down\r\n", LoginDeferred),
        (b"<tag> NO [ALERT] Too many simultaneous connections. (Failure)\r\n", LoginDeferred),
        (b"* BYE Too many connections from your IP\r\n" + CLOSE, LoginDeferred),
        (b"* BYE Disconnected for inactivity\r\n" + CLOSE, ConnectionFailed),
        (b"<tag> NO [PRIVACYREQUIRED] Plaintext is not allowed\r\n", EncryptionRefused),
        (b'<tag> NO wrong: LOGIN "ada" "top-secret"\r\n', LoginFailed),
        (CLOSE, ConnectionFailed),
    ],
)
def test_a_refused_login_says_whether_to_try_again(answer: bytes, error: type[MailError]) -> None:
    assert type(_refusal(ScriptedImapServer({"LOGIN": answer}))) is error


@pytest.mark.parametrize(
    ("greeting", "error"),
    [
        (b"* BYE Maximum number of connections reached\r\n", LoginDeferred),
        (b"* BYE Go away\r\n", ConnectionFailed),
        (b"220 smtp.example.org ESMTP\r\n", ProtocolViolation),
        (CLOSE, ConnectionFailed),
    ],
)
def test_an_unfriendly_greeting(greeting: bytes, error: type[MailError]) -> None:
    assert type(_refusal(ScriptedImapServer(greeting=greeting))) is error


def test_starttls_is_required_where_it_is_asked_for() -> None:
    without = ScriptedImapServer()
    assert isinstance(_refusal(without, encryption=Encryption.STARTTLS), EncryptionRefused)
    refused = ScriptedImapServer(
        {
            "CAPABILITY": b"* CAPABILITY IMAP4rev1 STARTTLS\r\n<tag> OK\r\n",
            "STARTTLS": b"<tag> NO not today\r\n",
        }
    )
    assert isinstance(_refusal(refused, encryption=Encryption.STARTTLS), EncryptionRefused)
    skipped = ScriptedImapServer(greeting=b"* PREAUTH you are in already\r\n")
    assert isinstance(_refusal(skipped, encryption=Encryption.STARTTLS), EncryptionRefused)
    for server in (without, refused, skipped):
        assert not [line for line in server.received if b"top-secret" in line]


def test_tls_with_a_server_that_speaks_none() -> None:
    assert isinstance(_refusal(ScriptedImapServer(), encryption=Encryption.TLS), ConnectionFailed)


def test_what_goes_wrong_on_the_way_is_told_in_plain_words() -> None:
    with ScriptedImapServer() as server, pytest.raises(ConnectionFailed) as refused:
        ImapStore(replace(server.settings(), port=1)).open()
    assert refused.value.message.endswith(" refused the connection.")
    no_tls = _refusal(ScriptedImapServer(), encryption=Encryption.TLS)
    assert no_tls.message.startswith("No encryption with ")
    hung_up = _refusal(ScriptedImapServer({"LOGIN": CLOSE}))
    assert hung_up.message.endswith(" closed the connection.")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), "refused the conn"),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), "closed the conn"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), "closed the connection"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "no way to imap.example.org"),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), "no way to imap.example.org"),
        (OSError(errno.EIO, "Input/output error"), "The connection to imap.example.org failed"),
    ],
)
def test_words_of_the_system_are_not_shown(error: OSError, words: str) -> None:
    message = connection_failed(error, "imap.example.org").message
    assert words in message
    assert "Errno" not in message


def test_a_login_is_not_sent_where_the_server_forbids_it() -> None:
    server = ScriptedImapServer(
        {"CAPABILITY": b"* CAPABILITY IMAP4rev1 LOGINDISABLED\r\n<tag> OK\r\n"}
    )
    assert isinstance(_refusal(server), EncryptionRefused)
    assert not [line for line in server.received if b"top-secret" in line]


def test_plain_is_preferred_and_login_taken_where_it_is_not_understood() -> None:
    server = ScriptedImapServer(
        {
            "CAPABILITY": b"* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n<tag> OK\r\n",
            "AUTHENTICATE PLAIN": b"<tag> BAD unknown mechanism\r\n",
        }
    )
    with server, ImapStore(server.settings(login=PasswordLogin("ädä", 'p"\\ß'))):
        pass
    assert 'LOGIN "ädä" "p\\"\\\\ß"'.encode() in server.received


@pytest.mark.parametrize("password", ["a\r\nb LOGOUT", "a\nb", "a\0b"])
def test_a_password_cannot_smuggle_a_command(password: str) -> None:
    with ScriptedImapServer() as server:
        with pytest.raises(LoginFailed):
            ImapStore(server.settings(login=PasswordLogin("ada", password))).open()
        assert not [line for line in server.received if line.startswith(b"LOGIN")]


@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
def test_a_token_that_is_refused(mechanism: str) -> None:
    server = ScriptedImapServer(
        {
            "CAPABILITY": f"* CAPABILITY IMAP4rev1 AUTH={mechanism}\r\n<tag> OK\r\n".encode(),
            f"AUTHENTICATE {mechanism}": b"+ \r\n",
            # What the client sends next carries no tag: the token, then an empty answer.
            "DXNLC": b"+ eyJzdGF0dXMiOiI0MDAifQ==\r\n",
            "BIXHPWFKYS": b"+ eyJzdGF0dXMiOiI0MDAifQ==\r\n",
        }
    )
    server.answers[""] = CLOSE
    with server, pytest.raises(MailError) as caught:
        ImapStore(server.settings(login=OAuth2Login("ada", lambda: "the-token"))).open()
    assert "the-token" not in str(caught.value)
    assert f"AUTHENTICATE {mechanism}".encode() in server.received
