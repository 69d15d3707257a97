"""Mail as a person reads it: by mouse, by keys, on a phone, without scripts; over a Dovecot."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from accounts.models import EmailAccount
from mailboxes.models import Folder
from mailhub.mail.stores.imap import ImapStore
from tests.browser.conftest import PHONE, Desk, enter
from tests.browser.letters import connect, fill, ids, letter, sync
from tests.people import People
from tests.servers.dovecot import DovecotUser

Flags = dict[str, set[str]]


@pytest.fixture
def account(people: People, dovecot_user: DovecotUser) -> EmailAccount:
    """Mary's account, with mail in it that was fetched."""
    fill(dovecot_user)
    account = connect(people, people.member, dovecot_user)
    sync(account, dovecot_user)
    return account


@pytest.fixture
def mail(members_desk: Desk, account: EmailAccount) -> Page:
    """Mary's inbox."""
    return members_desk.open(f"/mail/{account.pk}")


def truth(user: DovecotUser, folder: str = "INBOX") -> Flags:
    """Subject → flags, as the server has them."""
    with ImapStore(user.settings()) as store:
        store.select(folder)
        return {
            _subject(message.content): set(message.flags) for message in store.fetch(store.uids())
        }


def _subject(content: bytes) -> str:
    found = re.search(rb"^Subject: (.*?)\r?$", content, re.MULTILINE)
    return found[1].decode() if found else ""


def line(page: Page, subject: str) -> str:
    """The selector of a message's line."""
    return f"#line-{ids()[subject]}"


def shown_subjects(page: Page) -> list[str]:
    return page.locator(".line-subject").all_inner_texts()


def test_reading_a_conversation(
    members_desk: Desk, mail: Page, account: EmailAccount, dovecot_user: DovecotUser
) -> None:
    members_desk.look("mail-list")
    answer = mail.locator(".line", has_text="Re: Offer for the summer fair")
    answer.get_by_role("link").click()
    expect(mail.get_by_text("two more stalls, at the same price each.")).to_have_count(2)
    # Opened by a person, it is read: here and on the server.
    expect(answer).not_to_have_class(re.compile("line-unread"))
    assert "\\Seen" in truth(dovecot_user)["Re: Offer for the summer fair"]
    expect(mail.locator("#folder-list").get_by_text("Inbox")).to_be_visible()
    # The rest of the conversation is there, whatever the folder, and opens in its place.
    expect(mail.locator(".message-closed")).to_have_count(2)
    mail.locator(".message-closed", has_text="a fine offer").get_by_role("link").click()
    expect(mail.locator(".message", has_text="a fine offer").get_by_text("Details")).to_be_visible()
    # While htmx settles a swap, the new element wears the class of the one it replaced.
    expect(mail.locator(".message-closed")).to_have_count(1)
    mail.locator(".message-closed").get_by_role("link").click()
    with mail.expect_download() as saving:
        mail.get_by_role("link", name="offer.pdf").click()
    assert saving.value.suggested_filename == "offer.pdf"
    assert saving.value.path().read_bytes().startswith(b"%PDF-1.4 offer")
    mail.get_by_text("Details").first.click()
    expect(mail.get_by_text("<offer@example.org>").or_(mail.get_by_text("offer@example.org"))
           .first).to_be_visible()  # fmt: skip
    members_desk.look("mail-conversation")


def test_a_designed_message_and_its_images(members_desk: Desk, mail: Page, people: People) -> None:
    asked: list[str] = []
    mail.on("request", lambda request: asked.append(request.url))
    picture = '<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"/>'
    mail.context.route(
        "https://images.example.net/**",
        lambda route: route.fulfill(content_type="image/svg+xml", body=picture),
    )
    mail.locator(line(mail, "The ferry sails again")).get_by_role("link").click()
    frame = mail.frame_locator(".message-frame")
    expect(frame.get_by_text("Harbour news")).to_be_visible()
    assert not [url for url in asked if "example.net" in url]
    members_desk.look("mail-designed")
    mail.get_by_role("link", name="Show images").click()
    expect(mail.locator(".images-out")).to_have_count(0)
    expect(frame.get_by_alt_text("A ferry")).to_have_attribute(
        "src", "https://images.example.net/ferry.png"
    )
    assert "https://images.example.net/ferry.png" in asked
    link = frame.get_by_role("link", name="The timetable")
    assert link.get_attribute("target") == "_blank"
    assert "noopener noreferrer" in (link.get_attribute("rel") or "")
    mail.get_by_role("link", name="Show as plain text").click()
    expect(mail.locator(".message-text")).to_contain_text("five times a day")
    mail.get_by_text("Details").click()
    mail.get_by_role("link", name="Source").click()
    expect(mail.locator(".mail-source")).to_contain_text("Content-Type: multipart/alternative")


