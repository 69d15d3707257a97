"""Passes over servers that misbehave: one message that cannot be had never stops the rest."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from accounts.models import EmailAccount
from mailboxes.models import BodyState, FolderEntry, Message, SkippedMessage
from tests.mail.scripted_imap import CLOSE, SILENCE
from tests.mailboxes.misbehaving import (
    ALL,
    ARRIVAL,
    CONDSTORE,
    MisbehavingServer,
    Twist,
    subjects,
    sync,
)

BAD = 3
REST = ["m1", "m2", "m4", "m5"]


def bad_only(twist: Twist) -> Twist:
    return lambda uid, response: twist(uid, response) if uid == BAD else response


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
