"""The cheap look that rules out most mail: a few signs are looked for in the header's octets."""

from __future__ import annotations

import re

from mailhub.mail.bounce.automatic import is_auto_reply
from mailhub.mail.bounce.feedback import is_outlook_complaint
from mailhub.mail.bounce.head import Head
from mailhub.mail.parsing.header_block import split_message

_LONGEST_HEADER = 64 * 1024
# What is in the header of every report, and in that of other mail now and then. All begin
# with a line break, which is found fast.
_SIGNS = re.compile(
    rb"\n(?:content-type:\s{0,10}(?:multipart/report|message/)"
    rb"|return-path:\s{0,10}(?:<\s{0,5}>|\r?\n|[^\n]{0,80}mailer-?daemon)"
    rb"|(?:from|sender):(?:[^\n]|\n[ \t]){0,300}?"
    rb"(?:daemon|master|deliver|system|administrator|mta@|bounce|admin|<>|staff@hotmail\.com)"
    rb"|auto-submitted:|x-failed-recipients:|(?:x-)?precedence:\s{0,10}auto"
    rb"|x-(?:auto|mail-auto|fc-machinegenerated|vacation|apple-action|tmda|spamarrest|challenge)"
    rb"|delivered-to:\s{0,10}autoresponder|x-post-messageclass:"
    rb")"
)


def may_be_report(content: bytes) -> bool:
    """Whether it is worth reading as a report; it is not for nearly all ordinary mail."""
    return suspicious(content) is not None


def suspicious(content: bytes) -> tuple[Head, list[tuple[str, bytes]], bytes] | None:
    """The header read in two ways and the octets of the body, where it may be a report."""
    if not _has_sign(content):
        return None
    fields, body = split_message(content)
    head = Head(fields)
    if head.is_other_report:
        return None
    if not (head.is_report or head.is_of_server or is_auto_reply(head)):
        return (head, fields, body) if is_outlook_complaint(head) else None
    return head, fields, body


def _has_sign(content: bytes) -> bool:
    end = content.find(b"\r\n\r\n", 0, _LONGEST_HEADER)
    header = content[: end if end >= 0 else _LONGEST_HEADER].lower()
    return _SIGNS.search(b"\n" + header) is not None
