"""Feedback of recipients and their providers: the abuse reporting format (RFC 5965, 6591)."""

from __future__ import annotations

from dataclasses import dataclass, field

from mailhub.mail.bounce.fields import read_groups, read_recipient, without_type
from mailhub.mail.bounce.head import Head
from mailhub.mail.bounce.report import RecipientReport, Returned, Verdict
from mailhub.mail.parsing.part_tree import Part, leaves

_TYPE = "message/feedback-report"
_MOST_RECIPIENTS = 100
_VERDICTS = {
    "abuse": Verdict.COMPLAINT,
    "fraud": Verdict.COMPLAINT,
    "miscategorized": Verdict.COMPLAINT,
    "opt-out": Verdict.OPT_OUT,
    "opt-out-list": Verdict.OPT_OUT,
    "not-spam": Verdict.NOT_SPAM,
    "auth-failure": Verdict.AUTH_FAILURE,
    "dmarc": Verdict.AUTH_FAILURE,
}


@dataclass(frozen=True, slots=True)
class Feedback:
    """What the fields of a feedback report say."""

    verdict: Verdict
    reporter: str = ""
    sender: str = ""
    recipients: list[str] = field(default_factory=list)


def find_feedback(root: Part) -> Part | None:
    """The part that holds it."""
    return next((part for part, _ in leaves(root) if part.content_type == _TYPE), None)


def read_feedback(part: Part) -> Feedback | None:
    """None where it does not say what kind of feedback it is."""
    pairs = [pair for group in read_groups(part.content) for pair in group]
    values = dict(reversed(pairs))
    kind = values.get("feedback-type", "").strip().lower()
    if not kind:
        return None
    told = (read_recipient(value) for name, value in pairs if name == "original-rcpt-to")
    return Feedback(
        verdict=_VERDICTS.get(kind, Verdict.OTHER_FEEDBACK),
        reporter=without_type(values.get("reporting-mta", "")) or values.get("user-agent", ""),
        sender=read_recipient(values.get("original-mail-from", "")),
        recipients=[each for each in dict.fromkeys(told) if each][:_MOST_RECIPIENTS],
    )


def is_outlook_complaint(head: Head) -> bool:
    """Whether it is from Outlook.com's junk reporting, which does not write ARF."""
    return "staff@hotmail.com" in head.value("from").lower()


def read_outlook_complaint(returned: Returned) -> Feedback | None:
    """The message comes back in it, and in a field of that stands whose it was."""
    who = returned.header("X-HmXmrOriginalRecipient").strip()
    return Feedback(Verdict.COMPLAINT, recipients=[who]) if who else None


def feedback_recipients(feedback: Feedback, returned: Returned) -> list[RecipientReport]:
    """Those that the report names, else those of the message that it brings back."""
    people = feedback.recipients or [each for each in returned.to if "@" in each]
    return [RecipientReport(address=each, verdict=feedback.verdict) for each in people]
