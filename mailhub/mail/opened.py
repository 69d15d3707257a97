"""What is open while a block lasts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Opened(ABC):
    """A way to a server: open from the beginning of a `with` block to its end."""

    @abstractmethod
    def open(self) -> None:
        """Connect and log in, unless that is done already. Raises MailError."""

    @abstractmethod
    def close(self) -> None:
        """Say goodbye; never raises."""

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
