"""Folders and messages over the API: shapes, filters, pages, and who may see what."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from rest_framework.test import APIClient

from mailboxes.api.shapes import MessageSerializer, WholeMessageSerializer
from mailboxes.models import Message
from tests.mailboxes.conftest import DAY, Mailbox, listed, raw_message
from tests.people import People

RICH = (
    b"From: Ada <ada@example.org>\r\nTo: b@example.org\r\nSubject: Rich\r\n"
    b"Message-ID: <rich@example.org>\r\nDate: Sun, 1 Nov 2026 00:00:00 +0000\r\n"
    b'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n'
    b'--b\r\nContent-Type: text/html\r\n\r\n<p onclick="x()">Hi <b>you</b></p>'
    b'<script>alert(1)</script><img src="https://track.example/x.gif">'
    b'<img src="cid:pic@x">\r\n'
    b"--b\r\nContent-Type: image/png\r\nContent-ID: <pic@x>\r\n"
    b"Content-Disposition: inline; filename=p.png\r\n\r\nPNG\r\n"
    b"--b\r\nContent-Type: text/html\r\n"
    b'Content-Disposition: attachment; filename="../\xc3\xa4 evil.html"\r\n\r\n'
    b"<script>alert(2)</script>\r\n--b--\r\n"
)


def test_a_message_in_a_list_has_the_documented_shape(filled: Mailbox, api: APIClient) -> None:
    found = {m["subject"]: m for m in api.get("/api/messages").json()["messages"]}
    message = found["Report 4"]
    assert message.keys() == MessageSerializer().get_fields().keys()
    assert isinstance(message["id"], str)
    assert message["accountId"] == str(filled.account.pk)
    assert message["folderIds"] == [str(filled.folder().pk)]
    assert message["from"] == {"name": "Person 4", "address": "p4@example.org"}
    assert message["to"] == [{"name": "Dora", "address": "dora@example.org"}]
    assert message["receivedAt"] == int((DAY + timedelta(days=4)).timestamp() * 1000)
    assert message["snippet"] == "Hi there."
    flags = ("isRead", "isFlagged", "isAnswered", "isDraft", "hasAttachments")
    assert [message[name] for name in flags] == [True, True, False, False, False]
    assert message["keywords"] == ["$Work"]
    assert not found["Report 3"]["isRead"], "unread in one of its folders"
    assert len(found["Report 3"]["folderIds"]) == 2


def test_in_the_list_of_a_folder_its_own_flags_count(filled: Mailbox, api: APIClient) -> None:
    archive, inbox = filled.folder("Archive"), filled.folder()
    for folder, is_read in ((archive, True), (inbox, False)):
        one = api.get("/api/messages", {"folderId": str(folder.pk), "subject": "report 3"}).json()
        assert [message["isRead"] for message in one["messages"]] == [is_read]
        assert len(one["messages"][0]["folderIds"]) == 2
        counted = api.get("/api/messages", {"folderId": str(folder.pk), "unread": "true"}).json()
        folders = api.get("/api/folders", {"accountId": str(filled.account.pk)}).json()["folders"]
        unread = next(row["unread"] for row in folders if row["id"] == str(folder.pk))
        assert len(counted["messages"]) == unread
    for narrowed in ({"subject": "report 3"}, {}):
        query = {"folderId": str(archive.pk), **narrowed}
        assert listed(api, **query, unread="true") == []
        assert listed(api, **query, unread="false") == ["3"]
        assert listed(api, **query, q="is:read") == ["3"]
    assert "3" in listed(api, unread="true")
    assert listed(api, q="in:archive is:unread") == ["3"]


def test_newest_first_and_each_once(filled: Mailbox, api: APIClient) -> None:
    assert listed(api) == ["5", "4", "3", "2", "1"]
    assert listed(api, accountId=str(filled.account.pk)) == ["5", "4", "3", "2", "1"]
    assert listed(api, folderId=str(filled.folder("Archive").pk)) == ["3"]
    assert listed(api, folderId=str(filled.folder("Sent").pk)) == []


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"from": "PERSON 2"}, "2"),
        ({"from": "p5@example"}, "5"),
        ({"to": "dora"}, "42"),
        ({"subject": "report 1"}, "1"),
        ({"since": "2026-11-04"}, "543"),
        ({"since": "2026-11-04T00:00:00.001Z"}, "54"),
        ({"before": str(int((DAY + timedelta(days=2)).timestamp() * 1000))}, "1"),
        ({"unread": "true"}, "5321"),
        ({"unread": "false"}, "4"),
        ({"flagged": "true"}, "4"),
        ({"flagged": "false"}, "5321"),
        ({"hasAttachment": "true"}, ""),
        ({"hasAttachment": "false", "to": "charles", "before": "2026-11-06"}, "31"),
    ],
)
def test_filters(filled: Mailbox, api: APIClient, query: dict[str, str], expected: str) -> None:
    assert "".join(listed(api, **query)) == expected


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"unread": "perhaps"}, "unread"),
        ({"since": "yesterday"}, "since"),
        ({"since": "9" * 30}, "since"),
        ({"accountId": "7"}, "accountId"),
        ({"folderId": "inbox"}, "folderId"),
        ({"folderId": str(2**63)}, "folderId"),
        ({"sender": "x"}, "sender"),
        ({"q": "word" * 200}, "q"),
        ({"threadId": "x"}, "threadId"),
        ({"limit": "0"}, "limit"),
        ({"cursor": "nonsense"}, "cursor"),
        ({"cursor": "WyJtZXNzYWdlcyIsIngiLDFd"}, "cursor"),
        ({"cursor": "WyJtZXNzYWdlcyIsIjIwMjYtMTEtMDEiLDFd"}, "cursor"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(
    filled: Mailbox, api: APIClient, query: dict[str, str], field: str
) -> None:
    response = api.get("/api/messages", query)
    assert response.status_code == 400
    assert response.json()["status"] == "error"
    assert field in response.json()["details"]["fields"]


def test_a_moment_that_is_none_is_told_what_may_be_given(api: APIClient) -> None:
    words = api.get("/api/messages", {"since": "yesterday"}).json()["message"]
    assert words == "since: Give milliseconds since the epoch or an ISO 8601 date and time."


def test_a_nul_in_a_filter_is_refused(filled: Mailbox, api: APIClient) -> None:
    assert api.get("/api/messages", {"subject": "a\0b"}).status_code == 400


def test_pages_stay_in_order_while_mail_arrives(filled: Mailbox, api: APIClient) -> None:
    seen, cursor, pages = [], None, 0
    while True:
        query = {"limit": "2", **({"cursor": cursor} if cursor else {})}
        answer = api.get("/api/messages", query).json()
        seen += [message["subject"] for message in answer["messages"]]
        filled.inbox.deliver(raw_message("late"), received_at=DAY + timedelta(days=99))
        filled.sync()
        cursor, pages = answer["nextCursor"], pages + 1
        if cursor is None:
            break
    assert seen == [f"Report {number}" for number in (5, 4, 3, 2, 1)]
    assert pages == 3


def test_pages_of_several_accounts_are_merged(people: People, api: APIClient) -> None:
    boxes = [Mailbox(people.connect_account(people.member, email_address=f"{n}@acme.example"))
             for n in "abc"]  # fmt: skip
    for number in range(12):
        boxes[number % 3].inbox.deliver(
            raw_message(f"Report {number}"), received_at=DAY + timedelta(hours=number // 2)
        )
    for box in boxes:
        box.sync()
    seen: list[str] = []
    cursor = None
    while cursor is not None or not seen:
        query = {"limit": "5", **({"cursor": cursor} if cursor else {})}
        answer = api.get("/api/messages", query).json()
        seen += [message["id"] for message in answer["messages"]]
        cursor = answer["nextCursor"]
    newest = Message.objects.order_by("-received_at", "-pk").values_list("pk", flat=True)
    assert seen == [str(pk) for pk in newest]


def test_one_message_with_its_content(mailbox: Mailbox, api: APIClient) -> None:
    mailbox.remote.deliver(RICH)
    mailbox.sync()
    pk = mailbox.message("Rich").pk
    response = api.get(f"/api/messages/{pk}")
    message = response.json()
    assert message.keys() == WholeMessageSerializer().get_fields().keys()
    assert "Hi you" in message["text"]
    assert "<b>you</b>" in message["html"]
    assert "data:image/png;base64," in message["html"]
    for bad in ("script", "onclick", "track.example"):
        assert bad not in message["html"]
    assert [a["contentType"] for a in message["attachments"]] == ["image/png", "text/html"]
    assert message["attachments"][0]["cid"] == "pic@x"
    assert [a["isInline"] for a in message["attachments"]] == [True, False]
    assert {"name": "Subject", "value": "Rich"} in message["headers"]
    assert message["hasAttachments"]


def test_raw_and_attachments_are_downloads_that_cannot_act(
    mailbox: Mailbox, api: APIClient
) -> None:
    mailbox.remote.deliver(RICH)
    mailbox.sync()
    address = f"/api/messages/{mailbox.message('Rich').pk}"
    raw = api.get(f"{address}/raw", HTTP_ACCEPT="message/rfc822")
    assert (raw.status_code, raw.content, raw["Content-Type"]) == (200, RICH, "message/rfc822")
    attached = api.get(f"{address}/attachments/1", HTTP_ACCEPT="*/*")
    assert attached.content.strip() == b"<script>alert(2)</script>"
    for response in (raw, attached):
        assert response["Content-Disposition"].startswith("attachment;")
        assert response["X-Content-Type-Options"] == "nosniff"
        assert response["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert ".." not in attached["Content-Disposition"]
    missing = api.get(f"{address}/attachments/2")
    assert missing.status_code == 404
    assert missing.json()["error"] == "not_found"


def test_html_loads_nothing_from_elsewhere_unless_asked(mailbox: Mailbox, api: APIClient) -> None:
    mailbox.remote.deliver(RICH)
    mailbox.sync()
    address = f"/api/messages/{mailbox.message('Rich').pk}/html"
    page = api.get(address, HTTP_ACCEPT="text/html")
    assert page["Content-Type"].startswith("text/html")
    assert b"track.example" not in page.content
    assert b"<script" not in page.content
    policy = page["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "sandbox" in policy and "https:" not in policy
    asked = api.get(address, {"remote": "true"})
    assert b"https://track.example/x.gif" in asked.content
    assert b"<script" not in asked.content
    assert "https:" in asked["Content-Security-Policy"]
    assert api.get(address, {"remote": "maybe"}).status_code == 400


def test_a_message_without_html_is_shown_as_its_text(mailbox: Mailbox, api: APIClient) -> None:
    mailbox.remote.deliver(raw_message("Plain", text="1 < 2 <script>"))
    mailbox.sync()
    pk = mailbox.message("Plain").pk
    assert b"1 &lt; 2 &lt;script&gt;" in api.get(f"/api/messages/{pk}/html").content
    assert api.get(f"/api/messages/{pk}").json()["html"] == ""


def test_hostile_messages_are_readable(mailbox: Mailbox, api: APIClient) -> None:
    for content in (
        b"",
        b"Subject: a\0b\r\n\r\n\xff\xfe\0",
        b"From: \xff\xfe <@>\r\nTo: ,,,;;<<>>\r\nDate: Fri, 31 Dec 9999 23:59:59 -2300\r\n\r\n",
        b"Date: Mon, 1 Jan 0001 00:00:00 +2300\r\n\r\n",
        b"Content-Type: text/html; charset=nonsense\r\n\r\n<a href='javascript:x'>\xff",
    ):
        mailbox.remote.deliver(content)
    mailbox.sync()
    found = api.get("/api/messages").json()["messages"]
    assert len(found) == 5
    for message in found:
        for part in ("", "/raw", "/html"):
            assert api.get(f"/api/messages/{message['id']}{part}").status_code == 200
        json.dumps(message)


def test_a_message_that_vanished_is_not_there(filled: Mailbox, api: APIClient) -> None:
    pk = filled.message("Report 5").pk
    filled.inbox.remove(5)
    filled.sync()
    assert listed(api) == ["4", "3", "2", "1"]
    assert api.get(f"/api/messages/{pk}").status_code == 404


@pytest.mark.parametrize("pk", ["0", "99999", "abc", "-1", "9" * 18, "9" * 40])
def test_no_such_message(filled: Mailbox, api: APIClient, pk: str) -> None:
    response = api.get(f"/api/messages/{pk}")
    assert response.status_code == 404
    assert response.json()["status"] == "error"


def test_folders(filled: Mailbox, api: APIClient) -> None:
    filled.remote.add_folder("Work/2026 ü")
    filled.sync()
    answer = api.get("/api/folders", {"accountId": str(filled.account.pk)}).json()
    assert answer["nextCursor"] is None
    folders = {folder["path"]: folder for folder in answer["folders"]}
    assert folders["INBOX"] == {
        "id": str(filled.folder().pk),
        "accountId": str(filled.account.pk),
        "path": "INBOX",
        "name": "INBOX",
        "delimiter": "/",
        "role": "inbox",
        "total": 5,
        "unread": 4,
        "isSelectable": True,
    }
    assert folders["Work/2026 ü"]["name"] == "2026 ü"
    assert folders["Archive"]["role"] == "archive"
    assert api.get("/api/folders", {"accountId": "x"}).status_code == 400
    assert api.get("/api/folders", {"account": "x"}).status_code == 400
