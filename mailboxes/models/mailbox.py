"""An account seen as its mailbox, for the admin's pages."""

from __future__ import annotations

from accounts.models import EmailAccount


class Mailbox(EmailAccount):
    """The same row as the account."""

    class Meta:
        proxy = True
        verbose_name_plural = "mailboxes"
