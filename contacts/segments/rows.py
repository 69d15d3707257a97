"""A rule as the rows of a form: what, which question, which value; all of them, or any.

Rules that are nested deeper than a form shows are edited as JSON.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from contacts.segments.fields import (
    COMPARISONS,
    DAYS,
    PRESENCE,
    Kind,
    Operator,
    kind_of,
)

LIST, ACTIVITY = "list:", "activity:"
_IS, _IS_NOT = Operator.IS.value, Operator.IS_NOT.value


@dataclass(frozen=True, slots=True)
class Row:
    """`what` is a field, `list:<id>` or `activity:<name>`; `value` is as a person types it."""

    what: str = ""
    operator: str = _IS
    value: str = ""


def rule_of(mode: str, rows: Sequence[Row]) -> dict[str, Any]:
    """What the form says, right or wrong: `contacts.segments.language` judges it."""
    conditions = [_condition(row) for row in rows if row.what]
    return {"any" if mode == "any" else "all": conditions}


def _condition(row: Row) -> dict[str, Any]:
    if row.what.startswith((LIST, ACTIVITY)):
        condition = _membership(row)
        return {"not": condition} if row.operator == _IS_NOT else condition
    condition = {"field": row.what, "op": row.operator}
    if row.operator in PRESENCE:
        return condition
    return {**condition, "value": _typed(row)}


def _membership(row: Row) -> dict[str, Any]:
    name, _, key = row.what.partition(":")
    if name == "list":
        return {"list": _number(key)}
    days = {"within_days": _number(row.value)} if row.value.strip() else {}
    return {"activity": key, **days}


def _typed(row: Row) -> object:
    if row.operator == Operator.IS_ONE_OF:
        return [part.strip() for part in row.value.split(",") if part.strip()]
    is_number = row.operator in (*COMPARISONS, *DAYS) or kind_of(row.what) == Kind.NUMBER
    return _number(row.value) if is_number else row.value.strip()


def _number(text: str) -> object:
    """The number, or the text as it is, for it to be complained of."""
    text = text.strip()
    try:
        return int(text) if len(text) <= 18 else text
    except ValueError:
        pass
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return text


def rows_of(rule: object) -> tuple[str, list[Row]] | None:
    """The mode and the rows of a rule that was read; None where a form cannot show it."""
    if not isinstance(rule, dict):
        return None
    mode = next((name for name in ("all", "any") if name in rule), "all")
    conditions = rule.get(mode, [rule])
    rows = [_row(condition) for condition in conditions]
    shown = [row for row in rows if row is not None]
    return (mode, shown) if len(shown) == len(rows) else None


def _row(condition: dict[str, Any]) -> Row | None:
    inner, operator = condition, _IS
    if "not" in condition:
        inner, operator = condition["not"], _IS_NOT
    if "list" in inner and inner.get("state", "subscribed") == "subscribed":
        return Row(f"{LIST}{inner['list']}", operator)
    if "activity" in inner and not {"campaign", "at_least"} & inner.keys():
        return Row(f"{ACTIVITY}{inner['activity']}", operator, str(inner.get("within_days") or ""))
    value = inner.get("value", "")
    if "field" not in inner or inner is not condition or isinstance(value, bool):
        return None
    text = ", ".join(value) if isinstance(value, list) else str(value)
    row = Row(inner["field"], inner["op"], text)
    return row if _condition(row) == condition else None
