"""A login over POP3 (RFC 1939, RFC 2595 for STLS), to see that an account works."""

from __future__ import annotations

import base64
import contextlib
import poplib
import socket
import ssl

from mailhub.mail.errors import (
    ConnectionFailed,
    EncryptionRefused,
    LoginDeferred,
    LoginFailed,
    MailError,
    ProtocolViolation,
    Reply,
    ServerTimeout,
)
from mailhub.mail.server import Encryption, OAuth2Login, PasswordLogin, ServerSettings

# RFC 2449 section 8: codes for refusals that are not about the password.
_NOT_NOW = ("[IN-USE]", "[LOGIN-DELAY]", "[SYS/TEMP]")


class _GuardedPOP3(poplib.POP3):
    """Connects to an address that the guard has checked."""

    _opened: socket.socket | None = None

    def __init__(self, settings: ServerSettings, context: ssl.SSLContext) -> None:
        self._settings = settings
        self._context = context
        try:
            super().__init__(settings.host, settings.port, settings.timeout)
        except BaseException:
            if self._opened is not None:
                self._opened.close()
            raise

    def _create_socket(self, timeout: float) -> socket.socket:
        self._opened = self._settings.guard.connect(
            self._settings.host, self._settings.port, timeout
        )
        if self._settings.encryption is Encryption.TLS:
            self._opened = self._context.wrap_socket(
                self._opened, server_hostname=self._settings.host
            )
        return self._opened


def log_in_to_pop3(settings: ServerSettings) -> None:
    """Connect, log in and leave. Raises MailError."""
    context = ssl.create_default_context(cafile=settings.ca_file)
    try:
        connection = _GuardedPOP3(settings, context)
        try:
            if settings.encryption is Encryption.STARTTLS:
                _start_tls(connection, context)
            _log_in(connection, settings)
        finally:
            # After a failure there may be nobody left to say goodbye to.
            with contextlib.suppress(OSError, poplib.error_proto):
                connection.quit()
            with contextlib.suppress(OSError):
                connection.close()
    except MailError:
        raise
    except TimeoutError as error:
        raise ServerTimeout(f"{settings.address} did not answer in time.") from error
    except ssl.SSLCertVerificationError as error:
        raise EncryptionRefused(
            f"The certificate of {settings.address} does not verify: {error.verify_message}."
        ) from error
    except OSError as error:
        raise ConnectionFailed(f"{settings.address} could not be reached.") from error
    except poplib.error_proto as error:
        raise ProtocolViolation(f"{settings.address} gave a senseless answer.") from error


def _start_tls(connection: poplib.POP3, context: ssl.SSLContext) -> None:
    try:
        connection.stls(context)
    except poplib.error_proto as error:
        raise EncryptionRefused("The server does not offer STARTTLS.") from error


def _log_in(connection: poplib.POP3, settings: ServerSettings) -> None:
    try:
        match settings.login:
            case PasswordLogin(username=username, password=password):
                connection.user(username)
                connection.pass_(password)
            case OAuth2Login(username=username, access_token=access_token):
                words = f"user={username}\x01auth=Bearer {access_token()}\x01\x01"
                _authenticate(connection, base64.b64encode(words.encode()).decode())
            case None:
                raise LoginFailed("A POP3 server asks for a login.")
    except poplib.error_proto as error:
        words = _words(error)
        if words.upper().startswith(_NOT_NOW):
            raise LoginDeferred(f"{settings.address} refused the login for now: {words}") from error
        raise LoginFailed(f"{settings.address} refused the login: {words}") from error


def _authenticate(connection: poplib.POP3, token: str) -> None:
    connection._shortcmd(f"AUTH XOAUTH2 {token}")  # type: ignore[attr-defined]  # poplib has no AUTH


def _words(error: poplib.error_proto) -> str:
    said = error.args[0] if error.args else b""
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    return Reply.read(0, [text.removeprefix("-ERR").strip()]).text
