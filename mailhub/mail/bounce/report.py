"""What a report that came back by mail says, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ReportKind(StrEnum):
    """How the report is written: what is read from prose is less certain than a DSN's fields."""

    DELIVERY_STATUS = "delivery_status"
    FEEDBACK = "feedback"
    AUTO_REPLY = "auto_reply"
    PROSE = "prose"


class Action(StrEnum):
    """What a server did for a recipient (RFC 3464 section 2.3.3)."""

    FAILED = "failed"
    DELAYED = "delayed"
    DELIVERED = "delivered"
    RELAYED = "relayed"
    EXPANDED = "expanded"
    NONE = ""


class Verdict(StrEnum):
    """What a report, or a server's reply, means for writing to a recipient again.

    hard: the address does not exist: write there no more. soft: it may work another time;
    several in a row tell something. unclear: it failed for good, and why is not told: no
    more than a soft one. policy: the receiver does not want this sender or message; content:
    the message is too large or badly made; sender: the sender's own address is at fault.
    None of these three is about the recipient. delayed, delivered, relayed and expanded are
    news of a message still, or well, on its way. complaint and opt_out: the recipient wants
    no more. not_spam, auth_failure and other_feedback ask for nothing of the kind. auto_reply:
    somebody's vacation message, or a machine that wants a confirmation.
    """

    HARD = "hard"
    SOFT = "soft"
    UNCLEAR = "unclear"
    POLICY = "policy"
    CONTENT = "content"
    SENDER = "sender"
    DELAYED = "delayed"
    DELIVERED = "delivered"
    RELAYED = "relayed"
    EXPANDED = "expanded"
    AUTO_REPLY = "auto_reply"
    COMPLAINT = "complaint"
    OPT_OUT = "opt_out"
    NOT_SPAM = "not_spam"
    AUTH_FAILURE = "auth_failure"
    OTHER_FEEDBACK = "other_feedback"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientReport:
    """What became of the message for one recipient.

    `address` is the last one that it was known by, `original_address` the one that the
    sender wrote, "" where the report does not tell. `status` is an enhanced code (RFC 3463)
    or ""; `diagnostic` holds the words of the server that refused it, without their type.
    """

    address: str
    original_address: str = ""
    action: Action = Action.NONE
    status: str = ""
    diagnostic: str = ""
    remote_mta: str = ""
    verdict: Verdict

    @property
    def reason(self) -> str:
        """The server's words, or its code where it said no more."""
        return self.diagnostic or self.status

    @property
    def has_failed(self) -> bool:
        """Whether it was given up."""
        return self.action is Action.FAILED


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """What the report brings back of the message that it is about.

    Ids are without angle brackets; where nothing came back, `message_id` is the one that the
    report says to answer. `return_path` is the envelope's sender. `headers` are
    all fields that came back, at most 300, in order and decoded.
    """

    message_id: str = ""
    return_path: str = ""
    to: tuple[str, ...] = ()
    list_id: str = ""
    subject: str = ""
    headers: tuple[tuple[str, str], ...] = ()

    def header(self, name: str) -> str:
        """The first field of that name, whatever its case, or ""."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class BounceReport:
    """A report about a message that somebody sent.

    `sent_to` are the addresses that the report itself was sent to, those of the envelope
    first: one of them holds the token where the sender used VERP. `reporter` is the server
    or the address that reports, `envelope_id` what the sender gave as ENVID (RFC 3461).
    `failed_recipients` are those that its own header names as exim writes it.
    """

    kind: ReportKind
    recipients: tuple[RecipientReport, ...]
    returned: Returned
    sent_to: tuple[str, ...] = ()
    reporter: str = ""
    envelope_id: str = ""
    failed_recipients: tuple[str, ...] = ()
