"""What is posted, and its signature, as Standard Webhooks 1.0.0 has them.

Signed is `id.timestamp.body`: the id is the event's and the same at every try, the
timestamp is the try's, in seconds since the epoch. docs/security.md shows a receiver.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC

from accounts.models import Event

_PREFIX = "whsec_"
_SECRET_OCTETS = 32


def new_secret() -> str:
    """A fresh secret, as a receiver is given it."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_OCTETS)).decode()


def write_body(event: Event, tenant: str) -> bytes:
    """The request's body; `tenant` is the slug. The same octets at every try."""
    moment = event.created_at.astimezone(UTC).isoformat(timespec="microseconds")
    content = {
        "id": event.public_id,
        "type": event.type,
        "timestamp": moment.replace("+00:00", "Z"),
        "tenant": tenant,
        "data": event.data,
    }
    return json.dumps(content, separators=(",", ":")).encode()


def signed_headers(
    keys: Sequence[str], event_id: str, timestamp: int, body: bytes
) -> Mapping[str, str]:
    """The headers of a request; one signature for each of the secrets."""
    content = f"{event_id}.{timestamp}.".encode() + body
    signatures = []
    for key in keys:
        octets = base64.b64decode(key.removeprefix(_PREFIX))
        digest = hmac.new(octets, content, hashlib.sha256).digest()
        signatures.append(f"v1,{base64.b64encode(digest).decode()}")
    return {
        "Content-Type": "application/json",
        "User-Agent": "mailhub",
        "webhook-id": event_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signatures),
    }
