"""The pages of mail: who sees what, that looking changes nothing, and what they cost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import EmailAccount
from mailboxes.models import FolderEntry, Message, SyncRun, SyncState
from mailboxes.pages.conversations import MOST_ATTACHMENTS, MOST_OPEN
from tests.mailboxes.conftest import PASSWORD, Mailbox, raw_message
from tests.pages.conftest import Visit
from tests.people import People
from tests.servers.dovecot import DovecotUser


@pytest.fixture
def mailbox(people: People) -> Mailbox:
    """A mailbox of `people.member` with a conversation of two and a file."""
    mailbox = Mailbox(people.connect_account(people.member, password=PASSWORD))
    mailbox.remote.deliver(raw_message("Plan", message_id="<plan@example.org>", text="A plan."))
    mailbox.remote.deliver(
        raw_message("Re: Plan", in_reply_to="<plan@example.org>", text="Fine <b>plan</b>.")
    )
    mailbox.sync()
    return mailbox


def addresses(mailbox: Mailbox) -> dict[str, str]:
    """Every page about this mailbox that is only looked at."""
    account, folder = mailbox.account.pk, mailbox.folder().pk
    message = mailbox.message("Plan").pk
    return {
        "account": f"/mail/{account}",
        "all": f"/mail/{account}/all",
        "folder": f"/mail/{account}/{folder}",
        "message": f"/mail/{account}/{folder}/{message}",
        "search": f"/mail/{account}/all?q=plan",
        "news": f"/mail/news?account={account}",
        "body": f"/mail/messages/{message}/body",
        "source": f"/mail/messages/{message}/source",
        "raw": f"/mail/messages/{message}/raw",
    }


def test_mail_is_its_owners_and_its_delegates(
    people: People, visit: Visit, mailbox: Mailbox
) -> None:
    people.delegate(mailbox.account, people.reader)
    for name, address in addresses(mailbox).items():
        for person in (people.member, people.reader):
            answer = visit(person).get(address, follow=True)
            assert answer.status_code == 200, (name, person.name)
        for person in (people.teammate, people.owner, people.stranger, people.namesake):
            assert visit(person).get(address).status_code == 404, (name, person.name)
    others = [visit(person).get("/mail/all") for person in (people.teammate, people.stranger)]
    assert all(b"Plan" not in answer.content for answer in others)
    message = f"/mail/all/{mailbox.message('Plan').pk}"
    people.connect_account(people.teammate)
    assert visit(people.teammate).get(message).status_code == 404


def test_a_delegate_is_offered_nothing_that_changes_mail(
    people: People, visit: Visit, mailbox: Mailbox
) -> None:
    people.delegate(mailbox.account, people.reader)
    client = visit(people.reader)
    for name in ("folder", "message"):
        assert b"/mail/act" not in client.get(addresses(mailbox)[name]).content
    ids = [mailbox.message("Plan").pk]
    answer = client.post("/mail/act", {"ids": ids, "act": "flag", "next": "/mail"}, follow=True)
    assert b"Only the owner of an account may change its mail." in answer.content
    for path in ("settings", "disconnect"):
        assert client.get(f"/mail/{mailbox.account.pk}/{path}").status_code == 403
    assert visit(people.viewer).post("/mail/act", {"ids": ids, "act": "flag"}).status_code == 403
    assert visit(people.viewer).get("/mail/connect").status_code == 403
    assert not FolderEntry.objects.filter(is_flagged=True).exists()


def test_looking_changes_nothing(people: People, visit: Visit, mailbox: Mailbox) -> None:
    client, before = visit(people.member), mailbox.copy()
    for address in addresses(mailbox).values():
        client.get(address, follow=True)
    for address in ("/mail/act", f"/mail/{mailbox.account.pk}/sync"):
        assert client.get(address).status_code == 405
    ids = f"ids={mailbox.message('Plan').pk}"
    assert b"Delete 1 message for good?" in client.get(f"/mail/delete?{ids}").content
    question = client.get(f"/mail/{mailbox.account.pk}/disconnect").content
    assert b"Disconnect and forget 2 messages" in question
    assert mailbox.copy() == before
    assert not SyncRun.objects.exists()
    assert EmailAccount.objects.exists()


@pytest.mark.parametrize(
    "text", ['"', "from:", "AND OR NOT", "* - ( ) :", "in:nowhere", "x" * 5000, "%_\\"]
)
def test_no_search_is_an_error(people: People, visit: Visit, mailbox: Mailbox, text: str) -> None:
    client = visit(people.member)
    answer = client.get("/mail/search", {"q": text, "within": str(mailbox.account.pk)}, follow=True)
    assert answer.status_code == 200


@pytest.mark.parametrize("place", ["nonsense", "/5", "{account}/-5", "{account}/²", "{account}/x"])
def test_a_search_in_no_place(people: People, visit: Visit, mailbox: Mailbox, place: str) -> None:
    within = place.format(account=mailbox.account.pk)
    answer = visit(people.member).get("/mail/search", {"q": "ferry", "within": within}, follow=True)
    assert answer.status_code == (200 if place == "/5" else 404)


def test_a_search_says_what_it_was_taken_to_mean(
    people: People, visit: Visit, mailbox: Mailbox
) -> None:
    query = 'from:ada "a plan" pla* -fish is:unread in:inbox before:2030'
    answer = visit(people.member).get(f"/mail/{mailbox.account.pk}/all", {"q": query})
    for piece in ("from ada", "“a plan”", "pla …", "not fish", "unread", "in inbox",
                  "before 2030-01-01"):  # fmt: skip
        assert f'<span class="piece">{piece}</span>' in answer.content.decode()
    assert "<mark>" in answer.content.decode()


def test_a_search_may_be_ranked(people: People, visit: Visit, mailbox: Mailbox) -> None:
    day = datetime(2026, 11, 1, tzinfo=UTC)
    mailbox.inbox.deliver(raw_message("ferry ferry", text="The ferry."), received_at=day)
    for number in range(70):
        content = raw_message(f"m{number}", text="A word of the ferry.")
        mailbox.inbox.deliver(content, received_at=day + timedelta(minutes=1 + number))
    mailbox.sync()
    client, address = visit(people.member), addresses(mailbox)["all"]
    newest = client.get(address, {"q": "ferry"})
    assert newest.context["page"].lines[0].message.subject == "m69"
    orders = {words: to for words, to, _ in newest.context["place"].orders}
    best = client.get(orders["Best match first"])
    assert best.context["page"].lines[0].message.subject == "ferry ferry"
    more = client.get(best.context["page"].older)
    pages = [page.context["page"].lines for page in (best, more)]
    assert len({line.message.pk for lines in pages for line in lines}) == 71
    assert client.get(address, {"sort": "relevance"}).status_code == 200


def test_a_folders_lines_are_unread_as_the_folder_counts(
    people: People, visit: Visit, mailbox: Mailbox
) -> None:
    plan = mailbox.inbox.messages[1]
    archived = mailbox.remote.folder("Archive")
    archived.deliver(plan.content, received_at=plan.received_at, flags=["\\Seen"])
    mailbox.sync()
    client = visit(people.member)
    for path, unread in (("INBOX", 2), ("Archive", 0)):
        folder = mailbox.folder(path)
        page = client.get(f"/mail/{mailbox.account.pk}/{folder.pk}").content.decode()
        assert folder.unread == unread
        assert page.count("line-unread") == unread, path


@pytest.mark.parametrize("query", ["cursor=nonsense", "cursor=WyJtZXNzYWdlcyJd"])
def test_a_cursor_that_is_none_of_ours(
    people: People, visit: Visit, mailbox: Mailbox, query: str
) -> None:
    answer = visit(people.member).get(f"/mail/{mailbox.account.pk}/all?{query}")
    assert answer.status_code == 400


def test_pages_follow_one_another_without_gap_or_repetition(
    people: People, visit: Visit, mailbox: Mailbox
) -> None:
    for number in range(120):
        mailbox.remote.deliver(raw_message(f"m{number}"))
    mailbox.sync()
    client, address, seen = visit(people.member), addresses(mailbox)["folder"], []
    while address:
        answer = client.get(address)
        seen += [line.message.pk for line in answer.context["page"].lines]
        address = answer.context["page"].older
    assert len(seen) == len(set(seen)) == 122


def queries_of(client: Any, address: str) -> int:
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert client.get(address).status_code == 200
    return len(queries)


def test_a_page_costs_as_many_queries_for_two_messages_as_for_two_hundred(
    people: People, visit: Visit, mailbox: Mailbox
) -> None:
    client = visit(people.member)
    pages = {name: addresses(mailbox)[name] for name in ("folder", "all", "search", "message")}
    pages["everything"], pages["accounts"] = "/mail/all", "/mail"
    before = {name: queries_of(client, address) for name, address in pages.items()}
    for number in range(60):
        mailbox.remote.deliver(raw_message(f"plan {number}"))
        mailbox.remote.add_folder(f"Projects/{number}").deliver(raw_message(f"plan {number} too"))
    for _ in range(20):
        mailbox.remote.deliver(raw_message("Re: Plan", in_reply_to="<plan@example.org>"))
    mailbox.sync()
    for number in range(5):
        people.connect_account(people.member, email_address=f"{number}@acme.example")
    after = {name: queries_of(client, address) for name, address in pages.items()}
    # Each account is walked by itself where all are listed.
    assert after.pop("everything") <= before.pop("everything") + 3 * 5
    # So many messages of a conversation are open, and each is looked up among those kept.
    assert after.pop("message") <= before.pop("message") + MOST_OPEN - 2
    assert after == before
    assert max(after.values()) <= 22, after


def test_a_body_stands_in_no_frame_but_of_this_site(
    people: People, visit: Visit, mailbox: Mailbox
) -> None:
    answer = visit(people.member).get(addresses(mailbox)["body"])
    policy = answer["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'self'" in policy
    assert "sandbox allow-popups allow-popups-to-escape-sandbox;" in policy
    assert answer["X-Frame-Options"] == "SAMEORIGIN"
    page = visit(people.member).get(addresses(mailbox)["message"])
    assert "frame-ancestors 'none'" in page["Content-Security-Policy"]
    assert b"Fine &lt;b&gt;plan&lt;/b&gt;." in page.content


def test_a_return_address_leads_nowhere_else(
    people: People, visit: Visit, mailbox: Mailbox
) -> None:
    for address in ("https://evil.example/mail", "//evil.example/mail", "/admin/", "javascript:1"):
        answer = visit(people.member).post("/mail/act", {"act": "read", "next": address})
        assert (answer.status_code, answer["Location"]) == (303, "/mail")


def test_what_a_person_hears_of_an_account(people: People, visit: Visit, mailbox: Mailbox) -> None:
    client, account = visit(people.member), mailbox.account
    assert "Not synced yet" in client.get("/mail").content.decode()
    run = SyncRun.objects.create(
        account=account, state=SyncState.RUNNING, messages_done=30, messages_total=100
    )
    shown = client.get("/mail").content.decode()
    assert "30 of 100 messages" in shown
    assert "Cancel the sync" in shown
    SyncRun.objects.filter(pk=run.pk).update(
        state=SyncState.FAILED, error="The server hung up: 451 4.3.0 Disk on fire"
    )
    shown = client.get("/mail").content.decode()
    assert "Last sync failed" in shown
    assert "451 4.3.0 Disk on fire" in shown
    EmailAccount.objects.update(is_enabled=False, disabled_reason="535 Wrong password")
    shown = client.get("/mail").content.decode()
    assert "Switched off" in shown
    assert "535 Wrong password" in shown
    assert f"/mail/{account.pk}/settings" in shown
    answer = client.post(f"/mail/{account.pk}/sync", follow=True)
    assert "This account is disabled. 535 Wrong password" in answer.content.decode()


def test_an_account_that_is_not_synced_by_itself_says_so(
    people: People, visit: Visit, mailbox: Mailbox
) -> None:
    client, words = visit(people.member), "only when you ask for it"
    EmailAccount.objects.update(last_sync_at=datetime(2026, 11, 1, tzinfo=UTC))
    assert words not in client.get("/mail").content.decode()
    EmailAccount.objects.update(is_sync_enabled=False)
    assert words in client.get("/mail").content.decode()


def test_a_message_of_thousands_of_attachments_is_a_page_like_any_other(
    people: People, visit: Visit, mailbox: Mailbox
) -> None:
    parts = "".join(
        f"--b\r\nContent-Disposition: attachment; filename=f{number}.txt\r\n\r\nx\r\n"
        for number in range(3000)
    )
    raw = raw_message("Many", text=f"{parts}--b--", content_type="multipart/mixed; boundary=b")
    mailbox.remote.deliver(raw)
    mailbox.sync()
    address = f"/mail/{mailbox.account.pk}/all/{mailbox.message('Many').pk}"
    shown = visit(people.member).get(address).content.decode()
    assert shown.count('class="attachment"') == MOST_ATTACHMENTS
    assert "2,900 more attachments not shown here." in shown


def test_a_very_long_subject_leaves_room_for_its_message(
    people: People, visit: Visit, mailbox: Mailbox
) -> None:
    mailbox.remote.deliver(raw_message("word" * 5000, message_id="<long@example.org>"))
    mailbox.sync()
    message = Message.objects.get(message_id="long@example.org")
    shown = visit(people.member).get(f"/mail/{mailbox.account.pk}/all/{message.pk}")
    assert shown.status_code == 200
    assert "word" * 130 not in shown.content.decode()


def test_disconnecting_forgets_the_mail(people: People, visit: Visit, mailbox: Mailbox) -> None:
    answer = visit(people.member).post(f"/mail/{mailbox.account.pk}/disconnect", follow=True)
    assert "No mail account yet" in answer.content.decode()
    assert not EmailAccount.objects.exists()
    assert not FolderEntry.objects.exists()


@pytest.mark.parametrize("email", ["mary", "mary@", "mary@-x-.example", "@"])
def test_what_is_no_address_is_not_looked_up(people: People, visit: Visit, email: str) -> None:
    answer = visit(people.member).get("/mail/connect", {"email": email})
    assert answer.status_code == 400
    assert b"This is no mail address" in answer.content


def test_a_password_never_comes_back(people: People, visit: Visit) -> None:
    form = {
        "emailAddress": "mary@acme.example",
        "password": "geheim 12345",
        "protocol": "imap",
        "hostname": "127.0.0.1",
        "port": "1",
        "encryption": "none",
    }
    answer = visit(people.member).post("/mail/connect", form)
    assert answer.status_code == 400
    assert b"Reading does not work" in answer.content
    assert b"geheim" not in answer.content
    assert not EmailAccount.objects.exists()
    wrong = visit(people.member).post("/mail/connect", {**form, "hostname": "-", "port": "x"})
    assert wrong.status_code == 400
    assert wrong.content.count(b'aria-invalid="true"') == 2


def test_an_account_that_was_switched_off_is_on_again_once_it_works(
    people: People, visit: Visit, dovecot_user: DovecotUser
) -> None:
    account = people.connect_mailbox(
        people.member,
        dovecot_user,
        password="wrong",
        smtp_hostname="",
        smtp_port=None,
        is_enabled=False,
        disabled_reason="535 Wrong password",
    )
    client, address = visit(people.member), f"/mail/{account.pk}/settings"
    shown = client.get(address)
    assert b"535 Wrong password" in shown.content
    form = {field.name: field.value for field in shown.context["fields"]}
    # Without a new password the stored one is tried.
    answer = client.post(address, form)
    assert answer.status_code == 400
    assert b"Reading does not work" in answer.content
    answer = client.post(address, {**form, "password": dovecot_user.password}, follow=True)
    assert b"is saved." in answer.content
    account.refresh_from_db()
    assert (account.is_enabled, account.disabled_reason) == (True, "")
    assert SyncRun.objects.active().filter(account=account).exists()
    answer = client.post(address, {**form, "accountName": "Post"}, follow=True)
    account.refresh_from_db()
    assert account.account_name == "Post"
    assert account.credential.reveal_secret() == {"password": dovecot_user.password}
