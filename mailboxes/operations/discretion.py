"""Servers may repeat what they were told; what we pass on of their words holds no secret."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from mailhub.mail.errors import MailError, Reply

_BLOT = "…"
# Shorter ones stand in ordinary words.
_SHORTEST = 4


class Discretion:
    """Knows secrets, plain and in base64, and blots them out of texts and errors."""

    def __init__(self, username: str) -> None:
        self._username = username
        self._known: set[str] = set()

    def add(self, secrets: Iterable[str]) -> None:
        """Keep these quiet from now on."""
        for secret in secrets:
            if len(secret) < _SHORTEST:
                continue
            sasl = (
                f"\0{self._username}\0{secret}",
                f"user={self._username}\1auth=Bearer {secret}\1\1",
            )
            encoded = (b64encode(text.encode()).decode() for text in (secret, *sasl))
            self._known |= {secret, *encoded}

    def blot(self, text: str) -> str:
        """The text without the secrets; the longest first, since one may hold another."""
        for secret in sorted(self._known, key=len, reverse=True):
            text = text.replace(secret, _BLOT)
        return text

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Mail errors that leave the block hold no secret in their message and reply."""
        try:
            yield
        except MailError as error:
            error.message = self.blot(error.message)
            error.args = (error.message,)
            if error.reply is not None:
                reply = error.reply
                error.reply = Reply(reply.code, self.blot(reply.text), reply.enhanced)
            raise
