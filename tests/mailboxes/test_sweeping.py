"""Raw messages that a kill left behind, named by no message, are removed in time."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from mailboxes.models import Message, RawMessage, RawPack, SyncRun, SyncState
from mailboxes.raw_store import RawStore
from mailboxes.sync.control import PassInterrupted
from tests.mailboxes.conftest import Mailbox, Pop3Account, raw_message
from tests.mailboxes.test_news import after
from tests.people import People

LONG_AGO = timedelta(hours=2)


def leave_behind(mailbox: Mailbox, content: bytes = b"left behind") -> str:
    """What a pass that is killed after it kept a raw message leaves."""
    (digest,) = RawStore(mailbox.account.pk).put_many([content])
    return digest


def age() -> None:
    RawPack.objects.update(created_at=timezone.now() - LONG_AGO)


def test_what_nothing_names_goes_and_all_else_stays(mailbox: Mailbox, people: People) -> None:
    other = Mailbox(people.connect_account(people.member, email_address="b@acme.example"))
    for box in (mailbox, other):
        for number in range(5):
            box.remote.deliver(raw_message(f"m{number}"))
        box.sync()
    lost = leave_behind(mailbox)
    # Named by another account's message alone.
    theirs = RawStore(other.account.pk)
    foreign = theirs.get(other.message("m0").raw_digest)
    assert foreign is not None
    leave_behind(mailbox, foreign)
    age()
    mailbox.sync()
    store = RawStore(mailbox.account.pk)
    assert store.get(lost) is None
    for box in (mailbox, other):
        kept = RawStore(box.account.pk)
        digests = Message.objects.filter(account=box.account).values_list("raw_digest", flat=True)
        assert all(kept.get(digest) for digest in digests)
        assert RawMessage.objects.filter(pack__account=box.account).count() == 5


def test_what_may_be_named_in_a_moment_stays(mailbox: Mailbox) -> None:
    lost = leave_behind(mailbox)
    mailbox.sync()
    assert RawStore(mailbox.account.pk).get(lost)


def test_once_a_day_and_in_a_full_pass(mailbox: Mailbox) -> None:
    lost, store = leave_behind(mailbox), RawStore(mailbox.account.pk)
    age()
    today = SyncRun.objects.create(
        account=mailbox.account, state=SyncState.COMPLETED, finished_at=timezone.now()
    )
    mailbox.sync()
    assert store.get(lost), "a pass has looked already"
    SyncRun.objects.filter(pk=today.pk).update(folders=["INBOX"])
    mailbox.sync()
    assert store.get(lost) is None, "that one did not look"
    lost = leave_behind(mailbox)
    age()
    SyncRun.objects.filter(pk=today.pk).update(folders=[])
    mailbox.sync(full=True)
    assert store.get(lost) is None


def test_an_interrupted_sweep_is_taken_up(mailbox: Mailbox) -> None:
    for number in range(120):
        leave_behind(mailbox, b"%d" % number)
    age()
    left = 120
    for patience in range(1, 30):
        try:
            mailbox.sync(interruption=after(patience))
        except PassInterrupted:
            assert RawMessage.objects.count() <= left
            left = RawMessage.objects.count()
        else:
            break
    assert RawMessage.objects.count() == 0


@pytest.mark.django_db
def test_of_pop3_too(pop3: Pop3Account) -> None:
    (lost,) = RawStore(pop3.account.pk).put_many([b"left behind"])
    age()
    pop3.sync()
    assert RawStore(pop3.account.pk).get(lost) is None
