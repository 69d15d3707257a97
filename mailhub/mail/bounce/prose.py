"""Reports written for people alone: by qmail, old exim, old Exchange, Domino and many others.

All have one shape, whatever their words: a phrase that opens the report, addresses at the
beginnings of lines with the reason beside or beneath, and a line behind which the message
comes back.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from mailhub.mail.bounce.classifying import classify, enhanced_codes
from mailhub.mail.bounce.head import addresses_in
from mailhub.mail.bounce.openings import ENDING, find_opening
from mailhub.mail.bounce.report import Action, RecipientReport

LONGEST_PROSE = 32 * 1024
_OPENING_WITHIN = 6_000
_MOST_LINES = 120
_MOST_RECIPIENTS = 200
_LONGEST_REASON = 1_000
_ADDRESS = r"[^\s<>()\[\],;:\"@]{1,128}@[^\s<>()\[\],;:\"@]{1,255}"
# `<a@b>:`, `a@b (reason)`, `Ada <a@b>`, `Ada<mailto:a@b>`, `To: a@b`, `Failed address: a@b`
_ENTRY = re.compile(
    r"^[ \t*•>]{0,24}((?:[45]\d\d[ -](?:[45]\.\d{1,3}\.\d{1,3} )?"
    r"|(?:rcpt to|to|recipients?(?: address)?|failed address|address|unknown user|undeliverable to"
    r"|delivery failed|user mailbox exceeds allowed size|could not be delivered to"
    r"|final recipient|original address|empfänger|destinataire|destinatario|failed recipients?)"
    r"[ \t]*:?[ \t]*)?)"
    r"(?:(?!.{0,80}\b(?:contact|assist|please|support|help)\b)"
    r"[^\s<>@][^<>@\n]{0,80}?[ \t]*(?=<|\()|\"[^\"\n]{0,80}\"[ \t]*)?"
    rf"[<(\[']{{0,2}}(?:mailto:|smtp:|rfc822;[ \t]*)?({_ADDRESS})[>)\]']{{0,2}}(.*)$",
    re.IGNORECASE,
)
# What stands before an address and is no reason.
_PLAIN_LABELS = frozenset(
    {
        *("", "rcpt to", "to", "recipient", "recipients", "recipient address", "failed address"),
        *("address", "undeliverable to", "delivery failed", "could not be delivered to"),
        *("final recipient", "original address", "empfänger", "destinataire", "destinatario"),
        *("failed recipient", "failed recipients"),
    }
)
_SELF_MAILTO = re.compile(rf"^<mailto:{_ADDRESS}>", re.IGNORECASE)
_EXPANDED_FROM = re.compile(
    rf"\(?(?:expanded|generated|ultimately generated) from:? <?({_ADDRESS})>?\)?", re.IGNORECASE
)
_NO_REASON = re.compile(
    r"^\W*(?:because|reason|the reason for the problem|diagnostic)?\W*$", re.IGNORECASE
)


@dataclass(slots=True)
class Entry:
    """One recipient and what is said of it."""

    address: str
    original_address: str = ""
    words: list[str] = field(default_factory=list)

    @property
    def reason(self) -> str:
        return " ".join(" ".join(self.words).split())[:_LONGEST_REASON]


@dataclass(frozen=True, slots=True)
class Prose:
    """What the words of a report say, and the rest behind them, where the message comes back."""

    action: Action
    entries: list[Entry]
    rest: str


def read_prose(text: str, *, own: frozenset[str] = frozenset()) -> Prose | None:
    """None where nothing opens a report; it cannot be about one of its `own` addresses."""
    text = text[:LONGEST_PROSE]
    opening = find_opening(text[:_OPENING_WITHIN])
    if opening is None:
        return None
    start, action = opening
    ending = ENDING.search(text, text.find("\n", start) + 1)
    end = ending.start() if ending else len(text)
    entries = _entries(text[start:end], own)
    return Prose(action, entries, text[end:])


def reasons_by_address(text: str) -> dict[str, str]:
    """Lower-case address → the words beside it."""
    prose = read_prose(text)
    if prose is None:
        return {}
    return {entry.address.lower(): entry.reason for entry in prose.entries if entry.reason}


def prose_recipients(prose: Prose) -> list[RecipientReport]:
    """What became of each recipient, as far as words tell."""
    return [
        RecipientReport(
            address=entry.address,
            original_address=entry.original_address,
            action=prose.action,
            status=next(iter(enhanced_codes(entry.reason)), ""),
            diagnostic=entry.reason,
            verdict=classify(text=entry.reason, action=prose.action),
        )
        for entry in prose.entries
    ]


def _entries(text: str, own: frozenset[str]) -> list[Entry]:
    found: dict[str, Entry] = {}
    current: Entry | None = None
    for line in text.splitlines()[:_MOST_LINES]:
        match = _ENTRY.match(line[:1_000])
        address = match[2].strip("'.:").lower() if match else ""
        is_new = match is not None and address not in own and address not in found
        if match is not None and is_new and len(found) < _MOST_RECIPIENTS:
            current = found[address] = Entry(match[2].strip("'.:"))
            label = match[1].strip().removesuffix(":")
            rest = _SELF_MAILTO.sub("", match[3])
            _say(current, rest if label.lower() in _PLAIN_LABELS else f"{label} {rest}")
            if label[:1].isdigit():
                # A line of a transcript: the next one may be about somebody else.
                current = None
        elif current is not None:
            _say(current, line)
    entries = list(found.values())
    if not entries:
        entries = _within_a_sentence(text, own)
    _share_reasons(entries)
    return entries


def _say(entry: Entry, words: str) -> None:
    """Add to the reason what is one; an alias tells whom the sender wrote to."""
    expanded = _EXPANDED_FROM.search(words[:1_000])
    if expanded is not None and not entry.original_address:
        entry.original_address = expanded[1]
        words = words.replace(expanded[0], " ")
    words = words.strip().removeprefix(":").strip()
    if not _NO_REASON.match(words) and sum(map(len, entry.words)) < _LONGEST_REASON:
        entry.words.append(words[:_LONGEST_REASON])


def _within_a_sentence(text: str, own: frozenset[str]) -> list[Entry]:
    """`Your message to a@b could not be delivered: …`: the one address that is named."""
    text = text[:2_000]
    others = [each for each in addresses_in(text) if each.lower() not in own]
    if not others or len({each.lower() for each in others}) > 1:
        return []
    return [Entry(others[0], words=[text])]


def _share_reasons(entries: list[Entry]) -> None:
    """Of several addresses with one reason beneath them, all have it."""
    for entry, following in zip(reversed(entries[:-1]), reversed(entries[1:]), strict=True):
        if not entry.words:
            entry.words = following.words
