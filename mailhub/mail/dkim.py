"""Signing messages with DKIM (RFC 6376): rsa-sha256, relaxed header and body.

The key is read once; a signature costs about a millisecond. Fields are signed from the last of
their name up, and From and Subject once more than they are there, so that nobody can add one.
"""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable, Sequence
from hashlib import sha256

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from mailhub.mail.errors import InvalidMessage
from mailhub.mail.transports.octets import crlf_lines, seven_bit

LEAST_BITS = 2048
# RFC 6376 section 5.4.1, and what RFC 8058 section 4 asks for.
_SIGNED = (
    *("from", "to", "subject", "date", "message-id", "reply-to", "mime-version"),
    *("content-type", "content-transfer-encoding", "list-id", "list-unsubscribe"),
    *("list-unsubscribe-post", "feedback-id"),
)
_NOT_TO_BE_ADDED = ("from", "subject")
_WHITE = re.compile(rb"[ \t]+")
_WHITE_AT_END = re.compile(rb"[ \t]+\r\n")
_FOLD = re.compile(rb"\r\n(?=[ \t])")
_LINE = 72


def make_key(bits: int = LEAST_BITS) -> str:
    """A new private key, in PEM."""
    return _as_pem(rsa.generate_private_key(public_exponent=65_537, key_size=bits))


def read_key(pem: str) -> str:
    """A private key that somebody gives, in our PEM. Raises InvalidMessage."""
    return _as_pem(_load(pem))


def public_part(pem: str) -> str:
    """What stands in the DNS as p=."""
    octets = (
        _load(pem)
        .public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return base64.b64encode(octets).decode()


class DkimSigner:
    """Signs for one domain; to be used from any thread. `clock` is in seconds since the epoch."""

    def __init__(
        self, domain: str, selector: str, pem: str, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._key = _load(pem)
        self._clock = clock
        self._named = f"v=1; a=rsa-sha256; c=relaxed/relaxed; d={domain}; s={selector}"

    def sign(self, content: bytes) -> bytes:
        """The message, as it has to leave, with the signature before its first field."""
        content = crlf_lines(seven_bit(content))
        head, _, body = content.partition(b"\r\n\r\n")
        names, signed = _choose(_fields(head))
        digest = base64.b64encode(sha256(_relaxed_body(body)).digest()).decode()
        unsigned = (
            f"{self._named}; t={int(self._clock())};\r\n"
            f" h={_folded(':'.join(names))};\r\n bh={digest};\r\n b="
        ).encode()
        text = b"".join([*signed, _relaxed_field(b"DKIM-Signature: " + unsigned)[:-2]])
        signature = self._key.sign(text, padding.PKCS1v15(), hashes.SHA256())
        encoded = base64.b64encode(signature).decode()
        pieces = [encoded[start : start + _LINE] for start in range(0, len(encoded), _LINE)]
        return b"DKIM-Signature: " + unsigned + "\r\n ".join(pieces).encode() + b"\r\n" + content


def _load(pem: str) -> rsa.RSAPrivateKey:
    try:
        key = serialization.load_pem_private_key(pem.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InvalidMessage("This is no private key in PEM without a password.") from error
    if not isinstance(key, rsa.RSAPrivateKey) or key.key_size < LEAST_BITS:
        raise InvalidMessage(f"DKIM needs an RSA key of {LEAST_BITS} bits at least.")
    return key


def _as_pem(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def _fields(head: bytes) -> list[tuple[str, bytes]]:
    """Each with its lower-cased name, unfolded."""
    lines = _FOLD.sub(b"", head).split(b"\r\n")
    return [(line.partition(b":")[0].strip().lower().decode("latin-1"), line) for line in lines]


def _choose(fields: Sequence[tuple[str, bytes]]) -> tuple[list[str], list[bytes]]:
    """The names in the order of h=, and the fields that they stand for."""
    names: list[str] = []
    chosen: list[bytes] = []
    for name in _SIGNED:
        found = [line for each, line in reversed(fields) if each == name]
        names += [name] * (len(found) + (name in _NOT_TO_BE_ADDED))
        chosen += [_relaxed_field(line) for line in found]
    return names, chosen


def _relaxed_field(line: bytes) -> bytes:
    name, _, value = _FOLD.sub(b"", line).partition(b":")
    return name.strip().lower() + b":" + _WHITE.sub(b" ", value).strip() + b"\r\n"


def _relaxed_body(body: bytes) -> bytes:
    if not body.endswith(b"\r\n"):
        body += b"\r\n"
    text = _WHITE.sub(b" ", _WHITE_AT_END.sub(b"\r\n", body))
    text = text.rstrip(b"\r\n")
    return text + b"\r\n" if text else b""


def _folded(names: str) -> str:
    """In lines that are not too long; white space is allowed about the colons."""
    lines: list[str] = []
    line = ""
    for name in names.split(":"):
        if line and len(line) + len(name) > _LINE:
            lines.append(line)
            line = ""
        line += f"{name}:"
    return "\r\n  ".join([*lines, line]).removesuffix(":")
