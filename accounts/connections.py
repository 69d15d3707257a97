"""An email account's servers and login, as the protocol library takes them."""

from __future__ import annotations

from typing import Any

from accounts.models import Credential, CredentialKind, EmailAccount
from accounts.oauth2.refreshing import distrust_access_token, fresh_access_token
from mailhub.encryption import SecretUnreadable
from mailhub.errors import Conflict, InvalidInput
from mailhub.mail.server import (
    DEFAULT_PORTS,
    Encryption,
    Login,
    OAuth2Login,
    PasswordLogin,
    Protocol,
    ServerSettings,
)
from mailhub.mail_policy import server_settings


def incoming_settings(account: EmailAccount) -> ServerSettings:
    """Where and how to read the account's mail.

    Raises Conflict (`credential_unreadable`) where its secret does not open, InvalidInput
    where the installation forbids the connection or the credential is of another kind.
    """
    return server_settings(
        Protocol(account.protocol),
        account.hostname,
        account.port,
        Encryption(account.encryption),
        login_of(account.credential, account.username),
    )


def outgoing_settings(account: EmailAccount) -> ServerSettings:
    """Where and how to send from the account.

    Raises InvalidInput (`no_outgoing_server`) where it has none, else as
    `incoming_settings` does.
    """
    if not account.smtp_hostname:
        raise InvalidInput("This account has no outgoing server.", code="no_outgoing_server")
    encryption = smtp_encryption(account.smtp_encryption, account.smtp_port)
    return server_settings(
        Protocol.SMTP,
        account.smtp_hostname,
        account.smtp_port or DEFAULT_PORTS[Protocol.SMTP, encryption],
        encryption,
        login_of(account.credential, account.smtp_username or account.username),
    )


def smtp_encryption(given: str, port: int | None) -> Encryption:
    """The encryption meant where a client gave none: TLS on port 465, else STARTTLS."""
    if given:
        return Encryption(given)
    return Encryption.TLS if port == 465 else Encryption.STARTTLS


def login_of(credential: Credential, username: str) -> Login:
    """The login that a credential gives to this user name."""
    secret = secret_of(credential)
    if credential.kind == CredentialKind.PASSWORD:
        return PasswordLogin(username, secret["password"])
    if credential.kind == CredentialKind.OAUTH2:
        return OAuth2Login(
            username,
            lambda: fresh_access_token(credential),
            lambda token: distrust_access_token(credential, token),
        )
    raise InvalidInput(
        "This kind of credential does not log in to a mail server.", code="wrong_credential_kind"
    )


def secret_of(credential: Credential) -> dict[str, Any]:
    """Raises Conflict (`credential_unreadable`) where it does not open."""
    try:
        return credential.reveal_secret()
    except SecretUnreadable as error:
        raise Conflict(
            "The stored secret of this account cannot be opened; give it anew.",
            code="credential_unreadable",
        ) from error
