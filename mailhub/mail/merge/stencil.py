"""The usual message made in one step: text that is the same for everybody, with slots.

It fits where both bodies are ASCII with nothing but plain placeholders, and every value is one
printable line of ASCII: then no body has to be encoded, and what `skeleton.encode_body` would
find out of each message is known of the template. Everything else is left to it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise

from mailhub.mail.merge.segments import Segments, Slot
from mailhub.mail.merge.skeleton import LONGEST_LINE, Skeleton, body_fields
from mailhub.mail.transports.octets import WireLines

# With these a value would make a dot at the beginning of a line, or part of a boundary.
_GUARDED_ENDS = ("\n", "=")
_GUARDED = "._"


class Stencil:
    """Made by `cut`; immutable, to be used from any thread."""

    __slots__ = ("_fixed", "_guarded", "_order", "_room", "_slots")

    def __init__(self, fixed: Sequence[str], slots: Sequence[Slot], room: int) -> None:
        self._slots = tuple(dict.fromkeys(slots))
        places = {slot: number for number, slot in enumerate(self._slots)}
        self._order = tuple(places[slot] for slot in slots)
        self._room = room
        # The message's head comes before all, and a value after each but the last.
        self._fixed = ["", *(each for pair in pairwise(fixed) for each in (pair[0], "")), fixed[-1]]
        guarded: set[int] = set()
        is_guarded = False
        for piece, number in zip(fixed, self._order, strict=False):
            is_guarded = piece.endswith(_GUARDED_ENDS) if piece else is_guarded
            if is_guarded:
                guarded.add(number)
        self._guarded = tuple(guarded)

    def fill(self, head: str, variables: Mapping[str, object]) -> WireLines | None:
        """The whole message; None where a value, or the head, is out of the usual."""
        try:
            values = [slot.render(variables) for slot in self._slots]
        except Exception:
            return None  # to make the body by itself says what is wrong
        joined = "".join(values)
        if len(joined) > self._room or "=" in joined:
            return None
        if not joined.isascii() or not joined.isprintable():
            return None
        for number in self._guarded:
            if values[number][:1] in _GUARDED:
                return None
        pieces = self._fixed.copy()
        pieces[0] = head
        pieces[2::2] = [values[number] for number in self._order]
        message = "".join(pieces)
        return WireLines(message.encode()) if message.isascii() else None


def cut(skeleton: Skeleton, bodies: Mapping[str, Segments | None]) -> Stencil | None:
    """A stencil for messages with these bodies; None where it would not fit them."""
    fixed, slots = [""], []
    for piece in skeleton.pieces:
        if isinstance(piece, bytes):
            fixed[-1] += piece.decode("ascii", "replace")
            continue
        segments = bodies[piece]
        if segments is None or any("=_" in each for each in segments.fixed):
            return None
        fixed[-1] += body_fields(piece, "7bit")
        first, *others = _lines(segments.fixed)
        fixed[-1] += first
        fixed += others
        slots += segments.slots
    message = "".join(fixed)
    room = _room(message, slots)
    if room < 0 or not message.isascii() or "\0" in message or "\n." in message:
        return None
    return Stencil(fixed, slots, room)


def _lines(texts: Sequence[str]) -> list[str]:
    """The parts of one body with CRLF at the ends of its lines, of the last one too."""
    lines = [each.replace("\r\n", "\n").replace("\r", "\n") for each in texts]
    if not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    return [each.replace("\n", "\r\n") for each in lines]


def _room(message: str, slots: Sequence[Slot]) -> int:
    """How long all values may be together, so that the longest line cannot be too long."""
    longest = max(map(len, message.split("\r\n")))
    most = max(Counter(slots).values(), default=1)
    return (LONGEST_LINE - longest) // most
