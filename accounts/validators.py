"""What a name, a secret and a host name may look like, wherever they come from."""

from __future__ import annotations

import ipaddress
import re
import unicodedata

import idna
from django.core.exceptions import ValidationError

from mailhub.mail.aws import is_region

_CONFIGURATION_SET = re.compile(r"[A-Za-z0-9_-]{1,64}")
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")


def single_line(text: str) -> None:
    """ValidationError where the text holds a line break or another control character."""
    if any(unicodedata.category(character) in ("Cc", "Zl", "Zp") for character in text):
        raise ValidationError("Line breaks and control characters are not allowed here.")


def clean_hostname(text: str) -> str:
    """The host name in the form that goes on the wire, or an IP address as it is.

    International names become A-labels (RFC 5891). Raises ValidationError.
    """
    host = text.strip().removesuffix(".").lower()
    try:
        return str(ipaddress.ip_address(host.removeprefix("[").removesuffix("]")))
    except ValueError:
        pass
    if not host.isascii():
        try:
            host = idna.encode(host, uts46=True).decode()
        except (idna.IDNAError, UnicodeError):
            raise ValidationError("This is not a host name.") from None
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in host.split(".")):
        raise ValidationError("This is not a host name.")
    return host


def valid_hostname(text: str) -> None:
    """ValidationError where the text is no host name."""
    clean_hostname(text)


def valid_region(text: str) -> None:
    """ValidationError where the text is no AWS region's name."""
    if not is_region(text):
        raise ValidationError("This is not the name of an AWS region, such as eu-west-1.")


def valid_configuration_set(text: str) -> None:
    """ValidationError where no configuration set of SES can have this name."""
    if not _CONFIGURATION_SET.fullmatch(text):
        raise ValidationError("A configuration set's name has letters, digits, - and _ only.")