def test_flag_unread_move_trash_and_delete_for_good(
    members_desk: Desk, mail: Page, dovecot_user: DovecotUser
) -> None:
    mail.locator(line(mail, "Lunch on Thursday?")).get_by_role("link").click()
    expect(mail.get_by_role("button", name="Mark as unread")).to_be_visible()
    mail.get_by_role("button", name="Flag", exact=True).click()
    expect(mail.get_by_role("button", name="Unflag", exact=True).last).to_be_visible()
    expect(mail.locator(line(mail, "Lunch on Thursday?")).get_by_label("Flagged")).to_be_visible()
    assert "\\Flagged" in truth(dovecot_user)["Lunch on Thursday?"]
    mail.get_by_role("button", name="Mark as unread").click()
    expect(mail.get_by_role("button", name="Mark as read")).to_be_visible()
    assert "\\Seen" not in truth(dovecot_user)["Lunch on Thursday?"]
    mail.locator(".actions").get_by_label("Folder to move to").select_option("Archive")
    mail.locator(".actions").get_by_role("button", name="Move").click()
    expect(mail.get_by_text("1 message moved to Archive.")).to_be_visible()
    assert "Lunch on Thursday?" not in shown_subjects(mail)
    assert "Lunch on Thursday?" in truth(dovecot_user, "Archive")
    # Several at once.
    for subject in ("Keys", "Invoice 2026-1107"):
        mail.get_by_label(f"Choose {subject}").check()
    expect(mail.get_by_text("2 chosen")).to_be_visible()
    members_desk.look("mail-chosen")
    mail.locator(".batch").get_by_role("button", name="Trash").click()
    expect(mail.get_by_text("2 messages moved to Trash.")).to_be_visible()
    assert {"Keys", "Invoice 2026-1107"} <= truth(dovecot_user, "Trash").keys()
    mail.get_by_role("link", name="Trash").click()
    mail.get_by_label("Choose Keys").check()
    mail.get_by_role("button", name="Delete for good").click()
    expect(mail.get_by_role("heading", name="Delete 1 message for good?")).to_be_visible()
    mail.get_by_role("button", name="Delete 1 message for good").click()
    expect(mail.get_by_text("1 message deleted for good.")).to_be_visible()
    assert truth(dovecot_user, "Trash").keys() == {"Invoice 2026-1107", "Old news"}


def test_what_is_asked_for_while_a_message_is_marked_as_read(
    members_desk: Desk, mail: Page, dovecot_user: DovecotUser
) -> None:
    held: list[Route] = []
    mail.route("**/mail/act", lambda route: held.append(route), times=1)  # noqa: PLW0108 - no builtin
    subject, others = "Lunch on Thursday?", "Invoice 2026-1107"
    with mail.expect_request("**/mail/act"):
        mail.locator(line(mail, subject)).get_by_role("link").click()
    mail.locator(f"#flag-{ids()[subject]}").click()
    mail.get_by_label(f"Choose {others}").check()
    mail.locator(".batch").get_by_role("button", name="Flag", exact=True).click()
    mail.get_by_label(f"Choose {others}").uncheck()
    held[0].continue_()
    # The answer to the first replaces both forms that wait; they are carried out all the same.
    expect(mail.locator(line(mail, others)).get_by_label("Flagged")).to_be_visible()
    expect(mail.locator(line(mail, subject)).get_by_label("Flagged")).to_be_visible()
    expect(mail.locator(f"#flag-{ids()[subject]}")).to_have_text("Unflag")
    expect(mail.locator(f"#read-{ids()[subject]}")).to_have_text("Mark as unread")
    assert truth(dovecot_user)[subject] >= {"\\Flagged", "\\Seen"}
    assert truth(dovecot_user)[others] >= {"\\Flagged"}


