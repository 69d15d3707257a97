"""From a caller's credentials to its open mailbox or transport, tokens renewed on the way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

from django.conf import settings

from mailboxes.operations.credentials import Credentials
from mailboxes.operations.discretion import Discretion
from mailhub.mail import server
from mailhub.mail.server import OAuth2Login, PasswordLogin, ServerSettings
from mailhub.mail.stores.base import Store
from mailhub.mail.stores.imap import ImapStore
from mailhub.mail.token_endpoint import TokenEndpoint
from mailhub.mail.transports.base import Transport
from mailhub.mail.transports.smtp import SmtpTransport
from mailhub.mail_policy import host_guard, server_settings
from mailhub.numbers import whole_number


class _Opening(Protocol):
    def open(self) -> None: ...
    def close(self) -> None: ...


Way = TypeVar("Way", bound=_Opening)

# A server may be its user's own: it must not fill our memory. An honest one needs room for
# what is answered at most, and for what it says besides.
_ANSWERS = 4


@dataclass(frozen=True, slots=True)
class Renewal:
    """New tokens, which the caller must keep: the old ones may hold no longer.

    `refresh_token` is "" where the provider gave no new one; `expires_in` is in seconds.
    """

    access_token: str = field(repr=False)
    refresh_token: str = field(default="", repr=False)
    expires_in: int | None = None


class ServerAccess:
    """One call's way to the caller's server.

    A login by OAuth2 that is refused is tried once more with a renewed token; `renewal`
    tells of the new one, also where the operation fails afterwards.
    """

    def __init__(self, credentials: Credentials) -> None:
        self.renewal: Renewal | None = None
        self._credentials = credentials
        self._discretion = Discretion(credentials.username)
        self._discretion.add(credentials.secrets())

    @contextmanager
    def mailbox(self) -> Iterator[Store]:
        """The caller's mailbox over IMAP. Raises MailError, InvalidInput."""
        with self._discretion.kept():
            store = self._opened(ImapStore(self._settings(server.Protocol.IMAP)))
            try:
                yield store
            finally:
                store.close()

    @contextmanager
    def transport(self) -> Iterator[Transport]:
        """The caller's way out over SMTP. Raises MailError, InvalidInput."""
        with self._discretion.kept():
            transport = self._opened(SmtpTransport(self._settings(server.Protocol.SMTP)))
            try:
                yield transport
            finally:
                transport.close()

    def blot(self, text: str) -> str:
        """A server's words without the caller's secrets."""
        return self._discretion.blot(text)

    def _settings(self, protocol: server.Protocol) -> ServerSettings:
        given = self._credentials
        login: PasswordLogin | OAuth2Login = PasswordLogin(given.username, given.password)
        if given.grant is not None:
            login = OAuth2Login(given.username, self._access_token, self._renew_refused)
        found = server_settings(protocol, given.host, given.port, given.encryption, login)
        return replace(found, answer_limit=_ANSWERS * settings.MAILHUB_JSON_BODY_LIMIT)

    def _opened(self, way: Way) -> Way:
        way.open()
        return way

    def _renew_refused(self, _token: str) -> bool:
        grant = self._credentials.grant
        may = grant is not None and bool(grant.refresh_token and self._credentials.token_url)
        if self.renewal is not None or not may:
            return False
        self._renew()
        return True

    def _access_token(self) -> str:
        if self.renewal is not None:
            return self.renewal.access_token
        grant = self._credentials.grant
        assert grant is not None
        return grant.access_token or self._renew().access_token

    def _renew(self) -> Renewal:
        grant = self._credentials.grant
        assert grant is not None
        endpoint = TokenEndpoint(
            self._credentials.token_url,
            grant.client_id,
            grant.client_secret,
            host_guard(),
            timeout=min(settings.MAILHUB_MAIL_TIMEOUT, 20.0),
            ca_file=settings.MAILHUB_CA_FILE,
        )
        self.renewal = _renewal(endpoint.refresh(grant.refresh_token))
        self._discretion.add((self.renewal.access_token, self.renewal.refresh_token))
        return self.renewal


def _renewal(answer: dict[str, Any]) -> Renewal:
    refresh_token = answer.get("refresh_token")
    return Renewal(
        access_token=answer["access_token"],
        refresh_token=refresh_token if isinstance(refresh_token, str) else "",
        expires_in=whole_number(str(answer.get("expires_in"))),
    )
