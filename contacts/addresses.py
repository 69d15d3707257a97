"""The one form in which a contact's address is stored and compared.

The whole address in lower case, its domain in A-labels (RFC 5890): `Ann@BÜCHER.example`
is `ann@xn--bcher-kva.example`. RFC 5321 lets a server tell `Ann` from `ann`; none in use
does, and two contacts that differ by case alone are one person mailed twice.
"""

from __future__ import annotations

from functools import lru_cache

from django.core.exceptions import ValidationError
from django.core.validators import EmailValidator

from mailhub.mail.addresses import encode_domain
from mailhub.mail.errors import InvalidMessage

# RFC 5321 section 4.5.3.1: a path of 256 octets with its angle brackets.
_LONGEST_ADDRESS = 254
_LONGEST_LOCAL = 64
_INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff"

_validate = EmailValidator()
# Looked up once: the pattern is a lazy object, slow to ask for its methods.
_is_local_part = _validate.user_regex.match


class InvalidAddress(ValueError):
    """The text is not an email address; the message says why, in a person's words."""


def normalise_email(text: str) -> str:
    """The stored form of an address. Raises InvalidAddress.

    White space and invisible characters around it are dropped: spreadsheets add them.
    """
    address = text.strip().strip(_INVISIBLE).strip()
    local, at, domain = address.rpartition("@")
    if not address:
        raise InvalidAddress("The email address is missing.")
    if not at or not local or len(local) > _LONGEST_LOCAL or not _is_local_part(local):
        raise InvalidAddress("This is not an email address.")
    normal = f"{local.lower()}@{_normalise_domain(domain)}"
    if len(normal) > _LONGEST_ADDRESS:
        raise InvalidAddress("The email address is too long.")
    return normal


@lru_cache(maxsize=65536)
def _normalise_domain(domain: str) -> str:
    try:
        ascii_domain = encode_domain(domain.lower()).lower()
        _validate(f"a@{ascii_domain}")
    except (InvalidMessage, ValidationError):
        raise InvalidAddress("The domain of the email address is not valid.") from None
    return ascii_domain
