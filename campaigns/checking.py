"""What is refused of a message before anything is stored: its texts, its size."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from django.conf import settings

from mailhub.errors import InvalidInput, TooLarge
from mailhub.mail.addresses import refuse_breaks
from mailhub.mail.errors import InvalidMessage
from mailhub.mail.merge import TemplateError, compile_text

# Base64 in lines of 76 characters and their ends.
_BASE64_GROWTH = 1.37


def check_texts(
    *, subject: str, html: str, text: str, names: Mapping[str, str] | None = None
) -> None:
    """Raises InvalidInput (`template_error`), with line and column, where one does not compile.

    `names` are those by which a client knows the fields, where they are others.
    """
    try:
        refuse_breaks("The subject", subject)
        compile_text(subject, "subject")
        compile_text(html, "html", html=True)
        compile_text(text, "text")
    except TemplateError as error:
        raise template_refused(error, names) from error
    except InvalidMessage as error:
        raise InvalidInput.field("subject", error.message) from error


def template_refused(error: TemplateError, names: Mapping[str, str] | None = None) -> InvalidInput:
    """The error as a client sees it: the field by its own name, with line and column."""
    name = (names or {}).get(error.field, error.field)
    return InvalidInput(
        f"{name}: {error.message}",
        code="template_error",
        details={
            "fields": {name: [error.message]},
            "line": error.line,
            "column": error.column,
        },
    )


def check_size(texts: Iterable[str], files: Iterable[int], limit: int | None = None) -> None:
    """Raises TooLarge where a message of these texts and sizes of files would be too large.

    `limit` is in octets, the installation's where none is given.
    """
    limit = limit or settings.MAILHUB_MESSAGE_LIMIT
    octets = sum(len(text.encode()) for text in texts)
    if octets + sum(files) * _BASE64_GROWTH > limit:
        raise TooLarge(
            f"One message would be larger than {limit // (1024 * 1024)} MB with its attachments.",
            details={"limit": limit},
        )
