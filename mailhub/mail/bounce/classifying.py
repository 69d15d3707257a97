"""What a failure means: from codes (RFC 3463, RFC 5321) and, where they leave it open, words.

A hard bounce costs a subscriber, so that where a code and the words beside it disagree,
the milder meaning holds. The same rules serve replies while sending and reports that come
back by mail.
"""

from __future__ import annotations

import re

from mailhub.mail.bounce.report import Action, Verdict
from mailhub.mail.bounce.wording import Says, what_it_says
from mailhub.mail.errors import Reply

# Not a part of an IP address, a version or a longer number.
_ENHANCED = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d]|\.\d)")
_REPLY_CODE = re.compile(r"(?<![\d.#:=/-])([245][0-5]\d)(?=[- ]|\Z)(?![- ]\d{2,}\b)")

_HARD = frozenset({"1.1", "1.2", "1.3", "1.6", "1.10"})
_SENDER = frozenset({"1.7", "1.8"})
_CONTENT = frozenset({"2.3", "3.4"})
_NEWS = {
    Action.DELAYED: Verdict.DELAYED,
    Action.DELIVERED: Verdict.DELIVERED,
    Action.RELAYED: Verdict.RELAYED,
    Action.EXPANDED: Verdict.EXPANDED,
}
# So Exchange Online says that it knows no such recipient, and other things.
_DIRECTORY_BLOCK = re.compile(r"recipient address rejected: access denied", re.IGNORECASE)
# The mildest first.
_BY_MILDNESS = (
    Verdict.SENDER,
    Verdict.POLICY,
    Verdict.CONTENT,
    Verdict.SOFT,
    Verdict.HARD,
)


def classify(*, status: str = "", text: str = "", action: Action = Action.FAILED) -> Verdict:
    """What a server's word on a recipient means; `status` is an enhanced code, `text` its words."""
    if action in _NEWS:
        return _NEWS[action]
    told = [code for code in (status, *enhanced_codes(text)) if code]
    verdicts = {verdict for code in told if (verdict := _of_code(code)) is not None}
    said = what_it_says(text)
    coded = next((verdict for verdict in _BY_MILDNESS if verdict in verdicts), None)
    if coded is not None:
        return _doubted(said) if coded is Verdict.HARD else coded
    return _of_words(text, said, replied=reply_code(text))


def classify_reply(reply: Reply) -> Verdict:
    """What a server's refusal of a recipient or a message means, given while it was sent."""
    text = f"{reply.code} {reply.text}" if reply.code else reply.text
    if 400 <= reply.code < 500:
        return Verdict.SOFT
    return classify(status=reply.enhanced, text=text)


def enhanced_codes(text: str) -> list[str]:
    """The enhanced codes in a server's words, in order, at most ten."""
    found = (".".join(match.groups()) for match in _ENHANCED.finditer(text[:2_000]))
    return list(dict.fromkeys(found))[:10]


def reply_code(text: str) -> int:
    """The first SMTP code in a server's words, or 0."""
    found = _REPLY_CODE.search(text[:2_000])
    return int(found[1]) if found else 0


def _of_code(code: str) -> Verdict | None:
    """What an enhanced code says by itself; None where it leaves it open."""
    kind, _, detail = code.partition(".")
    if kind == "4":
        return Verdict.SOFT
    if kind != "5":
        return None
    if detail in _HARD:
        return Verdict.HARD
    if detail in _SENDER:
        return Verdict.SENDER
    if detail in _CONTENT or detail.startswith("6."):
        return Verdict.CONTENT
    if detail == "2.2":
        return Verdict.SOFT
    return Verdict.POLICY if detail.startswith("7.") else None


def _doubted(said: frozenset[Says]) -> Verdict:
    """A code says that the address does not exist; perhaps the words say something else."""
    if Says.SENDER in said:
        return Verdict.SENDER
    if Says.UNKNOWN in said:
        return Verdict.HARD
    if Says.FULL in said or Says.LATER in said:
        return Verdict.SOFT
    return Verdict.POLICY if Says.POLICY in said else Verdict.HARD


def _of_words(text: str, said: frozenset[Says], *, replied: int) -> Verdict:
    if 400 <= replied < 500:
        return Verdict.SOFT
    if Says.SENDER in said:
        return Verdict.SENDER
    if Says.FULL in said:
        return Verdict.SOFT
    if Says.CONTENT in said:
        return Verdict.CONTENT
    if replied == 552:
        # The old form of a full mailbox (RFC 5321 section 4.5.3.1.10).
        return Verdict.SOFT
    if Says.POLICY in said:
        is_unknown = _DIRECTORY_BLOCK.search(text[:2_000]) is not None
        return Verdict.UNCLEAR if is_unknown else Verdict.POLICY
    if Says.LATER in said:
        return Verdict.SOFT
    return Verdict.HARD if Says.UNKNOWN in said else Verdict.UNCLEAR
