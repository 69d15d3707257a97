"""Whom of a message's recipients a report is about.

Servers on the way forward mail, expand it, and rewrite addresses: a report may name somebody
who was never written to, and then says nothing of whoever was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mailhub.mail.addresses import encode_address
from mailhub.mail.bounce.report import Action, BounceReport, RecipientReport, ReportKind
from mailhub.mail.errors import InvalidMessage

_ARRIVED = (Action.DELIVERED, Action.EXPANDED)


def whom_it_concerns(
    report: BounceReport, recipients: Iterable[str]
) -> list[tuple[RecipientReport, str]]:
    """Each thing that it says, with the one of the recipients that it is about.

    "" is for what is about another address, or cannot be told. All names count: the original
    recipient, the final one, and those of X-Failed-Recipients. Where the report says that
    somebody has it, the failure of a copy that was forwarded is not about that one.
    """
    by_form = {address_form(each): each for each in recipients}
    found = [(told, _find(report, told, by_form)) for told in report.recipients]
    arrived = {who for told, who in found if told.action in _ARRIVED}
    return [(told, "" if told.has_failed and who in arrived else who) for told, who in found]


def address_form(address: str) -> str:
    """The same for two ways to write one address: without case, its domain in ASCII."""
    try:
        return encode_address(address).lower()
    except InvalidMessage:
        return address.lower()


def _find(report: BounceReport, told: RecipientReport, by_form: Mapping[str, str]) -> str:
    names = [name for name in (told.original_address, told.address) if name]
    only = next(iter(by_form.values())) if len(by_form) == 1 else ""
    if not names:
        return only
    for name in names:
        if found := by_form.get(address_form(name)):
            return found
    if not only:
        return ""
    if report.kind is ReportKind.FEEDBACK and _may_be_redacted(names, only):
        return only
    failed = {address_form(name) for name in report.failed_recipients}
    return only if told.has_failed and address_form(only) in failed else ""


def _may_be_redacted(names: Iterable[str], recipient: str) -> bool:
    """Providers put a digest in place of who complained, and leave the domain (RFC 6590)."""
    domain = address_form(recipient).rpartition("@")[2]
    return any(address_form(name).rpartition("@")[2] in (domain, "redacted") for name in names)
