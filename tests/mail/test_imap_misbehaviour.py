"""IMAP servers that misbehave: what can be had is had, and the rest is a clear error."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from mailhub.mail.errors import (
    CommandRefused,
    ConnectionFailed,
    EncryptionRefused,
    FolderMissing,
    HostNotAllowed,
    HostNotFound,
    LoginDeferred,
    LoginFailed,
    MailError,
    ProtocolViolation,
    ServerTimeout,
    connection_failed,
)
from mailhub.mail.host_guard import HostGuard
from mailhub.mail.server import Encryption, OAuth2Login, PasswordLogin, Protocol, ServerSettings
from mailhub.mail.stores.base import Role
from mailhub.mail.stores.imap import ImapStore
from tests.mail.scripted_imap import CLOSE, SILENCE, ScriptedImapServer

HELLO = b"Subject: x\r\n\r\n"
# A whole FETCH response for a UID, with that text as its body.
WHOLE = b'* %d FETCH (UID %d FLAGS (\\Seen) INTERNALDATE "21-Nov-2026 10:00:00 +0100" ' \
    b"RFC822.SIZE 14 BODY[] {14}\r\n" + HELLO + b")\r\n"  # fmt: skip


@contextmanager
def _opened(server: ScriptedImapServer) -> Iterator[ImapStore]:
    with server, ImapStore(server.settings()) as store:
        store.select("INBOX")
        yield store


def _fetching(answer: bytes) -> ScriptedImapServer:
    return ScriptedImapServer({"UID FETCH": answer})


def _refusal(server: ScriptedImapServer, **changes: object) -> MailError:
    with server, pytest.raises(MailError) as caught:
        ImapStore(server.settings(**changes)).open()  # type: ignore[arg-type]  # each test's own
    assert "top-secret" not in repr(caught.value) + str(caught.value.__cause__)
    return caught.value


FETCHES = {
    "extra parentheses": b"* 1 FETCH ((UID 5 FLAGS (\\Seen) BODY[] {14}\r\n" + HELLO + b")))\r\n",
    "missing parenthesis": b"* 1 FETCH (UID 5 FLAGS (\\Seen) BODY[] {14}\r\n" + HELLO + b"\r\n",
    "UID behind the body": b"* 1 FETCH (BODY[] {14}\r\n" + HELLO + b" UID 5 FLAGS (\\Seen))\r\n",
    "small letters": b"* 1 FETCH (uid 5 flags (\\Seen) body[] {14}\r\n" + HELLO + b")\r\n",
    "quoted body": b'* 1 FETCH (UID 5 FLAGS (\\Seen) BODY[] "Subject: x Hi!")\r\n',
    "negative modseq": b"* 1 FETCH (UID 5 MODSEQ (-1) FLAGS (\\Seen) BODY[] {14}\r\n"
    + HELLO + b")\r\n",
    "two literals": b"* 1 FETCH (UID 5 X {3}\r\nabc FLAGS (\\Seen) BODY[] {14}\r\n"
    + HELLO + b")\r\n",
    "an expunge in the middle": b"* 9 EXPUNGE\r\n" + WHOLE % (1, 5) + b"* 2 EXPUNGE\r\n",
    "flags of others around": b"* 3 FETCH (FLAGS (\\Deleted))\r\n* 4 FETCH (UID 9 FLAGS ())\r\n"
    + WHOLE % (1, 5) + b"* 1 FETCH (FLAGS ())\r\n",
    "news about the folder": b"* 4 EXISTS\r\n* 1 RECENT\r\n" + WHOLE % (1, 5),
    "the same message twice": WHOLE % (1, 5) + WHOLE % (1, 5),
    "a message that nobody asked for": WHOLE % (2, 77) + WHOLE % (1, 5),
}  # fmt: skip


@pytest.mark.parametrize("name", FETCHES)
def test_a_message_is_read_out_of(name: str) -> None:
    with _opened(_fetching(FETCHES[name] + b"<tag> OK\r\n")) as store:
        (message,) = store.fetch([5])
    assert message.uid == 5
    assert message.flags == {"\\Seen"}
    assert len(message.content) == 14
    assert message.modseq == 0


@pytest.mark.parametrize(
    "said",
    [
        b"* 1 FETCH (UID 5 FLAGS () BODY[] NIL)\r\n",
        b"* 1 FETCH (UID 5 FLAGS ())\r\n",
        b"* 1 FETCH (UID 5 BODY[])\r\n",
        b"* 1 FETCH (FLAGS (\\Seen))\r\n",
        b"* 1 FETCH ()\r\n",
        b"* 1 FETCH\r\n",
        b"* 1 FETCH (UID zero BODY[] {2}\r\nab)\r\n",
        b"* 1 FETCH (((((((((((((((\r\n",
        b"",
    ],
)
def test_a_message_that_is_not_handed_over_is_left_out(said: bytes) -> None:
    with _opened(_fetching(said + WHOLE % (2, 6) + b"<tag> OK\r\n")) as store:
        assert [message.uid for message in store.fetch([5, 6])] == [6]


def test_one_bad_message_does_not_cost_the_others_of_its_batch() -> None:
    server = ScriptedImapServer(
        {
            "UID FETCH 5:7": WHOLE % (1, 5) + b"<tag> NO [SERVERBUG] cannot read message\r\n",
            "UID FETCH 6": b"<tag> NO [SERVERBUG] cannot read message\r\n",
            "UID FETCH 7": WHOLE % (3, 7) + b"<tag> OK\r\n",
        }
    )
    with _opened(server) as store:
        assert [message.uid for message in store.fetch([5, 6, 7])] == [5, 7]


@pytest.mark.parametrize("end", [CLOSE, b"* BYE shutting down\r\n" + CLOSE])
def test_what_arrived_before_the_connection_broke_is_handed_over(end: bytes) -> None:
    half = b"* 2 FETCH (UID 6 BODY[] {1000}\r\nonly the beginn"
    with _opened(_fetching(WHOLE % (1, 5) + (half if end == CLOSE else b"") + end)) as store:
        arrived = []
        with pytest.raises(ConnectionFailed):
            for message in store.fetch([5, 6]):
                # Not extend(): it would forget what came before the error.
                arrived.append(message.uid)  # noqa: PERF401
        assert arrived == [5]
        with pytest.raises(ConnectionFailed, match="not open"):
            store.uids()


def test_a_lost_connection_can_be_opened_again() -> None:
    server = _fetching(CLOSE)
    with _opened(server) as store:
        with pytest.raises(ConnectionFailed):
            list(store.fetch([5]))
        server.answers["UID FETCH"] = WHOLE % (1, 5) + b"<tag> OK\r\n"
        store.open()
        store.select("INBOX")
        assert [message.uid for message in store.fetch([5])] == [5]


def test_half_a_list_of_flags_is_no_list() -> None:
    server = _fetching(b"* 1 FETCH (UID 5 FLAGS ())\r\n<tag> NO later\r\n")
    with _opened(server) as store, pytest.raises(CommandRefused):
        list(store.flags())


def test_the_last_message_is_not_new_because_a_star_names_it() -> None:
    with _opened(_fetching(b"* 3 FETCH (UID 5 FLAGS ())\r\n<tag> OK\r\n")) as store:
        assert list(store.flags(6)) == []


def test_a_literal_too_large_to_be_mail_is_not_waited_for() -> None:
    server = _fetching(b"* 1 FETCH (UID 5 BODY[] {99999999999}\r\n")
    with _opened(server) as store, pytest.raises(ProtocolViolation):
        list(store.fetch([5]))


@pytest.mark.parametrize(
    "answer", [b"what?\r\n", b"\r\n", b"\x00\xff\r\n", b"* 1\n", b"HTTP/1.1 400\r\n"]
)
def test_nonsense_is_called_nonsense(answer: bytes) -> None:
    with _opened(_fetching(answer)) as store, pytest.raises(ProtocolViolation):
        list(store.fetch([5]))


def test_a_server_that_falls_silent() -> None:
    server = _fetching(SILENCE)
    with server:
        store = ImapStore(server.settings(timeout=2.0))
        store.open()
        store.select("INBOX")
        with pytest.raises(ServerTimeout):
            list(store.fetch([5]))
        store.close()


@pytest.mark.parametrize(
    "said", [b"* OK still here\r\n", b"* 1 EXPUNGE\r\n", b"* 7 FETCH (UID 7)\r\n"]
)
def test_a_server_that_never_comes_to_an_end_is_left(said: bytes) -> None:
    server = _fetching(said * 40_000 + SILENCE)
    with server:
        settings = replace(server.settings(), command_limit=1_000_000)
        with ImapStore(settings) as store:
            store.select("INBOX")
            with pytest.raises(ProtocolViolation):
                list(store.fetch([5]))


@pytest.mark.parametrize("said", [b"* OK ", b"* 1 FETCH (UID 5 BODY[] {300}\r\n"])
def test_a_server_that_says_an_octet_now_and_then_is_left(said: bytes) -> None:
    """Each wait is shorter than the timeout; together they are much longer."""
    with dripping(said) as port, ScriptedImapServer() as server:
        settings = replace(server.settings(timeout=0.1), port=port)
        with pytest.raises(ServerTimeout):
            ImapStore(settings).open()


@contextmanager
def dripping(said: bytes) -> Iterator[int]:
    """A port where a server says this to whoever comes, and then an octet every 50 ms."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ended = threading.Event()

        def speak() -> None:
            client, _ = listener.accept()
            with client, suppress(OSError):
                client.sendall(said)
                while not ended.wait(0.05):
                    client.sendall(b"x")

        thread = threading.Thread(target=speak)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            ended.set()
            thread.join()


