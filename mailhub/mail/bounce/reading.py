"""From the octets of a message to the report that it is, or to nothing."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

from mailhub.mail.bounce.automatic import is_auto_reply
from mailhub.mail.bounce.delivery_status import (
    find_delivery_status,
    read_delivery_status,
)
from mailhub.mail.bounce.feedback import (
    feedback_recipients,
    find_feedback,
    is_outlook_complaint,
    read_feedback,
    read_outlook_complaint,
)
from mailhub.mail.bounce.head import Head
from mailhub.mail.bounce.last_resort import guess_recipients
from mailhub.mail.bounce.prose import prose_recipients, read_prose, reasons_by_address
from mailhub.mail.bounce.report import (
    Action,
    BounceReport,
    RecipientReport,
    ReportKind,
    Returned,
    Verdict,
)
from mailhub.mail.bounce.returned import returned_in_prose, returned_part
from mailhub.mail.bounce.suspicion import suspicious
from mailhub.mail.parsing.body import read_body
from mailhub.mail.parsing.part_tree import Part, read_tree
from mailhub.mail.parsing.structured_fields import read_mailboxes, read_message_ids

# A report is small, and says what it has to say before the message that it brings back.
_LARGEST_BODY = 1024 * 1024


def read_report(content: bytes) -> BounceReport | None:
    """The report that a message is, or None for what a person, a list or a shop wrote.

    Never raises for what the octets hold; ordinary mail costs a look at its header.
    """
    found = suspicious(content)
    if found is None:
        return None
    head, fields, body = found
    return _Reading(content, head, read_tree(fields, body[:_LARGEST_BODY])).report()


class _Reading:
    """One message that may be a report."""

    def __init__(self, content: bytes, head: Head, tree: Part) -> None:
        self._content, self._head, self._tree = content, head, tree

    def report(self) -> BounceReport | None:
        return (
            self._delivery_status()
            or self._feedback()
            or self._prose()
            or self._last_resort()
            or self._auto_reply()
        )

    def _delivery_status(self) -> BounceReport | None:
        part = find_delivery_status(self._tree)
        # Inside of something else it was forwarded by a person, or written by a server.
        if part is None or not (self._head.is_report or self._head.is_of_server):
            return None
        text = self._text
        status = read_delivery_status(part, reasons_by_address(text))
        if not status.recipients:
            return None
        returned = returned_part(self._tree) or returned_in_prose(text)
        if status.sender and not returned.return_path:
            returned = replace(returned, return_path=status.sender)
        return self._of(
            ReportKind.DELIVERY_STATUS,
            status.recipients,
            returned,
            reporter=status.reporter,
            envelope_id=status.envelope_id,
        )

    def _feedback(self) -> BounceReport | None:
        returned = returned_part(self._tree) or Returned()
        part = find_feedback(self._tree) if self._head.is_report else None
        feedback = read_feedback(part) if part else None
        if feedback is None and is_outlook_complaint(self._head):
            feedback = read_outlook_complaint(returned)
        if feedback is None:
            return None
        if feedback.sender and not returned.return_path:
            returned = replace(returned, return_path=feedback.sender)
        recipients = feedback_recipients(feedback, returned)
        if not recipients:
            # It is told by the ids of the message alone.
            recipients = [RecipientReport(address="", verdict=feedback.verdict)]
        return self._of(ReportKind.FEEDBACK, recipients, returned, reporter=feedback.reporter)

    def _prose(self) -> BounceReport | None:
        if not self._head.is_of_server:
            return None
        own = frozenset(each.lower() for each in (*self._head.written_to, *self._senders))
        prose = read_prose(self._text, own=own)
        if prose is None:
            return None
        recipients = prose_recipients(prose) or self._failed_recipients(prose.action)
        returned = returned_part(self._tree) or returned_in_prose(prose.rest)
        is_shown = returned.headers or any(each.status for each in recipients)
        if not recipients or not (is_shown or self._head.is_from_daemon):
            # Parcels are not delivered either.
            return None
        return self._of(ReportKind.PROSE, recipients, returned)

    def _failed_recipients(self, action: Action) -> list[RecipientReport]:
        """As exim, and Gmail, name them in the header."""
        verdict = Verdict.DELAYED if action is Action.DELAYED else Verdict.UNCLEAR
        return [
            RecipientReport(address=address, action=action, verdict=verdict)
            for address in self._named_as_failed
        ]

    def _auto_reply(self) -> BounceReport | None:
        if not is_auto_reply(self._head) or self._head.content_type[0] == "multipart/report":
            return None
        who = next(iter(self._senders), "")
        recipient = RecipientReport(address=who, verdict=Verdict.AUTO_REPLY)
        return self._of(ReportKind.AUTO_REPLY, [recipient], Returned())

    def _last_resort(self) -> BounceReport | None:
        head = self._head
        if not (head.is_of_server and head.is_from_daemon and head.tells_failure):
            return None
        text = self._text
        recipients = guess_recipients(self._content, text)
        if not recipients:
            return None
        returned = returned_part(self._tree) or returned_in_prose(text)
        return self._of(ReportKind.PROSE, recipients, returned)

    def _of(
        self,
        kind: ReportKind,
        recipients: list[RecipientReport],
        returned: Returned,
        *,
        reporter: str = "",
        envelope_id: str = "",
    ) -> BounceReport:
        if not returned.message_id:
            returned = replace(returned, message_id=self._answered)
        return BounceReport(
            kind=kind,
            recipients=tuple(recipients),
            returned=returned,
            sent_to=self._head.sent_to,
            reporter=reporter or next(iter(self._senders), ""),
            envelope_id=envelope_id,
            failed_recipients=self._named_as_failed,
        )

    @cached_property
    def _named_as_failed(self) -> tuple[str, ...]:
        told = ", ".join(self._head.values("x-failed-recipients"))
        people = dict.fromkeys(person.address for person in read_mailboxes(told[:10_000]))
        return tuple(address for address in people if address)

    @property
    def _senders(self) -> tuple[str, ...]:
        people = read_mailboxes(self._head.value("from"))
        return tuple(person.address for person in people if person.address)

    @property
    def _answered(self) -> str:
        """The Message-ID that it answers, as some reports that bring nothing back do tell."""
        answered = read_message_ids(self._head.value("in-reply-to"))
        answered = answered or read_message_ids(self._head.value("references"))[-1:]
        return next(iter(answered), "")

    @cached_property
    def _text(self) -> str:
        return read_body(self._tree, with_html=False).text
