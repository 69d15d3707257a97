"""Who may come in to the servers in memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeVar

from mailhub.mail.errors import LoginFailed
from mailhub.mail.server import Login, OAuth2Login, PasswordLogin


class _Account(Protocol):
    password: str


_Known = TypeVar("_Known", bound=_Account)


def account_of(accounts: Mapping[str, _Known], login: Login | None) -> _Known:
    """The account, of those by user name, that a login opens. Raises LoginFailed.

    An access token is compared with the password, too.
    """
    account = accounts.get(login.username) if login else None
    if isinstance(login, PasswordLogin):
        secret = login.password
    else:
        secret = login.access_token() if isinstance(login, OAuth2Login) else ""
    if account is None or account.password != secret:
        raise LoginFailed("The server refused the login: wrong user name or password.")
    return account
