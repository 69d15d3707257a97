"""A file that belongs to a template."""

from __future__ import annotations

from django.db import models

from campaigns.models.attached_file import AttachedFile
from campaigns.models.template import Template


class TemplateAttachment(AttachedFile):
    """Goes with every campaign that takes its text from the template."""

    template = models.ForeignKey(Template, on_delete=models.CASCADE, related_name="attachments")

    class Meta(AttachedFile.Meta):
        db_table = "template_attachments"