def test_a_server_that_never_greets() -> None:
    assert isinstance(_refusal(ScriptedImapServer(greeting=SILENCE), timeout=0.3), ServerTimeout)


def test_a_port_where_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        settings = ServerSettings(
            Protocol.IMAP,
            "127.0.0.1",
            taken.getsockname()[1],
            Encryption.NONE,
            guard=HostGuard.allowing(["127.0.0.0/8"]),
        )
        with pytest.raises(ConnectionFailed):
            ImapStore(settings).open()


def test_private_addresses_and_unknown_names_are_refused_before_a_connection() -> None:
    with ScriptedImapServer() as server:
        settings = ServerSettings(Protocol.IMAP, "localhost", server.port, Encryption.NONE)
        with pytest.raises(HostNotAllowed):
            ImapStore(settings).open()
        assert server.received == []
    with pytest.raises(HostNotFound):
        ImapStore(ServerSettings(Protocol.IMAP, "no.such.invalid", 993, Encryption.TLS)).open()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"<tag> NO [AUTHENTICATIONFAILED] Invalid credentials\r\n", LoginFailed),
        (b"<tag> NO Login failed, please try again\r\n", LoginFailed),
        (b"<tag> NO [EXPIRED] password is too old, try again later\r\n", LoginFailed),
        (b"<tag> BAD what?\r\n", LoginFailed),
        (b"<tag> NO [UNAVAILABLE] Temporary authentication failure\r\n", LoginDeferred),
        (b"<tag> NO [INUSE] mailbox is locked\r\n", LoginDeferred),
        (b"<tag> NO [LIMIT] slow down\r\n", LoginDeferred),
        (b"<tag> NO [ALERT] Too many simultaneous connections. (Failure)\r\n", LoginDeferred),
        (b"* BYE Too many connections from your IP\r\n" + CLOSE, LoginDeferred),
        (b"* BYE Disconnected for inactivity\r\n" + CLOSE, ConnectionFailed),
        (b"<tag> NO [PRIVACYREQUIRED] Plaintext is not allowed\r\n", EncryptionRefused),
        (b'<tag> NO wrong: LOGIN "ada" "top-secret"\r\n', LoginFailed),
        (CLOSE, ConnectionFailed),
    ],
)
def test_a_refused_login_says_whether_to_try_again(answer: bytes, error: type[MailError]) -> None:
    assert type(_refusal(ScriptedImapServer({"LOGIN": answer}))) is error


