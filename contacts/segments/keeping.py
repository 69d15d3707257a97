"""Segments as a person keeps them: checked when saved, looked at before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction

from accounts.caller import Caller
from contacts.models import Contact, ContactList, Segment
from contacts.segments.compiling import matching
from contacts.segments.language import Rule, read_rule
from mailhub.errors import Conflict

SAMPLE = 10


@dataclass(frozen=True, slots=True)
class Preview:
    """How many contacts a rule means, and the newest of them."""

    count: int
    sample: list[Contact]


def check_rule(caller: Caller, value: object, *, place: str = "rule") -> Rule:
    """The rule, its lists being the caller's. Raises InvalidInput (`invalid_rule`)."""
    lists = ContactList.objects.for_caller(caller).values_list("pk", flat=True)
    return read_rule(value, set(lists), place=place)


def make_segment(caller: Caller, given: Mapping[str, Any]) -> Segment:
    """A new segment. Raises InvalidInput, and Conflict for a taken name."""
    made = Segment(tenant=caller.tenant, created_by=caller.user)
    return change_segment(caller, made, given)


def change_segment(caller: Caller, segment: Segment, given: Mapping[str, Any]) -> Segment:
    """Set these fields, and store the segment. Raises as `make_segment` does."""
    if "rule" in given:
        check_rule(caller, given["rule"])
    for name, value in given.items():
        setattr(segment, name, value)
    try:
        with transaction.atomic():
            segment.save()
    except IntegrityError:
        raise Conflict("There is a segment of this name already.", code="segment_exists") from None
    return segment


def preview(caller: Caller, rule: Rule, sample: int = SAMPLE) -> Preview:
    """Count whom the rule means, and show a few."""
    found = matching(Contact.objects.sweep(caller.tenant), rule)
    return Preview(found.count(), list(found.order_by("-pk")[:sample]))
