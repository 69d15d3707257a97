"""Amazon SNS as far as it matters here: it signs what it posts, and serves its certificate.

Signatures are made by the words of AWS's documents, and by none of our code.
"""

from __future__ import annotations

import base64
import json
import ssl
import threading
import uuid
from collections import deque
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from tests.servers.certificates import make_certificate
from tests.servers.http_server import QuietHandler, QuietServer

TOPIC = "arn:aws:sns:eu-west-1:123456789012:mail-events"
_NOTIFICATION = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_CONFIRMATION = (
    *("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
)


class SnsFake:
    """`failures` are statuses with which the next requests are answered. `asked` are paths."""

    def __init__(self, folder: Path) -> None:
        self.failures: deque[int] = deque()
        self.asked: list[str] = []
        self.key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
        self.pem = _certificate(self.key)
        self.ca_file, key_file = make_certificate(folder, "127.0.0.1")
        self._server = _Listener(self)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.ca_file, key_file)
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.origin = f"https://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )
        self._thread.start()

    @property
    def certificate_url(self) -> str:
        return f"{self.origin}/SimpleNotificationService-{id(self)}.pem"

    def notification(self, event: Any, *, version: str = "1", **fields: str) -> dict[str, str]:
        """A signed notification of this event."""
        return self.sign(
            {**self._common("Notification"), "Message": json.dumps(event), **fields}, version
        )

    def confirmation(self, kind: str, *, version: str = "1", **fields: str) -> dict[str, str]:
        """A signed SubscriptionConfirmation or UnsubscribeConfirmation."""
        values = {
            **self._common(kind),
            "Message": "You have chosen to subscribe to the topic.",
            "Token": "2336412f37",
            "SubscribeURL": f"{self.origin}/?Action=ConfirmSubscription&Token=2336412f37",
        }
        return self.sign({**values, **fields}, version)

    def sign(self, fields: dict[str, str], version: str) -> dict[str, str]:
        names = _NOTIFICATION if fields["Type"] == "Notification" else _CONFIRMATION
        text = "".join(f"{name}\n{fields[name]}\n" for name in names if name in fields)
        chosen = hashes.SHA1() if version == "1" else hashes.SHA256()
        signature = self.key.sign(text.encode(), padding.PKCS1v15(), chosen)
        return {
            **fields,
            "SignatureVersion": version,
            "Signature": base64.b64encode(signature).decode(),
            "SigningCertURL": self.certificate_url,
        }

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _common(self, kind: str) -> dict[str, str]:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        return {"Type": kind, "MessageId": str(uuid.uuid4()), "TopicArn": TOPIC, "Timestamp": now}


class _Listener(QuietServer):
    def __init__(self, fake: SnsFake) -> None:
        super().__init__(_Handler)
        self.fake = fake


class _Handler(QuietHandler):
    server: _Listener

    def do_GET(self) -> None:
        fake = self.server.fake
        fake.asked.append(self.path)
        status = fake.failures.popleft() if fake.failures else 200
        body = fake.pem if self.path.endswith(".pem") else b"<ConfirmSubscriptionResponse/>"
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _certificate(key: rsa.RSAPrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=2))
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM)
