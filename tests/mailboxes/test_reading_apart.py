"""Reading messages in a process of its own: the same letters, whatever becomes of it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from mailboxes.sync.letters import Letter, read_letter, with_vectors
from mailboxes.sync.reading_apart import LetterReader
from tests.mailboxes.conftest import raw_message
from tests.servers.processes import still_alive

SALT = b"an account"
BATCHES = [
    [raw_message(f"Subject {number}", text="x" * 50_000) for number in range(start, start + 40)]
    for start in (0, 40, 80)
]


@pytest.fixture
def reader() -> Iterator[LetterReader]:
    with LetterReader(SALT) as reader:
        yield reader


def never() -> bool:
    """For a database that makes the words of messages itself."""
    return False


def here(batch: list[bytes]) -> list[Letter]:
    return [read_letter(content, SALT) for content in batch]


@pytest.mark.parametrize("is_apart", [False, True])
def test_reads_one_batch_after_the_other(reader: LetterReader, is_apart: bool) -> None:
    if is_apart:
        reader.go_apart(never)
    for batch in BATCHES:
        reader.submit(batch)
        assert reader.result() == here(batch)


def test_makes_the_words_of_a_database_that_takes_them(reader: LetterReader) -> None:
    reader.go_apart(lambda: True)
    reader.submit(BATCHES[0])
    assert reader.result() == [with_vectors(letter) for letter in here(BATCHES[0])]


def test_a_result_that_nobody_took_is_not_taken_for_the_next(reader: LetterReader) -> None:
    reader.go_apart(never)
    reader.submit(BATCHES[0])
    reader.submit(BATCHES[1])
    assert reader.result() == here(BATCHES[1])


def test_what_a_lost_process_had_in_hand_is_read_here(reader: LetterReader) -> None:
    reader.go_apart(never)
    assert reader.process_id is not None
    reader.submit(BATCHES[0])
    os.kill(reader.process_id, signal.SIGKILL)
    assert reader.result() == here(BATCHES[0])
    reader.submit(BATCHES[1])
    assert reader.result() == here(BATCHES[1])
    assert reader.process_id is None


def test_it_ends_with_whom_it_reads_for() -> None:
    with LetterReader(SALT) as reader:
        reader.go_apart(never)
        process = reader.process_id
        assert process is not None
        assert still_alive([process])
    assert not still_alive([process])
