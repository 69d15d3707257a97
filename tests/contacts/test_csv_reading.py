"""Rows out of any bytes: what is read, what is reported, and that nothing else is lost."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contacts.csv_reading import LONGEST_ROW, Lines, Record, read_records


def read(
    data: bytes, *, delimiter: str = ",", encoding: str = "utf-8", block: int = 7
) -> list[Record]:
    blocks = (data[start : start + block] for start in range(0, len(data), block))
    return list(read_records(Lines(blocks, encoding=encoding), delimiter))


def outcomes(records: list[Record]) -> list[tuple[int, list[str] | str]]:
    return [(record.line, record.reason or record.values) for record in records]


def test_rows_know_their_lines() -> None:
    data = b'a,b\r\n"two\r\nlines",c\r\n\r\n , \r\nd,"say ""hi"""\n'
    assert outcomes(read(data)) == [
        (1, ["a", "b"]),
        (2, ["two\r\nlines", "c"]),
        (6, ["d", 'say "hi"']),
    ]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("block", [1, 2, 3, 1000])
def test_every_kind_of_line_end(end: bytes, block: int) -> None:
    data = end.join([b"a,b", b"c,d", b"e,f"])
    assert outcomes(read(data, block=block)) == [(1, ["a", "b"]), (2, ["c", "d"]), (3, ["e", "f"])]


def test_an_unclosed_quotation_mark_costs_one_row() -> None:
    found = outcomes(read(b'a,1\nb,"broken\nc,3\nd,4\n'))
    assert found[0] == (1, ["a", "1"])
    assert found[1][0] == 2
    assert "quotation mark" in found[1][1]
    assert found[2:] == [(3, ["c", "3"]), (4, ["d", "4"])]


def test_an_undoubled_quotation_mark_costs_one_row() -> None:
    found = outcomes(read(b'a,"John "Jo" Doe"\nb,2\n'))
    assert "quotation mark" in found[0][1]
    assert found[1:] == [(2, ["b", "2"])]


def test_a_line_that_is_not_text_costs_one_row() -> None:
    found = outcomes(read(b"a,1\n\xff\xfe,2\nc,\xc3\xa9\n"))
    assert found == [
        (1, ["a", "1"]),
        (2, "The row holds bytes that are not text."),
        (3, ["c", "é"]),
    ]
    assert outcomes(read("ä;ö\n".encode("cp1252"), encoding="cp1252", delimiter=";")) == [
        (1, ["ä", "ö"])
    ]


def test_a_huge_value_costs_one_row_and_little_memory() -> None:
    huge = b"b," + b"x" * (10 * 1024 * 1024)
    records = read(b"a,1\n" + huge + b"\nc,3\n", block=100_000)
    assert [record.line for record in records] == [1, 2, 3]
    assert "longer than" in records[1].reason
    assert sum(map(len, records[1].raw)) < 2 * LONGEST_ROW
    assert records[2].values == ["c", "3"]
    assert records[2].offset == len(huge) + 9

    quoted = b'b,"' + (b"y" * 999 + b"\n") * (LONGEST_ROW // 500) + b'",2\nc,3\n'
    records = read(quoted, block=100_000)
    assert "longer than" in records[0].reason
    assert records[-1].values == ["c", "3"]


def test_a_value_that_is_long_for_a_value_is_refused_alone() -> None:
    found = read(b"a," + b"x" * 140_000 + b"\nb,2\n", block=100_000)
    assert "A value is longer" in found[0].reason
    assert found[1].values == ["b", "2"]


def test_a_file_that_makes_every_row_swallow_the_rest_ends_soon() -> None:
    data = b'"\n' + b'x","\n' * 200_000
    records = read(data, block=1 << 20)
    assert records[-1].offset <= len(data)
    assert 0 < len(records) <= 200_001


values = st.text(
    st.characters(codec="utf-8", exclude_characters="\0\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"),
    max_size=12,
)


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(st.lists(values, min_size=2, max_size=4), min_size=1, max_size=8),
    delimiter=st.sampled_from(",;\t|"),
    block=st.integers(1, 64),
)
def test_what_was_written_is_read(rows: list[list[str]], delimiter: str, block: int) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows(rows)
    records = read(text.getvalue().encode(), delimiter=delimiter, block=block)
    assert [record.values for record in records] == [row for row in rows if any(row)]
    assert all(not record.reason for record in records)


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=200), block=st.integers(1, 40))
def test_reading_goes_on_from_every_place(data: bytes, block: int) -> None:
    records = read(data, block=block)
    for position, record in enumerate(records):
        lines = Lines(
            [data[record.offset :]],
            encoding="utf-8",
            offset=record.offset,
            line=record.last_line,
        )
        rest = list(read_records(lines, ","))
        assert rest == records[position + 1 :]


@settings(max_examples=300, deadline=None)
@given(text=st.text(st.sampled_from('"",\n\rab é'), max_size=60), block=st.integers(1, 9))
def test_every_line_is_told_of_once(text: str, block: int) -> None:
    data = text.encode()
    records = read(data, block=block)
    told = [
        number for record in records for number in range(record.line, record.line + len(record.raw))
    ]
    assert told == sorted(set(told))
    lines = data.splitlines()
    silent = set(range(1, len(lines) + 1)) - set(told)
    # Nothing but blank values and the marks around them.
    assert all(not lines[number - 1].strip(b'", ') for number in silent)