@pytest.mark.parametrize(
    ("greeting", "error"),
    [
        (b"* BYE Maximum number of connections reached\r\n", LoginDeferred),
        (b"* BYE Go away\r\n", ConnectionFailed),
        (b"220 smtp.example.org ESMTP\r\n", ProtocolViolation),
        (CLOSE, ConnectionFailed),
    ],
)
def test_an_unfriendly_greeting(greeting: bytes, error: type[MailError]) -> None:
    assert type(_refusal(ScriptedImapServer(greeting=greeting))) is error


def test_starttls_is_required_where_it_is_asked_for() -> None:
    without = ScriptedImapServer()
    assert isinstance(_refusal(without, encryption=Encryption.STARTTLS), EncryptionRefused)
    refused = ScriptedImapServer(
        {
            "CAPABILITY": b"* CAPABILITY IMAP4rev1 STARTTLS\r\n<tag> OK\r\n",
            "STARTTLS": b"<tag> NO not today\r\n",
        }
    )
    assert isinstance(_refusal(refused, encryption=Encryption.STARTTLS), EncryptionRefused)
    skipped = ScriptedImapServer(greeting=b"* PREAUTH you are in already\r\n")
    assert isinstance(_refusal(skipped, encryption=Encryption.STARTTLS), EncryptionRefused)
    for server in (without, refused, skipped):
        assert not [line for line in server.received if b"top-secret" in line]


