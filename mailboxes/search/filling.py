"""Rows of PostgreSQL's index, written before their messages by whoever has the vectors.

The trigger then leaves them as they are. Part of the transaction that writes the messages.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple, cast
from uuid import UUID

from django.db import connection

from mailboxes.search.index import SPAN_BITS, place_of
from mailboxes.search.vectors import Vectors, every_sign, vector_of

# How a COPY in binary begins and ends.
_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END = struct.pack(">h", -1)
_ROW = struct.Struct(">hiqi16siq")
_LENGTH = struct.Struct(">i")


class Indexed(NamedTuple):
    """A message that is about to be stored, and its words."""

    message_id: int
    received_at: datetime
    vectors: Vectors


def takes_vectors() -> bool:
    """Whether this database makes the same of a text as `mailboxes.search.vectors` does.

    One of another version, locale or configuration may not.
    """
    if connection.vendor != "postgresql":
        return False
    text = every_sign()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tsvectorsend(to_tsvector('simple', message_search_words(%s)))", [text]
        )
        (vector,) = cursor.fetchone()
    return bytes(vector) == vector_of(text)


def index_messages(account_id: UUID, messages: Iterable[Indexed]) -> None:
    """Write the index of these messages of the account, which are not stored yet."""
    rows = [_row(account_id, message) for message in messages]
    if rows:
        with (
            connection.cursor() as cursor,
            cast(Any, cursor).copy(
                "COPY message_search (message_id, account_id, place, sender, recipients, subject,"
                " document) FROM STDIN (FORMAT binary)"
            ) as copy,
        ):
            copy.write(b"".join((_HEADER, *rows, _END)))


def _row(account_id: UUID, message: Indexed) -> bytes:
    place = place_of(message.received_at, message.message_id)
    account = f"account:{account_id}"
    vectors = message.vectors
    document = vectors.document([account.encode(), f"{account}:{place >> SPAN_BITS}".encode()])
    parts = [_ROW.pack(7, 8, message.message_id, 16, account_id.bytes, 8, place)]
    for vector in (vectors.sender, vectors.recipients, vectors.subject, document):
        parts += (_LENGTH.pack(len(vector)), vector)
    return b"".join(parts)
