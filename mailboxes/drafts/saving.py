"""What a person does to a draft: begin it, change it, attach files, throw it away.

Everything is saved here and at once; the Drafts folder on the mail server follows, as soon
as its server takes it. Who changes a draft may say which version it has seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypedDict
from uuid import UUID, uuid4

from django.db import transaction
from django.utils import timezone

from accounts.caller import Caller
from accounts.models import EmailAccount
from mailboxes.composing import refuse_reader, threading_of
from mailboxes.drafts.files import (
    NewFile,
    bring_files_here,
    file_stretches,
    keep_file,
    new_file,
    refuse_too_large_draft,
)
from mailboxes.drafts.returning import forget_draft
from mailboxes.drafts.writing import check_writable
from mailboxes.models import Draft, DraftAttachment, DraftRemoval, Message
from mailboxes.models.draft import Person
from mailhub.errors import Conflict, InvalidInput, NotFound
from mailhub.mail.addresses import refuse_breaks

_LONGEST_ADDRESS = 1000
_MOST_PEOPLE = 1000
_MOVED = (
    *("to", "cc", "bcc", "reply_to", "subject", "text", "html", "headers", "priority"),
    *("in_reply_to", "references", "answered", "forwarded"),
)


class DraftFields(TypedDict, total=False):
    """What a draft says; who leaves a field out leaves it as it is.

    `sender` {} means the account's own address. `answered` and `forwarded` are messages
    here, from which the threading follows; `in_reply_to` is the Message-ID of one that is
    not, with its brackets.
    """

    sender: Person | dict[str, str]
    to: list[Person]
    cc: list[Person]
    bcc: list[Person]
    reply_to: list[Person]
    subject: str
    text: str
    html: str
    headers: list[tuple[str, str]]
    priority: str
    in_reply_to: str
    answered: Message | None
    forwarded: Message | None


# A file that is new, or the id of one that the draft has and keeps.
GivenFile = NewFile | int


def new_draft(
    caller: Caller,
    account: EmailAccount,
    fields: DraftFields,
    *,
    files: Sequence[NewFile] = (),
    draft_id: UUID | None = None,
) -> Draft:
    """Begin a draft, under an id that its writer has chosen where one is given.

    Raises NotAllowed for who may not send from the account, InvalidMessage for what cannot
    stand in a message, TooLarge, Conflict where a draft of this id was sent or thrown away.
    """
    refuse_reader(caller, account)
    with transaction.atomic():
        draft = Draft(pk=draft_id or uuid4(), account=account)
        write_fields(draft, fields)
        _refuse_known(draft.pk)
        begin(draft)
        for file in files:
            keep_file(draft, file)
        refuse_too_large_draft(draft)
    return draft


def change_draft(
    caller: Caller,
    draft: Draft,
    fields: DraftFields,
    *,
    files: Sequence[GivenFile] | None = None,
    version: int | None = None,
) -> Draft:
    """Change the fields that are given; `files`, where given, are all that it has then.

    What changes nothing makes no new version. Raises as `new_draft` does, NotFound for a draft
    that is gone or a file that it does not have, Conflict where `version` is given and is not
    the newest any more.
    """
    with changing(caller, draft, version) as row:
        is_changed = write_fields(row, fields)
        if files is not None:
            is_changed |= _replace_files(row, files)
        if is_changed:
            refuse_too_large_draft(row)
            mark_changed(row)
    return row


def move_draft(
    caller: Caller, draft: Draft, account: EmailAccount, *, version: int | None = None
) -> Draft:
    """The same draft, to be sent from another account: it is another one from then on.

    Raises as `new_draft` and `change_draft` do.
    """
    refuse_reader(caller, account)
    with transaction.atomic():
        with changing(caller, draft, version) as row:
            fields = {name: getattr(row, name) for name in _MOVED}
            moved = begin(Draft(account=account, **fields))
            for each in row.attachments.all():
                keep_file(moved, _same_file(each))
        discard(caller, row)
    return moved


def _same_file(row: DraftAttachment) -> NewFile:
    stretches = file_stretches(row)
    return new_file(row.filename, row.content_type, stretches, content_id=row.content_id)


def attach(
    caller: Caller, draft: Draft, file: NewFile, *, version: int | None = None
) -> DraftAttachment:
    """Add a file. Raises as `change_draft` does."""
    with changing(caller, draft, version) as row:
        kept = keep_file(row, file)
        refuse_too_large_draft(row)
        mark_changed(row)
    return kept


def detach(
    caller: Caller, draft: Draft, attachment_id: int, *, version: int | None = None
) -> Draft:
    """Take a file away. Raises as `change_draft` does."""
    with changing(caller, draft, version) as row:
        deleted, _ = row.attachments.filter(pk=attachment_id).delete()
        if not deleted:
            raise NotFound("The draft has no such attachment.")
        mark_changed(row)
    return row


def discard(caller: Caller, draft: Draft, *, version: int | None = None) -> None:
    """Throw it away, here and in the Drafts folder. Raises as `change_draft` does."""
    refuse_reader(caller, draft.account)
    with transaction.atomic():
        forget_draft(_locked(draft, version))


def _refuse_known(draft_id: UUID) -> None:
    is_known = Draft.objects.filter(pk=draft_id).exists()
    if is_known or DraftRemoval.objects.filter(pk=draft_id).exists():
        raise Conflict("It was sent or thrown away meanwhile.", code="draft_gone")


@contextmanager
def changing(caller: Caller, draft: Draft, version: int | None) -> Iterator[Draft]:
    """The draft's row, locked, and saved at the end. Raises NotAllowed, NotFound, Conflict."""
    refuse_reader(caller, draft.account)
    bring_files_here(draft)
    with transaction.atomic():
        row = _locked(draft, version)
        if row.attachments.filter(index__isnull=False).exists():
            raise _changed_since(row)  # By another program, this moment.
        yield row
        row.save()


