"""Whatever happens to a mailbox, its copy becomes the same; `make faults` lives longer lives."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, settings

from tests.faults.sync_kill import LIVES
from tests.faults.sync_model import Life, Step, lives
from tests.mailboxes.conftest import PASSWORD, Mailbox
from tests.people import People


@pytest.mark.django_db(transaction=True)
@settings(
    max_examples=int(os.environ.get(LIVES, "12")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(steps=lives(20))
def test_whatever_happens_the_copy_becomes_the_truth(people: People, steps: list[Step]) -> None:
    member = people.member
    mailbox = Mailbox(people.connect_account(member, password=PASSWORD))
    try:
        Life(mailbox, member.api).live(steps)
    finally:
        mailbox.account.delete()
