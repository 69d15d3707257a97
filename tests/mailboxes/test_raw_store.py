"""Raw messages on the disk."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as how
from hypothesis import strategies as st

from mailboxes.raw_store import RawStore, digest_of


@pytest.fixture
def raw(settings: Any, tmp_path: Path) -> RawStore:
    settings.MAILHUB_DATA_DIR = tmp_path
    return RawStore(uuid.uuid4())


@how(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.binary(max_size=200)))
def test_what_goes_in_comes_out(raw: RawStore, contents: list[bytes]) -> None:
    digests = raw.put_many(contents)
    assert [raw.get(digest) for digest in digests] == contents
    raw.delete(digests)
    raw.delete(digests)
    assert all(raw.get(digest) is None for digest in digests)


def test_a_damaged_message_is_missing_and_may_be_put_again(raw: RawStore, tmp_path: Path) -> None:
    (digest,) = raw.put_many([b"whole"])
    (file,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    file.write_bytes(b"who")
    assert raw.get(digest) is None
    raw.put_many([b"whole"])
    assert raw.get(digest) == b"whole"


def test_no_draft_is_left_and_nobody_else_may_look(raw: RawStore, tmp_path: Path) -> None:
    raw.put_many([b"a", b"a", b"b"])
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.name for path in files} == {digest_of(b"a"), digest_of(b"b")}


def test_what_cannot_be_kept_is_an_error_even_where_nobody_asks(
    raw: RawStore, tmp_path: Path
) -> None:
    (tmp_path / "raw").write_bytes(b"in the way")
    with pytest.raises(NotADirectoryError), raw.putting([b"a", b"b"]):
        pass


def test_accounts_share_nothing(raw: RawStore) -> None:
    (digest,) = raw.put_many([b"mine"])
    other = RawStore(uuid.uuid4())
    assert other.get(digest) is None
    other.put_many([b"mine"])
    raw.delete_all()
    assert raw.get(digest) is None
    assert other.get(digest) == b"mine"


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "a" * 63 + "/", "x"])
def test_only_a_digest_names_a_message(raw: RawStore, name: str) -> None:
    with pytest.raises(ValueError, match="digest"):
        raw.get(name)
