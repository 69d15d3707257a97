"""Certificates for servers under test, made at run time."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def make_certificate(
    folder: Path, host: str, *, valid_for: timedelta = timedelta(days=2)
) -> tuple[Path, Path]:
    """A self-signed certificate for a host name or address: (certificate, key), PEM.

    The certificate is its own authority: give it to the client as `ca_file`. One that is
    valid for less than nothing has expired.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    number = x509.random_serial_number()
    # A client that trusts several finds an authority by its name.
    named = {NameOID.COMMON_NAME: host, NameOID.SERIAL_NUMBER: f"{number:x}"}
    name = x509.Name([x509.NameAttribute(oid, text) for oid, text in named.items()])
    now = datetime.now(UTC)
    try:
        subject: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        subject = x509.DNSName(host)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(number)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + valid_for)
        .add_extension(x509.SubjectAlternativeName([subject]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_path = folder / f"{host}.crt"
    key_path = folder / f"{host}.key"
    certificate_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    key_path.chmod(0o600)
    return certificate_path, key_path
