"""Reports that come back into synced mailboxes, and the messages that they are about.

A sync notes what may be a report in the transaction that stores its body.

reading      the dispatcher reads it soon after, tells whoever listens, and forgets the note
matching     which message of the outbox a report is about

A kill at any moment loses no report, and one that is read twice changes nothing. Nothing in a
mailbox is changed or deleted for a report.
"""
