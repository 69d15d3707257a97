"""Addresses of people: what is allowed in one, and its form on the wire.

An `Address` that exists is safe to write into a header or an SMTP command: it holds no
line break, no NUL and nothing that ends a path. Grammar: RFC 5322 section 3.4.1 without
the obsolete forms, RFC 6531 for characters beyond ASCII, RFC 5890 for domains.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from functools import lru_cache

import idna

from mailhub.mail.errors import InvalidMessage

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\x80-\U0010ffff-]+"
_LOCAL = re.compile(rf'{_ATOM}(?:\.{_ATOM})*|"(?:[^"\\]|\\.)*"')
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_NAMED = re.compile(r"(?P<name>.*?)\s*<(?P<address>[^<>]*)>", re.DOTALL)
_QUOTED_NAME = re.compile(r'"(?P<inner>(?:[^"\\]|\\.)*)"', re.DOTALL)
_NAME_SPECIALS = re.compile(r'[()<>\[\]:;@\\,"]')

# RFC 5321 section 4.5.3.1, in octets.
_LONGEST_LOCAL = 64
_LONGEST_DOMAIN = 255
_LONGEST_TEXT = 1000

_BREAKS = re.compile(r"[\r\n\0]")


def refuse_breaks(what: str, value: str) -> None:
    """Raise InvalidMessage where `value` holds CR, LF, NUL or half of a surrogate pair.

    Those would end a header line early (header injection) or cannot be encoded. `what`
    names the value in the error, which never repeats the value itself.
    """
    if _BREAKS.search(value):
        raise InvalidMessage(f"{what} holds a line break or a NUL character.")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidMessage(f"{what} holds a character that cannot be encoded.") from None


@lru_cache(maxsize=4096)
def encode_domain(domain: str) -> str:
    """The ASCII form of a domain (A-labels, UTS 46 mapping). Raises InvalidMessage."""
    ascii_domain = domain
    if domain.startswith("[") and domain.endswith("]"):
        _check_literal(domain[1:-1])
        return domain
    if not domain.isascii():
        try:
            ascii_domain = idna.encode(domain, uts46=True).decode("ascii")
        except (idna.IDNAError, UnicodeError):
            raise InvalidMessage("The domain of an address is not a valid name.") from None
    if len(ascii_domain) > _LONGEST_DOMAIN or not _DOMAIN.fullmatch(ascii_domain):
        raise InvalidMessage("The domain of an address is not a valid name.")
    return ascii_domain


def _check_literal(inner: str) -> None:
    """An address literal, RFC 5321 section 4.1.3."""
    text = inner[5:] if inner[:5].lower() == "ipv6:" else inner
    try:
        ipaddress.ip_address(text)
    except ValueError:
        raise InvalidMessage("The domain of an address is not a valid literal.") from None


@lru_cache(maxsize=4096)
def encode_address(address: str) -> str:
    """`local@domain` as it stands in an SMTP path or a header: the domain in A-labels.

    The local part is kept as it is; one beyond ASCII needs SMTPUTF8. Raises
    InvalidMessage for anything that is not exactly one address.
    """
    if not address.isprintable():
        raise InvalidMessage("An address holds a control character.")
    local, at, domain = address.rpartition("@")
    if not at or len(local.encode()) > _LONGEST_LOCAL or not _LOCAL.fullmatch(local):
        raise InvalidMessage("An address is not of the form name@domain.")
    return f"{local}@{encode_domain(domain)}"


@dataclass(frozen=True, slots=True)
class Address:
    """A person's display name (may be empty) and address, checked when made.

    `name` is stored without blanks around it, `address` in its wire form, with the domain
    in A-labels. Raises InvalidMessage.
    """

    name: str
    address: str

    def __post_init__(self) -> None:
        if self.name:
            refuse_breaks("The name of an address", self.name)
            object.__setattr__(self, "name", self.name.strip())
        object.__setattr__(self, "address", encode_address(self.address))

    @property
    def domain(self) -> str:
        """The domain, in A-labels."""
        return self.address.rpartition("@")[2]

    @property
    def needs_smtputf8(self) -> bool:
        """Whether only a server with SMTPUTF8 (RFC 6531) can take this address."""
        return not self.address.isascii()

    def __str__(self) -> str:
        return f"{self.name} <{self.address}>" if self.name else self.address


def parse_address(text: str) -> Address:
    """Read `a@b.c`, `<a@b.c>`, `Ann <a@b.c>` or `"Lee, Ann" <a@b.c>`.

    Strict: one address and nothing beside it, no comments, no groups, and a name with
    special characters must be quoted. Raises InvalidMessage.
    """
    refuse_breaks("An address", text)
    text = text.strip()
    if len(text) > _LONGEST_TEXT:
        raise InvalidMessage("An address is too long.")
    named = _NAMED.fullmatch(text)
    if named is None:
        return Address("", text)
    name = named["name"].strip()
    quoted = _QUOTED_NAME.fullmatch(name)
    if quoted is not None:
        name = re.sub(r"\\(.)", r"\1", quoted["inner"])
    elif _NAME_SPECIALS.search(name):
        raise InvalidMessage("The name of an address holds special characters without quotes.")
    return Address(name, named["address"].strip())


def parse_addresses(text: str) -> list[Address]:
    """Read addresses with commas between them; [] for a blank text. Raises InvalidMessage."""
    pieces, start, quoted, escaped, angled = [], 0, False, False, False
    for position, character in enumerate(text):
        if escaped:
            escaped = False
        elif quoted and character == "\\":
            escaped = True
        elif character == '"':
            quoted = not quoted
        elif not quoted and character in "<>":
            angled = character == "<"
        elif character == "," and not quoted and not angled:
            pieces.append(text[start:position])
            start = position + 1
    pieces.append(text[start:])
    return [parse_address(piece) for piece in pieces if piece.strip()]
