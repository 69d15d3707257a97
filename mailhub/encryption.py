"""Secrets at rest: a ring of keys and a model field that never shows what it holds.

The first key of MAILHUB_ENCRYPTION_KEYS seals, all of them open (MultiFernet), so a key
is rotated by putting a new one in front, resealing every row, and dropping the old one.
The plaintext carries the name of the row it belongs to: a sealed value copied into
another row or tenant does not open there.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import models


class SecretUnreadable(Exception):
    """A sealed value does not open: its key is gone, or it belongs to another row."""


@lru_cache(maxsize=4)
def _ring(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key.strip()) for key in keys])


def _current_ring() -> MultiFernet:
    return _ring(tuple(settings.MAILHUB_ENCRYPTION_KEYS))


class Sealed:
    """An encrypted value bound to one row. Its repr and str say nothing."""

    __slots__ = ("token",)

    def __init__(self, token: str) -> None:
        self.token = token

    @classmethod
    def seal(cls, value: Any, bound_to: str) -> Sealed:
        """Encrypt any JSON value for the row named `bound_to`."""
        plaintext = json.dumps([bound_to, value], separators=(",", ":"))
        return cls(_current_ring().encrypt(plaintext.encode()).decode())

    def reveal(self, bound_to: str) -> Any:
        """The value, for the row it was sealed for. Raises SecretUnreadable."""
        try:
            plaintext = _current_ring().decrypt(self.token.encode())
        except InvalidToken as error:
            raise SecretUnreadable("No key of the ring opens this secret.") from error
        owner, value = json.loads(plaintext)
        if owner != bound_to:
            raise SecretUnreadable("This secret was sealed for another row.")
        return value

    @property
    def is_current(self) -> bool:
        """Whether the ring's first key seals it."""
        first = tuple(settings.MAILHUB_ENCRYPTION_KEYS)[:1]
        try:
            _ring(first).decrypt(self.token.encode())
        except InvalidToken:
            return False
        return True

    def rotated(self) -> Sealed:
        """The same value under the ring's first key. Raises SecretUnreadable."""
        try:
            return Sealed(_current_ring().rotate(self.token.encode()).decode())
        except InvalidToken as error:
            raise SecretUnreadable("No key of the ring opens this secret.") from error

    def __bool__(self) -> bool:
        return bool(self.token)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sealed) and other.token == self.token

    def __hash__(self) -> int:
        return hash(self.token)

    def __repr__(self) -> str:
        return "Sealed(…)" if self.token else "Sealed()"

    __str__ = __repr__


class SealedField(models.TextField):  # type: ignore[type-arg]  # the stubs have no type for own values
    """A text column whose Python value is a `Sealed`; empty means that nothing is held."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("editable", False)
        options.setdefault("default", Sealed(""))
        super().__init__(**options)

    def deconstruct(self) -> Any:
        name, path, args, options = super().deconstruct()
        options.pop("default", None)
        options.pop("editable", None)
        return name, path, args, options

    def from_db_value(self, value: str | None, *_: Any) -> Sealed:
        return Sealed(value or "")

    def to_python(self, value: Any) -> Sealed:
        return value if isinstance(value, Sealed) else Sealed(str(value or ""))

    def get_prep_value(self, value: Any) -> str:
        return self.to_python(value).token

    def value_to_string(self, obj: models.Model) -> str:
        """For dumpdata: the sealed token, which opens only with this installation's keys."""
        return self.to_python(self.value_from_object(obj)).token
