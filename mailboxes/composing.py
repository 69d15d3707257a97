"""A message that a person sends from an account of its own."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from django.db.models import QuerySet

from accounts.caller import Caller
from accounts.models import EmailAccount
from mailboxes.models import Message, OutboxMessage
from mailboxes.operations.composing import MailOptions, compose, sent_octets
from mailboxes.outbox.accepting import accept
from mailboxes.outbox.senders import refuse_unsendable
from mailhub.errors import NotAllowed
from mailhub.mail.message import Address, OutgoingMessage


def send_from_account(
    caller: Caller,
    account: EmailAccount,
    options: MailOptions,
    *,
    answered: Message | None = None,
    forwarded: Message | None = None,
    send_at: datetime | None = None,
) -> OutboxMessage:
    """Promise to send it, now or at `send_at`; a copy goes to the account's Sent folder.

    `answered` is the message that it replies to, `forwarded` one that it passes on. Raises
    Conflict for a disabled account, InvalidInput beyond a limit or without an outgoing server,
    InvalidMessage.
    """
    refuse_unsendable(account)
    if options.sender is None:
        options = replace(options, sender=Address("", account.email_address))
    if answered is not None:
        options = answering(options, answered)
    elif forwarded is not None:
        # A forward belongs to the conversation, and answers nothing.
        options = replace(options, references=threading_of(forwarded)[1])
    message = dated(compose(options, username=account.email_address), send_at)
    return accept(
        caller,
        message,
        sent_octets(message),
        account=account,
        answered=answered,
        forwarded=forwarded,
        send_at=send_at,
    )


def dated(message: OutgoingMessage, send_at: datetime | None) -> OutgoingMessage:
    """Its Date is when it leaves: by that a mailbox shows it as new."""
    if send_at is None or send_at <= message.date:
        return message
    return replace(message, date=send_at)


def answering(options: MailOptions, answered: Message) -> MailOptions:
    """The same as a reply: RFC 5322 section 3.6.4, and its subject where none was given."""
    in_reply_to, references = threading_of(answered)
    return replace(
        options,
        in_reply_to=in_reply_to,
        references=references,
        subject=options.subject or reply_subject(answered.subject),
    )


def threading_of(answered: Message) -> tuple[str, list[str]]:
    """In-Reply-To ("" where it has no Message-ID) and References of an answer to it."""
    before = answered.references or [answered.in_reply_to]
    ids = [f"<{each}>" for each in (*before, answered.message_id) if each]
    in_reply_to = f"<{answered.message_id}>" if answered.message_id else ""
    return in_reply_to, list(dict.fromkeys(ids))


def sending_accounts(caller: Caller) -> QuerySet[EmailAccount]:
    """From which the caller may send at this moment."""
    rows = EmailAccount.objects.sendable_by(caller).filter(is_enabled=True)
    rows = rows.exclude(smtp_hostname="")
    return rows.order_by("account_name", "email_address", "pk")


def may_compose(caller: Caller) -> bool:
    """Whether there is any account from which the caller may send."""
    return caller.may("mail", write=True) and sending_accounts(caller).exists()


def refuse_reader(caller: Caller, account: EmailAccount) -> None:
    """Raises NotAllowed for a delegate who may only read the account."""
    if not EmailAccount.objects.sendable_by(caller).filter(pk=account.pk).exists():
        raise NotAllowed("You may read this account, not send from it.", code="may_not_send")


def reply_subject(subject: str) -> str:
    """`Re: ` once."""
    return subject if subject[:3].lower() == "re:" else f"Re: {subject}"
