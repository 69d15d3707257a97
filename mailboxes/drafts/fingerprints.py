"""What a draft says, as a digest that survives what mail servers and programs do to octets.

Blanks, the case of addresses and the names of people and files do not count.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence

from mailboxes.models import Draft
from mailboxes.models.draft import Person
from mailhub.mail.addresses import encode_address
from mailhub.mail.errors import InvalidMessage
from mailhub.mail.parsing import open_message

_LENGTH = 32


def fingerprint_of_draft(draft: Draft) -> str:
    """Of the draft as it stands here; an address that is not finished is not written."""
    files = (row.digest for row in draft.attachments.all())
    people = [draft.to, draft.cc, draft.bcc]
    return _fingerprint(draft.subject, people, draft.html or draft.text, files)


def fingerprint_of_message(raw: bytes) -> str:
    """Of a message in the Drafts folder."""
    parsed, contents = open_message(raw)
    people = [
        [Person(name=each.name, address=each.address) for each in group]
        for group in (parsed.to, parsed.cc, parsed.bcc)
    ]
    files = (hashlib.sha256(content).hexdigest() for content in contents)
    return _fingerprint(parsed.subject, people, parsed.html or parsed.text, files)


def _fingerprint(
    subject: str, people: Sequence[Iterable[Person]], body: str, files: Iterable[str]
) -> str:
    said = [
        _without_blanks(subject),
        [sorted(_addresses(group)) for group in people],
        _without_blanks(body),
        sorted(files),
    ]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:_LENGTH]


def _without_blanks(text: str) -> str:
    return "".join(text.replace("\0", "").split())


def _addresses(people: Iterable[Person]) -> set[str]:
    found = set()
    for person in people:
        try:
            found.add(encode_address(person["address"]).casefold())
        except InvalidMessage:
            continue
    return found
