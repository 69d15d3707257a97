"""Drafts through the API: saved at once, changed with care, with files."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from accounts.models import EmailAccount
from mailboxes.models import Draft, DraftPiece
from tests.access.test_who_may_do_what import content_of
from tests.mailboxes.drafts.desk import at, begin, upload
from tests.people import People

MEGABYTE = 1024 * 1024


def test_a_draft_is_begun_changed_listed_and_thrown_away(
    people: People, account: EmailAccount
) -> None:
    api = people.member.api
    draft = begin(
        people,
        account,
        to=["recipient@example.com"],
        subject="Draft Subject",
        textBody="Draft body",
        attachments=[],
    )
    assert (draft["version"], draft["copy"]) == (1, "waiting")
    assert draft["to"] == [{"name": "", "address": "recipient@example.com"}]
    assert draft["from"] == {"name": "", "address": "joe@example.org"}
    changed = api.put(at(draft), {"subject": "Updated Subject", "textBody": "Updated body"})
    assert changed.status_code == 200, changed.content
    assert (changed.json()["subject"], changed.json()["version"]) == ("Updated Subject", 2)
    assert changed.json()["to"] == draft["to"], "what is not given stays"
    [listed] = api.get(f"/api/compose/drafts?accountId={account.pk}").json()["drafts"]
    assert listed == changed.json() == api.get(at(draft)).json()
    assert api.delete(at(draft)).status_code == 204
    assert api.get(at(draft)).status_code == 404
    assert api.get("/api/compose/drafts").json() == {"drafts": [], "nextCursor": None}


def test_what_changes_nothing_is_no_new_version(people: People, account: EmailAccount) -> None:
    draft = begin(people, account, subject="Same", to="Ann <ann@example.org>")
    again = people.member.api.put(at(draft), {"subject": "Same", "to": draft["to"]}).json()
    assert again == draft


def test_who_has_not_seen_the_newest_version_overwrites_nothing(
    people: People, account: EmailAccount
) -> None:
    api = people.member.api
    draft = begin(people, account, subject="One")
    assert api.patch(at(draft), {"subject": "Two", "version": 1}).json()["version"] == 2
    for refused in (
        api.patch(at(draft), {"subject": "Three", "version": 1}),
        api.delete(at(draft, "?version=1")),
        api.post(at(draft, "/send"), {"version": 1}),
        api.post(at(draft, "/attachments?version=1"), {"data": "QQ=="}),
    ):
        assert (refused.status_code, refused.json()["error"]) == (409, "version_conflict")
        assert refused.json()["details"] == {"version": 2}
    assert api.get(at(draft)).json()["subject"] == "Two"


def test_an_address_may_be_half_written_until_it_is_sent(
    people: People, account: EmailAccount
) -> None:
    draft = begin(people, account, to="Ann <ann@example.org>, bob", cc=[{"address": ""}])
    assert draft["to"][1] == {"name": "", "address": "bob"}
    refused = people.member.api.post(at(draft, "/send"), {})
    assert refused.status_code == 400
    assert refused.json()["details"]["fields"] == {"to": ["bob is no address."]}
    assert people.member.api.get(at(draft)).json() == draft, "it is still a draft"
    people.member.api.put(at(draft), {"to": [], "cc": []})
    nobody = people.member.api.post(at(draft, "/send"), {})
    assert (nobody.status_code, nobody.json()["error"]) == (400, "invalid_message")


@pytest.mark.parametrize(
    "fields",
    [
        {"subject": "Hello\r\nBcc: all@example.org"},
        {"to": [{"name": "A\nB", "address": "a@example.org"}]},
        {"to": ["half\r\nwritten"]},
        {"headers": {"Bcc": "all@example.org"}},
        {"inReplyTo": "no id"},
        {"inReplyTo": "987654321"},
        {"inReplyTo": "9" * 900},
        {"forwardOf": "987654321"},
        {"attachments": [{"messageId": "987654321", "index": 0}]},
        {"attachments": [{"data": "not base64!"}]},
        {"attachments": [{"filename": "a.exe", "data": "QQ=="}]},
        {"attachments": [{"id": "1"}]},
        {"to": 5},
        {"unknown": 1},
    ],
)
def test_what_cannot_be_is_refused(
    people: People, account: EmailAccount, fields: dict[str, Any]
) -> None:
    body = {"accountId": str(account.pk), **fields}
    answer = people.member.api.post("/api/compose/drafts", body)
    assert answer.status_code == 400, answer.content
    assert not Draft.objects.exists()


def test_files_come_as_multipart_as_base64_and_go_again(
    people: People, account: EmailAccount
) -> None:
    api = people.member.api
    large = bytes(range(256)) * 4096
    data = base64.b64encode(b"one").decode()
    draft = begin(people, account, attachments=[{"filename": "one.txt", "data": data}])
    uploaded = upload(people, draft, large, "large.bin", filename="renamed.bin")
    assert uploaded.status_code == 201, uploaded.content
    added = api.post(
        at(draft, "/attachments"),
        {"filename": "dot.png", "contentType": "image/png", "data": data, "cid": "dot"},
    ).json()
    assert added["version"] == 3
    described = [
        (each["filename"], each["size"], each["isInline"]) for each in added["attachments"]
    ]
    assert described == [
        ("one.txt", 3, False),
        ("renamed.bin", len(large), False),
        ("dot.png", 3, True),
    ]
    first, second, third = (each["id"] for each in added["attachments"])
    answer = api.get(at(draft, f"/attachments/{second}"))
    assert content_of(answer) == large
    assert 'filename="renamed.bin"' in answer["Content-Disposition"]
    assert DraftPiece.objects.filter(attachment=second).count() == 4
    left = api.delete(at(draft, f"/attachments/{second}")).json()
    assert [each["id"] for each in left["attachments"]] == [first, third]
    assert api.delete(at(draft, f"/attachments/{second}")).status_code == 404
    kept = api.put(at(draft), {"attachments": [{"id": third}, {"filename": "new", "data": data}]})
    assert [each["filename"] for each in kept.json()["attachments"]] == ["dot.png", "new"]
    api.delete(at(draft))
    assert not DraftPiece.objects.exists()


def test_a_draft_is_too_large_before_it_is_sent(
    people: People, account: EmailAccount, settings: Settings
) -> None:
    settings.MAILHUB_MESSAGE_LIMIT = MEGABYTE
    draft = begin(people, account, to="bo@example.org")
    assert upload(people, draft, b"x" * (MEGABYTE // 2)).status_code == 201
    refused = upload(people, draft, b"x" * (MEGABYTE // 3))
    assert (refused.status_code, refused.json()["error"]) == (413, "message_too_large")
    [kept] = people.member.api.get(at(draft)).json()["attachments"]
    assert kept["size"] == MEGABYTE // 2
    refused = upload(people, draft, b"MZ", "setup.exe")
    assert (refused.status_code, refused.json()["error"]) == (400, "attachment_refused")


def test_the_same_key_begins_one_draft(people: People, account: EmailAccount) -> None:
    member = people.member
    member.api.credentials(HTTP_AUTHORIZATION=f"Token {member.key}", HTTP_IDEMPOTENCY_KEY="one")
    first, again = (
        member.api.post("/api/compose/drafts", {"accountId": str(account.pk), "subject": "Hi"})
        for _ in range(2)
    )
    assert again.headers["Idempotent-Replayed"] == "true"
    assert first.json() == again.json()
    assert Draft.objects.count() == 1


def test_an_account_of_pop3_keeps_its_drafts_here(people: People, account: EmailAccount) -> None:
    EmailAccount.objects.update(protocol="pop3")
    draft = begin(people, account, subject="Hello")
    assert (draft["copy"], draft["copyError"]) == ("none", "")
    assert people.member.api.delete(at(draft)).status_code == 204
