"""What the DNS says of a domain from which bulk mail is sent: MX, SPF, DKIM, DMARC.

RFC 7208 (SPF), RFC 6376 (DKIM), RFC 7489 (DMARC), RFC 7505 (a domain without mail). Nothing
here raises: a name server that does not answer leaves a check unknown.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import dns.exception
import dns.resolver

from mailhub.mail.spf import SpfError, SpfReader, is_spf

PATIENCE = 3.0
_LONGEST_WALK = 5


class Result(StrEnum):
    """How a check ended. unknown: the DNS did not answer, or it cannot be told from outside."""

    PASS = "pass"  # noqa: S105 - no password
    WARNING = "warning"
    FAIL = "fail"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that receivers look at: `records` as they stand, `words` for a person."""

    name: str
    result: Result
    words: str
    records: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Signing:
    """The key with which messages are signed here: `key` is the public one, as p= has it."""

    selector: str
    key: str


def resolver_at(server: str) -> dns.resolver.Resolver:
    """A resolver that asks this name server, written `address:port`; "" for the system's.

    Raises ValueError for what is none.
    """
    if not server:
        try:
            return dns.resolver.Resolver()
        except dns.resolver.NoResolverConfiguration:
            return dns.resolver.Resolver(configure=False)
    address, _, port = server.rpartition(":")
    resolver = dns.resolver.Resolver(configure=False)
    resolver.port = int(port)
    resolver.nameservers = [address.removeprefix("[").removesuffix("]")]
    return resolver


class Unanswered(Exception):
    """No name server answered in time."""


class SenderRecords:
    """A domain's records. Where a question is not answered in time, no other is asked."""

    def __init__(self, domain: str, resolver: dns.resolver.Resolver) -> None:
        self._domain = domain
        self._resolver = resolver
        self._answers = True

    def checks(self, *, by_ses: bool = False, signing: Signing | None = None) -> list[Check]:
        """All of them, in the order in which a person mends them."""
        return [
            self._guarded("SPF", lambda: self._spf(by_ses=by_ses)),
            self._guarded("DKIM", lambda: self._dkim(signing)),
            self._guarded("DMARC", self._dmarc),
            self._guarded("MX", self._mx),
        ]

    def _guarded(self, name: str, check: Any) -> Check:
        try:
            found: Check = check()
        except Unanswered:
            return Check(name, Result.UNKNOWN, "No name server answered in time.")
        return found

    def _mx(self) -> Check:
        records = self._ask(self._domain, "MX")
        names = tuple(str(each.exchange).rstrip(".") for each in records)
        if names == ("",):
            return Check("MX", Result.FAIL, "The domain says that it takes no mail (RFC 7505).")
        if names:
            lost = [name for name in names if not self._has_address(name)]
            if len(lost) == len(names):
                words = f"No server that takes its mail has an address: {', '.join(lost)}."
                return Check("MX", Result.FAIL, words, names)
            if lost:
                words = f"There is no address of {', '.join(lost)}."
                return Check("MX", Result.WARNING, words, names)
            return Check("MX", Result.PASS, "Answers and bounces have a way back.", names)
        if self._has_address(self._domain):
            words = "It has no MX record; mail goes to the address of its web site."
            return Check("MX", Result.WARNING, words)
        return Check("MX", Result.FAIL, "There is no server that takes mail for this domain.")

    def _has_address(self, name: str) -> bool:
        return bool(self._ask(name, "A") or self._ask(name, "AAAA"))

    def _spf(self, *, by_ses: bool) -> Check:
        found = [text for text in self._texts(self._domain) if is_spf(text)]
        records = tuple(found)
        if not found:
            if by_ses:
                words = (
                    "No SPF record. SES sends from a domain of its own, so that DKIM decides; a "
                    "MAIL FROM domain of yours at SES would align SPF, too."
                )
                return Check("SPF", Result.WARNING, words)
            return Check("SPF", Result.FAIL, "There is no SPF record.")
        if len(found) > 1:
            words = "There are several SPF records: receivers take none of them."
            return Check("SPF", Result.FAIL, words, records)
        try:
            spf = SpfReader(self._texts).read(self._domain, found[0])
        except SpfError as error:
            words = f"Receivers take the record as an error. {error}"
            return Check("SPF", Result.FAIL, words, records)
        if spf.rest == "+":
            words = "It lets everybody in the world send for this domain (+all)."
            return Check("SPF", Result.FAIL, words, records)
        if not spf.allows_some:
            words = "It lets nobody send for this domain."
            if by_ses:
                words += " SES sends from a domain of its own, so that DKIM decides."
            return Check("SPF", Result.WARNING if by_ses else Result.FAIL, words, records)
        if spf.rest not in ("-", "~"):
            words = "It says nothing of other senders: end it with ~all or -all."
            return Check("SPF", Result.WARNING, words, records)
        return Check("SPF", Result.PASS, "It says who may send for this domain.", records)

    def _dkim(self, signing: Signing | None) -> Check:
        if signing is None:
            words = (
                "Messages are not signed here; whether your mail server signs them is not known."
            )
            return Check("DKIM", Result.UNKNOWN, words)
        name = f"{signing.selector}._domainkey.{self._domain}"
        found = tuple(self._texts(name))
        if len(found) == 1:
            words = _wrong_key(found[0], signing.key)
            if not words:
                return Check("DKIM", Result.PASS, "The key in the DNS is ours.", found)
        elif found:
            words = f"There are several records at {name}: which one counts is open."
        else:
            words = "Our key is not in the DNS, so that nobody can check what we sign."
        words += f" Put the key into the DNS: {name} TXT v=DKIM1; k=rsa; p={signing.key}"
        return Check("DKIM", Result.FAIL, words, found)

    def _dmarc(self) -> Check:
        labels = self._domain.split(".")
        for start in range(min(len(labels) - 1, _LONGEST_WALK)):
            domain = ".".join(labels[start:])
            found = [t for t in self._texts(f"_dmarc.{domain}") if _is_version(t, "v=DMARC1")]
            if len(found) > 1:
                words = "There are several DMARC records: receivers take none of them."
                return Check("DMARC", Result.FAIL, words, tuple(found))
            if found:
                return _judge_dmarc(found[0], is_own=not start)
        words = "There is no DMARC record. Gmail and Yahoo ask bulk senders for one."
        return Check("DMARC", Result.FAIL, words)

    def _texts(self, name: str) -> list[str]:
        return [
            b"".join(each.strings).decode("utf-8", "replace") for each in self._ask(name, "TXT")
        ]

    def _ask(self, name: str, kind: str) -> Sequence[Any]:
        if not self._answers:
            raise Unanswered
        try:
            return list(self._resolver.resolve(f"{name}.", kind, lifetime=PATIENCE))
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer, dns.resolver.YXDOMAIN):
            return []
        except (dns.exception.DNSException, OSError) as error:
            self._answers = False
            raise Unanswered from error


