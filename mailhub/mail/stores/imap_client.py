"""One IMAP connection: made to a checked address, encrypted, logged in.

imap-tools and imaplib do the talking; this makes them careful. The socket comes from
the settings' host guard (so the address checked is the address connected to), TLS is
verified, literals are bounded, capabilities are asked again after the login, passwords
travel as UTF-8 (AUTHENTICATE PLAIN, RFC 4616), and every failure becomes a `MailError`
that holds no secret.
"""

from __future__ import annotations

import imaplib
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from imap_tools import BaseMailBox

from mailhub.mail.errors import (
    CommandRefused,
    ConnectionFailed,
    EncryptionRefused,
    LoginDeferred,
    LoginFailed,
    MailError,
    ProtocolViolation,
    ServerTimeout,
)
from mailhub.mail.parsing.charsets import clean_text
from mailhub.mail.server import Encryption, Login, OAuth2Login, PasswordLogin, ServerSettings
from mailhub.mail.stores.folder_names import quote

# No mail server takes larger messages; a larger literal is an attack on our memory.
MAXIMUM_LITERAL_OCTETS = 256 * 1024 * 1024
MAXIMUM_LINE_OCTETS = 64 * 1024 * 1024
_READ_OCTETS = 1024 * 1024

# RFC 5530 response codes and words of servers that will let the user in later.
_DEFERRED = re.compile(
    r"\[(?:UNAVAILABLE|INUSE|LIMIT|SERVERBUG|THROTTLED)\b|too many|maximum number of connections"
    r"|connection limit|try again later|temporar|rate limit|throttl|server busy|overloaded",
    re.IGNORECASE,
)
_REFUSED = re.compile(r"\[(?:AUTHENTICATIONFAILED|AUTHORIZATIONFAILED|EXPIRED)\]", re.IGNORECASE)
_NEEDS_ENCRYPTION = re.compile(r"\[PRIVACYREQUIRED\]", re.IGNORECASE)
_NONSENSE = ("unexpected", "unterminated", "got more than", "not IMAP4", "no CAPABILITY")
_BARE_RESULT = re.compile(rb"\S{1,30} (?:OK|NO|BAD)\r\n")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")


class GuardedClient(imaplib.IMAP4):
    """imaplib's client over a socket of the host guard, with TLS where settings ask for it."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._received = 0
        super().__init__(settings.host, settings.port, settings.timeout)

    def _create_socket(self, timeout: float | None) -> socket.socket:
        settings = self._settings
        connection = settings.guard.connect(settings.host, settings.port, settings.timeout)
        connection.settimeout(settings.timeout)
        # imaplib sends a literal and its line end apart: unsent halves would wait 40 ms.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if settings.encryption is not Encryption.TLS:
            return connection
        try:
            return _context(settings).wrap_socket(connection, server_hostname=settings.host)
        except BaseException:
            connection.close()
            raise

    def readline(self) -> bytes:
        """A line; a result without text gets the space behind it that imaplib waits for.

        SEARCH names all that it found in one: eight octets a message.
        """
        # Its stub says str.
        line: bytes = self.file.readline(MAXIMUM_LINE_OCTETS + 1)  # type: ignore[assignment]
        if len(line) > MAXIMUM_LINE_OCTETS:
            raise self.error(f"got more than {MAXIMUM_LINE_OCTETS} octets in a line")
        self._count(len(line))
        return line[:-2] + b" \r\n" if _BARE_RESULT.fullmatch(line) else line

    def read(self, size: int) -> bytes:
        """A literal, whole or not at all, in pieces so that a false size costs nothing."""
        if size > MAXIMUM_LITERAL_OCTETS:
            raise self.abort(f"unexpected literal of {size} octets")
        self._count(size)
        pieces: list[bytes] = []
        while size > 0:
            piece = super().read(min(size, _READ_OCTETS))
            if not piece:
                raise self.abort("socket error: EOF in a literal")
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def _count(self, octets: int) -> None:
        self._received += octets
        if 0 < self._settings.answer_limit < self._received:
            raise self.abort("unexpected amount of octets")


class GuardedMailBox(BaseMailBox):
    """imap-tools' mailbox over a guarded client, STARTTLS done before anything else."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        super().__init__()

    def _get_mailbox_client(self) -> imaplib.IMAP4:
        client = GuardedClient(self._settings)
        if self._settings.encryption is Encryption.STARTTLS:
            try:
                _start_tls(client, self._settings)
            except BaseException:
                hang_up(client)
                raise
        return client


def connect(settings: ServerSettings) -> GuardedMailBox:
    """A connection that is logged in, its capabilities those of after the login.

    Raises HostNotFound, HostNotAllowed, ConnectionFailed, ServerTimeout,
    EncryptionRefused, LoginFailed, LoginDeferred or ProtocolViolation.
    """
    with explained(settings, "connect"):
        mailbox = GuardedMailBox(settings)
    try:
        if settings.login is not None and mailbox.client.state == "NONAUTH":
            with explained(settings, "log in"):
                _log_in(mailbox, settings.login)
        with explained(settings, "CAPABILITY"):
            refresh_capabilities(mailbox.client)
    except BaseException:
        hang_up(mailbox.client)
        raise
    return mailbox


def hang_up(client: imaplib.IMAP4) -> None:
    """Close the socket, without a word to the server; never raises."""
    try:
        client.shutdown()
    except (OSError, ValueError):
        # It is closed already, which is what was wanted.
        return


