"""What a list of messages shows, as its address says it: where, which of them, from where on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from django.http import QueryDict
from django.urls import reverse
from django.utils.http import urlencode

from accounts.caller import Caller
from accounts.models import EmailAccount
from mailboxes.message_filter import MessageFilter
from mailboxes.models import Folder
from mailboxes.pages.account_states import readable_accounts
from mailboxes.pages.folder_tree import folder_name
from mailboxes.search.query import LONGEST_QUERY, FolderName, read_query
from mailhub.errors import NotFound

_OUT_OF_THE_WAY = (FolderName("junk", is_excluded=True), FolderName("trash", is_excluded=True))
_SWITCHES = ("unread", "flagged", "attachment")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A folder of an account, an account, or all accounts; `accounts` are those beside it.

    `text` is the search as it was typed; what it finds is ranked where `is_ranked`, else the
    newest come first. `cursor` is "" on the first page.
    """

    accounts: Sequence[EmailAccount]
    account: EmailAccount | None = None
    folder: Folder | None = None
    text: str = ""
    unread: bool = False
    flagged: bool = False
    attachment: bool = False
    is_ranked: bool = False
    cursor: str = ""

    @property
    def account_ids(self) -> list[UUID]:
        """Whose messages are listed."""
        return [self.account.pk] if self.account else [account.pk for account in self.accounts]

    @property
    def title(self) -> str:
        """What the list is called."""
        if self.folder is not None:
            return folder_name(self.folder)
        return self.account.account_name if self.account else "All accounts"

    @property
    def is_narrowed(self) -> bool:
        """Whether some messages are left out."""
        return bool(self.text or self.unread or self.flagged or self.attachment)

    @property
    def wanted(self) -> MessageFilter:
        """Which messages; what nobody looks for by name is not among those of all folders."""
        query = read_query(self.text)
        if self.folder is None and not self.text:
            query = replace(query, folders=_OUT_OF_THE_WAY)
        return MessageFilter(
            folder_id=self.folder.pk if self.folder else None,
            unread=self.unread or None,
            flagged=self.flagged or None,
            has_attachment=self.attachment or None,
            query=query,
        )

    @property
    def base(self) -> str:
        """Its address without what narrows it."""
        if self.account is None:
            return reverse("mail-everything")
        if self.folder is None:
            return reverse("mail-account", args=[self.account.pk])
        return reverse("mail-folder", args=[self.account.pk, self.folder.pk])

    @property
    def address(self) -> str:
        """Its address."""
        return self._with_query(self.base)

    @property
    def first_page(self) -> str:
        """The address of its first page."""
        return replace(self, cursor="").address

    @property
    def whole(self) -> str:
        """The address of the same place with nothing left out."""
        return self.base

    @property
    def filters(self) -> list[tuple[str, str, bool]]:
        """Words, address and whether it is on, of each switch."""
        names = {"unread": "Unread", "flagged": "Flagged", "attachment": "With attachment"}
        return [
            (names[name], self._toggled(name).address, getattr(self, name)) for name in _SWITCHES
        ]

    @property
    def orders(self) -> list[tuple[str, str, bool]]:
        """The same of the orders in which a search may be listed."""
        newest, best = (replace(self, is_ranked=ranked, cursor="") for ranked in (False, True))
        return [
            ("Newest first", newest.address, not self.is_ranked),
            ("Best match first", best.address, self.is_ranked),
        ]

    def message_address(self, message_id: int) -> str:
        """The address of one message beside this list."""
        return self._with_query(f"{self.base}/{message_id}")

    def older(self, cursor: str) -> str:
        """The address of the page from this cursor on."""
        return replace(self, cursor=cursor).address

    def _toggled(self, name: str) -> Place:
        switches: dict[str, Any] = {name: not getattr(self, name)}
        return replace(self, cursor="", **switches)

    def _with_query(self, base: str) -> str:
        parts = {"q": self.text} if self.text else {}
        parts |= {name: "1" for name in _SWITCHES if getattr(self, name)}
        parts |= {"sort": "relevance"} if self.is_ranked else {}
        parts |= {"cursor": self.cursor} if self.cursor else {}
        return f"{base}?{urlencode(parts)}" if parts else base


def find_place(
    caller: Caller, account_id: UUID | None, folder_id: int | None, query: QueryDict
) -> Place:
    """Raises NotFound for what the caller may not read."""
    accounts = readable_accounts(caller)
    account = next((row for row in accounts if row.pk == account_id), None)
    if account_id is not None and account is None:
        raise NotFound("There is no such account.")
    folder = None
    if folder_id is not None:
        folder = Folder.objects.filter(account=account, pk=folder_id).first()
        if folder is None:
            raise NotFound("There is no such folder.")
    text = query.get("q", "").strip()[:LONGEST_QUERY]
    return Place(
        accounts=accounts,
        account=account,
        folder=folder,
        text=text,
        is_ranked=bool(text) and query.get("sort") == "relevance",
        cursor=query.get("cursor", ""),
        **{name: query.get(name) == "1" for name in _SWITCHES},
    )
