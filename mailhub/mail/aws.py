"""Clients of AWS's services: made once, kept open, used by any number of threads.

Nothing of AWS's is imported before the first client is made: it takes half a second and
40 MB, which installations without AWS do not pay. All clients of a process share one
session, and with it the descriptions of the services; a further client costs hardly
anything.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from mailhub.mail.errors import InvalidMessage

_REGION = re.compile(r"[a-z]{2,4}(-[a-z]{2,12}){1,3}-[0-9]{1,2}")
_LONGEST_CONNECT = 10.0
_MOST_KEPT = 64


@dataclass(frozen=True, slots=True)
class AwsKeys:
    """The keys of an AWS identity; `session_token` where they are temporary ones."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class AwsService:
    """One service in one region, and as whom it is spoken to.

    Without `keys` it is whoever the environment says: variables, a profile, the role of the
    machine. `endpoint` is a URL in place of the region's own. `timeout` is in seconds and
    bounds each wait for the service. `connections` are kept open at most. With `tries` above
    1 a request that fails is sent again, also where the one before may have been carried out.
    """

    name: str
    region: str
    keys: AwsKeys | None = None
    endpoint: str = ""
    timeout: float = 30.0
    connections: int = 50
    tries: int = 1

    def __post_init__(self) -> None:
        if not is_region(self.region):
            raise InvalidMessage(f"{self.region!r} is not the name of an AWS region.")


def is_region(name: str) -> bool:
    """Whether it looks like one: `eu-west-1`. A host name is made of it."""
    return _REGION.fullmatch(name) is not None


class _Clients:
    def __init__(self) -> None:
        self._lock = Lock()
        self._session: Any = None
        self._made: dict[AwsService, Any] = {}

    def get(self, service: AwsService) -> Any:
        with self._lock:
            client = self._made.pop(service, None) or self._make(service)
            self._made[service] = client
            if len(self._made) > _MOST_KEPT:
                # The one used longest ago; whoever still has it goes on with it.
                self._made.pop(next(iter(self._made)))
            return client

    def _make(self, service: AwsService) -> Any:
        import boto3  # noqa: PLC0415 - see above
        from botocore.config import Config  # noqa: PLC0415 - see above

        if self._session is None:
            self._session = boto3.session.Session()
        keys = service.keys
        return self._session.client(
            service.name,
            region_name=service.region,
            endpoint_url=service.endpoint or None,
            aws_access_key_id=keys.access_key_id if keys else None,
            aws_secret_access_key=keys.secret_access_key if keys else None,
            aws_session_token=(keys.session_token or None) if keys else None,
            config=Config(
                connect_timeout=min(service.timeout, _LONGEST_CONNECT),
                read_timeout=service.timeout,
                max_pool_connections=service.connections,
                retries={"total_max_attempts": service.tries, "mode": "standard"},
                tcp_keepalive=True,
            ),
        )


_clients = _Clients()


def aws_client(service: AwsService) -> Any:
    """The process's client of this service. Raises botocore's errors where it cannot be made."""
    return _clients.get(service)


def _start_anew() -> None:
    global _clients  # noqa: PLW0603 - a fork shares no connection with its parent
    _clients = _Clients()


os.register_at_fork(after_in_child=_start_anew)
