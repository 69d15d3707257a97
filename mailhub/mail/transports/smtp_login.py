"""Logging in to an SMTP server (RFC 4954) with a password or a bearer token.

Written here because smtplib encodes credentials as ASCII; here they are UTF-8 (RFC 4616).
What a server says about a login is kept, with the credentials blotted out in case it
repeats them.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from mailhub.mail.errors import LoginDeferred, LoginFailed, Reply
from mailhub.mail.server import Login, OAuth2Login, PasswordLogin, ServerSettings

Ask = Callable[[str], Reply]

# RFC 4954 section 4: the server has taken the login, or had already.
_LOGGED_IN = {235, 503}
# The server does not know the mechanism after all, or not in this form.
_TRY_ANOTHER = {500, 501, 502, 504}
_MOST_CHALLENGES = 5


@dataclass(frozen=True, slots=True)
class _Exchange:
    mechanism: str
    initial: bytes | None = field(repr=False)
    responses: tuple[bytes, ...] = field(repr=False, default=())


def log_in(ask: Ask, offered: Iterable[str], settings: ServerSettings) -> None:
    """Log in with the first way that both sides know.

    `ask` sends one command line and gives its reply; `offered` are the mechanisms from
    EHLO. Raises LoginFailed or LoginDeferred, and what an OAuth2Login's token raises.
    """
    login = settings.login
    if login is None:
        return
    known = {each.upper() for each in offered}
    exchanges = [each for each in _exchanges(login, settings) if each.mechanism in known]
    if not exchanges:
        raise LoginFailed(f"{settings.address} offers no way to log in that we know.")
    for exchange in exchanges:
        reply = _without_secrets(_perform(ask, exchange), exchange)
        if reply.code in _LOGGED_IN:
            return
        if reply.code not in _TRY_ANOTHER:
            break
    if reply.permanent:
        raise LoginFailed(f"{settings.address} refused the login.", reply)
    raise LoginDeferred(f"{settings.address} refused the login for now.", reply)


def _exchanges(login: Login, settings: ServerSettings) -> list[_Exchange]:
    if isinstance(login, PasswordLogin):
        username, password = login.username.encode(), login.password.encode()
        if b"\0" in username + password:
            raise LoginFailed("The user name or the password holds a NUL character.")
        return [
            _Exchange("PLAIN", b"\0" + username + b"\0" + password),
            _Exchange("LOGIN", None, (username, password)),
        ]
    return _bearer_exchanges(login, settings)


def _bearer_exchanges(login: OAuth2Login, settings: ServerSettings) -> list[_Exchange]:
    token = login.access_token()
    if "\x01" in login.username + token:
        raise LoginFailed("The user name or the token holds a control character.")
    # RFC 5801 section 4: "," and "=" are escaped in the GS2 header.
    escaped = login.username.replace("=", "=3D").replace(",", "=2C")
    bearer = (
        f"n,a={escaped},\x01host={settings.host}\x01port={settings.port}\x01"
        f"auth=Bearer {token}\x01\x01"
    )
    google = f"user={login.username}\x01auth=Bearer {token}\x01\x01"
    # A refusal comes as a challenge, to be answered by nothing or by one octet
    # (RFC 7628 section 3.2.3), before the reply with the code.
    return [
        _Exchange("OAUTHBEARER", bearer.encode(), (b"\x01",)),
        _Exchange("XOAUTH2", google.encode(), (b"",)),
    ]


def _perform(ask: Ask, exchange: _Exchange) -> Reply:
    command = f"AUTH {exchange.mechanism}"
    if exchange.initial is not None:
        command += f" {_encode(exchange.initial)}"
    reply = ask(command)
    responses = list(exchange.responses)
    for _ in range(_MOST_CHALLENGES):
        if reply.code != 334:
            return reply
        # "*" cancels what we have no response to.
        reply = ask(_encode(responses.pop(0)) if responses else "*")
    return reply


def _encode(octets: bytes) -> str:
    return b64encode(octets).decode("ascii")


def _without_secrets(reply: Reply, exchange: _Exchange) -> Reply:
    text = reply.text
    for octets in filter(None, (exchange.initial, *exchange.responses)):
        pieces = [octets, *octets.replace(b"\x01", b"\0").split(b"\0")]
        for piece in sorted(pieces, key=len, reverse=True):
            for secret in (_encode(piece), piece.decode("utf-8", "replace")):
                if len(secret) > 3:
                    text = text.replace(secret, "…")
    return Reply(reply.code, text, reply.enhanced)
