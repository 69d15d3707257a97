"""What Amazon SNS posts: read, and known to be from AWS by its signature.

https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html

The certificate comes from a host of SNS alone. It is kept once it was fetched; a download
that fails is tried again, and never remembered as the answer.
"""

from __future__ import annotations

import base64
import binascii
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import requests
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from django.conf import settings
from django.utils.dateparse import parse_datetime

from mailhub.errors import Busy, InvalidInput, NotAllowed
from mailhub.logs import get_logger

log = get_logger(__name__)

NOTIFICATION = "Notification"
SUBSCRIPTION = "SubscriptionConfirmation"
END_OF_SUBSCRIPTION = "UnsubscribeConfirmation"
# SNS takes 256 KB; JSON inside JSON escapes its quotation marks.
LARGEST_NOTICE = 1 << 20

_HOST = re.compile(r"sns\.(?P<region>[a-z]{2}(?:-[a-z]+)+-\d{1,2})\.amazonaws\.com(?:\.cn)?")
_ARN = re.compile(
    r"arn:aws[a-z-]*:sns:(?P<region>[a-z]{2}(?:-[a-z]+)+-\d{1,2}):\d{12}:[A-Za-z0-9_-]{1,256}(?:\.fifo)?"
)
_SIGNED = {
    NOTIFICATION: ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    SUBSCRIPTION: (
        *("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    ),
}
_SIGNED[END_OF_SUBSCRIPTION] = _SIGNED[SUBSCRIPTION]
_OPTIONAL = "Subject"
_HASHES: dict[str, type[hashes.HashAlgorithm]] = {"1": hashes.SHA1, "2": hashes.SHA256}
# SNS tries for hours to deliver a notice; what is told twice changes nothing.
_STALE_AFTER = timedelta(days=1)
_SKEW = timedelta(minutes=15)

_TIMEOUT = (3.0, 5.0)
_TRIES = 3
_PAUSE = 0.2
_LARGEST_CERTIFICATE = 1 << 16
_KEPT_SECONDS = 86_400.0
_MOST_KEPT = 32


@dataclass(frozen=True, slots=True)
class Notice:
    """One post of SNS. `fields` are as it sent them, all of them text."""

    kind: str
    topic: str
    notice_id: str
    message: str
    at: datetime
    fields: Mapping[str, str]

    @property
    def region(self) -> str:
        """Where its topic is."""
        found = _ARN.fullmatch(self.topic)
        return found["region"] if found else ""


def is_topic(arn: str) -> bool:
    """Whether it is written as the ARN of a topic is."""
    return _ARN.fullmatch(arn) is not None


def read_notice(value: Any) -> Notice:
    """A post's JSON, checked for its form alone. Raises InvalidInput."""
    if not isinstance(value, dict):
        raise InvalidInput("This is no notice of Amazon SNS.")
    fields = {name: text for name, text in value.items() if isinstance(text, str)}
    kind = fields.get("Type", "")
    wanted = {name for name in _SIGNED.get(kind, ()) if name != _OPTIONAL}
    if not wanted or not wanted <= fields.keys():
        raise InvalidInput("This is no notice of Amazon SNS.")
    try:
        at = parse_datetime(fields["Timestamp"])
    except ValueError:
        at = None
    if at is None or at.tzinfo is None or not is_topic(fields["TopicArn"]):
        raise InvalidInput("This is no notice of Amazon SNS.")
    return Notice(
        kind=kind,
        topic=fields["TopicArn"],
        notice_id=fields["MessageId"],
        message=fields["Message"],
        at=at,
        fields=fields,
    )


def verify_notice(notice: Notice) -> None:
    """Raises NotAllowed for one that AWS has not signed, or long ago; Busy where that cannot
    be told now."""
    now = datetime.now(UTC)
    if not now - _STALE_AFTER < notice.at < now + _SKEW:
        raise NotAllowed("This notice is too old.", code="stale_notice")
    chosen = _HASHES.get(notice.fields.get("SignatureVersion", ""))
    if chosen is None:
        raise _not_signed("its version of signatures is not known")
    try:
        signature = base64.b64decode(notice.fields.get("Signature", ""), validate=True)
    except binascii.Error:
        raise _not_signed("it has no signature") from None
    key = _certificates.key_at(refuse_foreign(notice.fields.get("SigningCertURL", ""), notice))
    try:
        key.verify(signature, _signed_text(notice), padding.PKCS1v15(), chosen())
    except InvalidSignature:
        raise _not_signed("the signature is of something else") from None


def confirm_subscription(notice: Notice) -> None:
    """Visit the address by which SNS is told that it may post here. Raises Busy, NotAllowed."""
    _fetch(refuse_foreign(notice.fields["SubscribeURL"], notice))


def refuse_foreign(url: str, notice: Notice) -> str:
    """The address, if it is one of SNS in the topic's region. Raises NotAllowed."""
    try:
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
    except ValueError:
        raise _not_signed("its address is none") from None
    if origin in settings.MAILHUB_SNS_ORIGINS:
        return url
    found = _HOST.fullmatch(parts.netloc)
    if parts.scheme != "https" or found is None or found["region"] != notice.region:
        raise _not_signed("it names a host that is not SNS's")
    return url


def _not_signed(why: str) -> NotAllowed:
    return NotAllowed(f"This notice is not signed by AWS: {why}.", code="bad_signature")


def _signed_text(notice: Notice) -> bytes:
    fields = notice.fields
    names = (name for name in _SIGNED[notice.kind] if name in fields)
    return "".join(f"{name}\n{fields[name]}\n" for name in names).encode()


def _fetch(url: str) -> bytes:
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(_PAUSE * attempt)
        try:
            with requests.get(
                url,
                timeout=_TIMEOUT,
                allow_redirects=False,
                stream=True,
                verify=settings.MAILHUB_CA_FILE or True,
            ) as answer:
                content = answer.raw.read(_LARGEST_CERTIFICATE + 1, decode_content=True)
            if answer.status_code == 200 and len(content) <= _LARGEST_CERTIFICATE:
                return bytes(content)
            words = f"status {answer.status_code}"
        except (requests.RequestException, OSError) as error:
            words = type(error).__name__
        log.warning("SNS did not answer", host=urlsplit(url).netloc, error=words)
    raise Busy("Amazon SNS could not be asked now.", retry_after=30)


class _Certificates:
    """The keys of certificates that were fetched, by their addresses."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[float, x509.Certificate, rsa.RSAPublicKey]] = {}

    def key_at(self, url: str) -> rsa.RSAPublicKey:
        if not urlsplit(url).path.endswith(".pem"):
            raise _not_signed("it names no certificate")
        with self._lock:
            kept = self._kept.get(url)
        if kept is None or time.monotonic() - kept[0] > _KEPT_SECONDS:
            kept = self._read(url)
            with self._lock:
                self._kept[url] = kept
                while len(self._kept) > _MOST_KEPT:
                    del self._kept[next(iter(self._kept))]
        _, certificate, key = kept
        now = datetime.now(UTC)
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            raise _not_signed("the certificate is not valid now")
        return key

    def _read(self, url: str) -> tuple[float, x509.Certificate, rsa.RSAPublicKey]:
        try:
            certificate = x509.load_pem_x509_certificate(_fetch(url))
            key = certificate.public_key()
        except ValueError:
            raise Busy("SNS's certificate could not be read.", retry_after=30) from None
        if not isinstance(key, rsa.RSAPublicKey):
            raise _not_signed("the certificate is of another kind")
        return time.monotonic(), certificate, key


_certificates = _Certificates()
