"""Who signed a request to AWS: signature version 4, by its description and none of AWS's code."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler


def signature_fault(
    request: BaseHTTPRequestHandler,
    body: bytes,
    keys: Mapping[str, str],
    *,
    region: str,
    service: str,
) -> tuple[str, str] | None:
    """The name and the words of what is wrong with it; None for a request of `keys`."""
    scheme, _, rest = request.headers.get("Authorization", "").partition(" ")
    if scheme != "AWS4-HMAC-SHA256":
        return "MissingAuthenticationTokenException", "Not signed."
    given = dict(piece.strip().split("=", 1) for piece in rest.split(","))
    key_id, *scope, _ = given["Credential"].split("/")
    if key_id not in keys:
        words = "The security token included in the request is invalid."
        return "UnrecognizedClientException", words
    text = "\n".join(
        [
            "AWS4-HMAC-SHA256",
            request.headers["X-Amz-Date"],
            "/".join([*scope, "aws4_request"]),
            _digest(_canonical(request, given["SignedHeaders"], body)),
        ]
    )
    key = f"AWS4{keys[key_id]}".encode()
    for part in (*scope, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    wanted = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    if wanted != given["Signature"] or scope[1:] != [region, service]:
        words = "The request signature we calculated does not match the one you provided."
        return "InvalidSignatureException", words
    return None


def _canonical(request: BaseHTTPRequestHandler, signed: str, body: bytes) -> bytes:
    path, _, query = request.path.partition("?")
    headers = [
        f"{name}:{' '.join((request.headers[name] or '').split())}" for name in signed.split(";")
    ]
    path = path.replace("%", "%25")
    lines = [request.command, path, query, *headers, "", signed, _digest(body)]
    return "\n".join(lines).encode()


def _digest(octets: bytes) -> str:
    return hashlib.sha256(octets).hexdigest()
