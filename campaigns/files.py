"""Files that go with messages: each content held once a tenant, and dropped when unused."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from datetime import timedelta
from typing import TypeVar

from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from accounts.models import Tenant
from campaigns.models import CampaignAttachment, StoredFile, TemplateAttachment
from campaigns.models.attached_file import AttachedFile
from mailhub.mail.message import Attachment
from mailhub.mail_policy import refuse_attachment

Row = TypeVar("Row", CampaignAttachment, TemplateAttachment)

_NOT_IN_IDS = re.compile(r"[^A-Za-z0-9._-]+")
_KEPT_FOR = timedelta(days=1)
_REMOVED_AT_ONCE = 100


def make_rows(kind: type[Row], tenant: Tenant, attachments: Iterable[Attachment]) -> list[Row]:
    """Keep the contents, and make the rows that name them; whose they are is yet to be said.

    Raises InvalidInput for a kind of file that is not sent. To be called in the transaction
    that stores the rows.
    """
    attachments = list(attachments)
    for each in attachments:
        refuse_attachment(each.filename)
    return [
        kind(
            file=keep_file(tenant, each.content),
            filename=each.filename,
            content_type=each.content_type,
            content_id=each.content_id if each.inline else "",
            size=len(each.content),
        )
        for each in attachments
    ]


def keep_file(tenant: Tenant, content: bytes) -> StoredFile:
    """The tenant's file of this content, kept now if it was not there."""
    digest = hashlib.sha256(content).hexdigest()
    fresh = StoredFile(
        tenant=tenant, digest=digest, size=len(content), content=content, used_at=timezone.now()
    )
    same = StoredFile.objects.filter(tenant=tenant, digest=digest)
    # Used again, it is safe from `remove_unused_files` until whoever names it is stored.
    if not same.update(used_at=fresh.used_at):
        StoredFile.objects.bulk_create([fresh], ignore_conflicts=True)
    return same.defer("content").get()


def copy_rows(kind: type[Row], rows: Iterable[AttachedFile]) -> list[Row]:
    """The same files for somebody else, who is yet to be said."""
    rows = list(rows)
    keys = [row.file_id for row in rows]
    StoredFile.objects.filter(pk__in=keys).update(used_at=timezone.now())
    return [
        kind(
            file_id=row.file_id,
            filename=row.filename,
            content_type=row.content_type,
            content_id=row.content_id,
            size=row.size,
        )
        for row in rows
    ]


def read_attachments(rows: Iterable[AttachedFile]) -> list[Attachment]:
    """The files with their contents, as a message takes them."""
    return [
        Attachment(
            row.filename,
            bytes(row.file.content),
            row.content_type,
            row.content_id,
            inline=bool(row.content_id),
        )
        for row in rows
    ]


def uploaded(file: UploadedFile[bytes]) -> Attachment:
    """A file from a form. A picture may be shown by the HTML, under its file's name as `cid:`.

    Raises InvalidMessage.
    """
    kind = file.content_type or "application/octet-stream"
    name = (file.name or "file")[-255:]
    is_picture = kind.startswith("image/")
    content_id = _NOT_IN_IDS.sub("-", name)[-200:] if is_picture else ""
    return Attachment(name, file.read(), kind, content_id, inline=is_picture)


def remove_unused_files() -> int:
    """Once an hour: delete the files that nothing has named for a day; how many."""
    long_ago = timezone.now() - _KEPT_FOR
    in_campaigns = CampaignAttachment.objects.filter(file=OuterRef("pk"))
    in_templates = TemplateAttachment.objects.filter(file=OuterRef("pk"))
    unused = StoredFile.objects.filter(
        ~Exists(in_campaigns), ~Exists(in_templates), used_at__lt=long_ago
    )
    removed = 0
    for key in list(unused.values_list("pk", flat=True)[:_REMOVED_AT_ONCE]):
        with transaction.atomic():
            # Locked and asked again: somebody may be attaching it at this moment.
            found = unused.select_for_update().defer("content").filter(pk=key).first()
            removed += found.delete()[0] if found is not None else 0
    return removed
