"""The database goes away in mid-campaign: nobody is lost, and nobody is written to twice."""

from __future__ import annotations

import psycopg
import pytest
from django.conf import settings
from django.db import connection

from mailhub.mail.transports.in_memory import InMemoryServer, ReceivedMessage
from tests.campaigns.conftest import Campaigns, states


class CuttingServer(InMemoryServer):
    """Ends every connection to the database when it has taken so many messages."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.messages = CuttingList(after)


class CuttingList(list[ReceivedMessage]):
    def __init__(self, after: int) -> None:
        super().__init__()
        self._after = after

    def append(self, message: ReceivedMessage) -> None:
        super().append(message)
        if len(self) == self._after:
            end_database_connections()


def end_database_connections() -> None:
    database = settings.DATABASES["default"]
    with psycopg.connect(
        host=database["HOST"],
        port=database["PORT"],
        user=database["USER"],
        password=database["PASSWORD"],
        dbname="postgres",
        autocommit=True,
    ) as administrator:
        ended = administrator.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
            [connection.settings_dict["NAME"]],
        ).fetchall()
    assert ended


@pytest.mark.skipif(
    connection.vendor != "postgresql", reason="SQLite has no connection that could be lost"
)
def test_a_worker_outlives_the_loss_of_its_database_connections(campaigns: Campaigns) -> None:
    campaigns.server = CuttingServer(after=120)
    campaigns.add_contacts(400)
    campaign = campaigns.finish(campaigns.create())
    assert set(campaigns.received().values()) == {1}
    assert states(campaign) == {"sent": 400}
