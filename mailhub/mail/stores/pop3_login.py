"""A POP3 session up to its login (RFC 1939, 2449, 2595, 5034).

TLS from the start or by STLS, then a password by SASL PLAIN where it is offered, else by
USER and PASS, or a token by XOAUTH2 or OAUTHBEARER. APOP is left out: it rests on MD5 and
needs passwords that the server can read.
"""

from __future__ import annotations

import base64
import re
from dataclasses import replace

from mailhub.mail.errors import (
    EncryptionRefused,
    LoginDeferred,
    LoginFailed,
    MailError,
    ProtocolViolation,
    Reply,
)
from mailhub.mail.living_token import with_living_token
from mailhub.mail.server import Encryption, OAuth2Login, PasswordLogin, ServerSettings
from mailhub.mail.stores.pop3_wire import LARGEST_CAPABILITIES, Pop3Wire, Refused

# RFC 5034 section 4: a longer first response travels on a line of its own.
_LONGEST_COMMAND = 255
# RFC 2449 section 8 and RFC 3206: refusals that are not about the password.
_NOT_NOW = {"IN-USE", "LOGIN-DELAY", "SYS/TEMP"}
_FOR_GOOD = {"AUTH", "SYS/PERM"}
_WORDS_OF_NOT_NOW = re.compile(
    r"lock|in use|too many|try again|temporar|later|rate limit|overloaded|unavailable",
    re.IGNORECASE,
)
_NEEDS_ENCRYPTION = re.compile(r"\bTLS\b|\bSTLS\b|\bSSL\b|plaintext auth|encrypt", re.IGNORECASE)
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")


def log_in(settings: ServerSettings) -> tuple[Pop3Wire, frozenset[str]]:
    """An open session and its capabilities.

    Raises HostNotFound, HostNotAllowed, ConnectionFailed, ServerTimeout,
    EncryptionRefused, LoginFailed, LoginDeferred or ProtocolViolation.
    """
    return with_living_token(settings.login, lambda login: _connect(replace(settings, login=login)))


def _connect(settings: ServerSettings) -> tuple[Pop3Wire, frozenset[str]]:
    wire = Pop3Wire(settings)
    try:
        _greet(wire, settings)
        capabilities = read_capabilities(wire)
        if settings.encryption is Encryption.STARTTLS:
            _start_tls(wire, settings, capabilities)
            capabilities = read_capabilities(wire)
        _log_in(wire, settings, capabilities or frozenset())
        return wire, read_capabilities(wire) or frozenset()
    except BaseException:
        wire.hang_up()
        raise


def read_capabilities(wire: Pop3Wire) -> frozenset[str] | None:
    """Upper-case names, and AUTH=… for each SASL mechanism; None on a server without CAPA."""
    try:
        wire.command("CAPA")
    except Refused:
        return None
    found: set[str] = set()
    for line in wire.text(LARGEST_CAPABILITIES).decode("ascii", "replace").upper().splitlines():
        name, *arguments = line.split() or [""]
        found.add(name)
        if name == "SASL":
            found.update(f"AUTH={mechanism}" for mechanism in arguments)
    return frozenset(found - {""})


def _greet(wire: Pop3Wire, settings: ServerSettings) -> None:
    try:
        wire.answer()
    except Refused as refused:
        if _is_for_now(refused):
            raise LoginDeferred(
                f"{settings.address} lets nobody in for now: {refused.words}"
            ) from None
        raise ProtocolViolation(
            f"{settings.address} greeted us with a refusal: {refused.words}"
        ) from None


def _start_tls(
    wire: Pop3Wire, settings: ServerSettings, capabilities: frozenset[str] | None
) -> None:
    if capabilities is not None and "STLS" not in capabilities:
        raise EncryptionRefused(f"{settings.address} offers no STARTTLS.")
    try:
        wire.command("STLS")
    except Refused as refused:
        raise EncryptionRefused(f"{settings.address} refused STARTTLS: {refused.words}") from None
    wire.start_tls()


