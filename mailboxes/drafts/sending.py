"""A draft goes to the outbox, and comes back from there.

In the transaction that promises to send it, it goes out of sight; its copy stays in the
Drafts folder until the message was accepted, so that no state of things lacks both. Where
the message is cancelled, the draft is there again.
"""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from accounts.caller import Caller
from mailboxes.composing import refuse_reader
from mailboxes.drafts.reading import take_content
from mailboxes.drafts.returning import forget_draft, reopen
from mailboxes.drafts.saving import begin, changing
from mailboxes.drafts.writing import sendable_message
from mailboxes.models import DeadLetter, Draft, OutboxContent, OutboxMessage, OutboxState
from mailboxes.outbox.accepting import accept
from mailboxes.outbox.deciding import cancel
from mailboxes.outbox.senders import refuse_unsendable
from mailboxes.outbox.sent_copies import own_copy
from mailboxes.sync.batches import in_batches
from mailhub.errors import Conflict

_GOT_BY_SOMEBODY = (OutboxState.SENT, OutboxState.BOUNCED)
_AT_ONCE = 500
_COMES_BACK = (
    *(OutboxState.CANCELLED, OutboxState.FAILED, OutboxState.DEAD),
    *(OutboxState.UNCERTAIN, OutboxState.BOUNCED),
)


def send_draft(
    caller: Caller,
    draft: Draft,
    *,
    send_at: datetime | None = None,
    version: int | None = None,
) -> OutboxMessage:
    """Promise to send it, now or at `send_at`.

    Raises as `change_draft` does, and as `send_from_account` does.
    """
    with changing(caller, draft, version) as row:
        refuse_unsendable(row.account)
        message, wire = sendable_message(row, send_at)
        row.outbox = accept(
            caller,
            message,
            wire,
            account=row.account,
            answered=row.answered,
            forwarded=row.forwarded,
            send_at=send_at,
        )
        row.copy_due_at = None
    return row.outbox


def take_back(caller: Caller, message: OutboxMessage) -> Draft:
    """A message that did not go out, as a draft again; one that waits is cancelled first.

    It is not sent from the outbox any more. One that somebody may have got, or that came
    back, can be taken back too: to send it is a new decision then. Raises NotAllowed for
    whom only reads the account, Conflict for one that is on its way or was sent, or that
    is of no account.
    """
    if message.account is None:
        raise Conflict("It is of no account that could keep a draft.", code="no_account")
    refuse_reader(caller, message.account)
    with transaction.atomic():
        if message.is_waiting or message.state == OutboxState.SENDING:
            cancel(message)
        row = OutboxMessage.objects.select_for_update().get(pk=message.pk)
        if row.state not in _COMES_BACK:
            raise Conflict(f"It cannot become a draft: it is {row.state}.", code="not_over")
        draft = reopen(row) or _became(row) or _from_content(row)
        DeadLetter.objects.filter(message=row).delete()
        if row.state != OutboxState.CANCELLED:
            # A worker may be about to read what is cancelled this moment.
            OutboxContent.objects.filter(pk=row.pk).delete()
    message.refresh_from_db()
    return draft


def _became(message: OutboxMessage) -> Draft | None:
    """The draft that it was taken back as before."""
    if message.became_draft is None:
        return None
    draft = Draft.objects.open().filter(pk=message.became_draft).first()
    if draft is None:
        raise Conflict("It became a draft, which is no more.", code="draft_gone")
    return draft


def _from_content(message: OutboxMessage) -> Draft:
    content = OutboxContent.objects.filter(pk=message.pk).first()
    if content is None or message.account is None:
        raise Conflict("The message itself is kept no more.", code="content_gone")
    draft = begin(Draft(account=message.account))
    take_content(draft, own_copy(content))
    OutboxMessage.objects.filter(pk=message.pk).update(became_draft=draft.pk)
    return draft


def retire_sent() -> int:
    """Drafts whose messages were accepted are no more; how many there were."""
    handed_over = dict(
        Draft.objects.filter(outbox__isnull=False).values_list("outbox_id", "pk").iterator(2000)
    )
    count = 0
    for some in in_batches(list(handed_over), _AT_ONCE):
        accepted = OutboxMessage.objects.filter(pk__in=some, state__in=_GOT_BY_SOMEBODY)
        for outbox_id in accepted.values_list("pk", flat=True):
            with transaction.atomic():
                rows = Draft.objects.select_for_update(of=("self",)).select_related("account")
                draft = rows.filter(pk=handed_over[outbox_id], outbox=outbox_id).first()
                if draft is not None:
                    forget_draft(draft)
                    count += 1
    return count
