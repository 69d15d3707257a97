"""A file beside a message, under the name that its readers see."""

from __future__ import annotations

from django.db import models

from campaigns.models.stored_file import StoredFile


class AttachedFile(models.Model):
    """With a `content_id` it is an image that the HTML shows (`cid:`), else an attachment."""

    file = models.ForeignKey(StoredFile, on_delete=models.RESTRICT, related_name="+")
    filename = models.CharField(max_length=255)
    content_type = models.CharField(max_length=255, default="application/octet-stream")
    content_id = models.CharField(max_length=200, blank=True)
    size = models.PositiveIntegerField()

    class Meta:
        abstract = True
        ordering = ["pk"]

    def __str__(self) -> str:
        return self.filename
