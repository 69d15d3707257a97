"""Storing what arrives while a pass over the account is under way, beside it.

A first pass may take an hour, and new mail must not wait for its end. It has UIDs above all
that the pass has seen of the folder, which the pass leaves alone: both may store messages
of one folder at the same time. Whatever else happened there is for the run that follows.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection

from django.utils import timezone

from accounts.models import EmailAccount
from mailboxes.connections import store_of
from mailboxes.sync.control import Control, Interruption, Progress
from mailboxes.sync.engine import Order, Pass
from mailhub.errors import MailhubError
from mailhub.logs import get_logger
from mailhub.mail.errors import MailError
from mailhub.supervised import is_stopping

log = get_logger(__name__)

# The run that follows finds it too, where there is no place among the connections.
_PATIENCE_FOR_A_PLACE = 1.0


def take_arrivals(account: EmailAccount, folders: Collection[str]) -> None:
    """Store what is new in these folders, given by ids, paths or roles.

    What keeps it from being done is logged: nothing is lost, as the run that follows does it.
    """
    order = Order(uuid.uuid4(), timezone.now(), folders=folders)
    control = Control(Progress(), lambda: Interruption.OUT_OF_TIME if is_stopping() else None)
    try:
        with store_of(account, patience=_PATIENCE_FOR_A_PLACE) as store:
            Pass(store, account.pk, order, control, all_are_new=True).take_arrivals()
    except (MailError, MailhubError) as error:
        log.info("arrivals wait for the next pass", account=str(account.pk), reason=error.message)