def test_tls_with_a_server_that_speaks_none() -> None:
    assert isinstance(_refusal(ScriptedImapServer(), encryption=Encryption.TLS), ConnectionFailed)


def test_what_goes_wrong_on_the_way_is_told_in_plain_words() -> None:
    with ScriptedImapServer() as server, pytest.raises(ConnectionFailed) as refused:
        ImapStore(replace(server.settings(), port=1)).open()
    assert refused.value.message.endswith(" refused the connection.")
    no_tls = _refusal(ScriptedImapServer(), encryption=Encryption.TLS)
    assert no_tls.message.startswith("No encryption with ")
    hung_up = _refusal(ScriptedImapServer({"LOGIN": CLOSE}))
    assert hung_up.message.endswith(" closed the connection.")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), "refused the conn"),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), "closed the conn"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), "closed the connection"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "no way to imap.example.org"),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), "no way to imap.example.org"),
        (OSError(errno.EIO, "Input/output error"), "The connection to imap.example.org failed"),
    ],
)
def test_words_of_the_system_are_not_shown(error: OSError, words: str) -> None:
    message = connection_failed(error, "imap.example.org").message
    assert words in message
    assert "Errno" not in message


def test_a_login_is_not_sent_where_the_server_forbids_it() -> None:
    server = ScriptedImapServer(
        {"CAPABILITY": b"* CAPABILITY IMAP4rev1 LOGINDISABLED\r\n<tag> OK\r\n"}
    )
    assert isinstance(_refusal(server), EncryptionRefused)
    assert not [line for line in server.received if b"top-secret" in line]


def test_plain_is_preferred_and_login_taken_where_it_is_not_understood() -> None:
    server = ScriptedImapServer(
        {
            "CAPABILITY": b"* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n<tag> OK\r\n",
            "AUTHENTICATE PLAIN": b"<tag> BAD unknown mechanism\r\n",
        }
    )
    with server, ImapStore(server.settings(login=PasswordLogin("ädä", 'p"\\ß'))):
        pass
    assert 'LOGIN "ädä" "p\\"\\\\ß"'.encode() in server.received


@pytest.mark.parametrize("password", ["a\r\nb LOGOUT", "a\nb", "a\0b"])
def test_a_password_cannot_smuggle_a_command(password: str) -> None:
    with ScriptedImapServer() as server:
        with pytest.raises(LoginFailed):
            ImapStore(server.settings(login=PasswordLogin("ada", password))).open()
        assert not [line for line in server.received if line.startswith(b"LOGIN")]


@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
def test_a_token_that_is_refused(mechanism: str) -> None:
    server = ScriptedImapServer(
        {
            "CAPABILITY": f"* CAPABILITY IMAP4rev1 AUTH={mechanism}\r\n<tag> OK\r\n".encode(),
            f"AUTHENTICATE {mechanism}": b"+ \r\n",
            # What the client sends next carries no tag: the token, then an empty answer.
            "DXNLC": b"+ eyJzdGF0dXMiOiI0MDAifQ==\r\n",
            "BIXHPWFKYS": b"+ eyJzdGF0dXMiOiI0MDAifQ==\r\n",
        }
    )
    server.answers[""] = CLOSE
    with server, pytest.raises(MailError) as caught:
        ImapStore(server.settings(login=OAuth2Login("ada", lambda: "the-token"))).open()
    assert "the-token" not in str(caught.value)
    assert f"AUTHENTICATE {mechanism}".encode() in server.received


