"""Which message of the outbox a report is about.

Anybody can write a report. So it must hold something that only those know who got the
message: the token that went out in its header, or its Message-ID, both random. It is looked
for in the tenant alone in whose mailbox the report lies.
"""

from __future__ import annotations

from uuid import UUID

from mailboxes.models import OutboxMessage
from mailboxes.outbox.accepting import REPORT_FIELD
from mailhub.mail.bounce import BounceReport

_LONGEST_ID = 996
_TOKEN_LENGTH = 32


def sent_message(tenant_id: UUID, report: BounceReport) -> OutboxMessage | None:
    """The tenant's message that it is about."""
    rows = OutboxMessage.objects.filter(tenant_id=tenant_id)
    returned = report.returned
    token = returned.header(REPORT_FIELD).strip()
    if len(token) == _TOKEN_LENGTH and (row := rows.filter(report_token=token).first()):
        return row
    if not returned.message_id or len(returned.message_id) > _LONGEST_ID:
        return None
    return rows.filter(message_id=f"<{returned.message_id}>").first()
