"""`sync` over the API: asking, following, cancelling, and who may."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import EmailAccount
from mailboxes.models import SyncRun, SyncState
from tests.mailboxes.conftest import Mailbox, raw_message
from tests.people import People


def test_asking_answers_at_once(api: APIClient, account: EmailAccount) -> None:
    response = api.post(f"/api/sync/{account.pk}", {})
    assert response.status_code == 202
    answer = response.json()
    run = SyncRun.objects.get()
    assert answer["syncId"] == str(run.pk)
    assert answer["accountId"] == str(account.pk)
    assert answer["status"] == "started"
    assert answer["queuedAgain"] is False
    assert answer["progressMessage"]
    assert answer["startedAt"] < answer["estimatedCompletionAt"]
    assert (run.state, run.is_full, run.folders) == (SyncState.QUEUED, False, [])


def test_without_a_body_too(api: APIClient, account: EmailAccount) -> None:
    assert api.post(f"/v1/sync/{account.pk}").status_code == 202


def test_while_one_runs_another_follows(api: APIClient, account: EmailAccount) -> None:
    first = api.post(f"/api/sync/{account.pk}", {}).json()
    SyncRun.objects.update(
        state=SyncState.RUNNING, worker="w", heartbeat_at=timezone.now(), started_at=timezone.now()
    )
    second = api.post(f"/api/sync/{account.pk}", {"forceFullSync": True}).json()
    assert (second["syncId"], second["queuedAgain"]) == (first["syncId"], True)
    assert api.get(f"/api/sync/{account.pk}/status").json()["queuedAgain"] is True


def test_the_status_of_a_run(api: APIClient, account: EmailAccount) -> None:
    api.post(f"/api/sync/{account.pk}", {})
    now = timezone.now()
    SyncRun.objects.update(
        state=SyncState.RUNNING,
        worker="w",
        started_at=now - timedelta(seconds=10),
        heartbeat_at=now,
        folders_done=1,
        folders_total=4,
        messages_done=50,
        messages_total=200,
        messages_skipped=2,
        current_folder="INBOX",
    )
    status = api.get(f"/api/sync/{account.pk}/status").json()
    run = SyncRun.objects.get()
    counted = {
        "foldersDone": 1,
        "foldersTotal": 4,
        "messagesDone": 50,
        "messagesTotal": 200,
        "messagesSkipped": 2,
        "progressPercent": 25,
    }
    assert {name: status[name] for name in counted} == counted
    assert (status["syncId"], status["status"]) == (str(run.pk), "running")
    assert status["progressMessage"] == "Reading INBOX: 50 of 200 messages."
    assert (status["error"], status["errorCode"], status["finishedAt"]) == (None, None, None)
    left = status["estimatedCompletionAt"] - status["startedAt"]
    assert 39_000 < left < 60_000, "a quarter took ten seconds"
    assert api.get(f"/api/sync/{account.pk}/status", {"syncId": str(run.pk)}).json() == {
        **status,
        "estimatedCompletionAt": pytest.approx(status["estimatedCompletionAt"], abs=60_000),
    }


def test_a_failed_run_says_why(api: APIClient, account: EmailAccount) -> None:
    SyncRun.objects.create(
        account=account,
        state=SyncState.FAILED,
        error="The server refused the login.",
        error_code="login_failed",
    )
    status = api.get(f"/api/sync/{account.pk}/status").json()
    assert (status["status"], status["errorCode"]) == ("failed", "login_failed")
    assert status["error"] == "The server refused the login."
    assert status["estimatedCompletionAt"] is None


def test_cancelling(api: APIClient, account: EmailAccount) -> None:
    api.post(f"/api/sync/{account.pk}", {})
    for _ in range(2):
        response = api.post(f"/api/sync/{account.pk}/cancel")
        assert (response.status_code, response.json()["status"]) == (200, "cancelled")
    SyncRun.objects.update(state=SyncState.COMPLETED)
    response = api.post(f"/api/sync/{account.pk}/cancel")
    assert (response.status_code, response.json()["error"]) == (409, "sync_ended")


def test_the_same_idempotency_key_asks_once(api: APIClient, account: EmailAccount) -> None:
    answers = [
        api.post(f"/api/sync/{account.pk}", {}, HTTP_IDEMPOTENCY_KEY="once") for _ in range(2)
    ]
    assert answers[0].json() == answers[1].json()
    assert answers[1]["Idempotent-Replayed"] == "true"


def test_folders_by_id_path_or_role(people: People, api: APIClient) -> None:
    box = Mailbox(people.connect_account(people.member))
    box.remote.add_folder("Work")
    address = f"/api/sync/{box.account.pk}"
    assert api.post(address, {"folderIds": ["inbox"]}).status_code == 202, "none is known yet"
    SyncRun.objects.all().delete()
    box.sync()
    names = [str(box.folder("Work").pk), "Archive", "sent", "INBOX"]
    assert api.post(address, {"folderIds": names}).status_code == 202
    assert SyncRun.objects.get().folders == sorted(names)
    response = api.post(address, {"folderIds": ["Nowhere"]})
    assert response.status_code == 400
    assert "Nowhere" in response.json()["message"]
    box.remote.deliver(raw_message("s"), "Sent")
    box.remote.deliver(raw_message("w"), "Work")
    box.remote.deliver(raw_message("d"), "Drafts")
    box.sync(folders=["sent", str(box.folder("Work").pk)])
    stored = [path for path in ("Sent", "Work", "Drafts") if box.subjects(path)]
    assert stored == ["Sent", "Work"]


@pytest.mark.parametrize(
    "body",
    [
        {"forceFullSync": "perhaps"},
        {"folderIds": "inbox"},
        {"folderIds": [{}]},
        {"folderIds": [""]},
        {"folderId": ["inbox"]},
        ["inbox"],
        {"folderIds": ["x" * 2000]},
    ],
)
def test_bad_bodies_are_refused(api: APIClient, account: EmailAccount, body: object) -> None:
    response = api.post(f"/api/sync/{account.pk}", body)
    assert response.status_code == 400
    assert response.json()["status"] == "error"
    assert not SyncRun.objects.exists()


def test_what_cannot_be_synced_says_so(api: APIClient, account: EmailAccount) -> None:
    EmailAccount.objects.filter(pk=account.pk).update(
        is_enabled=False, disabled_reason="The server refused the login."
    )
    response = api.post(f"/api/sync/{account.pk}", {})
    assert (response.status_code, response.json()["error"]) == (409, "account_disabled")
    assert "refused the login" in response.json()["message"]


def test_bad_ids(api: APIClient, account: EmailAccount) -> None:
    assert api.get(f"/api/sync/{account.pk}/status").status_code == 404, "never synced"
    api.post(f"/api/sync/{account.pk}", {})
    address = f"/api/sync/{account.pk}/status"
    assert api.get(address, {"syncId": "7"}).status_code == 400
    assert api.get(address, {"syncId": str(uuid.uuid4())}).status_code == 404
    assert api.get(address, {"sync": "7"}).status_code == 400
    assert api.get("/api/sync/7/status").status_code == 404
    assert api.post("/api/sync/7", {}).status_code == 404
    assert api.post(f"/api/sync/{uuid.uuid4()}/cancel").status_code == 404


def test_others_neither_start_nor_cancel(people: People, account: EmailAccount) -> None:
    people.member.api.post(f"/api/sync/{account.pk}", {})
    foreign = people.connect_account(people.teammate)
    run = SyncRun.objects.get()
    for person in (people.teammate, people.admin, people.stranger, people.namesake):
        assert person.api.post(f"/api/sync/{account.pk}", {}).status_code == 404
        assert person.api.post(f"/api/sync/{account.pk}/cancel").status_code == 404
    # Nor by naming a foreign run under one's own account.
    response = people.teammate.api.get(f"/api/sync/{foreign.pk}/status", {"syncId": str(run.pk)})
    assert response.status_code == 404
    people.delegate(account, people.reader)
    assert people.reader.api.post(f"/api/sync/{account.pk}", {}).status_code == 202
