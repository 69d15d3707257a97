"""Some of the broken messages of which `make faults` reads a hundred thousand."""

from __future__ import annotations

import random
from pathlib import Path

from mailboxes.models import FolderEntry, Message, SkippedMessage
from tests.faults.mutations import message
from tests.faults.parsing import assert_clean, check
from tests.mailboxes.conftest import PASSWORD, Mailbox
from tests.people import People

MESSAGES = 2_000
STORED = 200


def test_broken_messages_are_read(tmp_path: Path) -> None:
    seed = random.randrange(1 << 30)
    for number in range(MESSAGES):
        raw = message(seed, number)
        try:
            check(raw)
        except BaseException as error:
            file = tmp_path / f"{seed}-{number}.eml"
            file.write_bytes(raw)
            error.add_note(f"make faults ARGS='--only parsing --seed {seed} --first {number}'")
            error.add_note(f"the message: {file}")
            raise


def test_broken_messages_are_stored(people: People) -> None:
    mailbox = Mailbox(people.connect_account(people.member, password=PASSWORD))
    seed = random.randrange(1 << 30)
    for number in range(STORED):
        mailbox.remote.deliver(message(seed, number))
    try:
        mailbox.sync()
        stored = FolderEntry.objects.filter(account=mailbox.account)
        assert stored.filter(lacks_body=False).count() == STORED
        assert not SkippedMessage.objects.filter(folder__account=mailbox.account).exists()
        for row in Message.objects.filter(account=mailbox.account):
            assert_clean([row.subject, row.text, row.snippet, row.sender_text, row.recipient_text])
    except BaseException as error:
        error.add_note(f"messages 0 to {STORED} of seed {seed}")
        raise
