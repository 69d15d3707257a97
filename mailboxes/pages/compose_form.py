"""The form in which a message is written: what it shows, and what of it is saved."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import UUID, uuid4

from django.core.files.uploadedfile import UploadedFile
from django.http import QueryDict
from rest_framework.exceptions import ValidationError

from accounts.caller import Caller
from accounts.models import EmailAccount
from mailboxes.api.compose_shapes import found_message
from mailboxes.api.draft_input import DraftPeopleField
from mailboxes.drafts.files import NewFile, files_of_message, new_file
from mailboxes.drafts.quoting import Proposal, propose_forward, propose_reply
from mailboxes.drafts.saving import DraftFields, change_draft, move_draft, new_draft
from mailboxes.models import Draft, DraftAttachment
from mailboxes.models.draft import Person
from mailboxes.pages.acting import read_ids
from mailhub.errors import InvalidInput, NotFound
from mailhub.mail.parsing.message import ParsedAttachment
from mailhub.numbers import whole_number

_PLAIN_NAME = re.compile(r"[^()<>\[\]:;@\\,\"]*")


@dataclass(slots=True, kw_only=True)
class ComposeForm:
    """What was typed, or what one begins with.

    `version` is the draft's that is shown, 0 while none is saved. `answered` and `forwarded`
    are ids of messages here; `carried` are files of the forwarded one, by their indices
    there, that go along once the draft is saved. `errors` are by field, `problem` is about
    all of it.
    """

    draft_id: UUID = field(default_factory=uuid4)
    version: int = 0
    account_id: str = ""
    to: str = ""
    cc: str = ""
    bcc: str = ""
    subject: str = ""
    text: str = ""
    answered: int | None = None
    forwarded: int | None = None
    carried: Sequence[int] = ()
    offered: Sequence[ParsedAttachment] = ()
    attachments: Sequence[DraftAttachment] = ()
    has_design: bool = False
    send_at: str = ""
    zone: str = ""
    errors: dict[str, list[str]] = field(default_factory=dict)
    problem: str = ""
    is_conflict: bool = False

    @property
    def has_copies(self) -> bool:
        """Whether it goes to anybody besides those in To."""
        return bool(self.cc or self.bcc or "cc" in self.errors or "bcc" in self.errors)


def begin_form(caller: Caller, query: QueryDict) -> ComposeForm:
    """An empty form, a reply or a forward, as the address says.

    Raises NotFound for a message that the caller may not read, and what reading it raises.
    """
    for name in ("reply", "everyone", "forward"):
        message_id = whole_number(query.get(name, ""))
        if message_id is not None:
            message = found_message(caller, message_id)
            if name == "forward":
                return _proposed(propose_forward(message), forwarded=message_id)
            return _proposed(
                propose_reply(message, everyone=name == "everyone"), answered=message_id
            )
    return ComposeForm(account_id=query.get("account", ""), to=query.get("to", ""))


def form_of(draft: Draft) -> ComposeForm:
    """What a draft says."""
    return ComposeForm(
        draft_id=draft.pk,
        version=draft.version,
        account_id=str(draft.account_id),
        to=people_text(draft.to),
        cc=people_text(draft.cc),
        bcc=people_text(draft.bcc),
        subject=draft.subject,
        text=draft.text,
        attachments=list(draft.attachments.all()),
        has_design=bool(draft.html),
    )


def typed_form(post: QueryDict) -> ComposeForm:
    """What was typed. Raises NotFound for an id that is none."""
    try:
        draft_id = UUID(post.get("draft", ""))
    except ValueError:
        raise NotFound("There is no such draft.") from None
    return ComposeForm(
        draft_id=draft_id,
        version=whole_number(post.get("version", "")) or 0,
        account_id=_typed(post, "account"),
        # A browser ends lines with CRLF.
        text=_typed(post, "text").replace("\r\n", "\n"),
        to=_typed(post, "to"),
        cc=_typed(post, "cc"),
        bcc=_typed(post, "bcc"),
        subject=_typed(post, "subject"),
        answered=whole_number(post.get("answered", "")),
        forwarded=whole_number(post.get("forwarded", "")),
        carried=read_ids(post.getlist("carry")),
        send_at=_typed(post, "send_at"),
        zone=_typed(post, "zone"),
    )


def save_form(
    caller: Caller,
    form: ComposeForm,
    uploads: Iterable[UploadedFile[Any]] = (),
    *,
    over_others: bool = False,
) -> Draft:
    """Save what was typed, with files that are new; the draft is begun where there is none.

    Raises as `change_draft` and `new_draft` do. `over_others`: even where somebody else has
    changed the draft since it was shown.
    """
    account = _account(caller, form.account_id)
    fields = _fields(caller, form)
    files = [_uploaded(each) for each in uploads]
    draft = Draft.objects.for_caller(caller).open().filter(pk=form.draft_id).first()
    if draft is None:
        begun = _begin(caller, account, form, fields, files)
        form.version = begun.version
        return begun
    version = None if over_others else form.version
    if draft.html and draft.text != fields["text"]:
        fields["html"] = ""
    kept = list(draft.attachments.values_list("pk", flat=True))
    changed = change_draft(
        caller, draft, fields, files=[*kept, *files] if files else None, version=version
    )
    if changed.account_id != account.pk:
        changed = move_draft(caller, changed, account)
    form.draft_id, form.version = changed.pk, changed.version
    return changed


def offered_files(caller: Caller, form: ComposeForm) -> Sequence[ParsedAttachment]:
    """Those of the message that is passed on, while no draft has them yet."""
    if form.forwarded is None:
        return ()
    return propose_forward(found_message(caller, form.forwarded)).attachments


def people_text(people: Iterable[Person]) -> str:
    """As a person types them, with commas between."""
    return ", ".join(typed_person(person) for person in people)


def typed_person(person: Person) -> str:
    """`Ann <ann@example.org>`, the name in quotes where it must be."""
    name, address = person.get("name", ""), person.get("address", "")
    if not name:
        return address
    if not _PLAIN_NAME.fullmatch(name):
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        name = f'"{escaped}"'
    return f"{name} <{address}>"


def _proposed(
    proposal: Proposal, *, answered: int | None = None, forwarded: int | None = None
) -> ComposeForm:
    return ComposeForm(
        account_id=str(proposal.message.account_id),
        to=people_text(proposal.to),
        cc=people_text(proposal.cc),
        subject=proposal.subject,
        text=proposal.text,
        answered=answered,
        forwarded=forwarded,
        carried=[each.index for each in proposal.attachments],
        offered=proposal.attachments,
    )


def _account(caller: Caller, account_id: str) -> EmailAccount:
    try:
        wanted = UUID(account_id)
    except ValueError:
        wanted = None
    rows = EmailAccount.objects.sendable_by(caller).filter(pk=wanted) if wanted else None
    found = rows.first() if rows is not None else None
    if found is None:
        raise InvalidInput.field("account", "Choose the account to send from.")
    return found


def _fields(caller: Caller, form: ComposeForm) -> DraftFields:
    fields = DraftFields(subject=form.subject, text=form.text)
    for name, given in (("to", form.to), ("cc", form.cc), ("bcc", form.bcc)):
        try:
            people = DraftPeopleField().run_validation(given)
        except ValidationError as error:
            raise InvalidInput.field(
                name, " ".join(map(str, cast(list[str], error.detail)))
            ) from None
        fields |= cast(DraftFields, {name: people})
    return fields


def _begin(
    caller: Caller,
    account: EmailAccount,
    form: ComposeForm,
    fields: DraftFields,
    files: Sequence[NewFile],
) -> Draft:
    if form.answered is not None:
        fields["answered"] = found_message(caller, form.answered)
    if form.forwarded is not None:
        forwarded = found_message(caller, form.forwarded)
        fields["forwarded"] = forwarded
        if form.carried:
            files = [*files_of_message(forwarded, form.carried), *files]
    return new_draft(caller, account, fields, files=files, draft_id=form.draft_id)


def _typed(post: QueryDict, name: str) -> str:
    """PostgreSQL keeps no NUL."""
    return post.get(name, "").replace("\0", "")


def _uploaded(file: UploadedFile[Any]) -> NewFile:
    return new_file(file.name or "", file.content_type or "", file.chunks())
