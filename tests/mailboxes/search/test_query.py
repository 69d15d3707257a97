"""What a person types, read; and the words that scripts without spaces yield."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailboxes.search.excerpts import Highlights, fold, marked_html
from mailboxes.search.query import (
    LONGEST_QUERY,
    MOST_PARTS,
    FolderName,
    Place,
    SearchQuery,
    Words,
    read_query,
)
from mailboxes.search.scripts import index_words, query_words


def words(text: str, place: Place = Place.ANYWHERE, **more: bool) -> tuple[Words, ...]:
    return (Words(text=text, place=place, **more),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("  \t\n", {}),
        ("invoice", {"words": words("invoice")}),
        ("blue car", {"words": words("blue") + words("car")}),
        ('"blue car"', {"words": words("blue car")}),
        ("“blue car”", {"words": words("blue car")}),
        ('"blue car', {"words": words("blue car")}),
        ('"blue car"*', {"words": words("blue car", is_prefix=True)}),
        ("invo*", {"words": words("invo*", is_prefix=True)}),
        ("in*", {"words": words("in*")}),
        ('"blue c"*', {"words": words("blue c")}),
        ("-spam", {"words": words("spam", is_excluded=True)}),
        ('-from:"A B"', {"words": words("A B", Place.SENDER, is_excluded=True)}),
        ("FROM:ada", {"words": words("ada", Place.SENDER)}),
        ("to:x@y.example", {"words": words("x@y.example", Place.RECIPIENTS)}),
        ("subject:new*", {"words": words("new*", Place.SUBJECT, is_prefix=True)}),
        ("e-mail", {"words": words("e-mail")}),
        ("http://x.example/?a=b", {"words": words("http://x.example/?a=b")}),
        ("is:unread", {"unread": True}),
        ("is:read", {"unread": False}),
        ("-is:unread", {"unread": False}),
        ("is:unread -is:unread", {"unread": True, "is_impossible": True}),
        ("is:starred has:attachment", {"flagged": True, "has_attachment": True}),
        ("-has:attachments", {"has_attachment": False}),
        ("is:purple", {"words": words("is purple")}),
        ("before:2026-11", {"before": datetime(2026, 11, 1, tzinfo=UTC)}),
        ("after:2026/11/21", {"since": datetime(2026, 11, 21, tzinfo=UTC)}),
        ("since:2026 after:2025", {"since": datetime(2026, 1, 1, tzinfo=UTC)}),
        ("before:2026 -after:2025", {"before": datetime(2025, 1, 1, tzinfo=UTC)}),
        ("before:lunch", {"words": words("before lunch")}),
        ("before:2026-02-30", {"words": words("before 2026-02-30")}),
        ("after:0000", {"words": words("after 0000")}),
        ("in:Inbox", {"folders": (FolderName("inbox"),)}),
        ('-in:"My Work/X"', {"folders": (FolderName("my work/x", is_excluded=True),)}),
        ("in:", {"words": words("in:")}),
        ("?!", {"is_impossible": True}),
        ("-?!", {}),
        ('""', {"is_impossible": True}),
        ("ok ?!", {"words": words("ok")}),
        ("東京　会議", {"words": words("東京") + words("会議")}),
    ],
)
def test_what_a_query_says(text: str, expected: dict[str, Any]) -> None:
    assert read_query(text) == SearchQuery(**expected)


def test_a_query_has_an_end() -> None:
    assert len(read_query("a " * 1000).words) == MOST_PARTS
    assert read_query("x" * 1000).words[0].text == "x" * LONGEST_QUERY


@given(st.text())
def test_any_text_is_a_query_and_shows_any_text(text: str) -> None:
    found = Highlights(read_query(text)).show(text, text, text)
    for excerpt in (found.subject, found.snippet):
        assert all(0 <= start < end <= len(excerpt.text) for start, end in excerpt.ranges)
        ends = [0, *(place for some in excerpt.ranges for place in some)]
        assert ends == sorted(ends)
    assert found.subject.text == text


@pytest.mark.parametrize(
    ("text", "indexed"),
    [
        (None, []),
        ("plain text", ["plain", "text"]),
        ("東", ["東"]),
        ("東京都", ["東京", "京都", "都"]),
        ("ﾃｽﾄ", ["テス", "スト", "ト"]),
        ("abc東京def", ["abc", "東京", "京", "def"]),
        ("회의에서 봐", ["회의", "의에", "에서", "서", "봐"]),
        ("สวัสดี", ["สว", "วั", "ัส", "สด", "ดี", "ี"]),
    ],
)
def test_words_of_scripts_without_spaces(text: str | None, indexed: list[str]) -> None:
    assert index_words(text).split() == indexed


@pytest.mark.parametrize(
    ("text", "looked_for", "may_go_on"),
    [
        ("word", ["word"], False),
        ("東", ["東"], True),
        ("東京", ["東京"], False),
        ("東京都。", ["東京", "京都"], False),
        ("東京abc", ["東京", "京", "abc"], False),
    ],
)
def test_what_is_looked_for_in_them(text: str, looked_for: list[str], may_go_on: bool) -> None:
    found, goes_on = query_words(text)
    assert (found.split(), goes_on) == (looked_for, may_go_on)


@given(st.text(st.characters(min_codepoint=0x3041, max_codepoint=0x3096), min_size=2, max_size=12))
def test_every_part_of_such_a_text_is_a_phrase_of_its_words(text: str) -> None:
    indexed = index_words(text).split()
    for start in range(len(text) - 1):
        for end in range(start + 2, len(text) + 1):
            part = query_words(text[start:end])[0].split()
            places = range(len(indexed) - len(part) + 1)
            assert any(indexed[at : at + len(part)] == part for at in places)


LONG = "Dear all, " + "bla " * 60 + "the Invoice of Café Müller is due. " + "bla " * 60


@pytest.mark.parametrize(
    ("query", "text", "shown"),
    [
        ("invoice", "An INVOICE.", "An <mark>INVOICE</mark>."),
        ("voice", "An invoice.", "An invoice."),
        ("invo*", "An invoice.", "An <mark>invo</mark>ice."),
        ("cafe", "Café <b>", "<mark>Café</mark> &lt;b&gt;"),
        ("CAFÉ", "cafe", "<mark>cafe</mark>"),
        ('"a b"', "a, b and a c", "<mark>a, b</mark> and a c"),
        ("京都", "東京都庁", "東<mark>京都</mark>庁"),
        ("abc", "東abc京", "東<mark>abc</mark>京"),
        ("script", "<script>", "&lt;<mark>script</mark>&gt;"),
        ("-gone here", "gone here", "gone <mark>here</mark>"),
        ("from:here", "here", "here"),
        ("is:unread", "is unread", "is unread"),
    ],
)
def test_marks_stand_where_the_words_are(query: str, text: str, shown: str) -> None:
    excerpt = Highlights(read_query(query)).show(text, text, text)
    assert marked_html(excerpt.snippet.text, excerpt.snippet.ranges) == shown
    assert excerpt.subject.as_html() == shown


def test_a_long_text_is_cut_around_the_first_match() -> None:
    excerpt = Highlights(read_query('"cafe muller"')).show("", "Dear all", LONG).snippet
    assert excerpt.text.startswith("…")
    assert excerpt.text.endswith("…")
    assert len(excerpt.text) <= 165
    assert "bla the Invoice of Café Müller is due." in excerpt.text
    [(start, end)] = excerpt.ranges
    assert excerpt.text[start:end] == "Café Müller"


def test_without_a_match_in_the_text_the_snippet_stays() -> None:
    found = Highlights(read_query("subject:invoice")).show(
        "Invoice", "Dear invoice", "invoice " * 9
    )
    assert found.subject.ranges == ((0, 7),)
    assert (found.snippet.text, found.snippet.ranges) == ("Dear invoice", ())


@given(
    st.text()
    | st.text("aÄßéйЙёЁσςΣİıﬁＡｱガ東한각½ǅ\u0301\u00a0")
    | st.text(st.characters(min_codepoint=0xF900), min_size=50)
)
def test_a_text_is_folded_as_each_of_its_characters_is(text: str) -> None:
    assert fold(text) == "".join(map(fold, text))
    assert len(fold(text)) == len(text)