def _judge_dmarc(text: str, *, is_own: bool) -> Check:
    tags = _tags(text)
    wanted = ("p", "sp") if is_own else ("sp", "p")
    policy = next((tags[name].lower() for name in wanted if name in tags), "")
    if policy not in ("none", "quarantine", "reject"):
        return Check("DMARC", Result.FAIL, "It names no policy (p=).", (text,))
    is_strict = tags.get("adkim", "r").lower() == "s"
    words = (
        "What does not align is "
        + {
            "none": "only watched (p=none).",
            "quarantine": "put aside by receivers (p=quarantine).",
            "reject": "refused by receivers (p=reject).",
        }[policy]
    )
    if is_strict:
        words += " DKIM has to be of exactly this domain."
    return Check("DMARC", Result.PASS, words, (text,))


def _wrong_key(text: str, key: str) -> str:
    """Why this record does not verify what is signed with our key; "" where it does."""
    tags = _tags(text)
    published = re.sub(r"\s", "", tags.get("p", ""))
    if "p" in tags and not published:
        return "The key in the DNS is revoked (p= is empty)."
    if published != key:
        return "The key in the DNS is not ours: what we sign does not verify."
    if tags.get("v", "DKIM1") != "DKIM1" or tags.get("k", "rsa") != "rsa":
        return "The record in the DNS is of another kind (v= or k=)."
    return ""


def _is_version(text: str, version: str) -> bool:
    first = re.split(r"[\s;]", text.strip(), maxsplit=1)[0]
    return first.lower() == version.lower()


def _tags(text: str) -> dict[str, str]:
    """tag=value; tag=value (RFC 6376 section 3.2); a name that stands twice counts once."""
    pairs = (part.partition("=") for part in text.split(";"))
    return {name.strip().lower(): value.strip() for name, sign, value in pairs if sign}
