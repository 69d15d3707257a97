"""A first look at a host that a user names, before it is stored.

The guard stands before every connection anyway; here a person hears of a private
address at once. A name that does not resolve now may do so later, so it passes.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NoAnswer

from mailhub.mail.errors import HostNotFound
from mailhub.mail_policy import host_guard

_PATIENCE = 3.0
_lookups = ThreadPoolExecutor(max_workers=4, thread_name_prefix="host-check")


def refuse_private_host(host: str, port: int) -> None:
    """Raises HostNotAllowed where the host points at an address that may not be reached."""
    lookup = _lookups.submit(host_guard().resolve, host, port)
    try:
        lookup.result(timeout=_PATIENCE)
    except (HostNotFound, NoAnswer):
        lookup.cancel()
