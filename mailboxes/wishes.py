"""What somebody wants of messages, and why it could not be done, for servers of every kind."""

from __future__ import annotations

from dataclasses import dataclass

from mailboxes.models import Folder
from mailhub.errors import MailhubError
from mailhub.mail.errors import MailError

Problem = MailhubError | MailError

_SEEN, _FLAGGED, _ANSWERED = "\\Seen", "\\Flagged", "\\Answered"
# What mail programs call it (RFC 9051 section 2.3.2); no server need keep it.
_FORWARDED = "$Forwarded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What shall become of messages; None leaves a thing as it is.

    `folder` is where they shall lie. `delete` moves to Trash, and from there, or where
    it is `permanent`, deletes for good. `from_folder_id` says which placement leaves.
    """

    is_read: bool | None = None
    is_flagged: bool | None = None
    is_answered: bool | None = None
    is_forwarded: bool | None = None
    folder: Folder | None = None
    delete: bool = False
    permanent: bool = False
    from_folder_id: int | None = None

    @property
    def added(self) -> list[str]:
        """Flags to set, as the server writes them."""
        return [flag for flag, wanted in self._flags if wanted]

    @property
    def removed(self) -> list[str]:
        """Flags to take away."""
        return [flag for flag, wanted in self._flags if wanted is False]

    @property
    def _flags(self) -> list[tuple[str, bool | None]]:
        return [
            (_SEEN, self.is_read),
            (_FLAGGED, self.is_flagged),
            (_ANSWERED, self.is_answered),
            (_FORWARDED, self.is_forwarded),
        ]
