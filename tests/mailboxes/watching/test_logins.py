"""Watched accounts that come, change and go: who is let in, who is refused and tried again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import Credential, CredentialKind, EmailAccount
from mailboxes.models import Watch, WatchState
from tests.mail.scripted_imap import ScriptedImapServer
from tests.mailboxes.conftest import Connected
from tests.mailboxes.operations.calls import trust
from tests.mailboxes.watching.watchers import Watching, stands
from tests.people import People
from tests.servers.dovecot import DovecotServer
from tests.servers.oauth2 import TokenServer
from tests.servers.processes import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

WITH_IDLE = {
    "CAPABILITY": b"* CAPABILITY IMAP4rev1 IDLE\r\n<tag> OK\r\n",
    "IDLE": b"+ idling\r\n",
    "DONE": b"",
}
REFUSAL = b"<tag> NO [AUTHENTICATIONFAILED] no\r\n"


def scripted_account(people: People, server: ScriptedImapServer) -> EmailAccount:
    return people.connect_account(people.member, port=server.port, encryption="none")


def logins(server: ScriptedImapServer) -> int:
    return sum(line.startswith(b"LOGIN") for line in list(server.received))


def test_accounts_come_change_and_go(connected: Connected, people: People) -> None:
    account = EmailAccount.objects.get(pk=connected.account.pk)
    with ScriptedImapServer(WITH_IDLE) as server, Watching():
        stands(WatchState.WATCHING)
        added = scripted_account(people, server)
        stands(WatchState.WATCHING, 2)
        assert logins(server) == 1

        account.is_sync_enabled = False
        account.save()
        wait_until(lambda: not Watch.objects.filter(account=account).exists(), "given back")
        account.is_sync_enabled = True
        account.save()
        stands(WatchState.WATCHING, 2)
        EmailAccount.objects.filter(pk=account.pk).update(is_enabled=False)
        wait_until(lambda: not Watch.objects.filter(account=account).exists(), "given back")

        added.credential.keep_secret({"password": "another"})
        added.credential.save()
        wait_until(lambda: logins(server) == 2, "it comes with the new password")
        assert b"another" in server.received[-3] + server.received[-4] + server.received[-2]
        added.disconnect()
        wait_until(lambda: not Watch.objects.exists(), "nobody is left")


def test_a_refused_login_is_not_tried_again_until_something_changes(people: People) -> None:
    with ScriptedImapServer(WITH_IDLE | {"LOGIN": REFUSAL}) as server, Watching():
        account = scripted_account(people, server)
        stands(WatchState.REFUSED)
        seen = Watch.objects.get()
        assert "refused the login" in seen.note
        assert EmailAccount.objects.get().is_enabled, "passes decide about that"
        other = people.connect_account(people.teammate, port=server.port, encryption="none")
        stands(WatchState.REFUSED, 2)
        assert logins(server) == 2, "the first was left alone meanwhile"
        other.disconnect()

        server.answers["LOGIN"] = b"<tag> OK\r\n"
        account.save()
        stands(WatchState.WATCHING)

        server.answers["LOGIN"] = REFUSAL
        account.save()
        stands(WatchState.REFUSED)
        server.answers["LOGIN"] = b"<tag> OK\r\n"
        EmailAccount.objects.update(last_sync_at=timezone.now())
        stands(WatchState.WATCHING)


def test_a_token_is_renewed_to_get_in_and_stays_in_when_it_is_renewed_again(
    people: People,
    oauth2_dovecot: DovecotServer,
    token_server: TokenServer,
    tmp_path: Path,
    settings: Any,
) -> None:
    settings.MAILHUB_CA_FILE = trust(tmp_path, oauth2_dovecot, token_server)
    user = oauth2_dovecot.add_user("watched-by-token@example.org", "unused")
    grant = token_server.grant(user.name)
    account = people.connect_account(
        people.member, username=user.name, port=oauth2_dovecot.port, encryption="none"
    )
    credential = account.credential
    credential.kind = CredentialKind.OAUTH2
    credential.keep_secret(
        {
            "access_token": "expired",
            "refresh_token": grant.refresh_token,
            "client_id": "client",
            "client_secret": "hidden",
            "token_url": token_server.token_url,
            "expires_at": 0.0,
        }
    )
    credential.save()
    with Watching():
        stands(WatchState.WATCHING)
        since = Watch.objects.get().since
        assert Credential.objects.get().reveal_secret()["access_token"] != "expired"
        Credential.objects.get().save()
        people.connect_account(people.teammate, port=1)
        wait_until(lambda: Watch.objects.count() == 2, "it has looked again")
        assert Watch.objects.get(account=account).since == since, "still the same connection"


def test_too_many_connections_are_tried_again(people: People) -> None:
    refusal = b"<tag> NO [LIMIT] Too many simultaneous connections.\r\n"
    with ScriptedImapServer(WITH_IDLE | {"LOGIN": refusal}) as server, Watching():
        scripted_account(people, server)
        wait_until(lambda: logins(server) >= 3, "it tries again")
        server.answers["LOGIN"] = b"<tag> OK\r\n"
        stands(WatchState.WATCHING)


def test_a_server_without_idle_is_left_to_the_interval(people: People) -> None:
    with ScriptedImapServer() as server, Watching():
        scripted_account(people, server)
        stands(WatchState.POLLED)
        assert "does not tell of news" in Watch.objects.get().note
