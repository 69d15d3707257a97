"""Whom of the claimed deliveries a message may be made for now, and what it says about them."""

from __future__ import annotations

from collections.abc import Sequence

from campaigns.audience import DELETED, bare_addresses, not_mailable
from campaigns.composing import Person
from campaigns.engine.board import Assignment
from campaigns.engine.claims import Claimed
from campaigns.engine.lanes import Lane, choose
from campaigns.engine.outcomes import Finished
from campaigns.leaving import LEFT, lists_asked_by, who_left
from campaigns.models import Campaign, DeliveryState
from contacts.models import Contact


class Addressing:
    """For one shift of a campaign: people are read, and looked at, as their messages are made."""

    def __init__(self, campaign: Campaign, lanes: Sequence[Lane]) -> None:
        self._tenant = campaign.tenant
        self._bare = bare_addresses(campaign)
        self._lists = lists_asked_by(campaign)
        self._fields = max((lane.composer.person_fields for lane in lanes), key=len)

    def address(
        self, claimed: Sequence[Claimed], lanes: Sequence[Lane], left: dict[int, int]
    ) -> tuple[list[Assignment], list[Finished]]:
        """Each with a lane, of which `left` says how many it may take, and those left out."""
        keys = [each.contact for each in claimed if each.contact is not None]
        rows = Contact.objects.filter(pk__among=keys).values_list("pk", *self._fields)
        people = {row[0]: row for row in rows}
        reasons = self._reasons(claimed, {pk: row[1] for pk, row in people.items()})
        assignments: list[Assignment] = []
        skipped: list[Finished] = []
        for each in claimed:
            reason = reasons.get(each.pk)
            if reason:
                tried = each.attempt - 1
                skipped.append(Finished(each.pk, tried, DeliveryState.SKIPPED, reason, ""))
                continue
            lane = choose(lanes, each.pk, left)
            assert lane is not None, "no more was claimed than may be sent"
            person = people.get(each.contact or 0)
            message_id = lane.composer.message_id(each.pk, each.attempt)
            reached = Person(each.email, *person[2:]) if person else Person(each.email)
            assignments.append(Assignment(each, reached, message_id, lane.number))
        return assignments, skipped

    def _reasons(self, claimed: Sequence[Claimed], contacts: dict[int, str]) -> dict[int, str]:
        """By delivery, why it must not be written to now; `contacts` are keys and addresses."""
        refused = not_mailable(self._tenant, contacts, [each.email for each in claimed])
        gone = who_left(self._lists, list(contacts))
        reasons: dict[int, str] = {}
        for each in claimed:
            address = contacts.get(each.contact or 0)
            reason = refused.get(each.email) or refused.get(address or "")
            if each.email not in self._bare:
                if address is None:
                    reason = DELETED
                elif each.contact in gone:
                    reason = reason or LEFT
            if reason:
                reasons[each.pk] = reason
        return reasons
