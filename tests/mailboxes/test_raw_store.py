"""Raw messages on the disk."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as how
from hypothesis import strategies as st

from accounts.models import EmailAccount
from mailboxes.models import RawMessage, RawPack
from mailboxes.raw_store import RawStore
from mailboxes.sync.letters import digest_of
from tests.people import People


@pytest.fixture
def raw(settings: Any, tmp_path: Path, account: EmailAccount) -> RawStore:
    settings.MAILHUB_DATA_DIR = tmp_path
    return RawStore(account.pk)


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@how(suppress_health_check=list(HealthCheck), deadline=None, max_examples=50)
@given(st.lists(st.binary(max_size=200)))
def test_what_goes_in_comes_out(raw: RawStore, tmp_path: Path, contents: list[bytes]) -> None:
    digests = raw.put_many(contents)
    assert [raw.get(digest) for digest in digests] == contents
    raw.delete(digests)
    raw.delete(digests)
    assert all(raw.get(digest) is None for digest in digests)
    assert files(tmp_path) == []


def test_messages_that_come_together_share_a_file(raw: RawStore, tmp_path: Path) -> None:
    raw.put_many([b"a", b"a", b"b"])
    raw.put_many([b"b", b"a"])
    (file,) = files(tmp_path)
    assert file.read_bytes() == b"ab", "each is kept once"
    assert file.stat().st_mode & 0o077 == 0, "and nobody else may look"
    assert file.parent.stat().st_mode & 0o077 == 0
    assert (tmp_path / "raw").stat().st_mode & 0o077 == 0


def test_a_damaged_message_is_missing_and_may_be_put_again(raw: RawStore, tmp_path: Path) -> None:
    whole, sound = raw.put_many([b"whole", b"sound"])
    (file,) = files(tmp_path)
    file.write_bytes(b"w" * 5 + b"sound")
    assert raw.get(whole) is None
    assert raw.get(sound) == b"sound"
    raw.put_many([b"whole"])
    assert raw.get(whole) == b"whole"
    for path in files(tmp_path):
        path.unlink()
    assert raw.get(sound) is None
    raw.put_many([b"sound"])
    assert raw.get(sound) == b"sound"


def test_holes_are_given_back_once_they_are_the_larger_part(raw: RawStore, tmp_path: Path) -> None:
    contents = [bytes([number]) * 1000 for number in range(10)]
    digests = raw.put_many(contents)
    for gone in range(10):
        assert sum(path.stat().st_size for path in files(tmp_path)) <= (10 - gone) * 2000
        assert [raw.get(digest) for digest in digests[gone:]] == contents[gone:]
        raw.delete([digests[gone]])
    assert files(tmp_path) == []
    assert not RawPack.objects.exists()


def test_damage_does_not_hinder_the_giving_back(raw: RawStore, tmp_path: Path) -> None:
    digests = raw.put_many([b"a" * 10, b"b" * 10, b"c" * 10])
    (file,) = files(tmp_path)
    file.write_bytes(b"a" * 10)
    raw.delete(digests[:2])
    assert raw.get(digests[2]) is None
    assert files(tmp_path) == []


def test_a_pack_whose_writer_was_killed_goes_in_time(
    raw: RawStore, account: EmailAccount, tmp_path: Path
) -> None:
    kept = raw.put_many([b"kept"])
    (file,) = files(tmp_path)
    begun = RawPack.objects.create(account=account, octets=4)
    (file.parent / f"{begun.pk}.pack").write_bytes(b"los")
    raw.delete_abandoned()
    assert len(files(tmp_path)) == 2, "its writer may be alive"
    RawPack.objects.update(created_at=timezone.now() - timedelta(hours=2))
    raw.delete_abandoned()
    assert files(tmp_path) == [file]
    assert raw.get(kept[0]) == b"kept"


def test_what_cannot_be_kept_is_an_error_and_leaves_nothing(raw: RawStore, tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(b"in the way")
    with pytest.raises(NotADirectoryError):
        raw.put_many([b"a", b"b"])
    (tmp_path / "raw").unlink()
    assert raw.get(digest_of(b"a")) is None
    raw.put_many([b"a"])
    assert raw.get(digest_of(b"a")) == b"a"


def test_accounts_share_nothing(raw: RawStore, people: People, tmp_path: Path) -> None:
    (digest,) = raw.put_many([b"mine"])
    other = RawStore(people.connect_account(people.member).pk)
    assert other.get(digest) is None
    other.put_many([b"mine"])
    raw.delete_all()
    assert raw.get(digest) is None
    assert other.get(digest) == b"mine"
    assert RawMessage.objects.count() == len(files(tmp_path)) == 1


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "a" * 63 + "/", "x"])
def test_only_a_digest_names_a_message(raw: RawStore, name: str) -> None:
    with pytest.raises(ValueError, match="digest"):
        raw.get(name)
    with pytest.raises(ValueError, match="digest"):
        raw.delete([name])
