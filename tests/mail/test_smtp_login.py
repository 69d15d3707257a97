"""Logging in over SMTP."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mailhub.mail.errors import LoginDeferred, LoginFailed, MailError, ServerTimeout
from mailhub.mail.server import Login, OAuth2Login, PasswordLogin
from mailhub.mail.transports.base import Envelope, Result
from mailhub.mail.transports.in_memory import Disturbance, Step
from mailhub.mail.transports.smtp import SmtpTransport
from tests.servers.smtp import SmtpReceiver

ENVELOPE = Envelope("ann@example.org", ("bob@example.com",))
CONTENT = b"Subject: x\r\n\r\nhello\r\n"
Start = Callable[..., SmtpReceiver]


def sends(receiver: SmtpReceiver, login: Login | None) -> bool:
    with SmtpTransport(receiver.settings(login)) as transport:
        return transport.send(ENVELOPE, CONTENT).result is Result.SENT


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize(
    ("username", "password"),
    [("ann", "secret"), ("jürgen", "pässwörd€😀"), ("a b", " "), ("ann", "x" * 300)],
)
def test_a_password_of_any_letters(
    start_smtp_receiver: Start, mechanism: str, username: str, password: str
) -> None:
    receiver = start_smtp_receiver(users={username: password}, mechanisms=frozenset({mechanism}))
    assert sends(receiver, PasswordLogin(username, password))
    assert f"AUTH {mechanism}" in receiver.commands


@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
def test_a_bearer_token(start_smtp_receiver: Start, mechanism: str) -> None:
    receiver = start_smtp_receiver(
        tokens={"a=n,n@example.org": "t" * 2000}, mechanisms=frozenset({mechanism})
    )
    assert sends(receiver, OAuth2Login("a=n,n@example.org", lambda: "t" * 2000))
    assert f"AUTH {mechanism}" in receiver.commands


@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
def test_a_bearer_token_that_is_refused(start_smtp_receiver: Start, mechanism: str) -> None:
    receiver = start_smtp_receiver(tokens={"ann": "right"}, mechanisms=frozenset({mechanism}))
    with pytest.raises(LoginFailed) as caught:
        sends(receiver, OAuth2Login("ann", lambda: "wrong"))
    assert caught.value.reply is not None
    assert caught.value.reply.code in {501, 535}


def test_a_fresh_token_is_asked_for_at_each_connection(start_smtp_receiver: Start) -> None:
    receiver = start_smtp_receiver(tokens={"ann": "second"})
    tokens = iter(["second", "second", "third"])
    transport = SmtpTransport(receiver.settings(OAuth2Login("ann", lambda: next(tokens))))
    assert transport.send(ENVELOPE, CONTENT).result is Result.SENT
    receiver.close_connections()
    assert transport.send(ENVELOPE, CONTENT).result is Result.SENT
    receiver.close_connections()
    with pytest.raises(LoginFailed):
        transport.send(ENVELOPE, CONTENT)


def test_a_token_that_cannot_be_had_raises_what_its_maker_says(start_smtp_receiver: Start) -> None:
    def refuse() -> str:
        raise LoginFailed("The grant was revoked.")

    receiver = start_smtp_receiver(tokens={"ann": "x"})
    with pytest.raises(LoginFailed, match="revoked"):
        sends(receiver, OAuth2Login("ann", refuse))


def test_a_wrong_password_is_tried_once_and_failed_for_good(start_smtp_receiver: Start) -> None:
    receiver = start_smtp_receiver(users={"ann": "right"})
    with pytest.raises(LoginFailed) as caught:
        sends(receiver, PasswordLogin("ann", "wrong"))
    assert caught.value.permanent
    assert len([each for each in receiver.commands if each.startswith("AUTH")]) == 1


@pytest.mark.parametrize("reply", ["454 4.7.0 Temporary", "421 4.7.0 Too many connections"])
def test_a_refusal_for_now_is_deferred(start_smtp_receiver: Start, reply: str) -> None:
    receiver = start_smtp_receiver(users={"ann": "right"})
    receiver.script.answer(Step.LOGIN, reply)
    with pytest.raises(LoginDeferred) as caught:
        sends(receiver, PasswordLogin("ann", "right"))
    assert not caught.value.permanent


def test_another_way_is_tried_where_the_server_does_not_know_the_first(
    start_smtp_receiver: Start,
) -> None:
    receiver = start_smtp_receiver(users={"ann": "right"})
    receiver.script.answer(Step.LOGIN, "504 5.5.4 Not that one", times=1)
    assert sends(receiver, PasswordLogin("ann", "right"))
    assert receiver.commands[1:3] == ["AUTH PLAIN", "AUTH LOGIN"]


def test_no_way_in_common_is_a_failed_login(
    smtp_receiver: SmtpReceiver, start_smtp_receiver: Start
) -> None:
    with pytest.raises(LoginFailed, match="offers no way"):
        sends(smtp_receiver, PasswordLogin("ann", "right"))
    receiver = start_smtp_receiver(users={"a": "b"}, mechanisms=frozenset({"PLAIN"}))
    with pytest.raises(LoginFailed, match="offers no way"):
        sends(receiver, OAuth2Login("ann", lambda: "x"))


def test_no_login_is_made_where_none_is_given(start_smtp_receiver: Start) -> None:
    receiver = start_smtp_receiver(users={"ann": "right"})
    with SmtpTransport(receiver.settings(None)) as transport:
        outcome = transport.send(ENVELOPE, CONTENT)
    assert (outcome.result, outcome.reason) == (
        Result.FAILED,
        "530 5.7.0 Authentication required",
    )
    assert not any(each.startswith("AUTH") for each in receiver.commands)


@pytest.mark.parametrize(
    "login",
    [
        PasswordLogin("a\0b", "x"),
        PasswordLogin("a", "x\0y"),
        OAuth2Login("a\x01b", lambda: "x"),
        OAuth2Login("a", lambda: "x\x01auth=y"),
    ],
)
def test_a_separator_within_a_credential_is_refused(
    start_smtp_receiver: Start, login: Login
) -> None:
    receiver = start_smtp_receiver(users={"a": "x"})
    with pytest.raises(LoginFailed):
        sends(receiver, login)


def test_a_server_that_asks_without_end_is_left(start_smtp_receiver: Start) -> None:
    receiver = start_smtp_receiver(users={"ann": "right"})
    receiver.script.answer(Step.LOGIN, "334 \r\n334 \r\n334 \r\n334 \r\n334 \r\n334 \r\n334 ")
    with pytest.raises(MailError):
        sends(receiver, PasswordLogin("ann", "right"))


def test_a_server_that_falls_silent_at_the_login(start_smtp_receiver: Start) -> None:
    receiver = start_smtp_receiver(users={"ann": "right"})
    receiver.script.answer(Step.LOGIN, Disturbance.HANG)
    settings = receiver.settings(PasswordLogin("ann", "right"), timeout=0.1)
    with pytest.raises(ServerTimeout):
        SmtpTransport(settings).open()
