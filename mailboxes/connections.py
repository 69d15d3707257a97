"""From a connected account to its open mailbox."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from django.conf import settings

from accounts.connections import incoming_settings
from accounts.models import AccountProtocol, EmailAccount
from mailboxes.connection_limits import Place, take_place
from mailhub.errors import Conflict
from mailhub.mail.server import ServerSettings
from mailhub.mail.stores.base import Store
from mailhub.mail.stores.imap import ImapStore
from mailhub.mail.stores.maildrop import Maildrop
from mailhub.mail.stores.pop3 import Pop3Maildrop

# How long a call of the API waits for a place among an account's connections, in seconds.
PATIENCE_OF_A_CALL = 2.0


def store_of(account: EmailAccount, *, patience: float = PATIENCE_OF_A_CALL) -> Store:
    """The account's mailbox, not yet connected. Raises what `incoming_settings` does.

    Opening it raises Busy where the account or its host has too many connections for
    `patience` seconds.
    """
    refuse_unreadable(account)
    if account.protocol != AccountProtocol.IMAP:
        raise Conflict(
            "This needs IMAP; the account is read over POP3.", code="protocol_not_supported"
        )
    return _CountedStore(account, patience)


def maildrop_of(account: EmailAccount, *, patience: float = PATIENCE_OF_A_CALL) -> Maildrop:
    """The same for an account that is read over POP3."""
    refuse_unreadable(account)
    return _CountedMaildrop(account, patience)


def refuse_unreadable(account: EmailAccount) -> None:
    """Raises Conflict for an account whose mail cannot be fetched: it is disabled."""
    if not account.is_enabled:
        reason = account.disabled_reason or "It was switched off."
        raise Conflict(f"This account is disabled. {reason}", code="account_disabled")


class _Holder:
    """Has a place among the connections of an account while one is open."""

    def __init__(self, account: EmailAccount, patience: float) -> None:
        self._account, self._patience = account, patience
        self._place: Place | None = None

    @contextmanager
    def taken(self) -> Iterator[None]:
        """While the connection is made; the place stays taken unless that fails."""
        if self._place is None:
            self._place = take_place(self._account, patience=self._patience)
        try:
            yield
        except BaseException:
            self.leave()
            raise

    def leave(self) -> None:
        """The connection is closed."""
        place, self._place = self._place, None
        if place is not None:
            place.give_back()


def _settings_of(account: EmailAccount) -> ServerSettings:
    """Large messages are read into files beside the raw ones, where there is room for them."""
    folder = Path(settings.MAILHUB_DATA_DIR) / "raw"
    return replace(incoming_settings(account), spool_folder=folder)


class _CountedStore(ImapStore):
    def __init__(self, account: EmailAccount, patience: float) -> None:
        super().__init__(_settings_of(account))
        self._holder = _Holder(account, patience)

    def open(self) -> None:
        with self._holder.taken():
            super().open()

    def close(self) -> None:
        try:
            super().close()
        finally:
            self._holder.leave()


class _CountedMaildrop(Pop3Maildrop):
    def __init__(self, account: EmailAccount, patience: float) -> None:
        super().__init__(_settings_of(account))
        self._holder = _Holder(account, patience)

    def open(self) -> None:
        with self._holder.taken():
            super().open()

    def close(self) -> None:
        try:
            super().close()
        finally:
            self._holder.leave()
