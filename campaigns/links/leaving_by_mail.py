"""Leaving by a message: what mail programs without one-click send to List-Unsubscribe's mailto.

The address is that of an account which is synced here, so such a message is new mail in it;
its subject holds the token that the link would.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.conf import settings

from accounts.models import EmailAccount
from campaigns.links.dressing import WORD
from campaigns.links.leaving import find_leaver, leave_all
from campaigns.links.tokens import LENGTH
from mailboxes.models import Message
from mailboxes.signals import message_stored

_SUBJECT = re.compile(rf"\s*{WORD}\s+([\w-]{{{LENGTH}}})\s*", re.ASCII | re.IGNORECASE)


def listen() -> None:
    """From now on; to be called once."""
    message_stored.connect(_read, dispatch_uid="campaigns.leaving_by_mail")


def _read(account_id: UUID, message_ids: Sequence[int], **_: Any) -> None:
    address = settings.MAILHUB_UNSUBSCRIBE_ADDRESS
    if not address:
        return
    accounts = EmailAccount.objects.filter(pk=account_id, email_address__iexact=address)
    if not accounts.exists():
        return
    messages = Message.objects.filter(pk__in=message_ids, subject__icontains=WORD)
    for subject in messages.values_list("subject", flat=True):
        found = _SUBJECT.fullmatch(subject)
        leaver = found and find_leaver(found[1])
        if leaver:
            leave_all(leaver)
