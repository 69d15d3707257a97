"""The OAuth2 providers at which people may connect accounts, as the settings name them.

A provider is there once `MAILHUB_OAUTH2_<NAME>_CLIENT_ID` is set. Of Google and Microsoft
the rest is known; any other is described by its own variables, and each variable may be set
for those two as well, as for another of Microsoft's clouds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

from django.conf import settings

from accounts.mail_providers import ProposedServer, provider_of_domain
from mailhub.errors import NotFound
from mailhub.mail.guarded_http import port_of
from mailhub.mail.server import DEFAULT_PORTS, Encryption, Protocol
from mailhub.mail.token_endpoint import TokenEndpoint
from mailhub.mail_policy import unlimited_guard

_CLIENT_ID = "_CLIENT_ID"
_LONGEST_KEY = 50
_PATIENCE = 20.0
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_SERVERS = {
    "imaps": (Protocol.IMAP, Encryption.TLS),
    "imap": (Protocol.IMAP, Encryption.STARTTLS),
    "pop3s": (Protocol.POP3, Encryption.TLS),
    "pop3": (Protocol.POP3, Encryption.STARTTLS),
    "smtps": (Protocol.SMTP, Encryption.TLS),
    "smtp": (Protocol.SMTP, Encryption.STARTTLS),
}
# What is asked for at the person's first visit and has nothing to do with mail.
_NOT_OF_MAIL = ("openid", "email", "profile", "offline_access")

_BUILT_IN: Mapping[str, Mapping[str, str]] = {
    # A refresh token comes with access_type=offline alone, and from the second time on only
    # where the person is asked again.
    "google": {
        "NAME": "Google",
        "AUTHORIZE_URL": "https://accounts.google.com/o/oauth2/v2/auth",
        "TOKEN_URL": "https://oauth2.googleapis.com/token",
        "SCOPES": "openid email https://mail.google.com/",
        "PARAMETERS": "access_type=offline&prompt=consent",
        "INCOMING": "imaps://imap.gmail.com",
        "OUTGOING": "smtps://smtp.gmail.com",
    },
    "microsoft": {
        "NAME": "Microsoft",
        "TENANT": "common",
        "AUTHORIZE_URL": "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/authorize",
        "TOKEN_URL": "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token",
        "SCOPES": (
            "openid email profile offline_access "
            "https://outlook.office.com/IMAP.AccessAsUser.All "
            "https://outlook.office.com/POP.AccessAsUser.All "
            "https://outlook.office.com/SMTP.Send"
        ),
        "PARAMETERS": "prompt=select_account",
        # The mailbox opens by the name of the login, which may differ from the address.
        "LOGIN_CLAIM": "preferred_username",
        "INCOMING": "imaps://outlook.office365.com",
        "OUTGOING": "smtp://smtp.office365.com",
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuth2Provider:
    """One provider. `parameters` go with the person to its consent page, beside those of the
    protocol. `address_claim` and `login_claim` name what it calls the person's mail address and
    the login name of the mailbox.
    """

    key: str
    name: str
    client_id: str
    client_secret: str = field(repr=False)
    authorize_url: str
    token_url: str
    userinfo_url: str
    scopes: tuple[str, ...]
    parameters: tuple[tuple[str, str], ...]
    address_claim: str
    login_claim: str
    incoming: ProposedServer
    outgoing: ProposedServer | None

    @property
    def redirect_uri(self) -> str:
        """Where it sends the person back to; to be registered with it, letter by letter."""
        return f"{settings.MAILHUB_PUBLIC_URL}/oauth2/{self.key}/callback"

    @property
    def sends_nonce(self) -> bool:
        """Whether it answers with an ID token, which must belong to our request."""
        return "openid" in self.scopes

    @property
    def mail_scopes(self) -> tuple[str, ...]:
        """The permissions without which the mailbox stays closed."""
        return tuple(scope for scope in self.scopes if scope not in _NOT_OF_MAIL)

    def token_endpoint(self) -> TokenEndpoint:
        """Its token endpoint, which may be anywhere: the operator has named it."""
        return TokenEndpoint(
            self.token_url,
            self.client_id,
            self.client_secret,
            unlimited_guard(),
            timeout=_PATIENCE,
            ca_file=settings.MAILHUB_CA_FILE,
        )

    def outgoing_for(self, address: str) -> ProposedServer | None:
        """The server that sends for this address: a person's own at Microsoft has another than
        a company's."""
        known = provider_of_domain(address.rpartition("@")[2].lower())
        if known is not None and known.incoming[0].hostname == self.incoming.hostname:
            return known.outgoing[0]
        return self.outgoing


