"""A login over POP3 (RFC 1939, RFC 2595 for STLS), to see that an account works."""

from __future__ import annotations

import base64
import contextlib
import poplib
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

    def __init__(self, settings: ServerSettings, context: ssl.SSLContext) -> None:
        self._settings = settings
        self._context = context
        super().__init__(settings.host, settings.port, settings.timeout)

    def _create_socket(self, timeout: float) -> object:
        plain = self._settings.guard.connect(self._settings.host, self._settings.port, timeout)
        if self._settings.encryption is not Encryption.TLS:
            return plain
        try:
            return self._context.wrap_socket(plain, server_hostname=self._settings.host)
        except OSError:
            plain.close()
            raise


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
            with contextlib.suppress(OSError, poplib.error_proto):
                connection.quit()
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
        reply = _reply(error)
        if any(code in reply.text.upper() for code in _NOT_NOW):
            raise LoginDeferred("The server refused the login for now.", reply) from error
        raise LoginFailed("The server refused the login.", reply) from error


def _authenticate(connection: poplib.POP3, token: str) -> None:
    connection._shortcmd(f"AUTH XOAUTH2 {token}")  # type: ignore[attr-defined]  # poplib has no AUTH


def _reply(error: poplib.error_proto) -> Reply:
    words = error.args[0] if error.args else b""
    text = words.decode("utf-8", "replace") if isinstance(words, bytes) else str(words)
    return Reply.read(0, [text.removeprefix("-ERR").strip()])
