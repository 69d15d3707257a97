"""Delivery status notifications: RFC 3464 and, for addresses beyond ASCII, RFC 6533."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mailhub.mail.bounce.classifying import classify, enhanced_codes
from mailhub.mail.bounce.fields import Group, read_groups, read_recipient, without_type
from mailhub.mail.bounce.report import Action, RecipientReport
from mailhub.mail.parsing.part_tree import Part, leaves

TYPES = frozenset({"message/delivery-status", "message/global-delivery-status"})
MOST_RECIPIENTS = 1_000
_LONGEST_DIAGNOSTIC = 1_000
_OF_RECIPIENT = frozenset({"final-recipient", "original-recipient", "action", "status"})
_BEGINS_RECIPIENT = ("final-recipient", "original-recipient")
_STATUS = re.compile(r"([245])\.(\d{1,3})\.(\d{1,3})")
_ACTIONS = (
    (re.compile(r"fail|error|undeliver|reject|bounce|expired"), Action.FAILED),
    (re.compile(r"delay|defer|warn|retry"), Action.DELAYED),
    (re.compile(r"deliver"), Action.DELIVERED),
    (re.compile(r"relay"), Action.RELAYED),
    (re.compile(r"expan"), Action.EXPANDED),
)
_BY_CLASS = {"5": Action.FAILED, "4": Action.DELAYED, "2": Action.DELIVERED}


@dataclass(frozen=True, slots=True)
class DeliveryStatus:
    """What the fields of the whole message say, and those of each recipient."""

    reporter: str = ""
    envelope_id: str = ""
    sender: str = ""
    recipients: list[RecipientReport] = field(default_factory=list)


def find_delivery_status(root: Part) -> Part | None:
    """The part that holds it."""
    return next((part for part, _ in leaves(root) if part.content_type in TYPES), None)


def read_delivery_status(part: Part, prose: Mapping[str, str]) -> DeliveryStatus:
    """`prose` are the words beside an address in the part for people, by lower-case address:
    they count where the fields say nothing.
    """
    of_message: Group = []
    of_recipients: list[Group] = []
    for group in read_groups(part.content):
        for piece in _split(group):
            told = {name for name, _ in piece}
            (of_message if told.isdisjoint(_OF_RECIPIENT) else _new(of_recipients)).extend(piece)
    message = dict(reversed(of_message))
    # Where a blank line is missing, the first recipient's group holds what is of the message.
    for group in of_recipients[:1]:
        message = {**dict(reversed(group)), **message}
    found = [_recipient(group, prose) for group in of_recipients[:MOST_RECIPIENTS]]
    return DeliveryStatus(
        reporter=without_type(message.get("reporting-mta", "")),
        envelope_id=message.get("original-envelope-id", "")[:_LONGEST_DIAGNOSTIC],
        sender=read_recipient(message.get("x-postfix-sender", "")),
        recipients=[each for each in found if each is not None],
    )


def _new(groups: list[Group]) -> Group:
    groups.append([])
    return groups[-1]


def _split(group: Group) -> Sequence[Group]:
    """A group for each recipient, where the blank lines between them are missing."""
    pieces: list[Group] = [[]]
    seen: set[str] = set()
    for name, value in group:
        if name in _BEGINS_RECIPIENT and name in seen:
            pieces.append([])
            seen = set()
        if name in _OF_RECIPIENT:
            seen.add(name)
        pieces[-1].append((name, value))
    return pieces


def _recipient(group: Group, prose: Mapping[str, str]) -> RecipientReport | None:
    values = dict(reversed(group))
    original = read_recipient(values.get("original-recipient", ""))
    address = read_recipient(values.get("final-recipient", "")) or original
    if not address:
        address = read_recipient(values.get("x-actual-recipient", ""))
    if not address:
        return None
    diagnostic = without_type(values.get("diagnostic-code", ""))
    if not diagnostic:
        diagnostic = values.get("x-supplementary-info", "")
    if not diagnostic:
        diagnostic = prose.get(address.lower(), "") or prose.get(original.lower(), "")
    diagnostic = diagnostic[:_LONGEST_DIAGNOSTIC]
    found = _STATUS.search(values.get("status", ""))
    status = ".".join(found.groups()) if found else next(iter(enhanced_codes(diagnostic)), "")
    action = _action(values.get("action", ""), status)
    return RecipientReport(
        address=address,
        original_address=original,
        action=action,
        status=status,
        diagnostic=diagnostic,
        remote_mta=without_type(values.get("remote-mta", "")),
        verdict=classify(status=status, text=diagnostic, action=action),
    )


def _action(told: str, status: str) -> Action:
    told = told.lower()
    for pattern, action in _ACTIONS:
        if pattern.search(told):
            return action
    return _BY_CLASS.get(status[:1], Action.FAILED)
