"""Passes over servers that misbehave: one bad message or folder never stops the rest."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime

import pytest
from django.utils import timezone

from accounts.models import EmailAccount
from mailboxes.models import BodyState, Folder, FolderEntry, Message, SkippedMessage, SyncState
from mailboxes.sync.control import Control, Progress
from mailboxes.sync.engine import Order, Pass
from mailboxes.sync.requesting import request_sync
from mailboxes.sync.running import carry_out
from mailhub.mail.errors import ProtocolViolation
from mailhub.mail.stores.imap import ImapStore
from tests.mail.scripted_imap import CLOSE, SILENCE
from tests.mailboxes.conftest import raw_message
from tests.mailboxes.misbehaving import ARRIVAL, MisbehavingServer, ServedFolder, Twist
from tests.people import People

BAD = 3
CONDSTORE = b"IMAP4rev1 UIDPLUS CONDSTORE"


@pytest.fixture
def account(people: People) -> EmailAccount:
    return people.connect_account(people.member)


def sync(account: EmailAccount, server: MisbehavingServer, *, full: bool = False) -> Progress:
    """One pass; what stands between two octets of the server's is five seconds at most."""
    progress = Progress()
    order = Order(uuid.uuid4(), timezone.now(), is_full=full)
    with ImapStore(server.settings(timeout=5.0)) as store:
        Pass(store, account.pk, order, Control(progress)).run()
    return progress


def subjects(path: str = "INBOX") -> list[str]:
    """What is stored of a folder, with its body."""
    rows = FolderEntry.objects.filter(folder__path=path, lacks_body=False)
    return sorted(rows.values_list("message__subject", flat=True))


def bad_only(twist: Twist) -> Twist:
    return lambda uid, response: twist(uid, response) if uid == BAD else response


ALL = ["m1", "m2", "m3", "m4", "m5"]
REST = ["m1", "m2", "m4", "m5"]

