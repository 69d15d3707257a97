"""Signing campaigns with DKIM, where a tenant has given its domain's key or had one made."""

from __future__ import annotations

from django.db import IntegrityError, transaction

from accounts.models import Tenant
from campaigns.models import Campaign, DkimKey
from campaigns.servers import goes_by_ses
from mailhub.encryption import SecretUnreadable
from mailhub.errors import Conflict, InvalidInput
from mailhub.mail.dkim import DkimSigner, make_key, public_part, read_key
from mailhub.mail.errors import InvalidMessage

SELECTOR = r"^[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?$"
USUAL_SELECTOR = "mailhub"


def add_dkim_key(tenant: Tenant, domain: str, selector: str, private_key: str = "") -> DkimKey:
    """Sign with this key, or a new one, from now on.

    Raises InvalidInput, and Conflict for a domain that has a key: what is published for it
    would no longer verify what is signed.
    """
    if DkimKey.objects.filter(tenant=tenant, domain=domain).exists():
        raise _has_key(domain)
    try:
        pem = read_key(private_key) if private_key else make_key()
    except InvalidMessage as error:
        raise InvalidInput.field("private_key", error.message) from error
    key = DkimKey(tenant=tenant, domain=domain, selector=selector, public_key=public_part(pem))
    key.keep_private_key(pem)
    try:
        with transaction.atomic():
            key.save()
    except IntegrityError as error:
        raise _has_key(domain) from error
    return key


def _has_key(domain: str) -> Conflict:
    words = f"{domain} has a key. Remove that one before you add another."
    return Conflict(words, code="dkim_key_exists")


def signer_of(campaign: Campaign, domain: str) -> DkimSigner | None:
    """Who signs its messages; None where nobody does here. SES signs what goes by it.

    Raises Conflict (`credential_unreadable`) where the key does not open.
    """
    key = DkimKey.objects.filter(tenant=campaign.tenant_id, domain=domain.lower()).first()
    if key is None or goes_by_ses(campaign):
        return None
    try:
        return DkimSigner(key.domain, key.selector, key.reveal_private_key())
    except SecretUnreadable as error:
        raise Conflict(
            f"The stored key that signs for {key.domain} cannot be opened; give it anew.",
            code="credential_unreadable",
        ) from error
