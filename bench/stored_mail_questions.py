"""What is asked of a database full of mail: one kind of request after another.

Each kind is a path and its parameters, drawn anew for each request.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from bench.stored_mail import FOLDERS, Names, words_of_rank
from mailboxes.models import Folder, Message

Request = tuple[str, dict[str, str]]
Draw = Callable[[], Request]

_LIST = "/api/messages"


class Questions:
    """Kinds of requests about one account. `count` is how many messages there are in all."""

    def __init__(self, account_id: UUID, known: Names, count: int, seed: int = 11) -> None:
        self._account, self._known, self._count = str(account_id), known, count
        self._chance = random.Random(seed)
        self._account_id = account_id
        folders = Folder.objects.filter(account=account_id)
        self._folders = dict(folders.values_list("path", "pk"))
        self._frequent = words_of_rank(self._chance, known, 30, 300)
        self._very_frequent = words_of_rank(self._chance, known, 0, 12)
        self._middling = words_of_rank(self._chance, known, 300, 5000)
        self._rare = words_of_rank(self._chance, known, 20_000, 40_000)

    def lists(self) -> Mapping[str, Draw]:
        """`GET messages` without words, and the lists beside it."""
        kinds = {
            "account": dict[str, str],
            "folder": lambda: {"folderId": self._folder()},
            "from": lambda: {"from": self._person()[1]},
            "from, a rare one": lambda: {"from": self._person(rare=True)[1]},
            "from, part of a name": lambda: {"from": self._person()[0][:6]},
            "to": lambda: {"to": self._person()[1]},
            "to, a rare one": lambda: {"to": self._person(rare=True)[1]},
            "subject": lambda: {"subject": next(self._frequent)},
            "subject, a rare one": lambda: {"subject": f"case{self._number()}"},
            "subject, none": lambda: {"subject": f"nothing{self._number()}"},
            "since": lambda: {"since": self._day()},
            "before": lambda: {"before": self._day()},
            "unread": lambda: {"unread": "true"},
            "read": lambda: {"unread": "false"},
            "flagged": lambda: {"flagged": "true"},
            "not flagged": lambda: {"flagged": "false"},
            "with attachment": lambda: {"hasAttachment": "true"},
            "unread in a folder": lambda: {"unread": "true", "folderId": self._folder()},
            "flagged in a folder": lambda: {"flagged": "true", "folderId": self._folder()},
            "flagged, unread, with attachment": lambda: {
                "flagged": "true", "unread": "true", "hasAttachment": "true",
            },
            "flagged, before": lambda: {"flagged": "true", "before": self._day()},
        }  # fmt: skip
        return {
            **{f"list: {name}": self._listing(draw) for name, draw in kinds.items()},
            "list: a conversation": self._conversation,
            "threads": lambda: ("/api/threads", {"accountId": self._account}),
            "one conversation": lambda: (f"/api/threads/{self._thread()}", {}),
            "changes": lambda: ("/api/changes", {"accountId": self._account}),
        }

    def searches(self) -> Mapping[str, Draw]:
        """`GET messages?q=`."""
        frequent, rare = self._frequent, self._rare
        kinds: dict[str, Callable[[], str]] = {
            "rare word": lambda: next(rare),
            "one message's word": lambda: f"case{self._number()}",
            "middling word": lambda: next(self._middling),
            "frequent word": lambda: next(frequent),
            "very frequent word": lambda: next(self._very_frequent),
            "two words": lambda: f"{next(frequent)} {next(self._middling)}",
            "two frequent words": lambda: f"{next(self._very_frequent)} {next(frequent)}",
            "rare and very frequent": lambda: f"{next(rare)} {next(self._very_frequent)}",
            "phrase": lambda: f'"{next(frequent)} {next(self._very_frequent)}"',
            "phrase of middling words": lambda: f'"{next(self._middling)} {next(frequent)}"',
            "prefix of 3": lambda: f"{next(self._middling)[:3]}*",
            "prefix of 4": lambda: f"{next(self._middling)[:4]}*",
            "prefix of many words": lambda: "case*",
            "from:": lambda: f"from:{self._person()[1]}",
            "from:, a rare one": lambda: f"from:{self._person(rare=True)[1]}",
            "to:": lambda: f"to:{self._person()[1]}",
            "subject:": lambda: f"subject:{next(frequent)}",
            "operators": lambda: (
                f"from:{self._person()[1].split('@')[1]} is:unread {next(frequent)} after:2018"
            ),
            "has:": lambda: f"{next(frequent)} has:attachment",
            "in:": lambda: f"{next(frequent)} in:inbox",
            "in: rare": lambda: f"{next(self._very_frequent)} in:drafts",
            "frequent in: rare": lambda: f"{next(frequent)} in:drafts",
            "is:flagged": lambda: f"{next(frequent)} is:flagged",
            "is:flagged in: rare": lambda: f"{next(frequent)} is:flagged in:trash",
            "before:": lambda: f"{next(frequent)} before:{self._day()}",
            "excluded": lambda: f"{next(frequent)} -{next(self._very_frequent)}",
            "another script": self._other_script,
            "no match": lambda: f"nothing{self._number()}",
        }
        return {f"search: {name}": self._searching(draw) for name, draw in kinds.items()}

    def rankings(self) -> Mapping[str, Draw]:
        """The same by relevance."""
        return {
            name.replace("search", "ranked"): self._ranked(draw)
            for name, draw in self.searches().items()
        }

    def _listing(self, draw: Callable[[], dict[str, str]]) -> Draw:
        return lambda: (_LIST, {"accountId": self._account, **draw()})

    def _searching(self, draw: Callable[[], str]) -> Draw:
        return lambda: (_LIST, {"accountId": self._account, "q": draw()})

    def _ranked(self, draw: Draw) -> Draw:
        def ranked() -> Request:
            path, query = draw()
            return path, {**query, "sort": "relevance"}

        return ranked

    def _folder(self) -> str:
        shares = [share for *_, share in FOLDERS]
        _, path, _ = self._chance.choices(FOLDERS, shares)[0]
        return str(self._folders[path])

    def _person(self, *, rare: bool = False) -> tuple[str, str]:
        return self._chance.choice(self._known.people[4000:] if rare else self._known.people[:200])

    def _number(self) -> int:
        return self._chance.randint(1, self._count)

    def _day(self) -> str:
        return f"{self._chance.randint(2017, 2025)}-{self._chance.randint(1, 12):02d}-11"

    def _thread(self) -> Any:
        while True:
            rows = Message.objects.filter(pk=self._number(), account=self._account_id)
            found = rows.values_list("thread_id", flat=True).first()
            if found is not None:
                return found

    def _conversation(self) -> Request:
        return _LIST, {"threadId": str(self._thread())}

    def _other_script(self) -> str:
        while (word := self._chance.choice(self._known.words[:10_000])).isascii():
            pass
        return word
