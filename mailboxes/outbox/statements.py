"""What every message costs in the database, as statements that are written once.

The ORM would take longer to compose them than a mail server takes to accept the message.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any

from django.db import connection
from django.db.models import Model

from mailboxes.models import OutboxMessage, OutboxState, SendAttempt

_BEGIN = """
    UPDATE outbox_messages SET has_begun = %s WHERE id = %s AND state = %s AND worker = %s
"""
# Where a report came before the answer did, more is to be done than this.
_END = """
    UPDATE outbox_messages SET {fields}
    WHERE id = %s AND state = %s AND worker = %s AND bounced = '{{}}'
"""
_ATTEMPT = """
    INSERT INTO send_attempts (message_id, number, ended_at, result, code, reply)
    VALUES (
        %s, (SELECT COUNT(*) + 1 FROM send_attempts WHERE message_id = %s), %s, %s, %s, %s
    )
"""


def mark_begun(message_id: int, worker: str) -> bool:
    """Its first octet may have left from now on; False where it is not this worker's."""
    return _changed(_BEGIN, [True, message_id, OutboxState.SENDING.value, worker])


def end_usually(message_id: int, worker: str, values: Mapping[str, Any]) -> bool:
    """These are its fields now; False where it is not this worker's, or has come back already."""
    fields = ", ".join(f'"{name}" = %s' for name in values)
    written = [_prepared(OutboxMessage, name, value) for name, value in values.items()]
    key = [message_id, OutboxState.SENDING.value, worker]
    return _changed(_END.format(fields=fields), [*written, *key])


def add_attempt(message_id: int, ended_at: datetime, result: str, code: int, reply: str) -> None:
    """The next attempt of a message."""
    moment = _prepared(SendAttempt, "ended_at", ended_at)
    _changed(_ATTEMPT, [message_id, message_id, moment, result, code, reply])


def _changed(statement: str, parameters: list[Any]) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return bool(cursor.rowcount > 0)


def _prepared(model: type[Model], name: str, value: Any) -> Any:
    return _field(model, name).get_db_prep_save(value, connection)


@cache
def _field(model: type[Model], name: str) -> Any:
    return model._meta.get_field(name)
