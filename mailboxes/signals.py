"""News from the mailboxes to whoever listens further up.

`message_stored` is sent after each commit of a batch of messages that are new here and
whose bodies are stored: `account_id` (UUID) and `message_ids` (list of int). A message
that moved, or that is found again after a rebuild, is not new.
"""

from __future__ import annotations

from django.dispatch import Signal

message_stored = Signal()
