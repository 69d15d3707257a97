"""Charts as SVG that the server draws: attributes and no styles, as the site's CSP wants it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django import template

register = template.Library()

_GAP = 0.15


@dataclass(frozen=True, slots=True)
class ChartColumn:
    """What one column shows: a number for each kind, one upon the other."""

    words: str
    numbers: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """Columns side by side. `kinds` are names of fills ("good", "bad", "other", "accent").

    `words` say the same to those who do not see it; `start` and `end` stand beneath.
    """

    columns: Sequence[ChartColumn]
    kinds: tuple[str, ...]
    legend: tuple[str, ...]
    words: str
    start: str
    end: str


@register.inclusion_tag("pieces/chart.html")
def chart(drawn: Chart) -> dict[str, Any]:
    """The chart, its scale from 0 to a round number."""
    top = _round_up(max((sum(column.numbers) for column in drawn.columns), default=0))
    width = 100 / max(1, len(drawn.columns))
    parts = []
    for place, column in enumerate(drawn.columns):
        bottom = 100.0
        for kind, number in zip(drawn.kinds, column.numbers, strict=True):
            height = 100 * number / top
            bottom -= height
            if height:
                parts.append(
                    {
                        "kind": kind,
                        "x": f"{place * width + width * _GAP / 2:.3f}%",
                        "width": f"{width * (1 - _GAP):.3f}%",
                        "y": f"{bottom:.3f}%",
                        "height": f"{height:.3f}%",
                        "words": column.words,
                    }
                )
    legend = list(zip(drawn.kinds, drawn.legend, strict=True))
    return {"chart": drawn, "parts": parts, "top": f"{top:,g}", "legend": legend}


def _round_up(number: float) -> float:
    """The next of 1, 2, 5, 10, 20, 50 … and of their tenths."""
    if number <= 0:
        return 1
    power = 10.0 ** math.floor(math.log10(number))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= number * 0.999_999)
