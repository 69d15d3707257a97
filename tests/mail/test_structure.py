"""BODYSTRUCTURE as servers write it, whole and broken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailhub.mail.stores.imap_responses import read_fetch, read_items
from mailhub.mail.stores.structure import OutlinedPart, read_structure, text_sections

PLAIN = b'("TEXT" "PLAIN" ("CHARSET" "UTF-8") NIL NIL "QUOTED-PRINTABLE" 120 3 NIL NIL NIL)'
LISTED = b'("TEXT" "PLAIN" NIL NIL NIL "7BIT" 9 1 NIL ("ATTACHMENT" NIL) NIL)'
HTML = b'("text" "html" NIL NIL NIL "7bit" 90 4)'


def tree_of(text: bytes) -> OutlinedPart | None:
    (structure,) = read_items((text, []))
    assert isinstance(structure, list)
    return read_structure(structure)


def sections(text: bytes) -> list[str]:
    tree = tree_of(text)
    assert tree is not None
    return [part.section for part in text_sections(tree)]


@pytest.mark.parametrize(
    ("structure", "expected"),
    [
        (PLAIN, ["1"]),
        (b"(" + PLAIN + HTML + b' "ALTERNATIVE")', ["1", "2"]),
        (b"((" + PLAIN + HTML + b' "ALTERNATIVE")(' + PLAIN + b' "MIXED") "MIXED")',
         ["1.1", "1.2", "2.1"]),
        (b'(("TEXT" "CSV" NIL NIL NIL "BASE64" 780) "MIXED")', []),
        (b'(' + PLAIN + LISTED + b' "MIXED")', ["1"]),
        (b'(' + PLAIN + b'("MESSAGE" "RFC822" NIL NIL NIL "7BIT" 900 '
         b'(NIL "inner" NIL NIL NIL NIL NIL NIL NIL NIL) ' + PLAIN + b' 20) "MIXED")', ["1"]),
    ],
)  # fmt: skip
def test_only_text_shown_inline_is_asked_for(structure: bytes, expected: list[str]) -> None:
    assert sections(structure) == expected


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        (b'("attachment" ("filename" "a \\"b\\".txt"))', 'a "b".txt'),
        (b'("attachment" ("filename*" "utf-8\'\'%C3%A4.txt"))', "ä.txt"),
        (b'("attachment" ("filename*0" "one-" "filename*1" "two.txt"))', "one-two.txt"),
        (b'("attachment" ("filename" "=?utf-8?q?=C3=A4.txt?="))', "ä.txt"),
        (b'"attachment; filename=plain.txt"', "plain.txt"),
    ],
)
def test_names_are_read_in_every_writing(disposition: bytes, name: str) -> None:
    tree = tree_of(b'("TEXT" "PLAIN" NIL NIL NIL "7BIT" 9 1 NIL ' + disposition + b" NIL)")
    assert tree is not None
    assert (tree.filename, tree.disposition) == (name, "attachment")


def test_a_literal_may_stand_for_a_name() -> None:
    text = b'1 (UID 3 BODYSTRUCTURE ("image" "png" ("name" \x00) NIL NIL "base64" 780))'
    item = read_fetch((text, ["Bild ä.png".encode()]))
    assert item is not None
    tree = read_structure(item.structure or [])
    assert tree is not None
    assert (tree.filename, tree.told_size) == ("Bild ä.png", 570)


def test_what_stands_behind_a_deep_structure_is_still_read() -> None:
    deep = b"(" * 300 + PLAIN + b' "MIXED")' * 300
    item = read_fetch((b"1 (BODYSTRUCTURE " + deep + b" UID 9 RFC822.SIZE 77)", []))
    assert item is not None
    assert (item.uid, item.size) == (9, 77)
    read_structure(item.structure or [])


@pytest.mark.parametrize(
    "structure",
    [b"()", b'("MIXED")', b"(())", b'(("text" "plain" NIL NIL NIL "7bit" 0 0) "MIXED")'],
)
def test_what_makes_no_sense_is_left_to_a_look_at_the_whole(structure: bytes) -> None:
    tree = tree_of(structure)
    assert tree is None or not tree.is_container


@given(
    st.recursive(
        st.none() | st.sampled_from([b"TEXT", b"PLAIN", b"MIXED", b"12", b"BASE64", b"\xff", b""]),
        lambda items: st.lists(items, max_size=9),
        max_leaves=60,
    )
)
def test_any_structure_can_be_looked_at(structure: object) -> None:
    tree = read_structure(structure if isinstance(structure, list) else [])
    assert tree is None or all(part.section for part in text_sections(tree))