HARMLESS: dict[str, Twist] = {
    "extra parentheses": lambda _, said: said.replace(b"FETCH (", b"FETCH ((").replace(
        b")\r\n* ", b"))))\r\n* "
    ),
    "negative MODSEQ": lambda _, said: said.replace(b"MODSEQ (3)", b"MODSEQ (-3)"),
    "MODSEQ beyond 64 bits": lambda _, said: said.replace(b"(3)", b"(%d)" % (1 << 80)),
    "EXPUNGE of others": lambda _, said: b"* 900 EXPUNGE\r\n" + said + b"* 901 EXPUNGE\r\n",
    "other messages mixed in": lambda _, said: (
        b"* 90 FETCH (UID 90 FLAGS (\\Deleted) BODY[] {2}\r\nhi)\r\n* 91 FETCH (FLAGS ())\r\n"
        + said
    ),
    "every message twice": lambda _, said: said + said,
    "odd flags": lambda _, said: said.replace(
        b"\\Seen", b'\\Seen "quo ted" ]x[ %y NIL \xff\xfe 1 \\ {x'
    ),
    "flags without end": lambda _, said: said.replace(
        b"\\Seen", b"\\Seen " + b" ".join(b"k%d" % number for number in range(2000))
    ),
    "no INTERNALDATE": lambda _, said: said.replace(b"INTERNALDATE " + ARRIVAL, b""),
    "broken INTERNALDATE": lambda _, said: said.replace(ARRIVAL, b'"99-Foo-0000 99:99"'),
    "INTERNALDATE NIL": lambda _, said: said.replace(ARRIVAL, b"NIL"),
    "INTERNALDATE of the year 1": lambda _, said: said.replace(
        ARRIVAL, b'"01-Jan-0001 00:00:00 +1400"'
    ),
    "size zero": lambda _, said: said.replace(b"RFC822.SIZE 1", b"RFC822.SIZE 0"),
    "size too small": lambda _, said: said.replace(b"RFC822.SIZE 1", b"RFC822.SIZE "),
    "size NIL": lambda _, said: said.replace(b"RFC822.SIZE ", b"RFC822.SIZE NIL X "),
    "size negative": lambda _, said: said.replace(b"RFC822.SIZE ", b"RFC822.SIZE -"),
    "size beyond 64 bits": lambda _, said: said.replace(
        b"RFC822.SIZE ", b"RFC822.SIZE 9" + b"9" * 16
    ),
    "size of five thousand digits": lambda _, said: said.replace(
        b"RFC822.SIZE ", b"RFC822.SIZE 9" + b"9" * 5000
    ),
    "an item of five thousand digits": lambda _, said: said.replace(
        b"RFC822.SIZE ", b"X " + b"9" * 5000 + b" RFC822.SIZE "
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HARMLESS)
def test_what_can_be_read_is_read(account: EmailAccount, name: str) -> None:
    with MisbehavingServer(capabilities=CONDSTORE) as server:
        server.twist = bad_only(HARMLESS[name])
        sync(account, server)
    assert subjects() == ALL
    assert subjects("Other") == ["other"]
    assert not SkippedMessage.objects.exists()
    assert FolderEntry.objects.filter(is_seen=True).count() == 6


HARMFUL: dict[str, Twist] = {
    "no literal": lambda _, said: said.partition(b" BODY")[0] + b" BODY[] NIL)\r\n",
    "no body": lambda _, said: said.partition(b" BODY")[0] + b")\r\n",
    "no answer": lambda _, said: b"",
    "literal longer than announced": lambda _, said: said.replace(b"BODY[] {1", b"BODY[] {"),
    "literal shorter than announced": lambda _, said: said.replace(b"BODY[] {", b"BODY[] {9"),
    "literal without end": lambda _, said: said.replace(b"BODY[] {", b"BODY[] {9999999999"),
    "literal of a thousand digits": lambda _, said: said.replace(
        b"BODY[] {", b"BODY[] {" + b"9" * 5000
    ),
    "BYE": lambda _, said: b"* BYE overloaded\r\n" + CLOSE,
    "hanging up": lambda _, said: said[:50] + CLOSE,
    "NO": lambda _, said: b"<tag> NO [SERVERBUG] cannot be read\r\n" + CLOSE,
    "nonsense": lambda _, said: b"<html><h1>502 Bad Gateway</h1>\r\n",
    "nothing at all": lambda _, said: SILENCE,
}  # fmt: skip


@pytest.mark.parametrize("name", HARMFUL)
def test_what_cannot_be_had_is_recorded_and_left_out(account: EmailAccount, name: str) -> None:
    with MisbehavingServer() as server:
        server.twist_bodies = bad_only(HARMFUL[name])
        progress = sync(account, server)
        assert set(subjects()) == set(REST), "the rest goes on"
        assert subjects("Other") == ["other"]
        assert progress.messages_skipped == 1
        skipped = SkippedMessage.objects.get()
        assert (skipped.uid, skipped.tries) == (BAD, 1)
        assert skipped.reason
        server.twist_bodies = lambda _, response: response
        sync(account, server)
    assert subjects() == ALL, "it is tried again"
    assert not SkippedMessage.objects.exists()


@pytest.mark.parametrize("name", ["no literal", "hanging up", "nonsense"])
def test_not_even_the_header_can_be_had(account: EmailAccount, name: str) -> None:
    twist = HARMFUL[name]
    with MisbehavingServer() as server:
        server.twist = bad_only(
            lambda uid, said: (
                twist(uid, said.replace(b"BODY[HEADER]", b"BODY[]")) if b"BODY" in said else said
            )
        )
        for _ in range(4):
            sync(account, server)
        assert subjects() == REST
        assert SkippedMessage.objects.get().tries == 3, "then it is left alone"
        server.twist = lambda _, response: response
        sync(account, server)
        assert subjects() == REST
        sync(account, server, full=True)
    assert subjects() == ALL


def test_a_size_that_lies_leaves_the_header(account: EmailAccount) -> None:
    with MisbehavingServer() as server:
        server.twist = bad_only(
            lambda _, said: said.replace(b"RFC822.SIZE ", b"RFC822.SIZE 1000000")
        )
        sync(account, server)
    assert set(REST) <= set(subjects())
    assert Message.objects.get(subject="m3").body_state == BodyState.TOO_LARGE


def test_a_message_without_arrival_is_dated_by_its_sender(account: EmailAccount) -> None:
    with MisbehavingServer() as server:
        server.twist = bad_only(HARMLESS["no INTERNALDATE"])
        sync(account, server)
    message = Message.objects.get(subject="m3")
    assert message.received_at == datetime(2026, 11, 3, 10, tzinfo=UTC)


# What a server says of its folder; all of it is in the folder after all.
LIES: dict[str, dict[str, object]] = {
    "UIDNEXT too small": {"uid_next": 2},
    "UIDNEXT too large": {"uid_next": 4_294_967_295},
    "UIDNEXT zero": {"uid_next": 0},
    "UIDNEXT beyond 64 bits": {"uid_next": (1 << 64) + 5},
    "UIDNEXT no number": {"uid_next": b"NIL"},
    "no message": {"count": 0},
    "fewer messages": {"count": 2},
    "more messages": {"count": 900_000},
    "messages beyond 64 bits": {"count": (1 << 64) + 5},
    "messages of five thousand digits": {"count": b"9" * 5000},
    "MODSEQ zero": {"modseq": 0},
    "MODSEQ beyond 64 bits": {"modseq": (1 << 64) + 5},
    "MODSEQ negative": {"modseq": b"-9"},
    "UIDVALIDITY beyond 64 bits": {"validity": (1 << 64) + 5},
}


@pytest.mark.parametrize("capabilities", [b"IMAP4rev1 UIDPLUS", CONDSTORE], ids=["poor", "rich"])
@pytest.mark.parametrize("name", LIES)
def test_what_a_folder_is_said_to_hold_is_not_what_is_read(
    account: EmailAccount, name: str, capabilities: bytes
) -> None:
    with MisbehavingServer(capabilities=capabilities) as server:
        for attribute, value in LIES[name].items():
            setattr(server.inbox, attribute, value)
        sync(account, server)
        assert subjects("Other") == ["other"], "the other folder is read in any case"
        if name != "UIDVALIDITY beyond 64 bits":
            assert subjects() == ALL
            server.inbox.messages[6] = raw_message("m6")
            server.inbox.modseq = 99
            sync(account, server, full=True)
            assert subjects() == [*ALL, "m6"]
            assert Folder.objects.get(path="INBOX").total == 6


@pytest.mark.parametrize(
    "said",
    [b"* STATUS\r\n", b"* STATUS INBOX\r\n", b"* STATUS INBOX (MESSAGES)\r\n", b"", b"* X\r\n"],
)
def test_a_folder_without_a_state_is_left_out(account: EmailAccount, said: bytes) -> None:
    with MisbehavingServer() as server:
        server.answers["STATUS INBOX"] = server.answers['STATUS "INBOX'] = said + b"<tag> OK\r\n"
        sync(account, server)
    assert subjects("Other") == ["other"]
    folder = Folder.objects.get(path="INBOX")
    assert (folder.failures, bool(folder.failure)) == (1, True)


def test_uids_in_disorder_twice_and_impossible(account: EmailAccount) -> None:
    with MisbehavingServer() as server:
        inbox = server.inbox
        inbox.messages = {uid: inbox.messages[uid] for uid in (3, 1, 5, 2, 4)}
        server.answers["UID SEARCH ALL"] = (
            b"* SEARCH 3 1 1 0 -7 x 5 4294967296 99999999999999999999 2\r\n"
            b"* SEARCH 4 3\r\n<tag> OK\r\n"
        )
        server.folders.pop(b"Other")
        for _ in range(2):
            sync(account, server)
    assert subjects() == ALL
    rows = FolderEntry.objects.order_by("uid").values_list("uid", "message__subject")
    assert list(rows) == [(1, "m1"), (2, "m2"), (3, "m3"), (4, "m4"), (5, "m5")]
    assert not SkippedMessage.objects.exists()


def test_a_message_under_a_uid_that_cannot_be(account: EmailAccount) -> None:
    with MisbehavingServer() as server:
        server.inbox.messages[0] = raw_message("zero")
        server.inbox.messages[1 << 32] = raw_message("too far")
        server.inbox.messages[(1 << 64) + 5] = raw_message("beyond the database")
        sync(account, server)
        sync(account, server)
    assert set(ALL) <= set(subjects())
    assert subjects("Other") == ["other"]


def test_a_list_without_a_folder_forgets_nothing(account: EmailAccount) -> None:
    with MisbehavingServer() as server:
        sync(account, server)
        server.answers["LIST"] = b"<tag> OK\r\n"
        with pytest.raises(ProtocolViolation):
            sync(account, server)
        server.answers["LIST"] = b"* LIST (\r\n* LIST\r\n* LIST () NIL\r\n<tag> OK\r\n"
        with pytest.raises(ProtocolViolation):
            sync(account, server)
    assert subjects() == ALL


def test_a_list_that_goes_in_circles(account: EmailAccount) -> None:
    """A link to a folder above: the same names again and again, and ever longer ones."""
    with MisbehavingServer() as server:
        lines = [b'* LIST () "/" "INBOX"\r\n', b'* LIST () "/" "Other"\r\n'] * 50
        lines += [b'* LIST () "/" "%s"\r\n' % b"/".join([b"a"] * depth) for depth in range(1, 900)]
        server.answers["LIST"] = b"".join(lines) + b"<tag> OK\r\n"
        server.answers["STATUS A"] = server.answers['STATUS "A'] = b"<tag> NO loop\r\n"
        sync(account, server)
    assert subjects() == ALL
    assert subjects("Other") == ["other"]
    assert Folder.objects.filter(path="INBOX").count() == 1


def test_ten_thousand_folders(account: EmailAccount) -> None:
    with MisbehavingServer(capabilities=CONDSTORE + b" LIST-STATUS") as server:
        opened = [b"folder %d" % number for number in range(20)]
        named = [b"level %d" % number for number in range(10_000 - len(opened))]
        server.answers["LIST"] = (
            b"".join(
                b'* LIST () "/" "%s"\r\n* STATUS "%s" (MESSAGES 0 UIDNEXT 1 UIDVALIDITY 7 UNSEEN 0'
                b" HIGHESTMODSEQ 1)\r\n" % (name, name)
                for name in opened
            )
            + b"".join(b'* LIST (\\Noselect) "/" "%s"\r\n' % name for name in named)
            + b'* LIST () "/" INBOX\r\n<tag> OK\r\n'
        )
        server.folders |= {name: ServedFolder(modseq=1) for name in opened}
        progress = sync(account, server)
        assert progress.folders_done == progress.folders_total == 21
        heard = len(server.received)
        sync(account, server)
        assert len(server.received) - heard < 12, "what is quiet is not opened"
    assert subjects() == ALL
    assert Folder.objects.count() == 10_001


@pytest.mark.parametrize("name", [b"inbox", b"Inbox", b"iNBoX"])
def test_the_inbox_under_another_case(account: EmailAccount, name: bytes) -> None:
    with MisbehavingServer() as server:
        server.folders = {name: server.inbox, b"Other": server.folders[b"Other"]}
        server.folders[b"INBOX"] = server.folders[name]
        server.answers["LIST"] = (
            b'* LIST () "/" %s\r\n* LIST () "/" INBOX\r\n* LIST () "/" Other\r\n<tag> OK\r\n' % name
        )
        sync(account, server)
    assert subjects() == ALL
    folders = Folder.objects.order_by("path").values_list("path", "role")
    assert list(folders) == [("INBOX", "inbox"), ("Other", "")]


def test_a_special_use_of_two_folders_is_one_of_them(account: EmailAccount) -> None:
    with MisbehavingServer() as server:
        for name in (b"Outgoing", b"Old outgoing"):
            server.folders[name] = ServedFolder(
                {1: raw_message(name.decode())}, attributes=b"\\HasNoChildren \\Sent"
            )
        sync(account, server)
    assert Folder.objects.filter(role="sent").count() == 1
    assert subjects("Outgoing") + subjects("Old outgoing") == ["Outgoing", "Old outgoing"]


NAMES = {
    "Latin-1": b"caf\xe9",
    "UTF-8": "Größe".encode(),
    "no UTF-7": b"a &2D3- b",
    "unfinished UTF-7": b"a &ZeVn",
    "ampersand": b"R&D",
    "controls": b"a\x01b\x7f",
    "quotes": b'a \\"b\\" \\\\',
    "percent and star": b"100% *",
    "spaces": b" a  b ",
}


@pytest.mark.parametrize("kind", NAMES)
def test_a_folder_under_any_name_is_read_or_left_out(account: EmailAccount, kind: str) -> None:
    name = NAMES[kind]
    with MisbehavingServer() as server:
        server.folders[name] = ServedFolder({1: raw_message("odd")})
        server.folders[re.sub(rb"\\(.)", rb"\1", name)] = server.folders[name]
        server.answers["LIST"] = (
            b'* LIST () "/" "%s"\r\n* LIST () "/" INBOX\r\n* LIST () "/" Other\r\n<tag> OK\r\n'
            % name
        )
        for _ in range(2):
            sync(account, server)
    assert subjects() == ALL
    assert subjects("Other") == ["other"]
    if kind != "controls":
        odd = Folder.objects.exclude(path__in=["INBOX", "Other"]).get()
        assert (odd.failures, subjects(odd.path)) == (0, ["odd"])


@pytest.mark.parametrize(
    "refusal",
    [
        b"<tag> NO [NOPERM] not yours\r\n",
        b"<tag> BAD what?\r\n",
        b"* BYE corrupt index\r\n" + CLOSE,
    ],
)
def test_a_folder_that_refuses_to_be_opened_is_parked_with_a_note(
    account: EmailAccount, refusal: bytes
) -> None:
    with MisbehavingServer() as server:
        server.answers["EXAMINE OTHER"] = server.answers['EXAMINE "OTHER'] = refusal
        for _ in range(3):
            sync(account, server)
        folder = Folder.objects.get(path="Other")
        assert folder.is_parked and folder.failure
        assert subjects() == ALL
        heard = len(server.received)
        sync(account, server)
        assert not any(b"Other" in line for line in server.received[heard:]), "left alone"
        del server.answers["EXAMINE OTHER"], server.answers['EXAMINE "OTHER']
        sync(account, server, full=True)
    assert subjects("Other") == ["other"]
    assert Folder.objects.get(path="Other").failures == 0


def test_a_server_that_hangs_up_once_in_every_command(account: EmailAccount) -> None:
    """BYE in the middle of each command, the first time: nothing is lost, nothing is noted."""
    with MisbehavingServer() as server:
        met: set[str] = set()

        def once(kind: str, said: bytes) -> bytes:
            if kind in met:
                return said
            met.add(kind)
            return said[: len(said) // 2] + b"\r\n* BYE for a moment\r\n" + CLOSE

        server.twist = lambda uid, said: once(
            f"header {uid}" if b"BODY[HEADER]" in said else f"body {uid}", said
        )
        sync(account, server)
    assert subjects() == ALL
    assert subjects("Other") == ["other"]
    assert not SkippedMessage.objects.exists()
    assert len(met) > 6


@pytest.mark.parametrize(
    "refusal",
    [
        b"<tag> NO [ALERT] Too many simultaneous connections. (Failure)\r\n",
        b"<tag> NO [UNAVAILABLE] try again later\r\n",
        b"* BYE Too many connections from your IP\r\n" + CLOSE,
    ],
)
@pytest.mark.django_db(transaction=True)
def test_a_server_that_lets_nobody_in_for_now_disables_no_account(
    people: People, refusal: bytes
) -> None:
    with MisbehavingServer() as server:
        account = people.connect_account(people.member, port=server.port, encryption="none")
        server.answers["LOGIN"] = refusal
        for _ in range(4):
            run = request_sync(account, enqueue=False).run
            assert carry_out(run.pk)
            run.refresh_from_db()
            assert (run.state, run.error_code) == (SyncState.FAILED, "login_deferred")
        account.refresh_from_db()
        assert account.is_enabled
        server.answers["LOGIN"] = b"<tag> OK in\r\n"
        run = request_sync(account, enqueue=False).run
        assert carry_out(run.pk)
    assert subjects() == ALL
