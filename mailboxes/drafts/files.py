"""A draft's attachments: written and read in pieces, so that no file is held as a whole."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count

from django.db import transaction
from django.db.models import Sum

from mailboxes.models import Draft, DraftAttachment, DraftPiece, Message
from mailboxes.operations.composing import refuse_too_large
from mailboxes.reading import raw_message
from mailhub.errors import InvalidInput, NotFound
from mailhub.mail.message import Attachment
from mailhub.mail.parsing import open_attachment, open_message
from mailhub.mail.streaming import AttachedFile, encoded_size
from mailhub.mail_policy import refuse_attachment

PIECE_OCTETS = 256 * 1024
_LONGEST_NAME = 255


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file to be attached; `description` says all of it but its octets."""

    description: Attachment
    stretches: Iterable[bytes]

    def read_whole(self) -> Attachment:
        """The file with its octets, for a message that is written at once."""
        return replace(self.description, content=b"".join(self.stretches))


def new_file(
    filename: str,
    content_type: str,
    stretches: Iterable[bytes],
    *,
    content_id: str = "",
) -> NewFile:
    """With a content id the HTML shows it. Raises InvalidMessage, InvalidInput."""
    refuse_attachment(filename)
    if len(filename) > _LONGEST_NAME or len(content_type) > _LONGEST_NAME:
        raise InvalidInput(f"Names of files and types have {_LONGEST_NAME} characters at most.")
    return NewFile(
        Attachment(filename, b"", content_type, content_id, inline=bool(content_id)), stretches
    )


def files_of_message(message: Message, indices: Sequence[int] | None = None) -> list[NewFile]:
    """Attachments of a message here, all or these. Raises what `raw_message` does, NotFound."""
    parsed, contents = open_message(raw_message(message))
    if indices is None:
        indices = range(len(contents))
    found = []
    for index in indices:
        if not 0 <= index < len(contents):
            raise NotFound("The message has no such attachment.")
        told = parsed.attachments[index]
        content_id = told.content_id if told.inline else ""
        file = new_file(told.filename, told.content_type, [contents[index]], content_id=content_id)
        found.append(file)
    return found


def keep_file(draft: Draft, file: NewFile) -> DraftAttachment:
    """Part of a transaction that the caller has begun."""
    row = described(draft, file.description)
    row.save()
    _write_pieces(row, file.stretches)
    return row


def described(draft: Draft, told: Attachment) -> DraftAttachment:
    """The row of a file without its octets; unsaved."""
    return DraftAttachment(
        draft=draft,
        filename=told.filename,
        content_type=told.content_type,
        content_id=told.content_id,
        is_inline=told.inline,
    )


def bring_files_here(draft: Draft) -> None:
    """The draft has all its files for itself, none in the copy that is about to go.

    Raises what `raw_message` does.
    """
    rows = Draft.objects.filter(pk=draft.pk)
    elsewhere = DraftAttachment.objects.filter(draft=draft.pk, index__isnull=False)
    while elsewhere.exists():
        row = rows.select_related("copy__account").first()
        if row is None or row.copy is None:
            return
        _, contents = open_message(raw_message(row.copy))
        with transaction.atomic():
            # Another program may have put another copy in its place.
            if rows.select_for_update().filter(copy=row.copy).exists():
                for file in elsewhere.all():
                    assert file.index is not None, "chosen by it"
                    _write_pieces(file, [contents[file.index]])


def _write_pieces(row: DraftAttachment, stretches: Iterable[bytes]) -> None:
    digest, size = hashlib.sha256(), 0
    for number, piece in enumerate(_pieces(stretches)):
        digest.update(piece)
        size += len(piece)
        DraftPiece.objects.create(attachment=row, number=number, content=piece)
    row.size, row.digest, row.index = size, digest.hexdigest(), None
    row.save(update_fields=["size", "digest", "index"])


def file_stretches(attachment: DraftAttachment) -> Iterator[bytes]:
    """The octets of the file, read as they are asked for. Raises what `raw_message` does."""
    copy = attachment.draft.copy
    if attachment.index is not None and copy is not None:
        return open_attachment(raw_message(copy), attachment.index)[1]
    return _read_pieces(attachment)


def _read_pieces(attachment: DraftAttachment) -> Iterator[bytes]:
    pieces = DraftPiece.objects.filter(attachment=attachment).values_list("content", flat=True)
    for number in count():
        piece = pieces.filter(number=number).first()
        if piece is None:
            return
        yield bytes(piece)


def attached_files(draft: Draft) -> list[AttachedFile]:
    """The draft's files, to be written into a message."""
    return [
        AttachedFile(_description(row), partial(file_stretches, row))
        for row in draft.attachments.all()
    ]


def refuse_too_large_draft(draft: Draft) -> None:
    """Raises TooLarge where it could not be sent for the size of its files."""
    total = draft.attachments.aggregate(total=Sum("size"))["total"] or 0
    refuse_too_large(encoded_size(total) + len(draft.text) + len(draft.html))


def _description(row: DraftAttachment) -> Attachment:
    return Attachment(row.filename, b"", row.content_type, row.content_id, inline=row.is_inline)


def _pieces(stretches: Iterable[bytes]) -> Iterator[bytes]:
    for stretch in stretches:
        for start in range(0, len(stretch), PIECE_OCTETS):
            yield stretch[start : start + PIECE_OCTETS]
