"""What every maildrop promises, over the shipped twin in memory and a real Dovecot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from mailhub.mail.errors import ConnectionFailed, LoginFailed, ProtocolViolation
from mailhub.mail.server import Encryption, PasswordLogin
from mailhub.mail.stores.maildrop import Maildrop
from mailhub.mail.stores.maildrop_in_memory import InMemoryMaildrop, InMemoryMaildropServer
from mailhub.mail.stores.pop3 import Pop3Maildrop
from tests.servers.dovecot import DovecotUser


@dataclass
class Account:
    """An account without messages, and a way to knock with another password."""

    connect: Callable[[str], Maildrop]
    deliver: Callable[[bytes], object]
    password: str = "geheim-ü"

    def maildrop(self) -> Maildrop:
        return self.connect(self.password)


@pytest.fixture(params=["memory", "dovecot"])
def account(request: pytest.FixtureRequest) -> Account:
    if request.param == "memory":
        server = InMemoryMaildropServer()
        known = server.add_account("ada", "geheim-ü")
        return Account(
            lambda password: InMemoryMaildrop(server, PasswordLogin("ada", password)),
            known.deliver,
        )
    user: DovecotUser = request.getfixturevalue("dovecot_user")
    return Account(
        lambda password: Pop3Maildrop(user.pop3_settings(login=PasswordLogin(user.name, password))),
        user.deliver,
    )


@pytest.fixture
def maildrop(account: Account) -> Iterator[Maildrop]:
    for number in range(3):
        account.deliver(_message(number))
    with account.maildrop() as opened:
        yield opened


def _message(number: int) -> bytes:
    return f"From: bo@example.org\r\nSubject: number {number}\r\n\r\nline\r\n.dot\r\n".encode()


def _contents(maildrop: Maildrop, numbers: list[int]) -> dict[int, bytes | None]:
    return {row.number: row.content for row in maildrop.retrieve(numbers)}


def test_lists_messages_by_lasting_ids(account: Account, maildrop: Maildrop) -> None:
    listed = maildrop.listing()
    assert [row.number for row in listed] == [1, 2, 3]
    assert len({row.unique_id for row in listed}) == 3
    maildrop.close()
    with account.maildrop() as again:
        assert again.listing() == listed


def test_tells_sizes(maildrop: Maildrop) -> None:
    assert maildrop.sizes() == {number: len(_message(number - 1)) for number in (1, 2, 3)}


def test_hands_over_messages_as_they_are_in_the_order_asked_for(maildrop: Maildrop) -> None:
    found = list(maildrop.retrieve([3, 1, 2]))
    assert [row.number for row in found] == [3, 1, 2]
    assert [row.content for row in found] == [_message(2), _message(0), _message(1)]
    assert list(maildrop.retrieve([])) == []


def test_a_message_that_is_not_there_is_refused_and_the_rest_comes(maildrop: Maildrop) -> None:
    found = list(maildrop.retrieve([1, 99, 2]))
    assert [row.content is None for row in found] == [False, True, False]
    assert found[1].refusal


def test_the_header_alone(maildrop: Maildrop) -> None:
    assert maildrop.header(1) == b"From: bo@example.org\r\nSubject: number 0\r\n\r\n"


def test_reading_deletes_nothing(account: Account, maildrop: Maildrop) -> None:
    _contents(maildrop, [1, 2, 3])
    maildrop.finish()
    with account.maildrop() as again:
        assert len(again.listing()) == 3


def test_what_is_marked_is_deleted_when_the_session_is_finished(
    account: Account, maildrop: Maildrop
) -> None:
    kept = maildrop.listing()[1].unique_id
    assert maildrop.delete([1, 3, 77]) == {1, 3}
    assert [row.unique_id for row in maildrop.listing()] == [kept]
    maildrop.finish()
    with account.maildrop() as again:
        assert [row.unique_id for row in again.listing()] == [kept]


def test_a_session_that_is_not_finished_deletes_nothing(
    account: Account, maildrop: Maildrop
) -> None:
    maildrop.delete([1, 2])
    maildrop.close()
    with account.maildrop() as again:
        assert len(again.listing()) == 3


def test_a_message_above_the_bound_ends_the_session(account: Account, maildrop: Maildrop) -> None:
    with pytest.raises(ProtocolViolation):
        list(maildrop.retrieve([1], largest=10))
    with pytest.raises(ConnectionFailed):
        maildrop.listing()
    maildrop.open()
    assert len(maildrop.listing()) == 3


def test_a_wrong_password_is_refused_for_good(account: Account) -> None:
    with pytest.raises(LoginFailed) as caught:
        account.connect("not-the-password").open()
    assert caught.value.permanent
    assert "not-the-password" not in str(caught.value)


def test_an_iteration_given_up_ends_the_session_or_leaves_it_usable(maildrop: Maildrop) -> None:
    reading = maildrop.retrieve([1, 2, 3])
    next(reading)
    del reading
    maildrop.open()
    assert len(maildrop.listing()) == 3
    assert _contents(maildrop, [2]) == {2: _message(1)}


def test_opening_twice_and_closing_twice_do_nothing_more(account: Account) -> None:
    maildrop = account.maildrop()
    maildrop.open()
    maildrop.open()
    assert maildrop.listing() == []
    assert maildrop.sizes() == {}
    maildrop.close()
    maildrop.close()


@pytest.mark.parametrize("encryption", list(Encryption))
def test_dovecot_by_tls_stls_and_neither(dovecot_user: DovecotUser, encryption: Encryption) -> None:
    dovecot_user.deliver(_message(0))
    with Pop3Maildrop(dovecot_user.pop3_settings(encryption)) as maildrop:
        assert {"UIDL", "TOP", "PIPELINING"} <= maildrop.capabilities
        assert _contents(maildrop, [1]) == {1: _message(0)}


def test_dovecot_hands_over_hundreds_ahead(dovecot_user: DovecotUser) -> None:
    for number in range(100):
        dovecot_user.deliver(_message(number))
    with Pop3Maildrop(dovecot_user.pop3_settings()) as maildrop:
        numbers = [row.number for row in reversed(maildrop.listing())]
        assert len(numbers) == 100
        found = _contents(maildrop, numbers)
    assert set(found.values()) == set(map(_message, range(100)))
