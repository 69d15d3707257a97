"""What a caller brings along to reach its own mail server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from mailhub.mail.server import Encryption

# Where large providers renew tokens, by the endings of their mail hosts' names.
_TOKEN_URLS = {
    (".gmail.com", ".googlemail.com"): "https://oauth2.googleapis.com/token",
    (".office365.com", ".outlook.com", ".office.com"): (
        "https://login.microsoftonline.com/common/oauth2/v2.0/token"
    ),
}


@dataclass(frozen=True, slots=True)
class OAuth2Grant:
    """An access token, what it takes to renew it, or both."""

    access_token: str = field(default="", repr=False)
    refresh_token: str = field(default="", repr=False)
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    token_url: str = ""


@dataclass(frozen=True, slots=True)
class Credentials:
    """A server and a login: by `password`, or by `grant` where there is one.

    `allow_plaintext` asks for a connection without encryption; the installation may refuse.
    """

    host: str
    port: int
    is_secure: bool
    username: str
    password: str = field(default="", repr=False)
    grant: OAuth2Grant | None = None
    allow_plaintext: bool = False

    @property
    def encryption(self) -> Encryption:
        """TLS from the start, or STARTTLS, which a server must offer then."""
        if self.is_secure:
            return Encryption.TLS
        return Encryption.NONE if self.allow_plaintext else Encryption.STARTTLS

    @property
    def token_url(self) -> str:
        """Where the grant is renewed: as the caller says, else as the provider is known to."""
        if self.grant is not None and self.grant.token_url:
            return self.grant.token_url
        known = (url for ends, url in _TOKEN_URLS.items() if f".{self.host}".endswith(ends))
        return next(known, "")

    def secrets(self) -> Iterator[str]:
        """Everything that no answer may repeat."""
        yield self.password
        if self.grant is not None:
            yield from (
                self.grant.access_token,
                self.grant.refresh_token,
                self.grant.client_secret,
            )
