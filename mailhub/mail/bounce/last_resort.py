"""What is left over is shown to flufl.bounce, which knows many servers of old by heart.

It costs milliseconds and looks at the whole text, so that only what came from a mail
server with the subject of a report gets here.
"""

from __future__ import annotations

import logging
from email import message_from_bytes

from flufl.bounce import all_failures

from mailhub.mail.bounce.classifying import classify
from mailhub.mail.bounce.report import Action, RecipientReport

# It tells each exception that a broken message causes, which is for nobody to read.
logging.getLogger("flufl.bounce").setLevel(logging.CRITICAL)

_LARGEST = 32 * 1024
_MOST_RECIPIENTS = 200
_LONGEST_REASON = 400


def guess_recipients(content: bytes, text: str) -> list[RecipientReport]:
    """Whom it takes the report to be about; `text` is its prose, which may tell why."""
    try:
        delayed, failed = all_failures(message_from_bytes(content[:_LARGEST]))
    except Exception:
        # A detector stumbles over what no server of its time wrote.
        return []
    found = []
    for action, addresses in ((Action.FAILED, failed), (Action.DELAYED, delayed - failed)):
        for address in sorted(addresses)[:_MOST_RECIPIENTS]:
            words = _beside(address.decode("utf-8", "replace"), text)
            found.append(
                RecipientReport(
                    address=address.decode("utf-8", "replace"),
                    action=action,
                    diagnostic=" ".join(words.split()),
                    verdict=classify(text=words, action=action),
                )
            )
    return found


def _beside(address: str, text: str) -> str:
    """The words behind an address: what stands elsewhere is not about it."""
    start = text.lower().find(address.lower())
    return text[start : start + _LONGEST_REASON] if start >= 0 else ""
