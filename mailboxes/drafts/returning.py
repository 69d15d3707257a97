"""What becomes of a draft when its message in the outbox came to an end without being sent."""

from __future__ import annotations

from django.utils import timezone

from mailboxes.models import Draft, DraftRemoval, OutboxMessage


def reopen(message: OutboxMessage) -> Draft | None:
    """The draft that the message was is there again. Part of a transaction."""
    draft = Draft.objects.filter(outbox=message).select_related("account").first()
    if draft is None:
        return None
    draft.outbox = None
    draft.updated_at = timezone.now()
    if draft.is_copied and draft.has_news:
        draft.copy_due_at = draft.updated_at
    draft.save(update_fields=["outbox", "updated_at", "copy_due_at"])
    OutboxMessage.objects.filter(pk=message.pk).update(became_draft=draft.pk)
    return draft


def give_up(message: OutboxMessage) -> None:
    """Nobody wants the message any more, nor the draft that it was. Part of a transaction."""
    for draft in Draft.objects.filter(outbox=message).select_related("account"):
        forget_draft(draft)


def forget_draft(draft: Draft) -> None:
    """It is no more; its copies on the mail server are to go. Part of a transaction."""
    if draft.is_copied:
        DraftRemoval.objects.update_or_create(
            pk=draft.pk,
            defaults={
                "account_id": draft.account_id,
                "copy_path": draft.copy_path,
                "copy_uid_validity": draft.copy_uid_validity,
                "copy_uid": draft.copy_uid,
                "due_at": timezone.now(),
            },
        )
    draft.delete()
