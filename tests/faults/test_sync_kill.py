"""A few kills of a process that syncs; `make faults` makes many."""

from __future__ import annotations

import os
import random

import pytest

from tests.faults.sync_kill import KILLS, SEED, KilledSync
from tests.mailboxes.runs import database_url
from tests.people import People
from tests.servers.dovecot import DovecotUser

MESSAGES = 500


@pytest.mark.django_db(transaction=True)
def test_kill_minus_nine_again_and_again_loses_and_doubles_nothing(
    people: People, dovecot_user: DovecotUser
) -> None:
    account = people.connect_mailbox(people.member, dovecot_user)
    kills = int(os.environ.get(KILLS, "2"))
    seed = int(os.environ.get(SEED, random.randrange(1 << 30)))
    environment = {**os.environ, "DATABASE_URL": database_url()}
    sync = KilledSync(account, dovecot_user, people.member.api, environment, random.Random(seed))
    try:
        sync.live(kills, MESSAGES + 20 * kills)
        sync.check()
    except BaseException as error:
        error.add_note(f"seed {seed}")
        raise
