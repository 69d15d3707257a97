"""A FETCH response that is written as it should be is read faster, and says the same."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailhub.mail.stores.imap_responses import (
    joined,
    read_fetch,
    read_fetch_carefully,
    read_internal_date,
)

MANY = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])

ITEMS = st.sampled_from(
    [
        "UID 5",
        "UID 77",
        "UID 0",
        "UID 99999999999999999999",
        "uid 5",
        "FLAGS ()",
        "FLAGS (\\Seen $Label1)",
        "FLAGS (\\Recent \\Deleted NIL)",
        "FLAGS NIL",
        "MODSEQ (12)",
        "MODSEQ (-1)",
        "MODSEQ 7",
        "RFC822.SIZE 120",
        "RFC822.SIZE " + "9" * 5000,
        'INTERNALDATE "21-Nov-2026 10:00:00 +0100"',
        'INTERNALDATE " 1-Jan-0001 00:00:00 +2359"',
        'INTERNALDATE "never"',
        "INTERNALDATE NIL",
        "EMAILID (M6d99ac3275bb4e)",
        "X-GM-MSGID 1278455344230334865",
        "BODY[] {3}",
        "BODY[HEADER] {3}",
        "body[] {3}",
        "BODY[HEADER.FIELDS (SUBJECT)] {3}",
        'BODY[1] "a b"',
        "BODY[]<0> {3}",
        "BODY[] NIL",
        "X (1 2)",
        "(",
        ")",
        '"',
        "[",
        "\0",
        "",
    ]
)


@MANY
@given(st.lists(ITEMS, max_size=8), st.sampled_from(["(", "((", ""]), st.sampled_from([")", ""]))
def test_an_ordinary_response_says_the_same_both_ways(
    items: list[str], opening: str, closing: str
) -> None:
    text = f"1 {opening}{' '.join(items)}{closing}".encode()
    lines = text.split(b"{3}")
    wire = [(line + b"{3}", b"abc") for line in lines[:-1]]
    for response in joined([*wire, lines[-1]]):
        assert read_fetch(response) == read_fetch_carefully(response)


def test_the_hour_of_an_internal_date_is_told_in_utc() -> None:
    read = {
        text: moment.isoformat() if (moment := read_internal_date(text)) else None
        for text in (
            "21-Nov-2026 01:02:03 +0130",
            " 1-jan-2026 00:00:60 -0500",
            "21-Nov-2026 01:02:03",
            "21-Nov-2026 01:02:03 +2400",
            " 1-Jan-0001 00:00:00 +0001",
            "31-Feb-2026 01:02:03 +0000",
            "21-Foo-2026 01:02:03 +0000",
        )
    }
    assert list(read.values()) == [
        "2026-11-20T23:32:03+00:00",
        "2026-01-01T05:00:59+00:00",
        "2026-11-21T01:02:03+00:00",
        None,
        None,
        None,
        None,
    ]
