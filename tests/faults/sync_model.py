"""A mailbox to which anything may happen, beside the copy that is kept of it.

A life is a list of steps: what another program does to the mailbox, what our own users do
over the API, passes (in the middle of which another program acts, the connection breaks, or
everything is killed), clients that follow the changes. When it has come to rest, after two
quiet passes, the copy is compared with the mailbox in every respect that a user can notice.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection
from hypothesis import strategies as st
from rest_framework.test import APIClient

from mailboxes.changing import change_messages
from mailboxes.models import Folder, Message
from mailboxes.sync.letters import digest_of
from mailboxes.wishes import Wish
from mailhub.errors import MailhubError
from mailhub.mail.errors import ConnectionFailed, MailError
from mailhub.mail.server import PasswordLogin
from mailhub.mail.stores.in_memory import InMemoryFolder, InMemoryStore
from tests.faults.sync_checks import check_conversations, check_copy
from tests.mailboxes.conftest import PASSWORD, Mailbox, raw_message
from tests.mailboxes.test_changes import Follower, shown

POOR = frozenset({"IMAP4REV1", "UIDPLUS"})
CONDSTORE = POOR | {"CONDSTORE", "MOVE"}
SERVERS = (POOR, CONDSTORE, CONDSTORE | {"QRESYNC"}, CONDSTORE | {"QRESYNC", "LIST-STATUS"})
FLAGS: tuple[tuple[str, ...], ...] = (
    (),
    ("\\Seen",),
    ("\\Flagged", "work"),
    ("\\Seen", "\\Answered", "\\Deleted"),
    ("\\Draft", "$a", "b"),
)
MADE = ("Work", "Work/Old", "Ärger")
EPOCH = datetime(2026, 11, 1, tzinfo=UTC)
_OF_TRANSACTIONS = ("SAVEPOINT", "RELEASE", "ROLLBACK")


class Killed(BaseException):
    """What a kill looks like from within: nothing catches it."""


class Act(NamedTuple):
    """Something done to the mailbox; the numbers choose among what there is at that moment."""

    kind: str
    where: int = 0
    which: int = 0
    there: int = 0


class Pass(NamedTuple):
    """One pass. `acts` happen before its `at`-th command, and there `ends` ends it, if it does."""

    at: int = 0
    acts: tuple[Act, ...] = ()
    ends: str = ""
    full: bool = False
    at_once: int = 1000
    only: tuple[str, ...] = ()


class Follow(NamedTuple):
    """A new client begins to follow (`limit` 0), or one asks for a page."""

    which: int = 0
    limit: int = 0


class Rest(NamedTuple):
    """Two quiet passes; then all must be as it should."""


Step = Act | Pass | Follow | Rest

_KINDS = (
    *("deliver", "deliver", "deliver", "move", "move", "copy", "append", "flag", "flag", "remove"),
    *("create", "delete folder", "rename", "renumber"),
)
_ACTS = st.builds(
    Act, st.sampled_from(_KINDS), st.integers(0, 4), st.integers(0, 7), st.integers(0, 4)
)
_OURS = st.builds(
    Act,
    st.sampled_from(("server", "our flags", "our move", "our delete")),
    st.integers(0, 4),
    st.integers(0, 7),
    st.integers(0, 4),
)
_PASSES = st.builds(
    Pass,
    at=st.integers(1, 30),
    acts=st.lists(_ACTS, max_size=3).map(tuple),
    ends=st.sampled_from(("", "", "kill", "kill in the database", "drop")),
    full=st.sampled_from((False, False, False, True)),
    at_once=st.sampled_from((0, 1000)),
    only=st.sampled_from(((), (), (), ("INBOX",), ("Archive", "trash"))),
)
_FOLLOWS = st.builds(Follow, st.integers(0, 3), st.integers(0, 3))


def lives(steps: int) -> st.SearchStrategy[list[Step]]:
    """Lists of half as many steps, or as many at most."""
    one: st.SearchStrategy[Step] = st.one_of(
        _ACTS, _ACTS, _ACTS, _OURS, _PASSES, _PASSES, _FOLLOWS, st.just(Rest())
    )
    return st.lists(one, min_size=steps // 2, max_size=steps)


@dataclass
class Known:
    """Of a content that the copy knew at rest: its ids, whether it was ever twice, its journeys.

    `journeys` counts the passes in the middle of which it changed its place.
    """

    ids: frozenset[int]
    was_twice: bool
    journeys: int = 0


class Life:
    """`live` takes the steps one after the other, and then rests."""

    def __init__(self, mailbox: Mailbox, api: APIClient) -> None:
        self.mailbox, self.api = mailbox, api
        for path in ("Sent", "Drafts", "Junk"):
            mailbox.remote.remove_folder(path)
        self._delivered: list[bytes] = []
        self._known: dict[str, Known] = {}
        self._followers = [Follower(mailbox, api)]
        self._in_pass = False
        for number in range(6):
            self._deliver(Act("deliver", number, 4 + number % 2, number % 5))

    def live(self, steps: list[Step]) -> None:
        for step in steps:
            if isinstance(step, Act):
                self.act(step)
            elif isinstance(step, Pass):
                self._pass(step)
            elif isinstance(step, Follow):
                self._follow(step)
            else:
                self._rest()
        self._rest()
        self._ask_for_everything()

    def act(self, act: Act) -> None:
        """Do it, and note which messages are on the server no more."""
        before = self._places()
        {
            "deliver": self._deliver,
            "create": self._create,
            "delete folder": self._delete_folder,
            "rename": self._rename,
            "renumber": lambda act: self._folder(act.where).renumber(),
            "server": self._become,
            "our flags": self._ours,
            "our move": self._ours,
            "our delete": self._ours,
        }.get(act.kind, self._to_a_message)(act)
        self._note(before, self._places())

    def _note(self, before: Counter[tuple[str, str]], after: Counter[tuple[str, str]]) -> None:
        copies = Counter[str]()
        for (_, digest), count in after.items():
            copies[digest] += count
        moved = {digest for _, digest in (before - after) + (after - before)}
        for digest in list(self._known):
            known = self._known[digest]
            if not copies[digest]:
                del self._known[digest]
                continue
            known.was_twice |= copies[digest] > 1
            if self._in_pass and digest in moved:
                known.journeys += 1

    def _places(self) -> Counter[tuple[str, str]]:
        """(path, digest) of all that the server holds."""
        return Counter(
            (path, digest_of(message.content))
            for path, folder in self.mailbox.remote.folders.items()
            for message in folder.messages.values()
        )

    def _folder(self, number: int) -> InMemoryFolder:
        folders = sorted(self.mailbox.remote.folders)
        return self.mailbox.remote.folder(folders[number % len(folders)])

    def _deliver(self, act: Act) -> None:
        number = len(self._delivered)
        text = f"everywhere word{number}"
        if self._delivered and act.which == 0:
            content = self._delivered[act.there % number]
        elif act.which in (1, 2):
            parent = act.there % (number + 1)
            content = raw_message(
                f"Re: topic {act.there % 2}", text=text, references=f"<{parent}@x>",
                message_id=f"<{number}@x>",
            )  # fmt: skip
        elif act.which == 3:
            content = raw_message("no id", text=text, message_id="")
        else:
            content = raw_message(
                f"topic {act.there % 2}", text=text, message_id=f"<{number}@x>", cc=""
            )
        self._delivered.append(content)
        self._folder(act.where).deliver(
            content, flags=FLAGS[act.there], received_at=EPOCH + timedelta(seconds=number)
        )

    def _to_a_message(self, act: Act) -> None:
        folder, target = self._folder(act.where), self._folder(act.there)
        if not folder.messages:
            return
        uid = sorted(folder.messages)[act.which % len(folder.messages)]
        message = folder.messages[uid]
        if act.kind == "flag":
            folder.set_flags(uid, FLAGS[act.there])
        elif act.kind == "remove":
            folder.remove(uid)
        elif act.kind == "move":
            folder.move(uid, target.path)
        else:
            arrival = message.received_at if act.kind == "copy" else message.received_at + _DAY
            target.deliver(message.content, flags=message.flags, received_at=arrival)
            if act.kind == "append":
                folder.remove(uid)

    def _create(self, act: Act) -> None:
        self.mailbox.remote.add_folder(MADE[act.there % len(MADE)])

    def _delete_folder(self, act: Act) -> None:
        path = self._folder(act.where).path
        if path != "INBOX":
            self.mailbox.remote.remove_folder(path)

    def _rename(self, act: Act) -> None:
        path, name = self._folder(act.where).path, MADE[act.there % len(MADE)]
        if path != "INBOX" and name not in self.mailbox.remote.folders:
            self.mailbox.remote.rename_folder(path, name)

    def _become(self, act: Act) -> None:
        self.mailbox.server.capabilities = SERVERS[act.there % len(SERVERS)]

    def _ours(self, act: Act) -> None:
        """What a user of ours asks for; it may be refused, but must never spoil the copy."""
        account = self.mailbox.account
        ids = list(Message.objects.visible().filter(account=account).values_list("pk", flat=True))
        folders = list(Folder.objects.filter(account=account).order_by("path"))
        if not ids or not folders:
            return
        target = folders[act.where % len(folders)]
        wish = {
            "our flags": Wish(is_read=act.there % 2 == 0, is_flagged=act.there > 2),
            "our move": Wish(folder=target),
            "our delete": Wish(delete=True, permanent=act.there == 0),
        }[act.kind]
        chosen = ids[act.which % len(ids)]
        with suppress(MailError, MailhubError):
            change_messages(account, [chosen], wish, open_store=lambda _: self.mailbox.store())

    def _pass(self, step: Pass) -> None:
        store = _Disturbed(self.mailbox, step.at, lambda: self._disturb(step))
        self._in_pass = True
        with ExitStack() as stack:
            stack.enter_context(suppress(Killed, MailError))
            if step.ends == "kill in the database":
                stack.enter_context(connection.execute_wrapper(_KilledQueries(step.at * 3)))
            self.mailbox.sync(
                store=store, full=step.full, folders=step.only, followed_at_once=step.at_once
            )
        self._in_pass = False

    def _disturb(self, step: Pass) -> None:
        for act in step.acts:
            self.act(act)
        if step.ends == "kill":
            raise Killed
        if step.ends == "drop":
            raise ConnectionFailed("The server closed the connection.")

    def _follow(self, step: Follow) -> None:
        if step.limit:
            self._followers[step.which % len(self._followers)].ask(step.limit)
        elif len(self._followers) < 3:
            self._followers.append(Follower(self.mailbox, self.api))

    def _rest(self) -> None:
        troubled = Folder.objects.filter(account=self.mailbox.account, failures__gt=0).exists()
        self.mailbox.sync(full=troubled)
        self.mailbox.sync()
        check_copy(self.mailbox)
        check_conversations(self.mailbox)
        self._check_ids()

    def _ask_for_everything(self) -> None:
        """Lists, search and the feeds of changes tell the same, over the API."""
        now = shown(self.api)
        assert {int(message_id) for message_id in now} == set(
            Message.objects.filter(account=self.mailbox.account).values_list("pk", flat=True)
        )
        for limit, follower in zip((4, 50, 50), self._followers, strict=False):
            assert follower.catch_up(limit) == now
        found = self.api.get("/api/messages?limit=500&q=everywhere").json()["messages"]
        assert sorted(message["id"] for message in found) == sorted(now)

    def _check_ids(self) -> None:
        ids = defaultdict(set)
        rows = Message.objects.filter(account=self.mailbox.account)
        for digest, pk in rows.values_list("raw_digest", "pk"):
            ids[digest].add(pk)
        for digest, known in self._known.items():
            # One that is on the way all the time cannot be recognised for ever.
            if known.journeys > 1:
                continue
            if known.was_twice:
                assert known.ids & ids[digest], "one of several copies keeps its id"
            else:
                assert known.ids == ids[digest], "what was always somewhere keeps its id"
        copies = Counter[str]()
        for (_, digest), count in self._places().items():
            copies[digest] += count
        self._known = {
            digest: Known(frozenset(ids[digest]), copies[digest] > 1) for digest in copies
        }


_DAY = timedelta(days=1)


class _Disturbed(InMemoryStore):
    """Lets `act` happen once, before the `at`-th command."""

    def __init__(self, mailbox: Mailbox, at: int, act: Callable[[], None]) -> None:
        super().__init__(mailbox.server, PasswordLogin(mailbox.account.username, PASSWORD))
        self._left, self._act = at, act

    def _count(self, name: str) -> None:
        self._left -= 1
        if self._left == 0:
            try:
                self._act()
            except ConnectionFailed:
                self.close()
                raise
        super()._count(name)


class _KilledQueries:
    """Lets so many statements pass, and none after them."""

    def __init__(self, left: int) -> None:
        self._left = left

    def __call__(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
    ) -> Any:
        # Rolling back is what becomes of what was not committed.
        if not sql.startswith(_OF_TRANSACTIONS):
            self._left -= 1
            if self._left < 0:
                context["cursor"].close()  # a dead process leaves none behind
                raise Killed
        return execute(sql, params, many, context)
