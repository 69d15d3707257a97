"""Raw bytes of a message → frozen values for a person and a database.

Any bytes yield a message: nothing here raises for what a message contains, and no text
that comes out holds NUL or a lone surrogate, so it can be stored and encoded anywhere.

    content ─ header_block ─> header fields (ordered pairs, charset guessed where none is told)
            └ part_tree ────> tree of parts (a fast reader, else one that takes anything)
                               └ body ──> text, html, snippet, attachments

A message that is too large to be held is read from its file: `large_message` (`any_size` tells
one from the other).

`ParsedHeaders` is what the header alone tells, `ParsedMessage` adds the body. Attachments
are named by their position; `attachment_content` gives the octets of one.
"""

from mailhub.mail.parsing.any_size import (
    attachment_content,
    embedded_images,
    open_attachment,
    open_message,
    parse_body,
    parse_message,
)
from mailhub.mail.parsing.message import (
    ParsedAttachment,
    ParsedHeaders,
    ParsedMessage,
    message_of_parts,
    parse_headers,
)
from mailhub.mail.parsing.structured_fields import Mailbox

__all__ = [
    "Mailbox",
    "ParsedAttachment",
    "ParsedHeaders",
    "ParsedMessage",
    "attachment_content",
    "embedded_images",
    "message_of_parts",
    "open_attachment",
    "open_message",
    "parse_body",
    "parse_headers",
    "parse_message",
]
