"""Personalised mail: a template compiled once, rendered for each recipient."""

from mailhub.mail.merge.language import (
    MOST_PLACEHOLDERS,
    CompiledText,
    TemplateError,
    compile_text,
)
from mailhub.mail.merge.plain_text import derive_text
from mailhub.mail.merge.template import MergeTemplate, Preview, render_preview

__all__ = [
    "MOST_PLACEHOLDERS",
    "CompiledText",
    "MergeTemplate",
    "Preview",
    "TemplateError",
    "compile_text",
    "derive_text",
    "render_preview",
]
