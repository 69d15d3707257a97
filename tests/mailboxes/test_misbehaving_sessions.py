"""Passes over servers that hang up or let nobody in for now: nothing is lost, nothing disabled."""

from __future__ import annotations

import pytest

from accounts.models import EmailAccount
from mailboxes.models import SkippedMessage, SyncState
from mailboxes.sync.requesting import request_sync
from mailboxes.sync.running import carry_out
from tests.mail.scripted_imap import CLOSE
from tests.mailboxes.misbehaving import (
    ALL,
    MisbehavingServer,
    subjects,
    sync,
)
from tests.people import People


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