def refresh_capabilities(client: imaplib.IMAP4) -> None:
    """Ask CAPABILITY; what was told before the login holds no longer (RFC 9051 section 6.1.1)."""
    _, lines = client.capability()
    told = next((line for line in reversed(lines) if line), b"")
    client.capabilities = tuple(told.decode("ascii", "replace").upper().split())


@contextmanager
def explained(settings: ServerSettings, doing: str) -> Iterator[None]:
    """Whatever goes wrong on the connection becomes a MailError without secrets."""
    try:
        yield
    except MailError:
        raise
    except (imaplib.IMAP4.error, OSError, ValueError, IndexError, EOFError) as error:
        # The cause is not chained: tracebacks of imaplib show the command, password included.
        raise _explain(error, settings, doing) from None


def _explain(error: Exception, settings: ServerSettings, doing: str) -> MailError:
    where = settings.address
    words = server_words(error, settings)
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = error.verify_message.rstrip(".")
        return EncryptionRefused(f"The certificate of {where} is not valid: {reason}.")
    if isinstance(error, TimeoutError) or "timed out" in words:
        return ServerTimeout(f"{where} did not answer in time ({doing}).")
    if isinstance(error, OSError):
        return ConnectionFailed(f"The connection to {where} failed ({doing}): {words}.")
    if not isinstance(error, imaplib.IMAP4.error) or any(word in words for word in _NONSENSE):
        return ProtocolViolation(f"{where} gave an answer that makes no sense ({doing}).")
    if doing in {"connect", "log in"} and _DEFERRED.search(words):
        return LoginDeferred(f"{where} lets nobody in for now: {words}")
    if isinstance(error, imaplib.IMAP4.readonly):
        return CommandRefused(f"{where} opened the folder for reading only.")
    if isinstance(error, imaplib.IMAP4.abort) or doing == "connect":
        return ConnectionFailed(f"{where} closed the connection ({doing}): {words}")
    return CommandRefused(f"{where} refused {doing}: {words}")


def server_words(said: object, settings: ServerSettings) -> str:
    """What a server said, as one clean line in which no secret of ours stands."""
    if isinstance(said, bytes):
        text = said.decode("utf-8", "replace")
    elif isinstance(said, imaplib.IMAP4.error) and said.args and isinstance(said.args[0], bytes):
        text = said.args[0].decode("utf-8", "replace")
    else:
        text = str(said)
    if isinstance(settings.login, PasswordLogin) and settings.login.password:
        text = text.replace(settings.login.password, "…")
    return " ".join(_CONTROLS.sub(" ", clean_text(text)).split())[:300]


def _context(settings: ServerSettings) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=settings.ca_file)


def _start_tls(client: imaplib.IMAP4, settings: ServerSettings) -> None:
    # PREAUTH before STARTTLS is how an attacker in the middle skips it (RFC 9051 section 11.1).
    if client.state != "NONAUTH" or "STARTTLS" not in client.capabilities:
        raise EncryptionRefused(f"{settings.address} offers no STARTTLS.")
    try:
        client.starttls(_context(settings))
    except imaplib.IMAP4.abort:
        raise
    except imaplib.IMAP4.error as error:
        raise EncryptionRefused(
            f"{settings.address} refused STARTTLS: {server_words(error, settings)}"
        ) from None


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
        if any(word in words for word in _NONSENSE):
            raise
        if _NEEDS_ENCRYPTION.search(words):
            raise EncryptionRefused(f"{settings.address} wants encryption: {words}") from None
        if _DEFERRED.search(words) and not _REFUSED.search(words):
            raise LoginDeferred(f"{settings.address} lets nobody in for now: {words}") from None
        raise LoginFailed(f"{settings.address} refused the login: {words}") from None


def _log_in_by_password(mailbox: GuardedMailBox, login: PasswordLogin) -> None:
    if "\0" in login.username + login.password:
        raise LoginFailed("A user name or password must not contain NUL.")
    client = mailbox.client
    if "AUTH=PLAIN" in client.capabilities:
        try:
            mailbox.login_utf8(login.username, login.password, initial_folder=None)
            return
        except imaplib.IMAP4.abort:
            raise
        except imaplib.IMAP4.error as error:
            # BAD: the mechanism was announced but is not understood. NO is an answer.
            if "command error: BAD" not in str(error):
                raise
    if _CONTROLS.search(login.username + login.password):
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
    if _CONTROLS.search(login.username + token):
        raise LoginFailed("A user name or token must not contain control characters.")
    if "AUTH=OAUTHBEARER" in client.capabilities and "AUTH=XOAUTH2" not in client.capabilities:
        user = login.username.replace("=", "=3D").replace(",", "=2C")
        host, port = settings.host, settings.port
        first = f"n,a={user},\1host={host}\1port={port}\1auth=Bearer {token}\1\1"
        _authenticate(client, "OAUTHBEARER", first, then=b"\1")
    else:
        first = f"user={login.username}\1auth=Bearer {token}\1\1"
        _authenticate(client, "XOAUTH2", first, then=b"")


def _authenticate(client: imaplib.IMAP4, mechanism: str, first: str, *, then: bytes) -> None:
    """SASL with one answer; a refusal comes as a second challenge that wants `then`."""
    answers = iter([first.encode()])
    respond: Callable[[bytes], bytes] = lambda _challenge: next(answers, then)  # noqa: E731
    client.authenticate(mechanism, respond)
