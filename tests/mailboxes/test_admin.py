"""The admin's pages of mailboxes: envelopes, progress, and what operators may ask for."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import EmailAccount, User
from mailboxes.models import Folder, SyncRun, SyncState
from tests.mailboxes.conftest import Mailbox, raw_message
from tests.people import People

PAGES = ("mailbox", "syncrun", "folder", "message", "skippedmessage")


@pytest.fixture
def operator(db: None) -> Client:
    client = Client()
    client.force_login(
        User.objects.create_superuser("operator", "op@example.org", "x"),
        backend="django.contrib.auth.backends.ModelBackend",
    )
    return client


@pytest.fixture
def filled(mailbox: Mailbox) -> Mailbox:
    mailbox.remote.deliver(raw_message("The subject", text="The secret text."))
    mailbox.server.misbehaviour.unselectable = {"Drafts"}
    mailbox.sync()
    return mailbox


@pytest.mark.parametrize("page", PAGES)
def test_every_page_opens_without_a_query_a_row(
    operator: Client, filled: Mailbox, page: str, django_assert_max_num_queries: Any
) -> None:
    SyncRun.objects.create(account=filled.account, state=SyncState.RUNNING, worker="w")
    for number in range(20):
        filled.remote.deliver(raw_message(f"m{number}"))
    filled.sync()
    with django_assert_max_num_queries(16):
        assert operator.get(f"/admin/mailboxes/{page}/").status_code == 200
    assert operator.get(f"/admin/mailboxes/{page}/?q=x").status_code == 200
    assert operator.get(f"/admin/mailboxes/{page}/add/").status_code == 403


def test_operators_see_the_envelope_alone(operator: Client, filled: Mailbox) -> None:
    pk = filled.message("The subject").pk
    for address in (f"/admin/mailboxes/message/{pk}/change/", "/admin/mailboxes/message/"):
        page = operator.get(address).content.decode()
        assert "The subject" in page
        assert "secret text" not in page


def test_progress_is_a_bar_in_the_list(operator: Client, filled: Mailbox) -> None:
    SyncRun.objects.create(
        account=filled.account,
        state=SyncState.RUNNING,
        worker="w",
        messages_done=30,
        messages_total=60,
    )
    for page in ("mailbox", "syncrun"):
        shown = operator.get(f"/admin/mailboxes/{page}/").content.decode()
        assert '<progress max="100" value="50"' in shown


def test_sync_now_and_cancel(operator: Client, filled: Mailbox, people: People) -> None:
    disabled = people.connect_account(people.teammate, is_enabled=False)
    chosen = [str(filled.account.pk), str(disabled.pk)]
    answer = operator.post(
        "/admin/mailboxes/mailbox/",
        {"action": "sync_fully", "_selected_action": chosen},
        follow=True,
    )
    run = SyncRun.objects.get()
    assert (run.account_id, run.is_full) == (filled.account.pk, True)
    assert "This account is disabled" in answer.content.decode()
    operator.post("/admin/mailboxes/syncrun/", {"action": "cancel", "_selected_action": [run.pk]})
    assert SyncRun.objects.get().state == SyncState.CANCELLED


def test_a_parked_folder_may_be_tried_again(operator: Client, filled: Mailbox) -> None:
    drafts = filled.folder("Drafts")
    Folder.objects.filter(pk=drafts.pk).update(failures=3, failed_at=timezone.now())
    operator.post(
        "/admin/mailboxes/folder/", {"action": "try_again", "_selected_action": [drafts.pk]}
    )
    assert not filled.folder("Drafts").is_parked


def test_no_secret_and_no_account_is_changed(operator: Client, filled: Mailbox) -> None:
    page = operator.get(f"/admin/mailboxes/mailbox/{filled.account.pk}/change/").content.decode()
    assert "correct horse" not in page
    operator.post(f"/admin/mailboxes/mailbox/{filled.account.pk}/change/", {"hostname": "x"})
    assert EmailAccount.objects.get(pk=filled.account.pk).hostname == filled.account.hostname
