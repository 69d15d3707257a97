"""What a client may ask to be done to messages, and what it is told of the outcome."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.caller import Caller
from accounts.models import EmailAccount
from mailboxes.api.queries import QuerySerializer
from mailboxes.changing import change_messages
from mailboxes.models import Folder, Message
from mailboxes.wishes import Problem, Wish
from mailhub.api.errors import from_mail_error
from mailhub.api.naming import CamelCaseMixin
from mailhub.api.strict import StrictMixin
from mailhub.errors import InvalidInput, MailhubError, NotAllowed, NotFound
from mailhub.mail.errors import MailError

MOST_AT_ONCE = 500
_ID = re.compile(r"[0-9]{1,18}")


@extend_schema_field({"type": "string", "pattern": "^[0-9]{1,18}$"})
class IdField(serializers.CharField):
    """The id of a row, as text."""

    default_error_messages = {"unknown": "This is no id."}

    def to_internal_value(self, data: Any) -> Any:
        text = super().to_internal_value(data)
        if _ID.fullmatch(text) is None:
            self.fail("unknown")
        return int(text)


class MessageChangeSerializer(CamelCaseMixin, StrictMixin, serializers.Serializer[Any]):
    """Flags go to each folder in which the message lies.

    `folderId` is where it shall lie; `fromFolderId` says which of its folders it leaves, and
    is needed where there are several.
    """

    is_read = serializers.BooleanField(required=False)
    is_flagged = serializers.BooleanField(required=False)
    folder_id = IdField(required=False)
    from_folder_id = IdField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """`fromFolderId` alone says nothing."""
        if "from_folder_id" in attrs and "folder_id" not in attrs:
            raise serializers.ValidationError({"fromFolderId": ["Give folderId as well."]})
        return attrs


class DeletionQuery(QuerySerializer):
    """Whether for good, and from which folder."""

    permanent = serializers.BooleanField(required=False, default=False)
    from_folder_id = IdField(required=False)


class BatchSerializer(CamelCaseMixin, StrictMixin, serializers.Serializer[Any]):
    """One change to many messages: that of `PATCH messages/{id}`, or `delete`."""

    ids = serializers.ListField(child=IdField(), min_length=1, max_length=MOST_AT_ONCE)
    is_read = serializers.BooleanField(required=False)
    is_flagged = serializers.BooleanField(required=False)
    folder_id = IdField(required=False)
    from_folder_id = IdField(required=False)
    delete = serializers.BooleanField(required=False, default=False)
    permanent = serializers.BooleanField(required=False, default=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """What is asked for must make sense together."""
        changes = {"is_read", "is_flagged", "folder_id"} & attrs.keys()
        if attrs["delete"] and changes:
            raise serializers.ValidationError({"delete": ["Either change or delete."]})
        if attrs["permanent"] and not attrs["delete"]:
            raise serializers.ValidationError({"permanent": ["This goes with delete."]})
        if not attrs["delete"] and not changes:
            raise serializers.ValidationError({"ids": ["Say what shall be done to them."]})
        if "from_folder_id" in attrs and not (attrs["delete"] or "folder_id" in changes):
            raise serializers.ValidationError({"fromFolderId": ["This goes with folderId."]})
        return attrs


class OutcomeSerializer(serializers.Serializer[Any]):
    """`error` and `message` are null where it was done."""

    id = serializers.CharField()
    status = serializers.ChoiceField(choices=["done", "failed"])
    error = serializers.CharField(allow_null=True)
    message = serializers.CharField(allow_null=True)


class BatchOutcomeSerializer(serializers.Serializer[Any]):
    """One result for each id, in the order in which they were given."""

    results = OutcomeSerializer(many=True)


def change_one(caller: Caller, message: Message, values: dict[str, Any]) -> None:
    """Raises NotAllowed for a delegate, InvalidInput, and what `change_messages` says."""
    account = changeable_account(caller, message)
    problem = change_messages(account, [message.pk], _wish(account, values)).get(message.pk)
    if problem is not None:
        raise problem


def change_many(caller: Caller, values: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of `BatchOutcomeSerializer`.

    Raises the server's error where nothing came of it at all, so that the whole call
    may be tried again.
    """
    ids: Sequence[int] = values["ids"]
    found = Message.objects.for_caller(caller).visible().filter(pk__in=ids)
    rows = {row.pk: row for row in found.only("account_id")}
    problems: dict[int, Problem] = {
        pk: NotFound("There is nothing here.") for pk in ids if pk not in rows
    }
    of_account: dict[Any, list[Message]] = defaultdict(list)
    for row in rows.values():
        of_account[row.account_id].append(row)
    for messages in of_account.values():
        mine = [message.pk for message in messages]
        try:
            account = changeable_account(caller, messages[0])
            problems |= change_messages(account, mine, _wish(account, values))
        except MailhubError as error:
            problems.update(dict.fromkeys(mine, error))
    _raise_if_unreachable(ids, problems)
    return [_outcome(pk, problems.get(pk)) for pk in dict.fromkeys(ids)]


def changeable_account(caller: Caller, message: Message) -> EmailAccount:
    """The message's account. Raises NotAllowed where it is not the caller's own.

    A delegate reads, or reads and sends; what becomes of the mail is its owner's to say.
    """
    account = EmailAccount.objects.select_related("credential").get(pk=message.account_id)
    if account.user_id != caller.user.pk:
        raise NotAllowed("Only the owner of an account may change its mail.", code="not_owner")
    return account


def _wish(account: EmailAccount, values: dict[str, Any]) -> Wish:
    folder = None
    if "folder_id" in values:
        folders = Folder.objects.filter(account=account, is_selectable=True)
        folder = folders.filter(pk=values["folder_id"]).first()
        if folder is None:
            raise InvalidInput.field("folderId", "The account has no such folder.")
    return Wish(
        is_read=values.get("is_read"),
        is_flagged=values.get("is_flagged"),
        folder=folder,
        delete=values.get("delete", False),
        permanent=values.get("permanent", False),
        from_folder_id=values.get("from_folder_id"),
    )


def _raise_if_unreachable(ids: Sequence[int], problems: dict[int, Problem]) -> None:
    reasons = [problems.get(pk) for pk in ids]
    first = reasons[0]
    if isinstance(first, MailError) and all(reason is first for reason in reasons):
        raise first


def _outcome(pk: int, problem: Problem | None) -> dict[str, Any]:
    if problem is None:
        return {"id": str(pk), "status": "done", "error": None, "message": None}
    shown = from_mail_error(problem) if isinstance(problem, MailError) else problem
    return {"id": str(pk), "status": "failed", "error": shown.code, "message": shown.message}
