"""What the tests of accounts share."""

from __future__ import annotations

import pytest

from tests.accounts.hooked import Hooked
from tests.people import People
from tests.servers.receiver import Receiver


@pytest.fixture
def hooked(people: People, receiver: Receiver) -> Hooked:
    return Hooked(people, receiver)
