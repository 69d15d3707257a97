"""The admin's pages of mailboxes: envelopes, progress, and what operators may ask for."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import EmailAccount, User
from mailboxes.drafts.files import new_file
from mailboxes.drafts.saving import new_draft
from mailboxes.models import Folder, SyncRun, SyncState, Watch, Watcher, WatchState
from tests.mailboxes.conftest import Mailbox, raw_message
from tests.people import People

PAGES = ("mailbox", "syncrun", "folder", "message", "skippedmessage", "draft")


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


def test_operators_see_that_a_draft_exists_and_nothing_of_it(
    operator: Client, filled: Mailbox, people: People
) -> None:
    draft = new_draft(
        people.member.caller,
        filled.account,
        {
            "to": [{"name": "Zebra", "address": "zebra@example.org"}],
            "subject": "zebra",
            "text": "zebra",
        },
        files=[new_file("zebra.txt", "text/plain", [b"zebra"])],
    )
    for address in (f"/admin/mailboxes/draft/{draft.pk}/change/", "/admin/mailboxes/draft/"):
        page = operator.get(address).content.decode()
        assert str(draft.pk) in page
        assert "5 bytes" in page
        assert "zebra" not in page.casefold()


def test_the_list_says_whether_new_mail_comes_at_once(operator: Client, filled: Mailbox) -> None:
    assert "at the interval" in operator.get("/admin/mailboxes/mailbox/").content.decode()
    watch = Watch.objects.create(
        account=filled.account,
        watcher=Watcher.objects.create(process="machine:1"),
        state=WatchState.REFUSED,
        note="It refused the login.",
    )
    page = operator.get("/admin/mailboxes/mailbox/").content.decode()
    assert "at the interval. It refused the login." in page
    Watch.objects.filter(pk=watch.pk).update(state=WatchState.WATCHING, note="")
    assert "at once" in operator.get("/admin/mailboxes/mailbox/").content.decode()
    filled.account.is_sync_enabled = False
    filled.account.save()
    assert "when it is asked for" in operator.get("/admin/mailboxes/mailbox/").content.decode()


def test_accounts_of_the_same_address_are_told_apart(
    operator: Client, people: People, django_assert_max_num_queries: Any
) -> None:
    for number in range(3):
        account = people.connect_account(people.member)
        EmailAccount.objects.filter(pk=account.pk).update(
            email_address="same@example.org",
            account_name=f"The {number}. one",
            hostname=f"imap{number}.example.org",
        )
        SyncRun.objects.create(account=account, state=SyncState.FAILED, error="An older trouble.")
        state = SyncState.FAILED if number else SyncState.COMPLETED
        SyncRun.objects.create(account=account, state=state, error=f"Trouble {number}.")
    EmailAccount.objects.filter(account_name="The 2. one").update(
        is_enabled=False, disabled_reason="The password is wrong."
    )
    with django_assert_max_num_queries(16):
        page = operator.get("/admin/mailboxes/mailbox/").content.decode()
    for number in range(3):
        assert f"The {number}. one" in page
        assert f"imap{number}.example.org" in page
    assert page.count(f"{people.member.user}<br>") == 3
    assert "The last sync failed. Trouble 1." in page
    assert "The password is wrong." in page
    assert not any(words in page for words in ("Trouble 0", "Trouble 2", "An older trouble"))


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


def test_the_list_of_passes_says_how_far_each_came(operator: Client, filled: Mailbox) -> None:
    now = timezone.now()
    run = SyncRun.objects.create(
        account=filled.account,
        state=SyncState.FAILED,
        folders_done=2,
        folders_total=8,
        messages_done=300,
        messages_total=1000,
        messages_skipped=4,
        error="451 4.3.0 Disk on fire",
        started_at=now - timedelta(minutes=3),
        finished_at=now,
    )
    for address in ("", f"{run.pk}/change/"):
        page = operator.get(f"/admin/mailboxes/syncrun/{address}").content.decode()
        for words in ("2 of 8", "300 of 1,000, 4 skipped", "451 4.3.0 Disk on fire",
                      "3 minutes", "Failed"):  # fmt: skip
            assert words in page


def test_a_message_without_a_subject_can_be_opened(operator: Client, mailbox: Mailbox) -> None:
    mailbox.remote.deliver(raw_message(""))
    mailbox.sync()
    pk = mailbox.message("").pk
    page = operator.get("/admin/mailboxes/message/").content.decode()
    assert f'/admin/mailboxes/message/{pk}/change/">(no subject)</a>' in page
