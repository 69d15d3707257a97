"""The site's own mail by SES: what Django's `send_mail` uses."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from django.core.mail import EmailMessage
from django_ses import SESBackend


class SesBackend(SESBackend):  # type: ignore[misc]  # untyped
    """django-ses's, with time-outs, no second try where the first may have arrived, the errors
    of AWS counted as failures to send, and messages left as they were given.
    """

    def __init__(self, fail_silently: bool = False, **options: Any) -> None:
        options.setdefault(
            "aws_config",
            Config(
                connect_timeout=settings.MAILHUB_MAIL_TIMEOUT,
                read_timeout=settings.MAILHUB_MAIL_TIMEOUT,
                retries={"total_max_attempts": 1, "mode": "standard"},
            ),
        )
        super().__init__(fail_silently=fail_silently, **options)

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """How many were sent; all of them, or an error unless `fail_silently`."""
        sent = 0
        for message in email_messages:
            own = copy(message)
            own.extra_headers = dict(message.extra_headers)
            try:
                sent += super().send_messages([own]) or 0
            except (BotoCoreError, ClientError):
                if not self.fail_silently:
                    raise
        return sent
