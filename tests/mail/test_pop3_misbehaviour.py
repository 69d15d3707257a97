"""POP3 servers that lie, stall, hang up or refuse: each ends in the right error, soon."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from mailhub.mail.errors import (
    CapabilityMissing,
    CommandRefused,
    ConnectionFailed,
    EncryptionRefused,
    HostNotAllowed,
    LoginDeferred,
    LoginFailed,
    MailError,
    ProtocolViolation,
    ServerTimeout,
)
from mailhub.mail.server import (
    Encryption,
    Login,
    OAuth2Login,
    PasswordLogin,
    Protocol,
    ServerSettings,
)
from mailhub.mail.stores.maildrop import Maildrop, Retrieved
from mailhub.mail.stores.pop3 import Pop3Maildrop
from tests.mail.scripted_pop3 import CLOSE, ENDLESS, SILENCE, ScriptedPop3Server


@contextmanager
def _scripted(answers: dict[str, bytes], timeout: float = 20) -> Iterator[Maildrop]:
    """A session with a server of these answers."""
    with (
        ScriptedPop3Server(answers) as server,
        Pop3Maildrop(server.settings(timeout=timeout)) as maildrop,
    ):
        yield maildrop


def _knock(server: ScriptedPop3Server, login: Login) -> None:
    """Log in and leave."""
    with Pop3Maildrop(server.settings(login=login)):
        pass


PIPELINING = {"CAPA": b"+OK\r\nUSER\r\nUIDL\r\nTOP\r\nPIPELINING\r\n.\r\n"}


def _retrieve(maildrop: Maildrop) -> list[Retrieved]:
    return list(maildrop.retrieve([1, 2, 3], largest=100_000))


@pytest.mark.parametrize(
    ("greeting", "kind"),
    [
        (b"-ERR [SYS/TEMP] busy\r\n", LoginDeferred),
        (b"-ERR too many connections, try again later\r\n", LoginDeferred),
        (b"* OK IMAP4rev1\r\n", ProtocolViolation),
        (ENDLESS + b"x", ProtocolViolation),
        (CLOSE, ConnectionFailed),
    ],
)
def test_greetings_that_are_none(greeting: bytes, kind: type[MailError]) -> None:
    with ScriptedPop3Server(greeting=greeting) as server, pytest.raises(kind):
        Pop3Maildrop(server.settings()).open()


def test_silence_is_waited_for_only_so_long() -> None:
    with ScriptedPop3Server(greeting=SILENCE) as server, pytest.raises(ServerTimeout):
        Pop3Maildrop(server.settings(timeout=0.1)).open()


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [
        (b"-ERR [AUTH] no\r\n", LoginFailed),
        (b"-ERR [AUTH] try again\r\n", LoginFailed),
        (b"-ERR invalid password\r\n", LoginFailed),
        (b"-ERR\r\n", LoginFailed),
        (b"-ERR [SYS/PERM] closed for good\r\n", LoginFailed),
        (b"-ERR [IN-USE] another session\r\n", LoginDeferred),
        (b"-ERR [LOGIN-DELAY] wait\r\n", LoginDeferred),
        (b"-ERR [SYS/TEMP] disk trouble\r\n", LoginDeferred),
        (b"-ERR maildrop already locked\r\n", LoginDeferred),
        (
            b"-ERR Plaintext authentication disallowed on non-secure connections\r\n",
            EncryptionRefused,
        ),
        (b"-ERR you said top-secret\r\n", LoginFailed),
        (b"nonsense\r\n", ProtocolViolation),
    ],
)
def test_a_refused_login_says_whether_to_come_back(refusal: bytes, kind: type[MailError]) -> None:
    with ScriptedPop3Server({"PASS": refusal}) as server, pytest.raises(kind) as caught:
        Pop3Maildrop(server.settings()).open()
    assert type(caught.value) is kind
    assert "top-secret" not in str(caught.value)


def test_a_server_without_stls_never_hears_the_password() -> None:
    for capabilities in (b"+OK\r\nUSER\r\n.\r\n", b"-ERR what\r\n"):
        with (
            ScriptedPop3Server({"CAPA": capabilities}) as server,
            pytest.raises(EncryptionRefused),
        ):
            Pop3Maildrop(server.settings(encryption=Encryption.STARTTLS)).open()
        assert not any(line.startswith((b"USER", b"PASS", b"AUTH")) for line in server.received)


def test_words_said_before_tls_are_not_taken_for_private() -> None:
    answers = {"CAPA": b"+OK\r\nSTLS\r\n.\r\n", "STLS": b"+OK\r\n+OK forged\r\n"}
    with ScriptedPop3Server(answers) as server, pytest.raises(ProtocolViolation):
        Pop3Maildrop(server.settings(encryption=Encryption.STARTTLS)).open()


def test_a_private_address_is_not_connected_to() -> None:
    settings = ServerSettings(
        Protocol.POP3, "127.0.0.1", 110, Encryption.NONE, PasswordLogin("ada", "x")
    )
    with pytest.raises(HostNotAllowed):
        Pop3Maildrop(settings).open()


def test_a_password_goes_by_sasl_where_that_is_offered() -> None:
    answers = {"CAPA": b"+OK\r\nSASL PLAIN LOGIN\r\nUIDL\r\n.\r\n", "AUTH PLAIN": b"+OK\r\n"}
    with ScriptedPop3Server(answers) as server:
        _knock(server, PasswordLogin("ada", "geheim-ü"))
    (line,) = [line for line in server.received if line.startswith(b"AUTH PLAIN ")]
    assert base64.b64decode(line.split()[2]) == "\0ada\0geheim-ü".encode()


@pytest.mark.parametrize("secret", ["a\r\nDELE 1", "a\0b"])
def test_a_password_cannot_hold_another_command(secret: str) -> None:
    with ScriptedPop3Server() as server, pytest.raises(LoginFailed):
        Pop3Maildrop(server.settings(login=PasswordLogin("ada", secret))).open()
    assert not any(line.startswith((b"PASS", b"DELE")) for line in server.received)


@pytest.mark.parametrize("length", [10, 2000])
def test_a_token_short_and_long(length: int) -> None:
    token = "t" * length
    words = base64.b64encode(f"user=ada\1auth=Bearer {token}\1\1".encode())
    answers = {
        "CAPA": b"+OK\r\nSASL PLAIN XOAUTH2\r\nUIDL\r\n.\r\n",
        "AUTH XOAUTH2": b"+OK in\r\n" if length == 10 else b"+ \r\n",
        words.decode().upper()[:20]: b"+OK in\r\n",
    }
    with ScriptedPop3Server(answers) as server:
        _knock(server, OAuth2Login("ada", lambda: token))
    said = server.received[1:3]
    assert said[0] + b" " + said[1] == b"AUTH XOAUTH2 " + words if length > 10 else said[0]
    assert all(len(line) < 255 for line in server.received if line.startswith(b"AUTH"))


def test_a_token_that_is_refused_after_a_challenge() -> None:
    answers = {
        "CAPA": b"+OK\r\nSASL XOAUTH2\r\nUIDL\r\n.\r\n",
        "AUTH XOAUTH2": b"+ eyJzdGF0dXMiOiI0MDAifQ==\r\n",
        "": b"-ERR [AUTH] expired t0ken\r\n",
    }
    with ScriptedPop3Server(answers) as server, pytest.raises(LoginFailed) as caught:
        Pop3Maildrop(server.settings(login=OAuth2Login("ada", lambda: "t0ken"))).open()
    assert "t0ken" not in str(caught.value)


def test_a_token_where_only_passwords_are_taken() -> None:
    answers = {"CAPA": b"+OK\r\nSASL PLAIN\r\nUIDL\r\n.\r\n"}
    with ScriptedPop3Server(answers) as server, pytest.raises(LoginFailed):
        Pop3Maildrop(server.settings(login=OAuth2Login("ada", lambda: "t"))).open()


@pytest.mark.parametrize(
    ("listed", "found"),
    [
        (b"1 one\r\n2 two\r\n", {1: "one", 2: "two"}),
        # Copies of one message may share an id.
        (b"1 same\r\n2 same\r\n", {1: "same", 2: "same"}),
        (b"2 two\r\n1 one\r\n", {1: "one", 2: "two"}),
        # The first word about a number counts.
        (b"1 one\r\n1 other\r\n", {1: "one"}),
        (b"1\r\n2 \r\n3 three\r\n", {3: "three"}),
        (b"x one\r\n-1 two\r\n0 three\r\n99999999999 four\r\n5 five\r\n", {5: "five"}),
        (b"1 " + b"a" * 70 + b"\r\n", {1: "a" * 70}),
        (b"", {}),
    ],
)
def test_lists_of_unique_ids(listed: bytes, found: dict[int, str]) -> None:
    with _scripted({"UIDL": b"+OK\r\n" + listed + b".\r\n"}) as maildrop:
        assert {row.number: row.unique_id for row in maildrop.listing()} == found


@pytest.mark.parametrize("odd", ["ü€".encode(), b"a" * 71, b"a" * 100_000, b"\xff\x00", b"a b"])
def test_unique_ids_that_break_the_rules_last_all_the_same(odd: bytes) -> None:
    answer = b"+OK\r\n1 " + odd + b"\r\n2 " + odd + b"2\r\n.\r\n"
    with _scripted({"UIDL": answer}) as maildrop:
        first, again = maildrop.listing(), maildrop.listing()
    assert first == again
    assert len({row.unique_id for row in first}) == 2
    assert all(row.unique_id.isascii() and len(row.unique_id) <= 71 for row in first)


def test_without_unique_ids_the_reason_is_clear_and_final() -> None:
    with (
        _scripted({"UIDL": b"-ERR unknown command\r\n"}) as maildrop,
        pytest.raises(CapabilityMissing, match="unique-ids") as caught,
    ):
        maildrop.listing()
    assert caught.value.permanent


def test_a_list_refused_for_now_is_asked_for_again() -> None:
    with (
        _scripted({"UIDL": b"-ERR [SYS/TEMP] later\r\n"}) as maildrop,
        pytest.raises(CommandRefused) as caught,
    ):
        maildrop.listing()
    assert not caught.value.permanent


def test_sizes_that_make_no_sense_are_unknown() -> None:
    answer = b"+OK 3 messages\r\n1 20\r\n2 -5\r\n3 99999999999999999999\r\n4 \r\n5 1e3\r\n.\r\n"
    with _scripted({"LIST": answer}) as maildrop:
        assert maildrop.sizes() == {1: 20, 2: 0, 3: 0, 4: 0, 5: 0}


@pytest.mark.parametrize("pipelining", [{}, PIPELINING])
@pytest.mark.parametrize(
    ("answers", "kind"),
    [
        ({"RETR 2": b"+OK\r\nSubject: half" + CLOSE}, ConnectionFailed),
        ({"RETR 2": CLOSE}, ConnectionFailed),
        ({"RETR 2": b"+OK\r\nSubject: half" + SILENCE}, ServerTimeout),
        ({"RETR 2": b"+OK\r\n" + ENDLESS + b"line\r\n"}, ProtocolViolation),
        ({"RETR 2": b"+OK\r\n" + ENDLESS + b"x"}, ProtocolViolation),
        ({"RETR 2": ENDLESS + b"+OK"}, ProtocolViolation),
        ({"RETR 2": b"garbage\r\n"}, ProtocolViolation),
    ],
)
def test_a_message_that_breaks_the_session_leaves_those_before_it(
    answers: dict[str, bytes], kind: type[MailError], pipelining: dict[str, bytes]
) -> None:
    arrived: list[int] = []
    with _scripted(pipelining | answers, timeout=2.0) as maildrop:
        with pytest.raises(kind):
            arrived.extend(row.number for row in maildrop.retrieve([1, 2, 3], largest=100_000))
        with pytest.raises(ConnectionFailed):
            maildrop.sizes()
    assert arrived == [1]


@pytest.mark.parametrize("pipelining", [{}, PIPELINING])
def test_a_message_refused_in_the_middle_stops_nothing(pipelining: dict[str, bytes]) -> None:
    with _scripted(pipelining | {"RETR 2": b"-ERR no such message\r\n"}) as maildrop:
        found = _retrieve(maildrop)
    assert [row.content is None for row in found] == [False, True, False]
    assert "no such message" in found[1].refusal


@pytest.mark.parametrize(
    ("said", "content"),
    [
        (b"+OK\r\n.\r\n", b""),
        (b"+OK\r\n..\r\n.\r\n", b".\r\n"),
        (b"+OK\r\n..a\r\n...\r\nb\r\n.\r\n", b".a\r\n..\r\nb\r\n"),
        # A line feed alone is the message's own, and ends nothing.
        (b"+OK\r\na\n.\nb\r\n.\r\n", b"a\n.\nb\r\n"),
        (b"+OK\na\n..b\n.\n", b"a\n.b\n"),
        (b"+OK\r\na\0b\xff\r\n.\r\n", b"a\0b\xff\r\n"),
    ],
)
def test_the_octets_of_a_message(said: bytes, content: bytes) -> None:
    with _scripted({"RETR 1": said}) as maildrop:
        assert [row.content for row in maildrop.retrieve([1])] == [content]
        assert [row.number for row in maildrop.listing()] == [1, 2, 3]


def test_a_deletion_that_fails_at_the_end_is_told() -> None:
    with _scripted({"QUIT": b"-ERR some deleted messages not removed\r\n"}) as maildrop:
        assert maildrop.delete([1]) == {1}
        with pytest.raises(CommandRefused, match="not removed"):
            maildrop.finish()


def test_a_session_with_marks_is_left_without_a_goodbye() -> None:
    with ScriptedPop3Server() as server, Pop3Maildrop(server.settings()) as maildrop:
        maildrop.delete([1])
    assert b"QUIT" not in server.received


def test_nothing_shows_the_password() -> None:
    with ScriptedPop3Server() as server:
        maildrop = Pop3Maildrop(server.settings())
        assert "top-secret" not in repr(maildrop) + repr(server.settings())
