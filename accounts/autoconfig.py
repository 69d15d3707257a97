"""Which servers does an address probably use? Proposals for a person to confirm.

In this order: the table of large providers, by the domain or by its MX hosts; the SRV
records of the domain (RFC 6186, RFC 8314); names that are usual, marked as a guess.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import dns.exception
import dns.resolver

from accounts.mail_providers import (
    ProposedServer,
    Provider,
    provider_of_domain,
    provider_of_exchanger,
)
from accounts.oauth2.providers import OAuth2Provider, provider_of_server
from accounts.validators import clean_hostname
from mailhub.mail.server import Encryption, Protocol

_PATIENCE = 2.0
# Best first: TLS from the start is preferred (RFC 8314 section 3).
_INCOMING = (
    ("_imaps._tcp", Protocol.IMAP, Encryption.TLS),
    ("_imap._tcp", Protocol.IMAP, Encryption.STARTTLS),
    ("_pop3s._tcp", Protocol.POP3, Encryption.TLS),
    ("_pop3._tcp", Protocol.POP3, Encryption.STARTTLS),
)
_OUTGOING = (
    ("_submissions._tcp", Protocol.SMTP, Encryption.TLS),
    ("_submission._tcp", Protocol.SMTP, Encryption.STARTTLS),
)
_Services = Iterable[tuple[str, Protocol, Encryption]]


@dataclass(frozen=True, slots=True)
class Proposal:
    """Servers, best first. `source` is provider, dns or guess."""

    email: str
    source: str
    incoming: tuple[ProposedServer, ...]
    outgoing: tuple[ProposedServer, ...]
    provider: str = ""
    logins: tuple[str, ...] = ("password",)

    @property
    def oauth2_provider(self) -> OAuth2Provider | None:
        """The provider of this installation's settings by which such an account may connect."""
        names = (provider_of_server(server.hostname) for server in self.incoming)
        return next(filter(None, names), None)

    def as_json(self) -> dict[str, Any]:
        """As the API answers it."""
        return {
            "emailAddress": self.email,
            "username": self.email,
            "source": self.source,
            "provider": self.provider or None,
            "logins": list(self.logins),
            "oauth2Provider": self.oauth2_provider.key if self.oauth2_provider else None,
            "incoming": [_server_json(server) for server in self.incoming],
            "outgoing": [_server_json(server) for server in self.outgoing],
        }


def propose_servers(email: str, resolver: dns.resolver.Resolver | None = None) -> Proposal:
    """Where mail for this address is probably read and sent. Takes 2 s of DNS at most each
    for the provider and for the records.

    Raises ValidationError where the domain is no host name.
    """
    domain = clean_hostname(email.rpartition("@")[2])
    known = provider_of_domain(domain)
    if known is not None:
        return _from_provider(email, known)
    asked = _Records(resolver or _system_resolver(), domain)
    hosted_by = next(filter(None, map(provider_of_exchanger, asked.exchangers())), None)
    if hosted_by is not None:
        return _from_provider(email, hosted_by)
    incoming, outgoing = asked.servers(_INCOMING), asked.servers(_OUTGOING)
    if incoming or outgoing:
        return Proposal(email, "dns", incoming, outgoing)
    return _guess(email, domain)


def _from_provider(email: str, provider: Provider) -> Proposal:
    return Proposal(
        email,
        "provider",
        provider.incoming,
        provider.outgoing,
        provider.name,
        provider.logins,
    )


def _guess(email: str, domain: str) -> Proposal:
    return Proposal(
        email,
        "guess",
        tuple(
            ProposedServer(Protocol.IMAP, f"{name}.{domain}", 993, Encryption.TLS)
            for name in ("imap", "mail")
        ),
        tuple(
            ProposedServer(Protocol.SMTP, f"{name}.{domain}", 587, Encryption.STARTTLS)
            for name in ("smtp", "mail")
        ),
    )


class _Records:
    """What the DNS says of a domain; nothing where it does not answer in time."""

    def __init__(self, resolver: dns.resolver.Resolver, domain: str) -> None:
        self._resolver, self._domain = resolver, domain
        self._answers = True

    def exchangers(self) -> list[str]:
        records = self._ask(self._domain, "MX")
        return [_name(record.exchange) for record in sorted(records, key=lambda r: r.preference)]

    def servers(self, services: _Services) -> tuple[ProposedServer, ...]:
        return tuple(
            ProposedServer(protocol, _name(record.target), record.port, encryption)
            for service, protocol, encryption in services
            for record in sorted(
                self._ask(f"{service}.{self._domain}", "SRV"),
                key=lambda record: (record.priority, -record.weight),
            )
            # A target of "." says that the service is not offered (RFC 6186 section 3.4).
            if _name(record.target) and record.port
        )

    def _ask(self, name: str, kind: str) -> list[Any]:
        if not self._answers:
            return []
        try:
            return list(self._resolver.resolve(f"{name}.", kind, lifetime=_PATIENCE))
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer, dns.resolver.YXDOMAIN):
            return []
        except (dns.exception.DNSException, OSError):
            self._answers = False
            return []


def _system_resolver() -> dns.resolver.Resolver:
    try:
        return dns.resolver.Resolver()
    except dns.resolver.NoResolverConfiguration:
        return dns.resolver.Resolver(configure=False)


def _name(name: Any) -> str:
    return str(name.to_text(omit_final_dot=True)).lower().removesuffix(".")


def _server_json(server: ProposedServer) -> dict[str, Any]:
    return {
        "protocol": server.protocol.value,
        "hostname": server.hostname,
        "port": server.port,
        "encryption": server.encryption.value,
    }
