"""What comes back of bulk mail, and what follows from it.

    SNS posts ──┐
    SQS queues ─┴→ intake ─ SesNotice ─→ following ─┐
    reports in mailboxes (mailboxes.signals) ───────┼→ recording ─→ consequences
    replies while sending ──────────────────────────┘  each once    suppress, count, pause

Whatever its order and number, a report changes the delivery, the person and the list once.
"""
