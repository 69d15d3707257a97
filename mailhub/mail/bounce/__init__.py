"""Reports that come back by mail: what became of a message after a server took it.

    octets ─ suspicion ─────> most mail is ruled out by a look at its header
           ├ delivery_status ─ RFC 3464, RFC 6533            ┐
           ├ feedback ──────── RFC 5965: complaints, opt-outs │
           ├ prose ─────────── servers that write for people  ├─> BounceReport
           ├ automatic ─────── RFC 3834: vacation messages    │
           └ last_resort ───── flufl.bounce                   ┘
                  classifying + wording: codes and words → Verdict
                  concerning: whom of a message's recipients it is about

`read_report` never raises for what a message holds. `classify_reply` applies the same
rules to what a server says while a message is sent. Anybody can write a report: whoever
acts on one asks for something in it that only a recipient of the message can know.
"""

from mailhub.mail.bounce.classifying import classify, classify_reply
from mailhub.mail.bounce.concerning import address_form, whom_it_concerns
from mailhub.mail.bounce.reading import read_report
from mailhub.mail.bounce.report import (
    Action,
    BounceReport,
    RecipientReport,
    ReportKind,
    Returned,
    Verdict,
)
from mailhub.mail.bounce.suspicion import may_be_report

__all__ = [
    "Action",
    "BounceReport",
    "RecipientReport",
    "ReportKind",
    "Returned",
    "Verdict",
    "address_form",
    "classify",
    "classify_reply",
    "may_be_report",
    "read_report",
    "whom_it_concerns",
]
