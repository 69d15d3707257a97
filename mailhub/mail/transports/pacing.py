"""How fast a provider lets an account send, for all who send by it."""

from __future__ import annotations

from typing import Protocol

from mailhub.mail.errors import QuotaExceeded, Reply


class Pace(Protocol):
    """An account's allowance. To be used from any thread; who keeps it decides how it is shared."""

    def take(self, recipients: int) -> float:
        """Take leave to write to so many now; the seconds to wait before that.

        Raises RateExceeded where the wait would be long and QuotaExceeded where the day's
        allowance is used up; nothing is taken then.
        """

    def slow_down(self) -> None:
        """The provider has refused a message for coming too fast."""

    def use_up(self, reply: Reply) -> QuotaExceeded:
        """The provider says that the day's allowance is used up; when to ask again."""


class NoPace:
    """No limit of our own: the provider alone refuses."""

    def take(self, recipients: int) -> float:
        return 0.0

    def slow_down(self) -> None:
        """There is nothing to slow down."""

    def use_up(self, reply: Reply) -> QuotaExceeded:
        return QuotaExceeded("The provider's daily quota is used up.", reply)
