"""What only those know who got a message: by it a report is told from a forged one.

    1a2b-0123456789abcdef0123     the delivery's key ┃ BLAKE2b over it, keyed with SECRET_KEY

It stands in the Message-ID, and in the envelope's sender where that is ours (VERP):
`bounce+TOKEN@example.org`. Small letters alone, for servers on the way change large ones.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b, sha256

from django.conf import settings

_DIGEST = 10
_TOKEN = re.compile(r"(?<![0-9a-f])([0-9a-f]{1,15})-([0-9a-f]{20})(?![0-9a-f])")
_LONGEST = 2000


def write_proof(delivery: int) -> str:
    """The token of a delivery."""
    return proof_writer()(delivery)


def proof_writer() -> Callable[[int], str]:
    """What writes the tokens of deliveries with today's key."""
    begin = _keyed(settings.SECRET_KEY).copy

    def write(delivery: int) -> str:
        digest = begin()
        digest.update(delivery.to_bytes(8, "big"))
        return f"{delivery:x}-{digest.hexdigest()}"

    return write


def read_proof(text: str) -> int | None:
    """The delivery whose token stands in this address or Message-ID; None where there is none."""
    for found in _TOKEN.finditer(text[:_LONGEST].lower()):
        delivery = int(found[1], 16)
        if hmac.compare_digest(write_proof(delivery), f"{delivery:x}-{found[2]}"):
            return delivery
    return None


def return_path(bounce_address: str, delivery: int) -> str:
    """The envelope's sender for one recipient: `bounce+TOKEN@domain`."""
    name, _, domain = bounce_address.rpartition("@")
    return f"{name}+{write_proof(delivery)}@{domain}"


@lru_cache(maxsize=4)
def _keyed(secret: str) -> blake2b:
    key = sha256(secret.encode()).digest()
    return blake2b(key=key, digest_size=_DIGEST, person=b"mailhub proof")
