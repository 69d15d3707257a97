"""Imports a CSV file or a workbook of contacts, of any size, in the background.

`start_import` stores the file and queues the work; `carry_on` does it, from wherever the
last one stopped. Each batch is one short transaction: contacts, bad rows, counters and
the place in the file are written together, so that a crash repeats and loses nothing.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from django.db import transaction
from django.utils import timezone
from django_q.tasks import async_task

from accounts.caller import Caller
from contacts.bulk_writing import refresh_statistics
from contacts.columns import EXPORT_COLUMNS, map_columns
from contacts.contact_rows import BadRow, ContactRow, RowReader
from contacts.csv_reading import Lines, Record, read_records
from contacts.joining import add_people
from contacts.listing import own_lists
from contacts.merging import merge_rows
from contacts.models import Contact, ContactList, ImportJob, ImportRowError, ImportStatus
from contacts.models.import_job import QUEUED_FOR, LeaseLost
from contacts.models.import_row_error import LONGEST_TEXT
from contacts.uploads import (
    EncodingTally,
    HeadingTooDeep,
    Readable,
    drop_file,
    keep_file,
    kept_blocks,
    read_beginning,
    rows_of_a_workbook,
)
from contacts.workbook_intake import read_workbook
from mailhub.errors import InvalidInput
from mailhub.logs import get_logger
from mailhub.supervised import is_stopping

log = get_logger(__name__)

BATCH = 1000
DELIMITERS = ",;\t|"
# Counted while the client waits; larger files are counted by the task.
_COUNTED_AT_ONCE = 4 * 1024 * 1024
_RENEW_EVERY = 2.0
# After so many rows the database is told that the table has grown.
_GROWN = 4 * BATCH
_SEPARATOR_LINE = re.compile(rb'"?sep=([,;\t|])"?\r?\n', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Heading:
    """How a file begins: its columns, and the place where the rows start."""

    columns: list[str]
    delimiter: str
    encoding: str
    offset: int
    line: int
    rows: list[list[str]]


def start_import(
    caller: Caller,
    file: Readable,
    mapping: Mapping[str, str | None] | None = None,
    list_ids: Sequence[int] = (),
) -> ImportJob:
    """Store the file and queue its import; answers before the rows are read.

    A workbook is kept as it is: its rows are read in the background, and its columns where
    they are not among the first things in it. `mapping` is explained at
    `contacts.columns.map_columns`; on the lists every row of the file is put that becomes a
    contact or speaks of one. Raises InvalidInput for a file that is empty, has no rows, no
    email column, or is not text, and for a list that is not there.
    """
    lists = own_lists(caller, list_ids)
    mapping = dict(mapping or {})
    try:
        columns = _columns_of(read_heading(file), mapping)
    except HeadingTooDeep:
        columns = {}
    job = ImportJob.objects.create(
        tenant=caller.tenant,
        created_by=caller.user,
        filename=_clean_filename(getattr(file, "name", "") or ""),
        mapping=mapping,
        list_ids=[each.pk for each in lists],
        **columns,
    )
    keep_file(job, file)
    if job.sheet_size is None and job.size <= _COUNTED_AT_ONCE:
        job.total = sum(1 for _ in _records(job))
    job.status = ImportStatus.PENDING
    job.save()
    queue_import(job)
    return job


def _columns_of(heading: Heading, mapping: Mapping[str, str | None]) -> dict[str, Any]:
    """What a job knows of its file by the heading. Raises InvalidInput."""
    return {
        "columns": heading.columns,
        "targets": map_columns(heading.columns, mapping),
        "delimiter": heading.delimiter,
        "offset": heading.offset,
        "line": heading.line,
    }


def read_heading(file: Readable) -> Heading:
    """The heading of a file, found in its first block.

    Raises InvalidInput, and HeadingTooDeep where too much of a workbook stands before it.
    """
    return _find_heading(*read_beginning(file))


def _find_heading(blocks: Iterator[bytes], tally: EncodingTally) -> Heading:
    block = next(blocks, b"")
    if not block.strip():
        raise InvalidInput.field("file", "The file is empty.")
    offset = line = 0
    delimiters = tally.separator or DELIMITERS
    if named := _SEPARATOR_LINE.match(block):
        offset, line, delimiters = named.end(), 1, named[1].decode()
    heading = max(
        (
            _try_delimiter(block, delimiter, tally.encoding, offset, line)
            for delimiter in delimiters
        ),
        key=_credibility,
    )
    if any("@" in column and "." in column for column in heading.columns):
        raise InvalidInput.field(
            "file", "The first line holds an address, not the names of the columns."
        )
    if heading.offset >= len(block.rstrip()) and next(blocks, None) is None:
        raise InvalidInput.field("file", "The file has a heading, and no rows.")
    return heading


def _try_delimiter(block: bytes, delimiter: str, encoding: str, offset: int, line: int) -> Heading:
    lines = Lines([block[offset:]], encoding=encoding, offset=offset, line=line)
    records = read_records(lines, delimiter)
    first = next(records, None)
    if first is None or not first.values:
        reason = first.reason if first else "The file is empty."
        raise InvalidInput.field("file", f"The first line cannot be read. {reason}")
    columns = [column.strip() for column in first.values]
    while columns and not columns[-1]:
        columns.pop()
    rows = [record.values for record in islice(records, 20) if record.values]
    return Heading(columns, delimiter, encoding, first.offset, first.last_line, rows)


def _credibility(heading: Heading) -> tuple[int, int]:
    """Rows that are as wide as the heading speak for a delimiter, then columns."""
    width = len(heading.columns)
    agreeing = sum(len(row) == width for row in heading.rows) if width > 1 else 0
    return agreeing, width


def _clean_filename(name: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in name)[:255]


def queue_import(job: ImportJob) -> bool:
    """Give the job to a worker once the transaction is committed; False where it is held."""
    until = timezone.now() + QUEUED_FOR
    with transaction.atomic():
        if not ImportJob.objects.unattended().filter(pk=job.pk).update(queued_until=until):
            return False
        transaction.on_commit(lambda: async_task("contacts.tasks.run_import", job.pk))
    return True


def _records(job: ImportJob) -> Iterator[Record]:
    blocks = kept_blocks(job, job.offset)
    lines = Lines(blocks, encoding=job.encoding, offset=job.offset, line=job.line)
    return read_records(lines, job.delimiter)


def carry_on(job: ImportJob, *, seconds: float) -> bool:
    """Import rows for about so long, or until a stop is asked for; whether it is finished.

    The caller holds the job (`ImportJob.claim`). Raises LeaseLost.
    """
    until = time.monotonic() + seconds
    try:
        if not read_workbook(job, until):
            return False
        _know_columns(job)
    except InvalidInput as refusal:
        if not job.end(ImportStatus.FAILED, refusal.message):
            raise LeaseLost from None
        drop_file(job)
        log.info("import refused", job=job.pk)
        return True
    if job.total is None:
        _count_rows(job)
    reader = RowReader(job.targets, is_guarded=set(EXPORT_COLUMNS) <= set(job.columns))
    lists = list(ContactList.objects.filter(tenant=job.tenant_id, pk__in=job.list_ids))
    records = _records(job)
    while batch := list(islice(records, BATCH)):
        before = job.done
        _write_batch(job, batch, reader, lists)
        if before < _GROWN <= job.done:
            refresh_statistics()
        if is_stopping() or time.monotonic() > until:
            return False
    if job.total != job.done and not job.keep(total=job.done):
        raise LeaseLost
    if not job.end(ImportStatus.COMPLETED):
        raise LeaseLost
    drop_file(job)
    log.info(
        "import ended",
        job=job.pk,
        imported=job.imported,
        updated=job.updated,
        failed=job.failed,
    )
    return True


def _know_columns(job: ImportJob) -> None:
    """Find those that were not known when the file came. Raises InvalidInput, LeaseLost."""
    if not job.columns:
        heading = _find_heading(kept_blocks(job, 0), rows_of_a_workbook())
        if not job.keep(**_columns_of(heading, job.mapping)):
            raise LeaseLost


def _count_rows(job: ImportJob) -> None:
    counted, renewed = 0, time.monotonic()
    for _ in _records(job):
        counted += 1
        if counted % 1000 == 0 and time.monotonic() - renewed > _RENEW_EVERY:
            renewed = time.monotonic()
            if not job.keep():
                raise LeaseLost
    if not job.keep(total=job.done + counted):
        raise LeaseLost


def _write_batch(
    job: ImportJob, batch: list[Record], reader: RowReader, lists: Sequence[ContactList]
) -> None:
    rows: list[ContactRow] = []
    origins: list[Record] = []
    bad: list[ImportRowError] = []
    for record in batch:
        reason = record.reason
        if not reason:
            try:
                rows.append(reader.read(record.values))
                origins.append(record)
            except BadRow as error:
                reason = str(error)
        if reason:
            bad.append(_row_error(job, record, reason))
    with transaction.atomic():
        merged = merge_rows(job.tenant_id, rows)
        emails = sorted({row.email for row in rows}) if lists else []
        people = Contact.objects.filter(tenant=job.tenant_id, email__in=emails)
        for contact_list in lists:
            add_people(contact_list, people)
        bad += [
            _row_error(job, origins[position], "The database refused the row.")
            for position in merged.refused
        ]
        bad.sort(key=lambda row: row.line)
        ImportRowError.objects.bulk_create(bad)
        counts = {
            "imported": merged.imported,
            "updated": merged.updated,
            "failed": len(bad),
        }
        last = batch[-1]
        if not job.advance(counts, offset=last.offset, line=last.last_line):
            raise LeaseLost


def _row_error(job: ImportJob, record: Record, reason: str) -> ImportRowError:
    raw = b"".join(record.raw)[: LONGEST_TEXT * 4]
    text = raw.decode(job.encoding, "replace").rstrip("\r\n").replace("\0", "\ufffd")
    return ImportRowError(job=job, line=record.line, text=text[:LONGEST_TEXT], reason=reason[:300])
