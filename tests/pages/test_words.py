"""How the pages say times, durations and numbers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.template import Context, Template

from mailhub.templatetags.pages import duration, say_moment

NOW = datetime(2026, 3, 14, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("ago", "words"),
    [
        (timedelta(seconds=4), "just now"),
        (timedelta(seconds=-4), "just now"),
        (timedelta(seconds=42), "42 seconds ago"),
        (timedelta(minutes=1), "1 minute ago"),
        (timedelta(minutes=-5), "in 5 minutes"),
        (timedelta(hours=3), "3 hours ago"),
        (timedelta(days=2), "12 Mar 12:00"),
        (timedelta(days=-2), "16 Mar 12:00"),
        (timedelta(days=400), "7 Feb 2025"),
    ],
)
def test_a_time_is_said_as_people_say_it(ago: timedelta, words: str) -> None:
    assert say_moment(NOW - ago, NOW) == words


@pytest.mark.parametrize(
    ("length", "words"),
    [
        (None, "unknown"),
        (0, "under a second"),
        (0.4, "under a second"),
        (59.4, "59 seconds"),
        (60, "1 minute"),
        (3599, "60 minutes"),
        (86400 * 3, "3 days"),
        (timedelta(hours=2), "2 hours"),
    ],
)
def test_a_duration_is_said_in_its_largest_unit(
    length: float | timedelta | None, words: str
) -> None:
    assert duration(length) == words


def show(template: str, **values: Any) -> str:
    return Template("{% load pages %}" + template).render(Context(values)).strip()


def test_a_time_is_exact_for_machines_and_on_hover() -> None:
    shown = show("{% when moment %}", moment=datetime(2020, 5, 6, 7, 8, 9, tzinfo=UTC))
    assert 'datetime="2020-05-06T07:08:09Z"' in shown
    assert 'title="2020-05-06 07:08:09 UTC"' in shown
    assert show("{% when moment %}", moment=None) == "–"


def test_the_parts_of_a_bar_never_exceed_the_whole() -> None:
    shown = show("{% bar words='x' total=10 good=8 bad=4 other=2 %}")
    assert 'class="bar-good" x="0.000%" width="80.000%"' in shown
    assert 'class="bar-bad" x="80.000%" width="20.000%"' in shown
    assert 'class="bar-other" x="100.000%" width="0.000%"' in shown
    assert 'width="0.000%"' in show("{% bar words='x' total=0 good=0 %}")


def test_a_state_that_nobody_foresaw_has_a_word_too() -> None:
    assert "Half done" in show("{% status 'half_done' %}")


def test_markup_of_others_loses_its_style_attributes_and_nothing_else() -> None:
    markup = '<b style="float: left" class="x">style=&quot;a&quot;</b><i style=\'a\'>'
    shown = show("{{ markup|safe|without_inline_styles }}", markup=markup)
    assert shown == '<b class="x">style=&quot;a&quot;</b><i>'
