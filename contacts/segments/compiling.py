"""A rule becomes a condition on contacts, the same on both databases.

Every condition made here is true or false and never null, so that `not` means what it says:
who has no city is among those whose city is not Berlin.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Value
from django.db.models.expressions import F
from django.db.models.lookups import (
    Contains,
    EndsWith,
    Exact,
    GreaterThan,
    GreaterThanOrEqual,
    In,
    IsNull,
    LessThan,
    LessThanOrEqual,
    StartsWith,
)
from django.utils import timezone

from contacts.models import Contact, ContactList, ListMember
from contacts.models.contact import ContactQuerySet
from contacts.models.folded_text import FoldedTextField
from contacts.segments.activity import activity_kinds
from contacts.segments.attribute_values import (
    AttributeDay,
    AttributeNumber,
    AttributeText,
    Lowered,
)
from contacts.segments.fields import ATTRIBUTE_PREFIX, Kind, Operator
from contacts.segments.language import (
    ActivityCondition,
    All,
    AnyOf,
    FieldCondition,
    ListCondition,
    Not,
    Rule,
)
from mailhub.errors import InvalidInput

_COMPARISONS: dict[Operator, tuple[type[Any], str]] = {
    Operator.MORE_THAN: (GreaterThan, "gt"),
    Operator.LESS_THAN: (LessThan, "lt"),
    Operator.AT_LEAST: (GreaterThanOrEqual, "gte"),
    Operator.AT_MOST: (LessThanOrEqual, "lte"),
    Operator.BEFORE: (LessThan, "lt"),
    Operator.AFTER: (GreaterThan, "gt"),
}
_NEGATIONS = {
    Operator.IS_NOT: Operator.IS,
    Operator.DOES_NOT_CONTAIN: Operator.CONTAINS,
    Operator.IS_NOT_SET: Operator.IS_SET,
    Operator.NOT_WITHIN_DAYS: Operator.WITHIN_DAYS,
}
_TEXT_LOOKUPS: dict[Operator, type[Any]] = {
    Operator.IS: Exact,
    Operator.BEGINS_WITH: StartsWith,
    Operator.ENDS_WITH: EndsWith,
    Operator.CONTAINS: Contains,
}


class ListGone(InvalidInput):
    """The rule asks for a list that is there no more, so that nobody knows whom it means.

    Nobody is on such a list, so everybody would be among those who are not.
    """

    code = "list_gone"

    def __init__(self) -> None:
        super().__init__("A list that the segment asks for was deleted: change the segment.")


def matching(contacts: ContactQuerySet, rule: Rule, *, one_by_one: bool = False) -> ContactQuerySet:
    """Those of the contacts whom the rule means.

    Lists and activities are looked through once for all contacts. With `one_by_one` each
    contact is looked up in them: for a walk through contacts in short stretches. Raises ListGone.
    """
    return contacts.filter(meaning(rule, one_by_one=one_by_one))


def meaning(rule: Rule, *, one_by_one: bool = False) -> Q:
    """The rule as a condition on contacts; see `matching`. Raises ListGone."""
    compiler = _Compiler(one_by_one=one_by_one)
    condition = compiler.condition(rule)
    if ContactList.objects.filter(pk__in=compiler.lists).count() < len(compiler.lists):
        raise ListGone
    return condition


class _Compiler:
    def __init__(self, *, one_by_one: bool) -> None:
        self._one_by_one = one_by_one
        self._now = timezone.now()
        self.lists: set[int] = set()

    def condition(self, rule: Rule) -> Q:
        match rule:
            case All(rules):
                return _joined(Q.AND, [self.condition(each) for each in rules])
            case AnyOf(rules):
                return _joined(Q.OR, [self.condition(each) for each in rules])
            case Not(inner):
                return ~self.condition(inner)
            case ListCondition(list_id, state):
                self.lists.add(list_id)
                return self._among(ListMember.objects.filter(list_id=list_id, state=state))
            case ActivityCondition():
                return self._activity(rule)
            case FieldCondition():
                return self._field(rule)

    def _among(self, rows: QuerySet[Any]) -> Q:
        """Whoever is the contact of one of these rows."""
        if self._one_by_one:
            return Q(Exists(rows.filter(contact=OuterRef("pk"))))
        return Q(pk__in=rows.filter(contact__isnull=False).values("contact"))

    def _activity(self, asked: ActivityCondition) -> Q:
        kind = activity_kinds().get(asked.activity)
        if kind is None:
            return Q(pk__in=())
        rows = kind.rows()
        if asked.campaign:
            rows = rows.filter(**{kind.campaign: asked.campaign})
        if asked.within_days is not None:
            since = self._now - timedelta(days=asked.within_days)
            rows = rows.filter(**{f"{kind.moment}__gte": since})
        if asked.at_least == 1:
            return self._among(rows)
        if self._one_by_one:
            rows = rows.filter(contact=OuterRef("pk"))
        often = rows.order_by().values("contact").annotate(times=Count("pk"))
        often = often.filter(times__gte=asked.at_least, contact__isnull=False)
        if self._one_by_one:
            return Q(Exists(often.values("contact")))
        return Q(pk__in=often.values("contact"))

    def _field(self, asked: FieldCondition) -> Q:
        positive = _NEGATIONS.get(asked.operator)
        if positive is not None:
            return ~self._field(FieldCondition(asked.field, asked.kind, positive, asked.value))
        match asked.kind:
            case Kind.CHOICE:
                suffix = "__in" if asked.operator == Operator.IS_ONE_OF else ""
                return Q(**{f"{asked.field}{suffix}": asked.value})
            case Kind.NUMBER:
                suffix = "exact" if asked.operator == Operator.IS else _suffix(asked.operator)
                return Q(**{f"{asked.field}__{suffix}": asked.value})
            case Kind.TIME:
                return self._time(asked)
            case Kind.TEXT:
                return _text_field(asked)
            case Kind.ATTRIBUTE:
                return _attribute(asked)

    def _time(self, asked: FieldCondition) -> Q:
        if asked.operator == Operator.IS_SET:
            return Q(**{f"{asked.field}__isnull": False})
        if asked.operator == Operator.WITHIN_DAYS:
            assert isinstance(asked.value, int)
            return Q(**{f"{asked.field}__gte": self._now - timedelta(days=asked.value)})
        assert isinstance(asked.value, datetime)
        return Q(**{f"{asked.field}__{_suffix(asked.operator)}": asked.value})


def _joined(connector: str, conditions: list[Q]) -> Q:
    return Q(*conditions, _connector=connector)


def _suffix(operator: Operator) -> str:
    return _COMPARISONS[operator][1]


def _text_field(asked: FieldCondition) -> Q:
    """Names have a column without case and accents, addresses are stored in lower case."""
    if asked.operator == Operator.IS_SET:
        return ~Q(**{asked.field: ""})
    if asked.field in ("first_name", "last_name"):
        column = Contact._meta.get_field(f"{asked.field}_folded")
        assert isinstance(column, FoldedTextField)
        return _text(column.name, asked, column.folded)
    if asked.field == "email":
        return _text("email", asked, str.lower)
    return _text("", asked, str.lower)


def _text(column: str, asked: FieldCondition, form: Callable[[str], str]) -> Q:
    """The question about a text, whose values are brought into the form that `column` has.

    Without a column of such a form the text is lowered while it is read.
    """
    values = asked.value if isinstance(asked.value, tuple) else (str(asked.value),)
    formed = [form(value) for value in values]
    expression = F(column) if column else _lowered(asked, "".join(formed))
    if asked.operator == Operator.IS_ONE_OF:
        return Q(In(expression, formed))
    if column and asked.operator == Operator.BEGINS_WITH:
        return Q(**{f"{column}__prefix": formed[0]})
    return Q(_TEXT_LOOKUPS[asked.operator](expression, formed[0]))


def _lowered(asked: FieldCondition, other: str) -> Lowered:
    if asked.kind == Kind.ATTRIBUTE:
        return Lowered(AttributeText(_key(asked)), other=other)
    return Lowered(F(asked.field), other=other)


def _attribute(asked: FieldCondition) -> Q:
    key, value = _key(asked), asked.value
    if asked.operator == Operator.IS_SET:
        return ~Q(Exact(AttributeText(key), Value("")))
    if isinstance(value, bool):
        return Q(Exact(AttributeText(key), Value("true" if value else "false")))
    if isinstance(value, int | float):
        lookup = Exact if asked.operator == Operator.IS else _COMPARISONS[asked.operator][0]
        return _known(AttributeNumber(key), lookup, float(value))
    if isinstance(value, date):
        lookup = _COMPARISONS[asked.operator][0]
        return _known(AttributeDay(key), lookup, value.isoformat())
    return _text("", asked, str.lower)


def _known(expression: AttributeNumber | AttributeDay, lookup: type[Any], value: Any) -> Q:
    return Q(IsNull(expression, False)) & Q(lookup(expression, value))


def _key(asked: FieldCondition) -> str:
    return asked.field.removeprefix(ATTRIBUTE_PREFIX)
