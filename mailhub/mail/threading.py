"""Message ids and subjects → conversations.

RFC 8621 section 3: two messages are of one conversation where an id stands in both (in
Message-ID, In-Reply-To or References) and their base subjects are the same, white space
apart. So an id and a base subject together make a key, and conversations are what keys
hold together: the same ones in whatever order the messages arrive. A subject alone never
makes a conversation.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

# What a person ever wrote is shorter; a hostile header must not become work.
MOST_IDS = 100
LONGEST_SUBJECT = 2_000
LONGEST_ID = 998

# RFC 5256 section 2.1, and what mail programs write in other languages.
_PREFIXES = (
    "re|fwd?|aw|wg|antw(?:ort)?|sv|vs|vb|tr|rv|r|rif|i|res|enc|odp|pd|ynt|ilt|tsi?|bls|"
    "回复|回覆|答复|转发|轉寄|返信|転送|답장|전달|отв|ответ"
)
_LEADER = re.compile(
    rf"\s+|(?:{_PREFIXES})\s*(?:\[[^\[\]]{{0,20}}\]|\(\d{{1,4}}\)|\^?\d{{1,4}})?\s*[:：]",
    re.IGNORECASE,
)
_BLOB = re.compile(r"\[[^\[\]]*\]\s*")
_TRAILER = re.compile(r"\(fwd\)$", re.IGNORECASE)
_SPACE = re.compile(r"\s+")

Name = TypeVar("Name", bound=Hashable)


def base_subject(subject: str) -> str:
    """The subject without what replying and forwarding add, without white space or case.

    `Re: [list] AW: Hello you (fwd)` → `helloyou`. Never empty but for a subject that is
    nothing else.
    """
    text = subject[:LONGEST_SUBJECT].strip()
    while True:
        shorter = _TRAILER.sub("", _without_leaders(text)).strip()
        if shorter == text:
            return _SPACE.sub("", text).casefold()
        text = shorter


def thread_keys(subject: str, ids: Iterable[str], *, salt: bytes = b"") -> frozenset[int]:
    """What ties a message to others: one signed 64-bit number an id.

    `ids` are those of Message-ID, In-Reply-To and References, with or without brackets. A
    message of one mailbox is compared with others of the same `salt` alone.
    """
    base = base_subject(subject).encode("utf-8", "replace")
    known = (text.strip().strip("<>").strip()[:LONGEST_ID] for text in ids)
    distinct = list(dict.fromkeys(filter(None, known)))[:MOST_IDS]
    return frozenset(_digest(salt, base, text.encode("utf-8", "replace")) for text in distinct)


@dataclass(frozen=True, slots=True)
class Conversation(Generic[Name]):
    """Messages that belong together; `known` are the conversations that became this one."""

    members: tuple[Name, ...]
    keys: frozenset[int]
    known: tuple[int, ...]


def gather(
    messages: Mapping[Name, frozenset[int]], owners: Mapping[int, int]
) -> list[Conversation[Name]]:
    """Conversations of new messages, given which known conversation owns which key.

    One without keys is a conversation of its own. `known` is ascending; where there are
    several, the messages are the link between them that was missing.
    """
    leader: dict[int, int] = {}

    def find(key: int) -> int:
        while leader.setdefault(key, key) != key:
            leader[key] = key = leader[leader[key]]
        return key

    of_owner: dict[int, int] = {}
    for keys in messages.values():
        first = next(iter(keys), None)
        for key in keys:
            leader[find(key)] = find(first if first is not None else key)
            if key in owners:
                leader[find(key)] = find(of_owner.setdefault(owners[key], key))
    members: dict[int, list[Name]] = defaultdict(list)
    alone = []
    for name, keys in messages.items():
        if keys:
            members[find(next(iter(keys)))].append(name)
        else:
            alone.append(Conversation((name,), keys, ()))
    keys_of: dict[int, set[int]] = defaultdict(set)
    for key in list(leader):
        keys_of[find(key)].add(key)
    return alone + [
        Conversation(
            tuple(names),
            frozenset(keys_of[root]),
            tuple(sorted({owners[key] for key in keys_of[root] if key in owners})),
        )
        for root, names in members.items()
    ]


def _without_leaders(text: str) -> str:
    position = 0
    while True:
        found = _LEADER.match(text, position)
        if found is None:
            # A [blob] counts as added only where something follows it.
            found = _BLOB.match(text, position)
            if found is None or found.end() == len(text):
                return text[position:]
        position = found.end()


def _digest(salt: bytes, base: bytes, text: bytes) -> int:
    digest = hashlib.blake2b(b"\0".join((salt, base, text)), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
