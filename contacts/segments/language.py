"""The language of segments: JSON that says who belongs.

    rule      = {"all": [rule, …]} | {"any": [rule, …]} | {"not": rule} | condition
    condition = {"field": name, "op": operator, "value": value}
              | {"list": id, "state": "subscribed"}
              | {"activity": name, "campaign": id, "within_days": n, "at_least": n}

Names of fields and the operators that suit each stand in `contacts.segments.fields`; an
attribute is `attributes.<key>`. `state`, `campaign`, `within_days` and `at_least` may be left
out. A rule is read once, into the classes below, and every complaint names its place, as
`rule.all[2].value`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, TypeGuard

from django.utils.dateparse import parse_date

from contacts.attributes import LONGEST_KEY
from contacts.models import ContactStatus, MemberState
from contacts.segments.activity import activity_kinds
from contacts.segments.fields import (
    ATTRIBUTE_PREFIX,
    COMPARISONS,
    DATES,
    DAYS,
    FIELDS,
    OPERATORS,
    PARTS,
    PRESENCE,
    Kind,
    Operator,
    kind_of,
)
from mailhub.errors import InvalidInput
from mailhub.moments import read_moment

DEEPEST = 10
MOST_CONDITIONS = 100
MOST_VALUES = 1000
LONGEST_VALUE = 500
MOST_DAYS = 36_500
_LARGEST_NUMBER = 1e15
_LARGEST_KEY = 2**63 - 1

Value = str | float | bool | datetime | date | tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class All:
    """Every one of them."""

    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One of them at least."""

    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Whoever the rule does not mean."""

    rule: Rule


@dataclass(frozen=True, slots=True)
class FieldCondition:
    """A question about a field; `value` suits the operator."""

    field: str
    kind: Kind
    operator: Operator
    value: Value


@dataclass(frozen=True, slots=True)
class ListCondition:
    """Being on a list, in this state."""

    list_id: int
    state: str


@dataclass(frozen=True, slots=True)
class ActivityCondition:
    """Something that happened, so often at least; ever and by any campaign unless said."""

    activity: str
    campaign: str
    within_days: int | None
    at_least: int


Rule = All | AnyOf | Not | FieldCondition | ListCondition | ActivityCondition


def read_rule(value: object, lists: Collection[int] | None = None, *, place: str = "rule") -> Rule:
    """The rule. Raises InvalidInput with every complaint by its place (details.fields).

    `lists` are the lists that may be named; None for a rule that was read before, whose
    lists may be gone: what compiles it refuses those. `place` is what the client calls the whole.
    """
    reader = _Reader(lists)
    rule = reader.read(value, place, DEEPEST)
    if reader.problems or rule is None:
        where, words = next(iter(reader.problems.items()))
        raise InvalidInput(
            f"{where}: {words[0]}", code="invalid_rule", details={"fields": reader.problems}
        )
    return rule


def lists_named(rule: object) -> set[int]:
    """The lists that a rule, as JSON, asks for, however deep."""
    if isinstance(rule, list):
        return {key for each in rule for key in lists_named(each)}
    if not isinstance(rule, Mapping):
        return set()
    if "list" in rule:
        return {rule["list"]}
    return {key for name in ("all", "any", "not") for key in lists_named(rule.get(name))}


class _Reader:
    """Reads one rule, and goes on after a complaint, so that all are heard at once."""

    def __init__(self, lists: Collection[int] | None) -> None:
        self._lists = lists
        self._conditions = 0
        self.problems: dict[str, list[str]] = {}

    def read(self, value: object, place: str, depth: int) -> Rule | None:
        if not isinstance(value, Mapping):
            self._complain(place, "A rule is a JSON object.")
            return None
        if depth == 0:
            self._complain(place, f"Rules are nested more than {DEEPEST} deep.")
            return None
        forms: dict[str, Callable[[Mapping[str, Any], str, int], Rule | None]] = {
            "all": self._read_group,
            "any": self._read_group,
            "not": self._read_not,
            "field": self._read_field,
            "list": self._read_list,
            "activity": self._read_activity,
        }
        named = [name for name in forms if name in value]
        if len(named) != 1:
            self._complain(place, f"A rule has exactly one of {', '.join(forms)}.")
            return None
        if named[0] not in ("all", "any", "not"):
            self._conditions += 1
            if self._conditions == MOST_CONDITIONS + 1:
                self._complain(place, f"A rule has at most {MOST_CONDITIONS} conditions.")
                return None
        return forms[named[0]](value, place, depth)

    def _complain(self, place: str, words: str) -> None:
        self.problems.setdefault(place, []).append(words)

    def _refuse_others(self, value: Mapping[str, Any], place: str, *known: str) -> None:
        for name in value:
            if name not in known:
                self._complain(f"{place}.{str(name)[:100]}", "This is not known here.")

    def _read_group(self, value: Mapping[str, Any], place: str, depth: int) -> Rule | None:
        name = "all" if "all" in value else "any"
        self._refuse_others(value, place, name)
        inner, place = value[name], f"{place}.{name}"
        if not isinstance(inner, list) or not inner:
            self._complain(place, "Give a list of one rule at least.")
            return None
        if len(inner) > MOST_CONDITIONS:
            self._complain(place, f"Give at most {MOST_CONDITIONS} rules.")
            return None
        read = [
            self.read(each, f"{place}[{number}]", depth - 1) for number, each in enumerate(inner)
        ]
        rules = tuple(rule for rule in read if rule is not None)
        return All(rules) if name == "all" else AnyOf(rules)

    def _read_not(self, value: Mapping[str, Any], place: str, depth: int) -> Rule | None:
        self._refuse_others(value, place, "not")
        rule = self.read(value["not"], f"{place}.not", depth - 1)
        return None if rule is None else Not(rule)

    def _read_list(self, value: Mapping[str, Any], place: str, _depth: int) -> Rule | None:
        self._refuse_others(value, place, "list", "state")
        key, state = value["list"], value.get("state", MemberState.SUBSCRIBED.value)
        is_key = isinstance(key, int) and not isinstance(key, bool) and 0 < key <= _LARGEST_KEY
        if not is_key or (self._lists is not None and key not in self._lists):
            self._complain(f"{place}.list", "There is no such list.")
        if state not in MemberState.values:
            self._complain(f"{place}.state", f"Give one of {', '.join(MemberState.values)}.")
        return ListCondition(key, state) if not self.problems else None

    def _read_activity(self, value: Mapping[str, Any], place: str, _depth: int) -> Rule | None:
        self._refuse_others(value, place, "activity", "campaign", "within_days", "at_least")
        name, campaign = value["activity"], value.get("campaign", "")
        kinds = activity_kinds()
        if not isinstance(name, str) or name not in kinds:
            self._complain(f"{place}.activity", f"Give one of {', '.join(kinds)}.")
        if not _is_text(campaign, 80):
            self._complain(f"{place}.campaign", "Give a campaign's id.")
        within_days = None
        if value.get("within_days") is not None:
            within_days = self._whole(value["within_days"], f"{place}.within_days", MOST_DAYS)
        at_least = self._whole(value.get("at_least", 1), f"{place}.at_least", 10_000)
        if self.problems:
            return None
        return ActivityCondition(name, campaign, within_days, at_least)

    def _read_field(self, value: Mapping[str, Any], place: str, _depth: int) -> Rule | None:
        self._refuse_others(value, place, "field", "op", "value")
        field, operator = value["field"], value.get("op")
        kind = self._kind(field, place)
        if kind is None:
            return None
        if operator not in OPERATORS[kind]:
            suitable = ", ".join(OPERATORS[kind])
            self._complain(f"{place}.op", f"Of {field} one can ask: {suitable}.")
            return None
        asked = Operator(operator)
        read = self._value(kind, asked, value.get("value"), f"{place}.value")
        return FieldCondition(field, kind, asked, read)

    def _kind(self, field: object, place: str) -> Kind | None:
        kind = kind_of(field) if isinstance(field, str) else None
        if kind is None:
            words = f"Give one of {', '.join(FIELDS)} or attributes.<key>."
            self._complain(f"{place}.field", words)
            return None
        key = str(field).removeprefix(ATTRIBUTE_PREFIX)
        if not key.strip() or len(key) > LONGEST_KEY or not _is_text(key, LONGEST_KEY):
            self._complain(f"{place}.field", "This is not the name of an attribute.")
            return None
        if '"' in key or "\\" in key:
            words = "Attributes with a quotation mark or a backslash in their name cannot be asked."
            self._complain(f"{place}.field", words)
            return None
        return kind

    def _value(self, kind: Kind, operator: Operator, value: object, place: str) -> Value:
        if operator in PRESENCE:
            if value is not None:
                self._complain(place, f"{operator} takes no value.")
            return None
        if operator in DAYS:
            return self._whole(value, place, MOST_DAYS)
        if operator in DATES:
            return self._moment(kind, value, place)
        if operator in COMPARISONS or kind == Kind.NUMBER:
            return self._number(value, place)
        if operator == Operator.IS_ONE_OF:
            return self._texts(kind, value, place)
        if kind == Kind.ATTRIBUTE and operator not in PARTS and _is_number_or_truth(value):
            return value
        return self._text(kind, value, place)

    def _text(self, kind: Kind, value: object, place: str) -> str:
        if kind == Kind.CHOICE and value not in ContactStatus.values:
            self._complain(place, f"Give one of {', '.join(ContactStatus.values)}.")
        elif not _is_text(value, LONGEST_VALUE) or not str(value).strip():
            self._complain(place, f"Give a text of 1 to {LONGEST_VALUE} characters.")
        return str(value).strip()

    def _texts(self, kind: Kind, value: object, place: str) -> tuple[str, ...]:
        if not isinstance(value, list) or not 0 < len(value) <= MOST_VALUES:
            self._complain(place, f"Give a list of 1 to {MOST_VALUES} texts.")
            return ()
        return tuple(
            self._text(kind, each, f"{place}[{number}]") for number, each in enumerate(value)
        )

    def _number(self, value: object, place: str) -> float:
        if not _is_number_or_truth(value) or isinstance(value, bool):
            self._complain(place, "Give a number.")
            return 0
        return value

    def _whole(self, value: object, place: str, most: int) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
            self._complain(place, f"Give a whole number from 1 to {most}.")
            return 1
        return value

    def _moment(self, kind: Kind, value: object, place: str) -> datetime | date | None:
        """A field of ours knows the time of day, an attribute the day alone."""
        try:
            day = parse_date(value) if isinstance(value, str) else None
            if day is not None and kind == Kind.ATTRIBUTE:
                return day
            if day is not None:
                return datetime(day.year, day.month, day.day, tzinfo=UTC)
            moment = read_moment(value) if isinstance(value, str) else None
        except ValueError:
            moment = None
        if moment is None or kind == Kind.ATTRIBUTE:
            self._complain(place, "Give a date, as 2026-03-01.")
            return None
        return moment


def _is_text(value: object, longest: int) -> bool:
    if not isinstance(value, str) or len(value) > longest or "\0" in value:
        return False
    return not any("\ud800" <= letter <= "\udfff" for letter in value)


def _is_number_or_truth(value: object) -> TypeGuard[float | bool]:
    if isinstance(value, bool):
        return True
    return isinstance(value, int | float) and math.isfinite(value) and abs(value) <= _LARGEST_NUMBER