def configured_providers() -> list[OAuth2Provider]:
    """Those that the settings describe in full, in the order of their names."""
    found = []
    for key in _keys():
        try:
            found.append(_read(key))
        except ValueError:
            continue  # The system checks say what is missing.
    return sorted(found, key=lambda provider: provider.name.lower())


def find_provider(key: str) -> OAuth2Provider | None:
    """The provider of this name; None where the settings have none."""
    return next((each for each in configured_providers() if each.key == key), None)


def get_provider(key: str) -> OAuth2Provider:
    """The same. Raises NotFound."""
    found = find_provider(key)
    if found is None:
        raise NotFound("This installation has no such OAuth2 provider.")
    return found


def provider_of_server(hostname: str) -> OAuth2Provider | None:
    """The provider whose mailboxes are read from this host."""
    known = configured_providers()
    return next((each for each in known if each.incoming.hostname == hostname), None)


def mistakes() -> Iterator[str]:
    """What is wrong with the settings of providers, a sentence each."""
    for key in _keys():
        try:
            _read(key)
        except ValueError as error:
            yield f"MAILHUB_OAUTH2_{key.upper()}_{error}"


def is_web_address(url: str) -> bool:
    """Whether it is an https address, or an http one of this machine."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
    return is_safe and bool(parts.hostname) and port_of(parts) is not None


def _keys() -> list[str]:
    return [
        name.removesuffix(_CLIENT_ID).lower()
        for name, text in settings.MAILHUB_OAUTH2.items()
        if name.endswith(_CLIENT_ID) and text
    ]


def _read(key: str) -> OAuth2Provider:
    """Raises ValueError, whose text begins with the rest of a variable's name."""
    prefix = f"{key.upper()}_"
    own = {
        name.removeprefix(prefix): text
        for name, text in settings.MAILHUB_OAUTH2.items()
        if name.startswith(prefix) and text
    }
    values = {**_BUILT_IN.get(key, {}), **own}
    if len(key) > _LONGEST_KEY:
        raise ValueError(f"CLIENT_ID names a provider by more than {_LONGEST_KEY} letters.")
    for name in ("AUTHORIZE_URL", "TOKEN_URL", "SCOPES", "INCOMING"):
        if not values.get(name):
            raise ValueError(f"{name} is missing.")
    tenant = values.get("TENANT", "")
    address_claim = values.get("ADDRESS_CLAIM", "email")
    outgoing = values.get("OUTGOING", "")
    return OAuth2Provider(
        key=key,
        name=values.get("NAME", key.replace("_", " ").title()),
        client_id=values["CLIENT_ID"],
        client_secret=values.get("CLIENT_SECRET", ""),
        authorize_url=_https("AUTHORIZE_URL", values["AUTHORIZE_URL"].replace("{tenant}", tenant)),
        token_url=_https("TOKEN_URL", values["TOKEN_URL"].replace("{tenant}", tenant)),
        userinfo_url=_https("USERINFO_URL", values.get("USERINFO_URL", "")),
        scopes=tuple(values["SCOPES"].split()),
        parameters=tuple(parse_qsl(values.get("PARAMETERS", ""), keep_blank_values=True)),
        address_claim=address_claim,
        login_claim=values.get("LOGIN_CLAIM", address_claim),
        incoming=_server("INCOMING", values["INCOMING"], (Protocol.IMAP, Protocol.POP3)),
        outgoing=_server("OUTGOING", outgoing, (Protocol.SMTP,)) if outgoing else None,
    )


def _https(name: str, url: str) -> str:
    if url and not is_web_address(url):
        raise ValueError(f"{name} is no https address.")
    return url


def _server(name: str, text: str, protocols: tuple[Protocol, ...]) -> ProposedServer:
    protocol = encryption = hostname = port = None
    with suppress(ValueError):
        parts = urlsplit(text)
        hostname, port = parts.hostname, parts.port
        protocol, encryption = _SERVERS.get(parts.scheme, (None, None))
    if protocol not in protocols or encryption is None or not hostname or port == 0:
        examples = " or ".join(f"{known.value}s://host" for known in protocols)
        raise ValueError(f"{name} is no server: write {examples}.")
    usual = DEFAULT_PORTS[protocol, encryption]
    return ProposedServer(protocol, hostname, port or usual, encryption)
