"""Sealed values: bound to their row, silent in print, rotated by a ring of keys."""

from __future__ import annotations

import base64
import copy
import pickle
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core import serializers
from hypothesis import given
from hypothesis import strategies as st
from pytest_django.fixtures import Settings

from accounts.models import Credential
from mailhub.encryption import Sealed, SecretUnreadable
from tests.people import People

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(values, st.text(min_size=1))
def test_opens_for_its_row_and_no_other(value: Any, row: str) -> None:
    sealed = Sealed.seal(value, row)
    assert sealed.reveal(row) == value
    with pytest.raises(SecretUnreadable):
        sealed.reveal(f"{row}x")


def test_says_nothing_in_print() -> None:
    sealed = Sealed.seal("horse", "row")
    for text in (repr(sealed), str(sealed), f"{sealed}", "%s" % sealed, repr([sealed])):  # noqa: UP031 - as loggers do
        assert "horse" not in text
        assert sealed.token not in text
    assert (repr(Sealed("")), bool(Sealed(""))) == ("Sealed()", False)


def test_same_value_is_never_sealed_alike() -> None:
    assert Sealed.seal("x", "row") != Sealed.seal("x", "row")


@pytest.mark.parametrize("token", ["", "nonsense", "é", "gAAAAA", "A" * 500])
def test_damaged_token_does_not_open(token: str) -> None:
    with pytest.raises(SecretUnreadable):
        Sealed(token).reveal("row")
    with pytest.raises(SecretUnreadable):
        Sealed(token).rotated()


def test_every_changed_octet_is_noticed() -> None:
    octets = base64.urlsafe_b64decode(Sealed.seal("x", "row").token)
    for position in range(len(octets)):
        changed = bytearray(octets)
        changed[position] ^= 1
        with pytest.raises(SecretUnreadable):
            Sealed(base64.urlsafe_b64encode(changed).decode()).reveal("row")


def test_ring_opens_with_any_key_and_seals_with_the_first(settings: Settings) -> None:
    old = settings.MAILHUB_ENCRYPTION_KEYS[0]
    new = Fernet.generate_key().decode()
    sealed = Sealed.seal("x", "row")
    settings.MAILHUB_ENCRYPTION_KEYS = [new, old]
    assert sealed.reveal("row") == "x"
    assert not sealed.is_current
    rotated = sealed.rotated()
    assert rotated.is_current
    settings.MAILHUB_ENCRYPTION_KEYS = [new]
    assert rotated.reveal("row") == "x"
    with pytest.raises(SecretUnreadable):
        sealed.reveal("row")


def test_copies_hold_the_same() -> None:
    sealed = Sealed.seal("x", "row")
    assert copy.deepcopy(sealed) == pickle.loads(pickle.dumps(sealed)) == sealed
    assert len({sealed, copy.copy(sealed)}) == 1


def test_secret_moved_to_another_row_or_tenant_does_not_open(people: People) -> None:
    mine = people.connect_account(people.member).credential
    theirs = people.connect_account(people.stranger).credential
    Credential.objects.filter(pk=mine.pk).update(secret=theirs.secret)
    mine.refresh_from_db()
    with pytest.raises(SecretUnreadable):
        mine.reveal_secret()
    Credential.objects.filter(pk=theirs.pk).update(tenant=people.tenant)
    with pytest.raises(SecretUnreadable):
        Credential.objects.get(pk=theirs.pk).reveal_secret()


def test_dump_and_load_keep_it_sealed(people: People) -> None:
    credential = people.connect_account(people.member, password="horse").credential
    dumped = serializers.serialize("json", [credential])
    assert "horse" not in dumped
    [loaded] = serializers.deserialize("json", dumped)
    assert isinstance(loaded.object, Credential)
    assert loaded.object.reveal_secret() == {"password": "horse"}
