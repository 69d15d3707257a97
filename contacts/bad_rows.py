"""Bad rows of imports that speak of a person: they are held about it like all else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from uuid import UUID

from contacts.addresses import InvalidAddress, normalise_email
from contacts.models import ImportRowError

# What may end a word that is an address, and is none of it.
_DOMAIN = r"([^\s,;|\"'<>()\[\]{}]+)"


def bad_rows_about(tenant_id: UUID, email: str) -> Iterator[ImportRowError]:
    """The tenant's bad rows that hold this address (normalised), as it is or in Unicode.

    An address that merely ends or begins like it is another person's. Reads all bad rows of
    the tenant, in the database.
    """
    local = email.rpartition("@")[0]
    rows = ImportRowError.objects.filter(job__tenant=tenant_id, text__icontains=f"{local}@")
    # An apostrophe may be a letter of the address, or stand before all of it (`formulas`).
    found = re.compile(
        rf"(?:(?<![\w.+'-])|(?:^|(?<=[\s,;|\"]))')({re.escape(local)})@{_DOMAIN}", re.IGNORECASE
    )
    for row in rows.select_related("job").order_by("pk").iterator():
        if any(_is(email, *match) for match in found.findall(row.text)):
            yield row


def _is(email: str, local: str, domain: str) -> bool:
    try:
        return normalise_email(f"{local}@{domain.rstrip('.:!?')}") == email
    except InvalidAddress:
        return False