def test_a_change_outlives_the_conversation_that_it_was_asked_for_in(
    members_desk: Desk, mail: Page, dovecot_user: DovecotUser
) -> None:
    held: list[Route] = []
    mail.route("**/mail/act", lambda route: held.append(route), times=1)  # noqa: PLW0108 - no builtin
    subject = "Lunch on Thursday?"
    with mail.expect_request("**/mail/act"):
        mail.locator(line(mail, subject)).get_by_role("link").click()
    mail.locator(f"#flag-{ids()[subject]}").click()
    mail.keyboard.press("u")
    expect(mail.locator(".conversation")).to_have_count(0)
    with mail.expect_response("**/mail/act"):
        held[0].continue_()
    expect(mail.locator(line(mail, subject)).get_by_label("Flagged")).to_be_visible()
    assert truth(dovecot_user)[subject] >= {"\\Flagged", "\\Seen"}


def test_older_messages_read_by_being_opened(
    members_desk: Desk, account: EmailAccount, dovecot_user: DovecotUser
) -> None:
    with ImapStore(dovecot_user.settings()) as store:
        for number in range(3):
            store.append(
                "INBOX",
                letter(
                    "Re: " * number + "Rowing",
                    text=f"Row {number}.",
                    minutes_ago=30 - number,
                    message_id=f"<row{number}@example.org>",
                    in_reply_to="<row0@example.org>" if number else "",
                ),
            )
    sync(account, dovecot_user)
    page = members_desk.open(f"/mail/{account.pk}")
    page.locator(f"#open-{ids()['Re: Re: Rowing']}").click()
    expect(page.get_by_role("button", name="Mark as unread")).to_have_count(3)
    expect(page.get_by_role("button", name="Mark as read")).to_have_count(0)
    # What is done to an older one leaves the others, and itself, as they are.
    page.locator(f"#flag-{ids()['Rowing']}").click()
    expect(page.locator(f"#flag-{ids()['Rowing']}")).to_have_text("Unflag")
    expect(page.get_by_role("button", name="Mark as unread")).to_have_count(3)
    assert truth(dovecot_user)["Rowing"] >= {"\\Flagged", "\\Seen"}


def test_by_the_keys_alone(
    members_desk: Desk, mail: Page, account: EmailAccount, dovecot_user: DovecotUser
) -> None:
    keyboard = mail.keyboard
    keyboard.press("?")
    expect(mail.get_by_role("heading", name="Keys")).to_be_visible()
    members_desk.look("mail-keys")
    keyboard.press("Escape")
    expect(mail.locator("#keys")).not_to_be_visible()
    for _ in range(3):
        keyboard.press("j")
    invitation = next(subject for subject in ids() if subject.startswith("Invitation"))
    expect(mail.locator(f"#open-{ids()[invitation]}")).to_be_focused()
    keyboard.press("k")
    expect(mail.locator(f"#open-{ids()['Offer for the summer fair']}")).to_be_focused()
    keyboard.press("ArrowDown")
    keyboard.press("s")
    expect(mail.locator(line(mail, invitation)).get_by_label("Flagged")).to_be_visible()
    expect(mail.locator(f"#open-{ids()[invitation]}")).to_be_focused()
    keyboard.press("m")
    expect(mail.locator(line(mail, invitation))).not_to_have_class(re.compile("line-unread"))
    assert truth(dovecot_user)[invitation] >= {"\\Flagged", "\\Seen"}
    keyboard.press("Enter")
    expect(mail.locator(".conversation-subject")).to_have_text(invitation)
    keyboard.press("#")
    expect(mail.get_by_text("1 message moved to Trash.")).to_be_visible()
    expect(mail.locator(".conversation")).to_have_count(0)
    assert invitation in truth(dovecot_user, "Trash")
    keyboard.press("/")
    keyboard.type("from:ada stalls")
    keyboard.press("Enter")
    expect(mail.locator(".piece")).to_have_text(["from ada", "stalls"])
    expect(mail.locator(".line")).to_have_count(2)
    expect(mail.locator("mark").first).to_have_text("stalls")
    members_desk.look("mail-search")
    keyboard.press("j")
    keyboard.press("o")
    expect(mail.locator(".conversation")).to_be_visible()
    keyboard.press("u")
    expect(mail.locator(".conversation")).to_have_count(0)
    assert "q=from" in mail.url


def test_one_pane_at_a_time_on_a_phone(members_desk: Desk, mail: Page) -> None:
    mail.set_viewport_size(PHONE)
    expect(mail.locator("#reading")).not_to_be_visible()
    mail.locator(line(mail, "Keys")).get_by_role("link").click()
    expect(mail.get_by_text("I left the keys with the neighbours.").last).to_be_visible()
    expect(mail.locator("#list")).not_to_be_visible()
    mail.get_by_role("link", name="Back to Inbox").click()
    expect(mail.locator("#list")).to_be_visible()
    mail.get_by_role("button", name="Folders").click()
    mail.get_by_role("link", name="Plans").click()
    expect(mail.get_by_role("heading", name="Plans")).to_be_visible()
    assert shown_subjects(mail) == ["Plans for 2027"]
    mail.go_back()
    expect(mail.get_by_role("heading", name="Inbox")).to_be_visible()


