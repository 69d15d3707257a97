"""An account that is up to date before it is watched."""

from __future__ import annotations

import pytest

from mailboxes.sync.requesting import request_sync
from mailboxes.tasks import run_sync
from tests.mailboxes.conftest import Connected


@pytest.fixture
def synced(connected: Connected) -> Connected:
    """Synced a moment ago: what comes now comes by watching."""
    run_sync(str(request_sync(connected.account).run.pk))
    return connected
