"""A POP3 account of a real Dovecot, by the API and the workers."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connections
from django.utils import timezone

from accounts.models import EmailAccount
from mailboxes.models import FolderEntry, HeldConnection, Message, SyncRun, SyncState
from mailboxes.raw_store import RawStore
from mailboxes.sync.letters import digest_of
from mailboxes.sync.requesting import cancel_sync, request_sync
from mailboxes.sync.running import carry_out
from mailboxes.tasks import queue_due_syncs, run_sync
from mailhub.mail.octets import LARGE, Beginning, whole_of
from mailhub.mail.server import PasswordLogin
from mailhub.mail.stores.pop3 import Pop3Maildrop
from tests.mail.scripted_pop3 import SILENCE, ScriptedPop3Server
from tests.mailboxes.conftest import raw_message
from tests.mailboxes.runs import database_url, fresh
from tests.mailboxes.test_memory import MEGABYTE
from tests.people import People
from tests.servers.dovecot import DovecotUser
from tests.servers.processes import wait_until
from tests.servers.site import ROOT

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def account(people: People, dovecot_user: DovecotUser) -> EmailAccount:
    return people.connect_mailbox(
        people.member,
        dovecot_user,
        protocol="pop3",
        port=dovecot_user.server.pop3_port,
        smtp_hostname="",
    )


def sync(account: EmailAccount) -> SyncRun:
    run = request_sync(account).run
    run_sync(str(run.pk))
    return fresh(run)


def test_a_large_message_is_read_into_a_file_dots_and_all(
    dovecot_user: DovecotUser, tmp_path: Path
) -> None:
    chance = random.Random(4)
    lines = [b"." * chance.randrange(4) + b"x" * chance.choice((0, 1, 70)) for _ in range(300_000)]
    contents = [
        b"Subject: %d\r\n\r\n" % number + b"\r\n".join(chosen) + b"\r\n"
        for number, chosen in enumerate((lines[:100], lines, [b"." * 6 * MEGABYTE, *lines[:9]]))
    ]
    for content in contents:
        dovecot_user.deliver(content)
    settings = replace(dovecot_user.pop3_settings(), spool_folder=tmp_path)
    with Pop3Maildrop(settings) as maildrop:
        for row in maildrop.retrieve([listed.number for listed in maildrop.listing()]):
            assert row.content is not None
            whole = whole_of(row.content)
            found = whole if isinstance(whole, bytes) else whole.read(0, len(whole))
            assert digest_of(found) in {digest_of(content) for content in contents}
            assert isinstance(row.content, Beginning) == (len(found) > LARGE)
    assert not list(tmp_path.iterdir())


def on_server(user: DovecotUser) -> list[str]:
    """The subjects in the maildrop."""
    with Pop3Maildrop(user.pop3_settings()) as maildrop:
        numbers = [row.number for row in maildrop.listing()]
        contents = [row.content or b"" for row in maildrop.retrieve(numbers)]
    return [content.split(b"Subject: ")[1].split(b"\r\n")[0].decode() for content in contents]


def test_an_account_from_its_verification_to_a_deletion(
    account: EmailAccount, dovecot_user: DovecotUser, people: People
) -> None:
    api = people.member.api
    verified = api.post(f"/api/accounts/{account.pk}/verify").json()
    assert verified["works"] is True, verified
    for name in ("one", "two", "three"):
        dovecot_user.deliver(raw_message(name))
    assert queue_due_syncs() == 1
    asked = api.post(f"/api/sync/{account.pk}", {}, format="json")
    assert asked.status_code == 202
    run_sync(asked.json()["syncId"])
    told = api.get(f"/api/sync/{account.pk}/status").json()
    assert (told["status"], told["messagesDone"], told["progressPercent"]) == (
        "completed",
        3,
        100,
    ), told
    (folder,) = api.get("/api/folders", {"accountId": str(account.pk)}).json()["folders"]
    assert (folder["path"], folder["role"], folder["total"]) == ("INBOX", "inbox", 3)
    ids = dict(Message.objects.values_list("subject", "pk"))

    answer = api.patch(f"/api/messages/{ids['one']}", {"isRead": True}, format="json")
    assert answer.json()["isRead"] is True
    found = api.get("/api/messages", {"accountId": str(account.pk), "q": "one"}).json()
    assert [row["subject"] for row in found["messages"]] == ["one"]
    assert api.delete(f"/api/messages/{ids['two']}").status_code == 204
    assert sync(account).state == SyncState.COMPLETED
    assert set(Message.objects.visible().values_list("subject", flat=True)) == {"one", "three"}
    assert on_server(dovecot_user) == ["one", "two", "three"]

    address = f"/api/accounts/{account.pk}"
    changed = api.patch(address, {"deleteFromServerAfterDays": 0}, format="json")
    assert changed.json()["deleteFromServerAfterDays"] == 0
    assert api.delete(f"/api/messages/{ids['three']}").status_code == 204
    assert on_server(dovecot_user) == ["one", "two"]
    assert sync(account).state == SyncState.COMPLETED
    assert on_server(dovecot_user) == []
    assert list(Message.objects.visible().values_list("subject", flat=True)) == ["one"]


def test_only_pop3_accounts_delete_so(people: People, account: EmailAccount) -> None:
    api = people.member.api
    imap = people.connect_account(people.member)
    days = {"deleteFromServerAfterDays": 5}
    refused = api.patch(f"/api/accounts/{imap.pk}", days, format="json")
    assert refused.status_code == 400
    assert "deleteFromServerAfterDays" in refused.json()["details"]["fields"]
    api.patch(f"/api/accounts/{account.pk}", days, format="json")
    turned = api.patch(f"/api/accounts/{account.pk}", {"protocol": "imap"}, format="json")
    assert turned.json()["deleteFromServerAfterDays"] is None


def test_octets_that_are_gone_here_come_from_the_server(
    account: EmailAccount, dovecot_user: DovecotUser, people: People
) -> None:
    content = raw_message("one")
    dovecot_user.deliver(content)
    sync(account)
    message = Message.objects.get()
    RawStore(account.pk).delete([message.raw_digest])
    answer = people.member.api.get(f"/api/messages/{message.pk}/raw")
    assert (answer.status_code, answer.content) == (200, content)
    assert RawStore(account.pk).get(message.raw_digest) == content


def test_a_move_is_refused_clearly(
    account: EmailAccount, dovecot_user: DovecotUser, people: People
) -> None:
    dovecot_user.deliver(raw_message("one"))
    sync(account)
    other = account.folders.create(path="Old")
    pk = Message.objects.get().pk
    answer = people.member.api.patch(
        f"/api/messages/{pk}", {"folderId": str(other.pk)}, format="json"
    )
    assert (answer.status_code, answer.json()["error"]) == (409, "one_folder")


def test_a_cancel_ends_a_pass_whose_server_stalls_in_a_message(people: People) -> None:
    with ScriptedPop3Server({"RETR": b"+OK\r\nSubject: half" + SILENCE}) as server:
        account = people.connect_account(
            people.member, protocol="pop3", port=server.port, encryption="none"
        )
        run = request_sync(account).run

        def work() -> None:
            try:
                carry_out(run.pk)
            finally:
                connections.close_all()

        thread = threading.Thread(target=work)
        thread.start()
        try:
            wait_until(lambda: fresh(run).state == SyncState.RUNNING, "it runs")
            cancel_sync(run)
            wait_until(lambda: fresh(run).state == SyncState.CANCELLED, "cancelled")
        finally:
            server.release()
            thread.join()
    assert not Message.objects.exists()


def test_kill_minus_nine_in_the_middle_loses_and_doubles_nothing(people: People) -> None:
    answers = {f"RETR {n}": b"+OK\r\n" + raw_message(f"m{n}") + b".\r\n" for n in (1, 2, 3)}
    # As large as they say they are, they come one by one.
    answers["LIST"] = b"+OK\r\n1 900000\r\n2 900000\r\n3 900000\r\n.\r\n"
    with ScriptedPop3Server(answers | {"RETR 1": SILENCE}) as server:
        people.connect_account(people.member, protocol="pop3", port=server.port, encryption="none")
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "manage.py"), "sync_mailboxes"],
            env={**os.environ, "DATABASE_URL": database_url()},
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
        )
        wait_until(lambda: b"RETR 1" in server.received, "the last is asked for", seconds=60)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "it was in the middle"
        assert set(Message.objects.values_list("subject", flat=True)) == {"m2", "m3"}
        server.release()
        server.answers["RETR 1"] = answers["RETR 1"]
        run = SyncRun.objects.get()
        SyncRun.objects.update(heartbeat_at=timezone.now() - timedelta(seconds=11))
        HeldConnection.objects.all().delete()
        run_sync(str(run.pk))
        assert fresh(run).state == SyncState.COMPLETED
    assert sorted(Message.objects.values_list("subject", flat=True)) == ["m1", "m2", "m3"]
    assert FolderEntry.objects.filter(lacks_body=False).count() == 3
    fetched = [line for line in server.received if line.startswith(b"RETR")]
    assert fetched == [b"RETR 3", b"RETR 2", b"RETR 1", b"RETR 1"]


def test_a_wrong_password_is_told(account: EmailAccount, dovecot_user: DovecotUser) -> None:
    login = PasswordLogin(dovecot_user.name, "wrong")
    account.credential.keep_secret({"password": login.password})
    account.credential.save()
    run = sync(account)
    assert (run.state, run.error_code, run.is_permanent) == (SyncState.FAILED, "login_failed", True)