def write_fields(draft: Draft, fields: DraftFields) -> bool:
    """Set the fields that are given, unsaved; whether that changes anything.

    Raises InvalidMessage, InvalidInput.
    """
    values: dict[str, object] = {**fields}
    values |= _threading(fields)
    if "headers" in fields:
        values["headers"] = [list(pair) for pair in fields["headers"]]
    before_change = {name: getattr(draft, name) for name in values}
    for name, value in values.items():
        setattr(draft, name, value)
    for name in ("sender", "to", "cc", "bcc", "reply_to"):
        if name in fields:
            given = getattr(draft, name)
            _check_people(name, [given] if name == "sender" and given else given)
    check_writable(draft)
    return any(getattr(draft, name) != value for name, value in before_change.items())


def _threading(fields: DraftFields) -> dict[str, object]:
    answered, forwarded = fields.get("answered"), fields.get("forwarded")
    if answered is not None:
        in_reply_to, references = threading_of(answered)
        return {"in_reply_to": in_reply_to, "references": references}
    if forwarded is not None:
        # A forward belongs to the conversation, and answers nothing.
        return {"in_reply_to": "", "references": threading_of(forwarded)[1]}
    if "in_reply_to" in fields:
        given = fields["in_reply_to"]
        return {"references": [given] if given else [], "answered": None}
    return {}


def begin(draft: Draft) -> Draft:
    """Save its first version. Part of a transaction."""
    draft.version = 0
    mark_changed(draft)
    draft.save(force_insert=True)
    return draft


def mark_changed(draft: Draft) -> None:
    """It is another version now, which the Drafts folder lacks; unsaved."""
    draft.version += 1
    draft.updated_at = timezone.now()
    if draft.is_copied:
        draft.copy_due_at = draft.updated_at


def _locked(draft: Draft, version: int | None) -> Draft:
    rows = Draft.objects.open().select_for_update(of=("self",)).select_related("account")
    row = rows.filter(pk=draft.pk).first()
    if row is None:
        raise NotFound("There is no such draft.")
    if version is not None and version != row.version:
        raise _changed_since(row)
    return row


def _changed_since(draft: Draft) -> Conflict:
    return Conflict(
        "The draft was changed since: look at it again.",
        code="version_conflict",
        details={"version": draft.version},
    )


def _replace_files(draft: Draft, files: Sequence[GivenFile]) -> bool:
    present = set(draft.attachments.values_list("pk", flat=True))
    kept = {file for file in files if isinstance(file, int)}
    if kept - present:
        raise InvalidInput.field("attachments", "The draft has no such attachment to keep.")
    draft.attachments.exclude(pk__in=kept).delete()
    fresh = [file for file in files if not isinstance(file, int)]
    for file in fresh:
        keep_file(draft, file)
    return bool(present - kept or fresh)


def _check_people(name: str, people: Sequence[Person]) -> None:
    if len(people) > _MOST_PEOPLE:
        raise InvalidInput.field(name, "These are too many addresses.")
    for person in people:
        for text in (person["name"], person["address"]):
            refuse_breaks("An address", text)
            if len(text) > _LONGEST_ADDRESS:
                raise InvalidInput.field(name, "An address is too long.")
