"""Logging in by a token that its provider may have taken back before its time.

A provider ends a token early when a password is changed or a session is closed, and the
mail server is the first to know. Such a login is made once more, with a token that is new.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TypeVar

from mailhub.mail.errors import LoginFailed
from mailhub.mail.server import Login, OAuth2Login

Connection = TypeVar("Connection")


def with_living_token(
    login: Login | None, connect: Callable[[Login | None], Connection]
) -> Connection:
    """What `connect` makes of the login; of a token that is refused, of a new one where
    `login.renew` brings it. Raises as both do.
    """
    if not isinstance(login, OAuth2Login) or login.renew is None:
        return connect(login)
    token = login.access_token()
    try:
        return connect(dataclasses.replace(login, access_token=lambda: token))
    except LoginFailed:
        if not login.renew(token):
            raise
    return connect(login)
