"""News from the mailboxes to whoever listens further up.

`message_stored` is sent after each commit of a batch of messages that are new here and
whose bodies are stored: `account_id` (UUID) and `message_ids` (list of int). A message
that moved, or that is found again after a rebuild, is not new.

`report_found` is sent once for each report about something that somebody sent, in the
transaction that notes it: `tenant_id`, `account_id` (UUID), `message_id` (int, of the message
in the mailbox), `report` (BounceReport) and `outbox_id` (int, or None where it is not about a
single message of ours). What a receiver raises undoes the transaction, and the report is read
again later. Whoever acts on a report asks for proof in it: anybody can write one.
"""

from __future__ import annotations

from django.dispatch import Signal

message_stored = Signal()
report_found = Signal()