FOLDERS = (
    b'* LIST (\\HasNoChildren) "/" INBOX\r\n'
    b'* LIST (\\Noselect) "/" "[Gmail]"\r\n'
    b'* LIST (\\HasNoChildren \\Sent) "/" "[Gmail]/Gesendet"\r\n'
    b'* LIST (\\HasNoChildren) "/" "Sent"\r\n'
    b'* LIST () "/" {14}\r\n&ZeVnLIqe-/x y\r\n'
    b'* LIST () NIL Entw&APw-rfe\r\n'
    b'* LIST () "/" "Gr\xc3\xb6\xc3\x9fe"\r\n'
    b'* LIST () "/" "caf\xe9"\r\n'
    b'* LIST () "/" "bad &AAA- name"\r\n'
    b'* LIST () "/" "broken &2D3- utf7"\r\n'
    b'* LIST () "/" "a \\"quoted\\" one"\r\n'
    b'* LIST () "/" two words\r\n'
    b"* LIST\r\n"
    b"* LIST (\r\n"
    b'* LIST () "/" "INBOX/Corbeille"\r\n'
    b'* LIST () "/" "Work/Corbeille"\r\n'
    b"<tag> OK\r\n"
)  # fmt: skip


def test_folder_names_of_every_kind() -> None:
    server = ScriptedImapServer({"LIST": FOLDERS, "EXAMINE": b"<tag> NO no such folder\r\n"})
    with server, ImapStore(server.settings()) as store:
        folders = {folder.path: folder for folder in store.folders()}
        assert list(folders) == [
            "INBOX",
            "[Gmail]",
            "[Gmail]/Gesendet",
            "Sent",
            "日本語/x y",
            "Entwürfe",
            "Größe",
            "café",
            "bad \N{REPLACEMENT CHARACTER} name",
            "broken &2D3- utf7",
            'a "quoted" one',
            "two words",
            "INBOX/Corbeille",
            "Work/Corbeille",
        ]
        assert not folders["[Gmail]"].selectable
        assert {path: folder.role for path, folder in folders.items() if folder.role} == {
            "INBOX": Role.INBOX,
            "[Gmail]/Gesendet": Role.SENT,
            "Entwürfe": Role.DRAFTS,
            "INBOX/Corbeille": Role.TRASH,
        }


def test_a_folder_with_a_name_that_is_no_utf7_is_opened_by_its_own_octets() -> None:
    server = ScriptedImapServer(
        {
            "LIST": b'* LIST () "/" "caf\xe9"\r\n<tag> OK\r\n',
            "EXAMINE": b"<tag> NO no such folder\r\n",
        }
    )
    # The script knows commands as text, in which the odd octet has been replaced.
    server.answers['EXAMINE "CAF\N{REPLACEMENT CHARACTER}"'] = b"* 1 EXISTS\r\n<tag> OK\r\n"
    with server, ImapStore(server.settings()) as store:
        assert store.select("café").messages == 1
    assert b'EXAMINE "caf\xe9"' in server.received


def test_a_folder_that_is_busy_is_not_missing() -> None:
    server = ScriptedImapServer({"EXAMINE": b"<tag> NO [INUSE] being compacted\r\n"})
    with server, ImapStore(server.settings()) as store:
        with pytest.raises(CommandRefused):
            store.select("INBOX")
        server.answers["EXAMINE"] = b"<tag> NO [NOPERM] not yours\r\n"
        with pytest.raises(FolderMissing):
            store.select("INBOX")


def test_a_folder_that_can_only_be_read() -> None:
    server = ScriptedImapServer({"SELECT": b"* 1 EXISTS\r\n<tag> OK [READ-ONLY] ok\r\n"})
    with server, ImapStore(server.settings()) as store, pytest.raises(CommandRefused):
        store.select("INBOX", read_only=False)


