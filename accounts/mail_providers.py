"""Servers of large mail providers, as their own help pages name them.

`domains` are the providers' address domains; `exchangers` are the endings of the MX
hosts by which domains of their customers are known.
"""

from __future__ import annotations

from dataclasses import dataclass

from mailhub.mail.server import Encryption, Protocol


@dataclass(frozen=True, slots=True)
class ProposedServer:
    """Where a server probably is."""

    protocol: Protocol
    hostname: str
    port: int
    encryption: Encryption


@dataclass(frozen=True, slots=True)
class Provider:
    """`logins` says how people log in there: password, app_password, oauth2."""

    name: str
    domains: tuple[str, ...]
    incoming: tuple[ProposedServer, ...]
    outgoing: tuple[ProposedServer, ...]
    logins: tuple[str, ...] = ("password",)
    exchangers: tuple[str, ...] = ()


def _imap(host: str) -> ProposedServer:
    return ProposedServer(Protocol.IMAP, host, 993, Encryption.TLS)


def _pop3(host: str) -> ProposedServer:
    return ProposedServer(Protocol.POP3, host, 995, Encryption.TLS)


def _smtps(host: str) -> ProposedServer:
    return ProposedServer(Protocol.SMTP, host, 465, Encryption.TLS)


def _submission(host: str) -> ProposedServer:
    return ProposedServer(Protocol.SMTP, host, 587, Encryption.STARTTLS)


PROVIDERS = (
    Provider(
        "Google",
        ("gmail.com", "googlemail.com"),
        (_imap("imap.gmail.com"), _pop3("pop.gmail.com")),
        (_smtps("smtp.gmail.com"), _submission("smtp.gmail.com")),
        ("oauth2", "app_password"),
        (".google.com", ".googlemail.com"),
    ),
    Provider(
        "Outlook.com",
        ("outlook.com", "hotmail.com", "live.com", "msn.com"),
        (_imap("outlook.office365.com"), _pop3("outlook.office365.com")),
        (_submission("smtp-mail.outlook.com"),),
        ("oauth2",),
    ),
    Provider(
        "Microsoft 365",
        (),
        (_imap("outlook.office365.com"), _pop3("outlook.office365.com")),
        (_submission("smtp.office365.com"),),
        ("oauth2",),
        (".mail.protection.outlook.com",),
    ),
    Provider(
        "Yahoo",
        ("yahoo.com", "yahoo.co.uk", "yahoo.fr", "yahoo.de", "ymail.com", "rocketmail.com"),
        (_imap("imap.mail.yahoo.com"), _pop3("pop.mail.yahoo.com")),
        (_smtps("smtp.mail.yahoo.com"), _submission("smtp.mail.yahoo.com")),
        ("oauth2", "app_password"),
        (".yahoodns.net",),
    ),
    Provider(
        "AOL",
        ("aol.com",),
        (_imap("imap.aol.com"), _pop3("pop.aol.com")),
        (_smtps("smtp.aol.com"),),
        ("oauth2", "app_password"),
    ),
    Provider(
        "iCloud",
        ("icloud.com", "me.com", "mac.com"),
        (_imap("imap.mail.me.com"),),
        (_submission("smtp.mail.me.com"),),
        ("app_password",),
        (".mail.icloud.com",),
    ),
    Provider(
        "Fastmail",
        ("fastmail.com", "fastmail.fm"),
        (_imap("imap.fastmail.com"), _pop3("pop.fastmail.com")),
        (_smtps("smtp.fastmail.com"), _submission("smtp.fastmail.com")),
        ("app_password",),
        (".messagingengine.com",),
    ),
    Provider(
        "Zoho",
        ("zohomail.com", "zoho.com"),
        (_imap("imap.zoho.com"), _pop3("pop.zoho.com")),
        (_smtps("smtp.zoho.com"), _submission("smtp.zoho.com")),
        ("password", "app_password"),
    ),
    Provider(
        "GMX",
        ("gmx.com", "gmx.us"),
        (_imap("imap.gmx.com"), _pop3("pop.gmx.com")),
        (_smtps("mail.gmx.com"), _submission("mail.gmx.com")),
    ),
    Provider(
        "GMX",
        ("gmx.net", "gmx.de", "gmx.at", "gmx.ch"),
        (_imap("imap.gmx.net"), _pop3("pop.gmx.net")),
        (_smtps("mail.gmx.net"), _submission("mail.gmx.net")),
    ),
    Provider(
        "WEB.DE",
        ("web.de",),
        (_imap("imap.web.de"), _pop3("pop3.web.de")),
        (_smtps("smtp.web.de"), _submission("smtp.web.de")),
    ),
    Provider(
        "Yandex",
        ("yandex.com", "yandex.ru", "ya.ru"),
        (_imap("imap.yandex.com"), _pop3("pop.yandex.com")),
        (_smtps("smtp.yandex.com"),),
        ("oauth2", "app_password"),
        (".yandex.net", ".yandex.ru"),
    ),
)


def provider_of_domain(domain: str) -> Provider | None:
    """The provider whose own address domain this is."""
    return next((provider for provider in PROVIDERS if domain in provider.domains), None)


def provider_of_exchanger(host: str) -> Provider | None:
    """The provider that runs this MX host."""
    return next((provider for provider in PROVIDERS if host.endswith(provider.exchangers)), None)
