"""Opening an IMAP account: connected and logged in, in as few round trips as its server allows.

Passwords travel as UTF-8 (AUTHENTICATE PLAIN, RFC 4616), with the command itself where the
server takes that (SASL-IR, RFC 4959); LOGIN is for servers that know nothing else.
"""

from __future__ import annotations

import imaplib
import re
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import replace

from mailhub.mail.errors import EncryptionRefused, LoginDeferred, LoginFailed, MailError, Reply
from mailhub.mail.living_token import with_living_token
from mailhub.mail.server import Login, OAuth2Login, PasswordLogin, ServerSettings
from mailhub.mail.stores.folder_names import quote
from mailhub.mail.stores.imap_client import (
    CONTROLS,
    NONSENSE,
    GuardedMailBox,
    explained,
    hang_up,
    lets_in_later,
    refresh_capabilities,
    server_words,
    take_capabilities,
)

_REFUSED = re.compile(r"\[(?:AUTHENTICATIONFAILED|AUTHORIZATIONFAILED|EXPIRED)\]", re.IGNORECASE)
_NEEDS_ENCRYPTION = re.compile(r"\[PRIVACYREQUIRED\]", re.IGNORECASE)


def connect(settings: ServerSettings) -> GuardedMailBox:
    """A connection that is logged in, its capabilities those of after the login.

    Raises HostNotFound, HostNotAllowed, ConnectionFailed, ServerTimeout,
    EncryptionRefused, LoginFailed, LoginDeferred or ProtocolViolation.
    """
    return with_living_token(settings.login, lambda login: _connect(replace(settings, login=login)))


def _connect(settings: ServerSettings) -> GuardedMailBox:
    with explained(settings, "connect"):
        mailbox = GuardedMailBox(settings)
    try:
        if settings.login is not None and mailbox.client.state == "NONAUTH":
            with explained(settings, "log in"):
                _log_in(mailbox, settings.login)
        with explained(settings, "CAPABILITY"):
            if not take_capabilities(mailbox.client):
                refresh_capabilities(mailbox.client)
    except BaseException:
        hang_up(mailbox.client)
        raise
    return mailbox


def _log_in(mailbox: GuardedMailBox, login: Login) -> None:
    settings, client = mailbox._settings, mailbox.client
    try:
        if isinstance(login, OAuth2Login):
            _log_in_by_token(client, login, settings)
        else:
            _log_in_by_password(mailbox, login)
    except imaplib.IMAP4.abort:
        raise
    except imaplib.IMAP4.error as error:
        words = server_words(error, settings)
        if any(word in words for word in NONSENSE):
            raise
        raise _refusal(settings, words) from None


def _refusal(settings: ServerSettings, words: str) -> MailError:
    where, reply = settings.address, Reply(0, words)
    if _NEEDS_ENCRYPTION.search(words):
        return EncryptionRefused(f"{where} wants encryption: {words}", reply)
    if lets_in_later(words) and not _REFUSED.search(words):
        return LoginDeferred(f"{where} lets nobody in for now: {words}", reply)
    return LoginFailed(f"{where} refused the login: {words}", reply)


def _log_in_by_password(mailbox: GuardedMailBox, login: PasswordLogin) -> None:
    if "\0" in login.username + login.password:
        raise LoginFailed("A user name or password must not contain NUL.")
    client = mailbox.client
    if "AUTH=PLAIN" in client.capabilities:
        try:
            secret = f"\0{login.username}\0{login.password}"
            _authenticate(client, "PLAIN", secret.encode(), then=b"")
            return
        except imaplib.IMAP4.abort:
            raise
        except imaplib.IMAP4.error as error:
            # BAD: the mechanism was announced but is not understood. NO is an answer.
            if "command error: BAD" not in str(error):
                raise
    if CONTROLS.search(login.username + login.password):
        raise LoginFailed("This server takes no user name or password with control characters.")
    if "LOGINDISABLED" in client.capabilities:
        raise EncryptionRefused(f"{mailbox._settings.address} wants encryption before a login.")
    name, password = (quote(text.encode()) for text in (login.username, login.password))
    # imaplib's own login() encodes as ASCII and fails on any other letter.
    kind, answer = client._simple_command("LOGIN", name, password)
    if kind != "OK":
        raise client.error(answer[-1].decode("utf-8", "replace"))
    client.state = "AUTH"


def _log_in_by_token(client: imaplib.IMAP4, login: OAuth2Login, settings: ServerSettings) -> None:
    token = login.access_token()
    if CONTROLS.search(login.username + token):
        raise LoginFailed("A user name or token must not contain control characters.")
    if "AUTH=OAUTHBEARER" in client.capabilities and "AUTH=XOAUTH2" not in client.capabilities:
        user = login.username.replace("=", "=3D").replace(",", "=2C")
        host, port = settings.host, settings.port
        first = f"n,a={user},\1host={host}\1port={port}\1auth=Bearer {token}\1\1"
        _authenticate(client, "OAUTHBEARER", first.encode(), then=b"\1")
    else:
        first = f"user={login.username}\1auth=Bearer {token}\1\1"
        _authenticate(client, "XOAUTH2", first.encode(), then=b"")


class _Responses:
    """Answers to a server's challenges; `last` is the answer to all beyond the first ones."""

    def __init__(self, first: Iterable[bytes], last: bytes) -> None:
        self._first, self._last = iter(first), last

    def respond(self, _challenge: bytes) -> bytes:
        """In the form in which they travel. A method, as imaplib knows nothing else by its type."""
        return b64encode(next(self._first, self._last))


def _authenticate(client: imaplib.IMAP4, mechanism: str, first: bytes, *, then: bytes) -> None:
    """SASL with one answer, which goes with the command where the server takes it (RFC 4959).

    A refusal comes as a challenge that wants `then`.
    """
    at_once = "SASL-IR" in client.capabilities
    # What imaplib calls with each challenge (its stub says str).
    client.literal = _Responses([] if at_once else [first], then).respond  # type: ignore[assignment]
    initial = [b64encode(first).decode()] if at_once else []
    kind, answer = client._simple_command("AUTHENTICATE", mechanism, *initial)
    if kind != "OK":
        raise client.error(answer[-1].decode("utf-8", "replace"))
    client.state = "AUTH"
