"""Links that speak for one person without a login: what they name cannot be guessed or changed.

A token is a number and a signature over it and its purpose, keyed with SECRET_KEY, so that
none has to be stored, and a link for one thing is none for another.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

from django.core import signing

CONFIRMABLE_FOR = timedelta(days=30)


class Purpose(StrEnum):
    """What a link is for, and so whose number it carries.

    confirm: a ListMember's, good for thirty days. preferences: a Contact's, good for ever,
    as the messages are that hold it.
    """

    CONFIRM = "confirm"
    PREFERENCES = "preferences"


_LIFETIMES = {Purpose.CONFIRM: CONFIRMABLE_FOR, Purpose.PREFERENCES: None}


def write_token(purpose: Purpose, key: int) -> str:
    """The token for this row, fit for an address."""
    return _signer(purpose).sign(signing.b62_encode(key))


def read_token(purpose: Purpose, token: str) -> int | None:
    """The row that a token names; None for one that is not ours, or is too old."""
    try:
        return signing.b62_decode(_signer(purpose).unsign(token, max_age=_LIFETIMES[purpose]))
    except signing.BadSignature:
        return None


def _signer(purpose: Purpose) -> signing.TimestampSigner:
    return signing.TimestampSigner(sep=".", salt=f"mailhub.contacts.{purpose}")
