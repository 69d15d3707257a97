"""Links that speak for one recipient of one campaign: what they name cannot be guessed or changed.

    36 letters = 12 octets: two numbers of 6 ┃ 15 octets: BLAKE2b over them (RFC 7693)

The digest is keyed with SECRET_KEY and made for one purpose, so that a link to an image is
none for leaving. A campaign writes several into each message: one takes about a microsecond.
"""

from __future__ import annotations

import binascii
import hmac
from base64 import urlsafe_b64decode
from collections.abc import Callable
from enum import StrEnum
from functools import lru_cache
from hashlib import blake2b, sha256
from typing import NamedTuple

from django.conf import settings

_NUMBER = 6
_DIGEST = 15
LENGTH = 36
_FOR_ADDRESSES = bytes.maketrans(b"+/", b"-_")


class Purpose(StrEnum):
    """What a link is for. Each but `leave` names a delivery alone."""

    LEAVE = "leave"
    OPEN = "open"
    CLICK = "click"


# Where each leads, before its token. A process that sends mail needs to know no other address.
PATHS = {Purpose.LEAVE: "u/", Purpose.OPEN: "o/", Purpose.CLICK: "c/"}


class Named(NamedTuple):
    """The keys in a link; 0 for none, as in a test message.

    `contact` stays good when the campaign and its deliveries were deleted.
    """

    delivery: int
    contact: int


def write_token(purpose: Purpose, delivery: int, contact: int = 0) -> str:
    """The token for this recipient, fit for an address."""
    return token_writer(purpose)(delivery, contact)


def token_writer(purpose: Purpose) -> Callable[[int, int], str]:
    """What writes such tokens, for delivery and contact, with today's key."""
    begin = _keyed(purpose, settings.SECRET_KEY).copy

    def write(delivery: int, contact: int) -> str:
        body = (delivery << 48 | contact).to_bytes(2 * _NUMBER, "big")
        digest = begin()
        digest.update(body)
        encoded = binascii.b2a_base64(body + digest.digest(), newline=False)
        return encoded.translate(_FOR_ADDRESSES).decode("ascii")

    return write


def read_token(purpose: Purpose, token: str) -> Named | None:
    """Whom a token names; None for one that is not ours."""
    if len(token) != LENGTH or not token.isascii():
        return None
    try:
        octets = urlsafe_b64decode(token)
    except binascii.Error:
        return None
    body, given = octets[: 2 * _NUMBER], octets[2 * _NUMBER :]
    digest = _keyed(purpose, settings.SECRET_KEY).copy()
    digest.update(body)
    if not hmac.compare_digest(digest.digest(), given):
        return None
    return Named(int.from_bytes(body[:_NUMBER], "big"), int.from_bytes(body[_NUMBER:], "big"))


@lru_cache(maxsize=16)
def _keyed(purpose: Purpose, secret: str) -> blake2b:
    """A digest that has taken in its key; BLAKE2b's own purpose field tells uses apart."""
    key = sha256(secret.encode()).digest()
    return blake2b(key=key, digest_size=_DIGEST, person=f"mailhub {purpose}".encode())
