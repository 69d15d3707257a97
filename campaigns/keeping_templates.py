"""Templates as a person keeps them: checked when saved, looked at and tried before use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import IntegrityError, transaction

from accounts.caller import Caller
from campaigns.checking import check_size, check_texts
from campaigns.files import make_rows
from campaigns.models import Template, TemplateAttachment
from mailhub.errors import Conflict, InvalidInput
from mailhub.mail.message import Attachment


def make_template(
    caller: Caller, given: Mapping[str, Any], attachments: Sequence[Attachment] = ()
) -> Template:
    """A new template. Raises InvalidInput, TooLarge, and Conflict for a taken name."""
    made = Template(tenant=caller.tenant, created_by=caller.user)
    return change_template(made, given, attachments)


def change_template(
    template: Template,
    given: Mapping[str, Any],
    attachments: Sequence[Attachment] | None = None,
) -> Template:
    """Set these fields, and store the template. Raises as `make_template` does.

    `attachments` take the place of those that it has; None leaves them.
    """
    for name, value in given.items():
        setattr(template, name, value)
    if not template.html.strip() and not template.text.strip():
        raise InvalidInput.field("html", "Give html, text or both.")
    check_texts(subject=template.subject, html=template.html, text=template.text)
    check_size((template.html, template.text), [len(each.content) for each in attachments or ()])
    try:
        with transaction.atomic():
            template.save()
            if attachments is not None:
                template.attachments.all().delete()
                add_files(template, attachments)
    except IntegrityError:
        words = "There is a template of this name already."
        raise Conflict(words, code="template_exists") from None
    return template


def add_files(template: Template, attachments: Sequence[Attachment]) -> None:
    """Let these go with the template, beside those that do. Raises InvalidInput, TooLarge."""
    there = list(template.attachments.values_list("size", flat=True))
    check_size(
        (template.html, template.text), [*there, *(len(each.content) for each in attachments)]
    )
    with transaction.atomic():
        for row in make_rows(TemplateAttachment, template.tenant, attachments):
            row.template = template
            row.save()
