"""How a copy in the Drafts folder is known again: by a field and a Message-ID of its own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from uuid import UUID

from mailboxes.drafts.fingerprints import fingerprint_of_message
from mailhub.mail.parsing import parse_headers

FIELD = "X-Mailhub-Draft"
_VALUE = re.compile(r"([0-9a-f]{32}) ([0-9]{1,9}) ([0-9a-f]{32})")


@dataclass(frozen=True, slots=True)
class Mark:
    """Which version of which draft a copy was made of, and the fingerprint it had then."""

    draft_id: UUID
    version: int
    fingerprint: str

    def __str__(self) -> str:
        return f"{self.draft_id.hex} {self.version} {self.fingerprint}"

    @classmethod
    def read(cls, raw: bytes) -> Mark | None:
        """That of a message; None where it bears none."""
        found = _VALUE.fullmatch(parse_headers(raw).header(FIELD).strip())
        return cls(UUID(found[1]), int(found[2]), found[3]) if found else None

    def is_true(self, raw: bytes) -> bool:
        """Whether the message still says what it did: else another program has changed it."""
        return fingerprint_of_message(raw) == self.fingerprint


def copy_message_id(draft_id: UUID, version: int, domain: str) -> str:
    """The Message-ID of a version, with its brackets: that of no other message."""
    return f"<{message_id_stem(draft_id)}{version}@{domain}>"


def message_id_stem(draft_id: UUID) -> str:
    """What the Message-IDs of a draft's versions begin with."""
    return f"{draft_id.hex}."
