"""Flags, moves and deletions: on the server first, then in the copy, the ids kept."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from mailboxes.changing import change_messages
from mailboxes.models import FolderEntry, Message
from mailboxes.wishes import Problem, Wish
from mailhub.errors import MailhubError
from mailhub.mail.errors import ConnectionFailed, MailError, ServerTimeout
from mailhub.mail.stores.in_memory import InMemoryStore
from tests.mailboxes.conftest import Mailbox, raw_message


def change(mailbox: Mailbox, subjects: Sequence[str], wish: Wish) -> dict[str, Problem]:
    """Carry a wish out on messages by their subjects; the problems by subject."""
    ids = {mailbox.message(subject).pk: subject for subject in subjects}
    mailbox.server.commands.clear()
    problems = change_messages(
        mailbox.account, list(ids), wish, open_store=lambda account: mailbox.store()
    )
    return {ids[pk]: problem for pk, problem in problems.items()}


def codes(problems: dict[str, Problem]) -> dict[str, str]:
    return {subject: problem.code for subject, problem in problems.items()}


def counts_are_right(mailbox: Mailbox) -> bool:
    for folder in mailbox.account.folders.all():
        rows = FolderEntry.objects.filter(folder=folder)
        if (folder.total, folder.unread) != (rows.count(), rows.filter(is_seen=False).count()):
            return False
    return True


@pytest.fixture
def filled(mailbox: Mailbox) -> Mailbox:
    """m0 to m5 in INBOX; m0 lies in Archive as well."""
    for number in range(6):
        mailbox.remote.deliver(raw_message(f"m{number}"))
    first = mailbox.inbox.messages[1]
    mailbox.remote.folder("Archive").deliver(first.content, received_at=first.received_at)
    mailbox.sync()
    return mailbox


def test_flags_go_to_every_placement(filled: Mailbox) -> None:
    assert change(filled, ["m0", "m2"], Wish(is_read=True, is_flagged=True)) == {}
    flags = {"\\Seen", "\\Flagged"}
    assert filled.inbox.messages[1].flags == filled.inbox.messages[3].flags == flags
    assert filled.remote.folder("Archive").messages[1].flags == flags
    assert filled.inbox.messages[2].flags == set()
    assert filled.copy() == filled.truth()
    assert counts_are_right(filled)
    assert change(filled, ["m0"], Wish(is_read=False)) == {}
    assert filled.inbox.messages[1].flags == {"\\Flagged"}
    assert filled.copy() == filled.truth()
    assert counts_are_right(filled)


def test_what_is_done_already_is_done_once_more_on_the_server(filled: Mailbox) -> None:
    """Another client may have changed it since the last pass."""
    change(filled, ["m1"], Wish(is_read=True))
    filled.inbox.set_flags(2, [])
    assert change(filled, ["m1"], Wish(is_read=True)) == {}
    assert filled.inbox.messages[2].flags == {"\\Seen"}


@pytest.mark.parametrize("tells_new_uids", [True, False])
def test_a_moved_message_keeps_its_id_and_is_not_fetched_again(
    filled: Mailbox, tells_new_uids: bool
) -> None:
    if not tells_new_uids:
        filled.server.capabilities -= {"UIDPLUS"}
    ids = filled.ids()
    target = filled.folder("Archive")
    assert change(filled, ["m3", "m4"], Wish(folder=target, is_read=True)) == {}
    assert set(filled.subjects("Archive")) == {"m0", "m3", "m4"}, "in sight at once"
    assert counts_are_right(filled)
    filled.server.commands.clear()
    filled.sync()
    assert filled.copy() == filled.truth()
    assert counts_are_right(filled)
    assert {name: filled.ids("Archive")[name] for name in ("m3", "m4")} == {
        name: ids[name] for name in ("m3", "m4")
    }
    assert Message.objects.count() == 6


def test_a_move_to_where_it_lies_asks_nothing_of_the_server(filled: Mailbox) -> None:
    assert change(filled, ["m2"], Wish(folder=filled.folder())) == {}
    assert filled.server.commands == {}


def test_several_folders_need_a_word_which_one_is_left(filled: Mailbox) -> None:
    target = filled.folder("Sent")
    problems = change(filled, ["m0", "m1"], Wish(folder=target))
    assert codes(problems) == {"m0": "several_folders"}
    assert problems["m0"].details["folderIds"] == sorted(  # type: ignore[union-attr]  # a Conflict
        [str(filled.folder().pk), str(filled.folder("Archive").pk)], key=int
    )
    assert filled.subjects("Sent") == ["m1"]
    wish = Wish(folder=target, from_folder_id=filled.folder("Archive").pk)
    assert change(filled, ["m0"], wish) == {}
    assert filled.copy() == filled.truth()
    assert set(filled.subjects("Sent")) == {"m0", "m1"}
    assert codes(change(filled, ["m2"], wish)) == {"m2": "not_in_folder"}


def test_a_move_to_where_another_copy_lies(filled: Mailbox) -> None:
    wish = Wish(folder=filled.folder("Archive"), from_folder_id=filled.folder().pk)
    kept = filled.message("m0").pk
    assert change(filled, ["m0"], wish) == {}
    assert "m0" not in filled.subjects()
    assert counts_are_right(filled)
    filled.sync()
    assert filled.copy() == filled.truth()
    assert filled.subjects("Archive") == ["m0", "m0"]
    assert Message.objects.filter(pk=kept).visible().exists()


def test_delete_moves_to_trash_and_then_for_good(filled: Mailbox) -> None:
    kept = filled.message("m1").pk
    assert change(filled, ["m1", "m2"], Wish(delete=True)) == {}
    assert filled.copy() == filled.truth()
    assert filled.subjects("Trash") == ["m1", "m2"]
    assert filled.message("m1").pk == kept
    assert change(filled, ["m1"], Wish(delete=True)) == {}
    assert filled.copy() == filled.truth()
    assert filled.subjects("Trash") == ["m2"]
    assert not Message.objects.visible().filter(pk=kept).exists()
    assert change(filled, ["m3"], Wish(delete=True, permanent=True)) == {}
    assert "m3" not in filled.subjects() + filled.subjects("Trash")
    assert filled.copy() == filled.truth()
    assert counts_are_right(filled)


@pytest.mark.parametrize("known", [True, False])
def test_trash_is_made_where_it_is_missing(mailbox: Mailbox, known: bool) -> None:
    mailbox.remote.deliver(raw_message("m"))
    trash = mailbox.remote.folders.pop("Trash")
    mailbox.sync()
    if not known:
        mailbox.remote.folders["Trash"] = trash
    assert change(mailbox, ["m"], Wish(delete=True)) == {}
    assert mailbox.subjects("Trash") == ["m"]
    assert mailbox.copy() == mailbox.truth()
    mailbox.sync()
    assert mailbox.copy() == mailbox.truth()
    assert Message.objects.count() == 1


def test_a_message_that_is_gone_costs_the_others_nothing(filled: Mailbox) -> None:
    filled.inbox.remove(3)
    filled.inbox.remove(1)
    assert codes(change(filled, ["m0", "m1", "m2"], Wish(is_read=True))) == {
        "m2": "message_missing"
    }
    assert filled.inbox.messages[2].flags == {"\\Seen"}
    assert filled.remote.folder("Archive").messages[1].flags == {"\\Seen"}
    problems = change(filled, ["m1", "m2"], Wish(delete=True))
    assert codes(problems) == {"m2": "message_missing"}
    assert filled.subjects("Trash") == ["m1"]


def test_a_batch_is_one_connection_grouped_by_folder(filled: Mailbox) -> None:
    wish = Wish(is_read=True, delete=True, from_folder_id=filled.folder().pk)
    assert change(filled, [f"m{number}" for number in range(6)], wish) == {}
    commands = filled.server.commands
    assert [commands[name] for name in ("open", "select", "store_flags")] == [1, 3, 2]
    assert filled.copy() == filled.truth()


def test_a_folder_that_was_renumbered_is_left_alone(filled: Mailbox) -> None:
    filled.inbox.remove(1)
    filled.inbox.renumber()
    before = filled.truth()
    assert codes(change(filled, ["m1"], Wish(delete=True))) == {"m1": "busy"}
    assert filled.truth() == before
    filled.sync()
    assert change(filled, ["m1"], Wish(delete=True)) == {}
    assert filled.subjects("Trash") == ["m1"]


@pytest.mark.parametrize("error", [ConnectionFailed("lost"), ServerTimeout("late")])
def test_a_server_that_fails_changes_nothing_here(filled: Mailbox, error: MailError) -> None:
    before = filled.copy()
    filled.server.misbehaviour.fail_commands = error
    assert codes(change(filled, ["m1", "m2"], Wish(is_read=True))) == {
        "m1": error.code,
        "m2": error.code,
    }
    assert filled.copy() == before


def test_a_folder_that_refuses_costs_the_others_nothing(filled: Mailbox) -> None:
    change(filled, ["m5"], Wish(folder=filled.folder("Sent")))
    filled.server.misbehaviour.unselectable.add("Sent")
    assert codes(change(filled, ["m4", "m5"], Wish(is_read=True))) == {"m5": "folder_missing"}
    assert filled.copy()["INBOX"][5][0]


def test_a_server_without_uidplus_deletes_nothing_for_good(filled: Mailbox) -> None:
    filled.server.capabilities -= {"UIDPLUS"}
    problems = change(filled, ["m1"], Wish(delete=True, permanent=True))
    assert codes(problems) == {"m1": "command_refused"}
    assert "m1" in filled.subjects()


def test_a_crash_between_server_and_copy_is_healed_by_the_next_pass(filled: Mailbox) -> None:
    """The server has moved it, and nothing was noted here."""
    kept = filled.message("m1").pk

    class Crash(BaseException):
        pass

    class Crashing(InMemoryStore):
        def move(self, uids: Sequence[int], path: str) -> dict[int, int]:
            super().move(uids, path)
            raise Crash

    login = filled.store()._login
    with pytest.raises(Crash):
        change_messages(
            filled.account,
            [kept],
            Wish(delete=True),
            open_store=lambda account: Crashing(filled.server, login),
        )
    filled.sync()
    assert filled.copy() == filled.truth()
    assert filled.message("m1").pk == kept


def test_what_lies_nowhere_cannot_be_changed(filled: Mailbox) -> None:
    pk = filled.message("m1").pk
    filled.inbox.remove(2)
    filled.sync()
    problems = change_messages(
        filled.account, [pk], Wish(is_read=True), open_store=lambda account: filled.store()
    )
    assert isinstance(problems[pk], MailhubError)
    assert problems[pk].code == "not_found"