def _log_in(wire: Pop3Wire, settings: ServerSettings, capabilities: frozenset[str]) -> None:
    try:
        match settings.login:
            case PasswordLogin() as login:
                _by_password(wire, login, capabilities)
            case OAuth2Login() as login:
                _by_token(wire, login, settings, capabilities)
            case None:
                raise LoginFailed("A POP3 server asks for a login.")
    except Refused as refused:
        raise _explained(refused, settings, is_encrypted=wire.is_encrypted) from None


def _by_password(wire: Pop3Wire, login: PasswordLogin, capabilities: frozenset[str]) -> None:
    wire.secrets.add(login.password or "\0")
    if "\0" in login.username + login.password:
        raise LoginFailed("A user name or password must not contain NUL.")
    if "AUTH=PLAIN" in capabilities:
        _authenticate(wire, "PLAIN", f"\0{login.username}\0{login.password}")
        return
    if _CONTROLS.search(login.username + login.password):
        raise LoginFailed("This server takes no user name or password with control characters.")
    wire.command(f"USER {login.username}")
    wire.command(f"PASS {login.password}")


def _by_token(
    wire: Pop3Wire, login: OAuth2Login, settings: ServerSettings, capabilities: frozenset[str]
) -> None:
    token = login.access_token()
    wire.secrets.add(token or "\0")
    if _CONTROLS.search(login.username + token):
        raise LoginFailed("A user name or token must not contain control characters.")
    offered = {name for name in capabilities if name.startswith("AUTH=")}
    if offered and not offered & {"AUTH=XOAUTH2", "AUTH=OAUTHBEARER"}:
        raise LoginFailed(f"{settings.address} takes no login by a token (OAuth 2).")
    if "AUTH=OAUTHBEARER" in offered and "AUTH=XOAUTH2" not in offered:
        user = login.username.replace("=", "=3D").replace(",", "=2C")
        _authenticate(
            wire,
            "OAUTHBEARER",
            f"n,a={user},\1host={settings.host}\1port={settings.port}\1auth=Bearer {token}\1\1",
        )
    else:
        _authenticate(wire, "XOAUTH2", f"user={login.username}\1auth=Bearer {token}\1\1")


def _authenticate(wire: Pop3Wire, mechanism: str, response: str) -> None:
    """SASL with one answer of ours; a second challenge holds the reason of a refusal."""
    encoded = base64.b64encode(response.encode()).decode()
    wire.secrets.add(encoded)
    command = f"AUTH {mechanism} {encoded}"
    if len(command) + 2 > _LONGEST_COMMAND:
        wire.say([f"AUTH {mechanism}"])
        if not _is_challenge(wire):
            raise ProtocolViolation("The server ended a login before it had begun.")
        command = encoded
    wire.say([command])
    if _is_challenge(wire):
        # OAUTHBEARER wants ^A (RFC 7628 section 3.2.3), XOAUTH2 an empty line.
        wire.say([base64.b64encode(b"\1").decode() if mechanism == "OAUTHBEARER" else ""])
        wire.answer()
        raise ProtocolViolation("The server asked for more in the middle of a login.")


def _is_challenge(wire: Pop3Wire) -> bool:
    """Whether the server asks for more; False once it says +OK. Raises Refused."""
    line = wire.line()
    if line == b"+" or line.startswith(b"+ "):
        return True
    wire.check(line)
    return False


def _explained(refused: Refused, settings: ServerSettings, *, is_encrypted: bool) -> MailError:
    where, words = settings.address, refused.words
    reply = Reply(0, words)
    if _is_for_now(refused):
        return LoginDeferred(f"{where} refused the login for now: {words}", reply)
    if not is_encrypted and not refused.response_code and _NEEDS_ENCRYPTION.search(words):
        return EncryptionRefused(f"{where} wants encryption: {words}", reply)
    return LoginFailed(f"{where} refused the login: {words}", reply)


def _is_for_now(refused: Refused) -> bool:
    if refused.response_code in _FOR_GOOD:
        return False
    if refused.response_code in _NOT_NOW:
        return True
    return bool(_WORDS_OF_NOT_NOW.search(refused.words))