def test_a_status_without_uidvalidity_is_no_status() -> None:
    server = ScriptedImapServer({"STATUS": b"* STATUS INBOX (MESSAGES 3)\r\n<tag> OK\r\n"})
    with server, ImapStore(server.settings()) as store, pytest.raises(ProtocolViolation):
        store.status("INBOX")


def test_a_search_answer_in_pieces() -> None:
    answer = b"* SEARCH 9 3\r\n* 4 EXISTS\r\n* SEARCH\r\n* SEARCH 5 (MODSEQ 917)\r\n<tag> OK\r\n"
    with _opened(ScriptedImapServer({"UID SEARCH": answer})) as store:
        assert store.uids() == [3, 5, 9]


WRITABLE = {
    "CAPABILITY": b"* CAPABILITY IMAP4rev1\r\n<tag> OK\r\n",
    "UID STORE": b"<tag> OK\r\n",
    "UID COPY": b"<tag> OK [COPYUID 7 1:3 21,20,22] done\r\n",
    "UID MOVE": b"* OK [COPYUID 7 1:3 20:22] moved\r\n* 1 EXPUNGE\r\n<tag> OK\r\n",
    "UID EXPUNGE": b"<tag> OK\r\n",
}


def test_without_uidplus_nothing_is_expunged() -> None:
    server = ScriptedImapServer(WRITABLE)
    with server, ImapStore(server.settings()) as store:
        store.select("INBOX", read_only=False)
        assert store.move([1, 2, 3], "Trash") == {1: 21, 2: 20, 3: 22}
        with pytest.raises(CommandRefused):
            store.expunge([1])
    assert not [line for line in server.received if b"EXPUNGE" in line]
    assert b"UID STORE 1:3 +FLAGS.SILENT (\\Deleted)" in server.received


def test_without_move_the_copied_ones_alone_are_expunged() -> None:
    capability = b"* CAPABILITY IMAP4rev1 UIDPLUS\r\n<tag> OK\r\n"
    server = ScriptedImapServer(WRITABLE | {"CAPABILITY": capability})
    with server, ImapStore(server.settings()) as store:
        store.select("INBOX", read_only=False)
        store.move([3, 1, 2], "Trash")
    assert server.received[-2] == b"UID EXPUNGE 1:3"
    assert b"EXPUNGE" not in server.received


def test_content_ids_are_asked_for_where_the_server_has_them() -> None:
    for capability, item in (
        (b"OBJECTID", b"EMAILID (M6d99)"),
        (b"X-GM-EXT-1", b"X-GM-MSGID 1278"),
    ):
        server = ScriptedImapServer(
            {
                "CAPABILITY": b"* CAPABILITY IMAP4rev1 CONDSTORE "
                + capability
                + b"\r\n<tag> OK\r\n",
                "UID FETCH": b"* 1 FETCH (UID 5 MODSEQ (12) " + item
                + b' INTERNALDATE " 1-Feb-2024 00:00:00 -0500" BODY[] {2}\r\nhi)\r\n<tag> OK\r\n',
            }
        )  # fmt: skip
        with _opened(server) as store:
            (message,) = store.fetch([5])
        assert message.remote_id == item.split()[1].decode().strip("()")
        assert message.modseq == 12
        assert message.size == 2
        assert message.received_at == datetime(2024, 2, 1, 5, tzinfo=UTC)


def test_thousands_of_scattered_uids_fit_in_command_lines() -> None:
    server = _fetching(b"<tag> OK\r\n")
    with _opened(server) as store:
        list(store.fetch(range(1_000_000, 1_010_000, 2)))
    asked = [line for line in server.received if line.startswith(b"UID FETCH")]
    assert all(len(line) < 8192 for line in asked)
    assert sum(line.count(b",") + 1 for line in asked) == 5000


