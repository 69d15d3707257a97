"""What a mail server says of a message beside its octets, and what these say."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from mailboxes.sync.letters import Letter
from mailboxes.sync.plan import Flags
from mailhub.mail.stores.base import NO_ARRIVAL, RemoteMessage


class Envelope(NamedTuple):
    """A message in a folder."""

    uid: int
    flags: Flags
    received_at: datetime
    size: int
    letter: Letter

    @property
    def identifies_itself(self) -> bool:
        """Whether header, size and arrival tell it from every other message."""
        return bool(self.letter.message_id)


def envelope_of(message: RemoteMessage, letter: Letter) -> Envelope:
    """Of a message that was fetched, and what was read in it."""
    return Envelope(
        uid=message.uid,
        flags=Flags.read(message.flags),
        received_at=_arrival(message, letter.date),
        size=max(0, message.size),
        letter=letter,
    )


def _arrival(message: RemoteMessage, sent: datetime | None) -> datetime:
    """When the server got it; where it does not tell, when the sender says it was sent."""
    if message.received_at == NO_ARRIVAL and sent is not None and sent <= datetime.now(UTC):
        return sent.astimezone(UTC)
    return message.received_at.astimezone(UTC)