def test_a_mail_server_that_is_away(members_desk: Desk, mail: Page, account: EmailAccount) -> None:
    EmailAccount.objects.update(port=1)
    mail.locator(line(mail, "Keys")).get_by_role("link").click()
    # What is kept here is read all the same; what is to be changed there is not.
    expect(mail.get_by_text("I left the keys with the neighbours.").last).to_be_visible()
    note = mail.locator("#notes").get_by_text("This could not be changed.").last
    expect(note).to_contain_text("127.0.0.1")
    mail.reload()
    mail.get_by_role("button", name="Trash").last.click()
    expect(note).to_be_visible()
    assert "Keys" in shown_subjects(mail)


def test_without_scripts(
    browser: Browser, members_desk: Desk, account: EmailAccount, dovecot_user: DovecotUser
) -> None:
    cookies = members_desk.page.context.storage_state()
    context = browser.new_context(java_script_enabled=False, storage_state=cookies)
    page = context.new_page()
    page.goto(f"{members_desk.url}/mail/{account.pk}")
    page.locator(f"#open-{ids()['Keys']}").click()
    assert page.get_by_text("I left the keys with the neighbours.").count() == 2
    assert "\\Seen" not in truth(dovecot_user)["Keys"]
    page.get_by_role("button", name="Mark as read").first.click()
    assert "\\Seen" in truth(dovecot_user)["Keys"]
    page.get_by_role("button", name="Trash").last.click()
    assert page.get_by_text("1 message moved to Trash.").is_visible()
    assert "Keys" in truth(dovecot_user, "Trash")
    page.get_by_label("Choose Invoice 2026-1107").check()
    page.locator(".batch").get_by_role("button", name="Flag", exact=True).click()
    assert "\\Flagged" in truth(dovecot_user)["Invoice 2026-1107"]
    context.close()


def test_new_mail_comes_into_the_open_list(
    members_desk: Desk, mail: Page, account: EmailAccount, dovecot_user: DovecotUser
) -> None:
    mail.get_by_label("Choose Keys").check()
    dovecot_user.deliver(letter("Fresh from the press", text="Ink."))
    sync(account, dovecot_user)
    expect(mail.locator(".line-subject").first).to_have_text("Fresh from the press")
    expect(mail.locator("#announcement")).to_have_text("1 new message")
    expect(mail.get_by_label("Choose Keys")).to_be_checked()
    mail.get_by_role("button", name="All of this page").click()
    expect(mail.get_by_text("10 chosen")).to_be_visible()


def test_accounts_and_all_of_them_together(
    members_desk: Desk, people: People, account: EmailAccount
) -> None:
    people.connect_account(
        people.member, email_address="old@acme.example", is_enabled=False,
        disabled_reason="535 5.7.8 Authentication credentials invalid",
    )  # fmt: skip
    page = members_desk.open("/mail")
    expect(page.get_by_text("535 5.7.8")).to_be_visible()
    members_desk.look("mail-accounts")
    page.get_by_role("link", name="All accounts").click()
    expect(page.locator(".line-where").first).to_contain_text("Mary at Acme")
    page.get_by_role("link", name="Flagged").click()
    expect(page.get_by_text("No message here is like that.")).to_be_visible()
    empty = Folder.objects.get(account=account, path="Drafts")
    members_desk.open(f"/mail/{account.pk}/{empty.pk}")
    expect(page.get_by_text("Drafts is empty.")).to_be_visible()


@pytest.fixture
def shared_desk(desk: Desk, people: People, account: EmailAccount) -> Iterator[Desk]:
    """A browser at which somebody sits to whom the account was delegated."""
    people.delegate(account, people.reader)
    enter(desk, people.reader)
    yield desk


def test_who_may_only_read(shared_desk: Desk, account: EmailAccount) -> None:
    page = shared_desk.open(f"/mail/{account.pk}")
    page.locator(f"#open-{ids()['Keys']}").click()
    expect(page.get_by_text("I left the keys with the neighbours.").last).to_be_visible()
    assert page.get_by_role("button", name="Trash").count() == 0
    assert page.get_by_role("checkbox").count() == 0
