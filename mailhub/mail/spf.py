"""Reading an SPF record as a receiver does, without a message to judge (RFC 7208).

Records that it includes are read too. What depends on the message (macros, section 7) is
counted as a question and not followed.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_MOST_LOOKUPS = 10
_MODIFIER = re.compile(r"([a-z][a-z0-9._-]*)=(.*)", re.IGNORECASE | re.DOTALL)
_MECHANISM = re.compile(
    r"(?P<qualifier>[+?~-]?)(?P<name>[a-z][a-z0-9._-]*)(?P<value>[:/].*)?",
    re.IGNORECASE | re.DOTALL,
)
_LENGTHS = re.compile(r"(?P<domain>.*?)(?:/(?P<four>\d{1,2}))?(?://(?P<six>\d{1,3}))?", re.DOTALL)
_MACRO = re.compile(r"%\{[slodiphcrtv]\d{0,3}r?[.\-+,/_=]*\}|%%|%_|%-", re.IGNORECASE)
_LABEL = re.compile(r"[\x21-\x24\x26-\x2d\x2f-\x7e]{1,63}")


class SpfError(Exception):
    """Receivers take the record as an error (permerror, section 2.6.7). `args[0]` says why."""


@dataclass(frozen=True, slots=True)
class Spf:
    """What a record says of everybody: `rest` is the qualifier of who is not named, "" for none."""

    allows_some: bool = False
    rest: str = ""


class SpfReader:
    """Reads one domain's record. `texts` answers the TXT records of a name."""

    def __init__(self, texts: Callable[[str], Sequence[str]]) -> None:
        self._texts = texts
        self._lookups = 0

    def read(self, domain: str, record: str) -> Spf:
        """Raises SpfError, and what `texts` raises."""
        return self._read(domain.lower(), record, (domain.lower(),))

    def _read(self, domain: str, record: str, path: tuple[str, ...]) -> Spf:
        terms = record.split()[1:]
        redirect = _redirect_of(terms)
        parsed = [_parse(term) for term in terms if not _MODIFIER.fullmatch(term)]
        allows = False
        for qualifier, name, value in parsed:
            if name == "all":
                return Spf(allows or qualifier == "+", qualifier)
            found = self._look(name, value or domain, path)
            if found is not None and found.rest == "+" and qualifier == "+":
                return Spf(allows_some=True, rest="+")
            allows = allows or (qualifier == "+" and (found is None or found.allows_some))
        if redirect:
            found = self._follow(redirect, path)
            # A name with macros is not known here: whom it lets send is not known either.
            found = found or Spf(allows_some=True, rest="?")
            return Spf(allows or found.allows_some, found.rest)
        return Spf(allows)

    def _look(self, name: str, target: str, path: tuple[str, ...]) -> Spf | None:
        if name == "include":
            return self._follow(target, path)
        if name in ("a", "mx", "ptr", "exists"):
            self._count()
        return None

    def _follow(self, target: str, path: tuple[str, ...]) -> Spf | None:
        self._count()
        target = target.lower().removesuffix(".")
        if "%" in target:
            return None
        if target in path:
            raise SpfError(f"It includes itself: {' → '.join((*path, target))}.")
        found = [text for text in self._texts(target) if is_spf(text)]
        if len(found) != 1:
            words = "several SPF records" if found else "no SPF record"
            raise SpfError(f"It includes {target}, which has {words}.")
        return self._read(target, found[0], (*path, target))

    def _count(self) -> None:
        self._lookups += 1
        if self._lookups > _MOST_LOOKUPS:
            raise SpfError("It needs more than ten lookups.")


def is_spf(text: str) -> bool:
    """Whether it is a record of this version (section 4.5)."""
    return text.lower() == "v=spf1" or text.lower().startswith("v=spf1 ")


def _redirect_of(terms: Sequence[str]) -> str:
    """Where the record goes on; "" where it does not."""
    given = [found.groups() for term in terms if (found := _MODIFIER.fullmatch(term))]
    for name in ("redirect", "exp"):
        values = [value for each, value in given if each.lower() == name]
        if len(values) > 1:
            raise SpfError(f"It has {name}= more than once.")
        if values:
            _check_domain(f"{name}={values[0]}", values[0])
    return next((value for name, value in given if name.lower() == "redirect"), "")


def _parse(term: str) -> tuple[str, str, str]:
    """Qualifier, name and domain of a mechanism (section 5)."""
    found = _MECHANISM.fullmatch(term)
    name = found["name"].lower() if found else ""
    if found is None or name not in ("all", "include", "a", "mx", "ptr", "ip4", "ip6", "exists"):
        raise SpfError(f"Nobody knows its term {term!r}.")
    value = found["value"] or ""
    if name in ("ip4", "ip6"):
        _check_network(term, name, value)
        return found["qualifier"] or "+", name, ""
    lengths = _LENGTHS.fullmatch(value) if name in ("a", "mx") else None
    if lengths is not None:
        if int(lengths["four"] or 0) > 32 or int(lengths["six"] or 0) > 128:
            raise SpfError(f"Its term {term!r} is not written as it has to be.")
        value = lengths["domain"]
    needs = name in ("include", "exists")
    if (name == "all" and value) or (needs and not value):
        raise SpfError(f"Its term {term!r} is not written as it has to be.")
    if value:
        if not value.startswith(":"):
            raise SpfError(f"Its term {term!r} is not written as it has to be.")
        _check_domain(term, value[1:])
    return found["qualifier"] or "+", name, value[1:]


def _check_network(term: str, name: str, value: str) -> None:
    kind = ipaddress.IPv4Network if name == "ip4" else ipaddress.IPv6Network
    try:
        kind(value.removeprefix(":"), strict=False)
    except ValueError:
        raise SpfError(f"Its term {term!r} names no address.") from None


def _check_domain(term: str, text: str) -> None:
    """A name, or one with macros (section 7.1)."""
    plain = _MACRO.sub("x", text).removesuffix(".")
    if len(plain) > 253 or not all(_LABEL.fullmatch(each) for each in plain.split(".")):
        raise SpfError(f"Its term {term!r} names no domain.")
