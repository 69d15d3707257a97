"""What a rule can ask of a contact: its fields, and which questions suit each."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """What a field holds, and so what can be asked of it. An attribute may hold anything."""

    TEXT = "text"
    CHOICE = "choice"
    NUMBER = "number"
    TIME = "time"
    ATTRIBUTE = "attribute"


class Operator(StrEnum):
    """A question. Texts are compared without regard to case."""

    IS = "is"
    IS_NOT = "is_not"
    IS_ONE_OF = "is_one_of"
    BEGINS_WITH = "begins_with"
    ENDS_WITH = "ends_with"
    CONTAINS = "contains"
    DOES_NOT_CONTAIN = "does_not_contain"
    IS_SET = "is_set"
    IS_NOT_SET = "is_not_set"
    MORE_THAN = "more_than"
    LESS_THAN = "less_than"
    AT_LEAST = "at_least"
    AT_MOST = "at_most"
    BEFORE = "before"
    AFTER = "after"
    WITHIN_DAYS = "within_days"
    NOT_WITHIN_DAYS = "not_within_days"


FIELDS: dict[str, Kind] = {
    "email": Kind.TEXT,
    "first_name": Kind.TEXT,
    "last_name": Kind.TEXT,
    "company": Kind.TEXT,
    "status": Kind.CHOICE,
    "created_at": Kind.TIME,
    "updated_at": Kind.TIME,
    "last_email_sent": Kind.TIME,
    "last_campaign": Kind.TEXT,
    "email_count": Kind.NUMBER,
}
ATTRIBUTE_PREFIX = "attributes."

PRESENCE = (Operator.IS_SET, Operator.IS_NOT_SET)
COMPARISONS = (Operator.MORE_THAN, Operator.LESS_THAN, Operator.AT_LEAST, Operator.AT_MOST)
DATES = (Operator.BEFORE, Operator.AFTER)
DAYS = (Operator.WITHIN_DAYS, Operator.NOT_WITHIN_DAYS)
PARTS = (
    Operator.BEGINS_WITH,
    Operator.ENDS_WITH,
    Operator.CONTAINS,
    Operator.DOES_NOT_CONTAIN,
)
_EQUALITY = (Operator.IS, Operator.IS_NOT, Operator.IS_ONE_OF)

OPERATORS: dict[Kind, tuple[Operator, ...]] = {
    Kind.TEXT: (*_EQUALITY, *PARTS, *PRESENCE),
    Kind.CHOICE: _EQUALITY,
    Kind.NUMBER: (Operator.IS, Operator.IS_NOT, *COMPARISONS),
    Kind.TIME: (*DATES, *DAYS, *PRESENCE),
    Kind.ATTRIBUTE: (*_EQUALITY, *PARTS, *COMPARISONS, *DATES, *PRESENCE),
}


def kind_of(field: str) -> Kind | None:
    """What the field of this name holds; None where there is none."""
    if field.startswith(ATTRIBUTE_PREFIX):
        return Kind.ATTRIBUTE
    return FIELDS.get(field)
