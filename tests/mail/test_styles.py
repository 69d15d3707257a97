"""Style sheets in the elements that they style, and every placeholder where it was."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailhub.mail.merge import render_preview
from mailhub.mail.merge.styles import inline_styles

PLACEHOLDER = re.compile(r"\{\{.*?\}\}|\{%.*?%\}")


def test_a_sheet_is_written_into_elements() -> None:
    shown = render_preview(
        subject="",
        html="<style>p{color:red}@media (max-width:9px){p{color:blue}}</style><p>{{ name }}</p>",
        variables={"name": "Ann & Co"},
    )
    assert '<p style="color: red;">Ann &amp; Co</p>' in shown.html
    assert "@media (max-width:9px)" in shown.html
    assert shown.text == "Ann & Co"


def test_html_without_a_sheet_stays_as_it_is() -> None:
    html = "<p class=x>{{ a }}<br>"
    assert inline_styles(html) == html


@pytest.mark.parametrize(
    "body",
    [
        "<table>{% for x in items %}<tr><td>{{ x }}</td></tr>{% endfor %}</table>",
        '<a href="{{ url }}?a=1&amp;b={{ b }}" title="{{ t | default: "a>b" }}">{{ "<b>" }}</a>',
        '<p {% if vip %}class="vip"{% endif %}>{{ name }}</p>',
        "<!-- {{ hidden }} --><p>{{ shown }}",
        "<title>{{ title }}</title><p>{{ name }}</p>",
    ],
)
def test_placeholders_stay_in_their_places(body: str) -> None:
    inlined = inline_styles(f"<style>p,td,a{{color:red}}</style>{body}")
    assert PLACEHOLDER.findall(inlined) == PLACEHOLDER.findall(body)
    assert "color: red" in inlined


def test_a_placeholder_in_a_sheet_is_written_into_elements_too() -> None:
    inlined = inline_styles("<style>p{color:{{ brand }}}</style><p>x</p>")
    assert 'style="color: {{ brand }};"' in inlined


def test_nothing_is_loaded(tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.css"
    sheet.write_text("p{color:green}")
    html = f'<style>p{{margin:0}}</style><link rel="stylesheet" href="{sheet}"><p>x</p>'
    inlined = inline_styles(html)
    assert "margin: 0" in inlined
    assert "green" not in inlined


def test_nesting_without_end_does_no_harm() -> None:
    html = "<style>p{color:red}</style>" + "<div>" * 30_000
    assert inline_styles(html) == html


_PIECES = st.sampled_from(
    [
        *(
            "<p>",
            "</p>",
            "<table>",
            "<tr>",
            "<td>",
            "</table>",
            "<div class='a'>",
            "</div>",
            "<!--",
        ),
        *(
            "-->",
            "<style>p{color:red}</style>",
            "<style>",
            "</style>",
            '<a href="',
            '">',
            "<b ",
            "'",
        ),
        *("{{ a }}", "{% if b %}", "{% endif %}", '{{ "<i>" }}', "text", "&amp;", ">", "<title>"),
    ]
)


@given(st.lists(_PIECES, max_size=25).map("".join))
def test_no_placeholder_is_ever_lost_or_moved(html: str) -> None:
    inlined = inline_styles(html)
    outside = re.compile(r"<style(?=[\s>]).*?(?:</style|$)", re.DOTALL)
    kept = iter(PLACEHOLDER.findall(outside.sub("", inlined)))
    # In a title, what looks like the beginning of a style sheet is text, and kept with the rest.
    assert all(each in kept for each in PLACEHOLDER.findall(outside.sub("", html)))
