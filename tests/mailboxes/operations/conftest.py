"""A server that takes what the stateless operations send."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.mailboxes.operations.calls import PASSWORD, USER
from tests.servers.smtp import SmtpReceiver


@pytest.fixture
def receiver(start_smtp_receiver: Callable[..., SmtpReceiver]) -> SmtpReceiver:
    return start_smtp_receiver(users={USER: PASSWORD})