def test_what_vanished_comes_in_pieces_and_with_nonsense_between() -> None:
    server = ScriptedImapServer(
        {
            "CAPABILITY": b"* CAPABILITY IMAP4rev1 ENABLE CONDSTORE QRESYNC\r\n<tag> OK\r\n",
            "ENABLE": b"* ENABLED\r\n* ENABLED QRESYNC CONDSTORE\r\n<tag> OK\r\n",
            "UID FETCH": b"* VANISHED (EARLIER) 41,50:43,x:y\r\n* VANISHED (EARLIER)\r\n"
            b"* 2 FETCH (UID 9 MODSEQ (12) FLAGS (\\Seen))\r\n* VANISHED 300:310\r\n<tag> OK\r\n",
        }
    )
    with server, ImapStore(server.settings()) as store:
        store.track_changes()
        store.select("INBOX")
        found = store.changes(11)
    assert found.vanished == ((41, 41), (43, 50), (300, 310))
    assert [(row.uid, row.modseq) for row in found.flags] == [(9, 12)]
    assert b"UID FETCH 1:* (UID FLAGS) (CHANGEDSINCE 11 VANISHED)" in server.received


@pytest.mark.parametrize("answer", [b"<tag> BAD what\r\n", b"* ENABLED\r\n<tag> OK\r\n"])
def test_a_server_that_does_not_enable_what_it_announces_is_asked_for_changes_alone(
    answer: bytes,
) -> None:
    server = ScriptedImapServer(
        {
            "CAPABILITY": b"* CAPABILITY IMAP4rev1 ENABLE CONDSTORE QRESYNC\r\n<tag> OK\r\n",
            "ENABLE": answer,
            "UID FETCH": b"* 2 FETCH (UID 9 MODSEQ (12) FLAGS ())\r\n<tag> OK\r\n",
        }
    )
    with server, ImapStore(server.settings()) as store:
        store.track_changes()
        store.select("INBOX")
        assert store.changes(11).vanished is None
    assert b"UID FETCH 1:* (UID FLAGS) (CHANGEDSINCE 11)" in server.received


def test_half_a_list_of_changes_is_no_list() -> None:
    server = ScriptedImapServer(
        {
            "CAPABILITY": b"* CAPABILITY IMAP4rev1 CONDSTORE\r\n<tag> OK\r\n",
            "UID FETCH": b"* 2 FETCH (UID 9 MODSEQ (12) FLAGS ())\r\n" + CLOSE,
        }
    )
    with _opened(server) as store, pytest.raises(ConnectionFailed):
        store.changes(11)


def test_states_come_with_the_folders_under_names_of_every_kind() -> None:
    server = ScriptedImapServer(
        {
            "CAPABILITY": b"* CAPABILITY IMAP4rev1 LIST-STATUS LIST-EXTENDED\r\n<tag> OK\r\n",
            "LIST": b'* LIST () "/" INBOX\r\n* LIST () "/" "a b"\r\n'
            b'* LIST () "/" {4}\r\ncaf\xe9\r\n'
            b'* LIST (\\NoSelect) "/" top\r\n* LIST () "/" silent\r\n'
            b"* STATUS INBOX (MESSAGES 3 UIDNEXT 9 UIDVALIDITY 7 UNSEEN 1)\r\n"
            b'* STATUS "a b" (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 8 UNSEEN 0)\r\n'
            b"* STATUS {4}\r\ncaf\xe9 (MESSAGES 2 UIDNEXT 3 UIDVALIDITY 9 UNSEEN 0)\r\n"
            b"* STATUS stranger (MESSAGES 2 UIDNEXT 3 UIDVALIDITY 9)\r\n"
            b"* STATUS silent (MESSAGES 2)\r\n<tag> OK\r\n",
        }
    )
    with server, ImapStore(server.settings()) as store:
        folders, states = store.folders_and_states()
    assert {folder.path for folder in folders} == {"INBOX", "a b", "café", "top", "silent"}
    assert {path: state.uid_validity for path, state in states.items()} == {
        "INBOX": 7,
        "a b": 8,
        "café": 9,
    }
    assert states["INBOX"].messages == 3


def test_a_search_that_finds_a_quarter_of_a_million() -> None:
    numbers = b" ".join(b"%d" % uid for uid in range(1, 250_001))
    server = ScriptedImapServer({"UID SEARCH": b"* SEARCH " + numbers + b"\r\n<tag> OK\r\n"})
    with _opened(server) as store:
        assert store.uids() == list(range(1, 250_001))
