"""Making a campaign: everything that can be refused is refused before a row is stored."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.caller import Caller
from accounts.hosts import refuse_private_host
from accounts.models import EmailAccount
from campaigns.audience import plan_audience
from campaigns.composing import Composer
from campaigns.lifecycle import start_campaign
from campaigns.models import (
    Campaign,
    CampaignAttachment,
    CampaignSender,
    CampaignStatus,
)
from campaigns.servers import default_server
from mailhub.errors import InvalidInput, TooLarge
from mailhub.mail.addresses import refuse_breaks
from mailhub.mail.errors import InvalidMessage
from mailhub.mail.merge import TemplateError
from mailhub.mail.message import Attachment
from mailhub.mail.server import Encryption, Protocol
from mailhub.mail_policy import refuse_attachment, server_settings


@dataclass(frozen=True, slots=True)
class PlannedServer:
    """A mail server for one campaign alone; no user name, no login."""

    host: str
    port: int
    encryption: Encryption
    username: str = ""
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class CampaignPlan:
    """What a person asks for.

    Without `account` and `server` it goes by the installation's own server. `emails` are
    normalised addresses; None means every contact. `from_email` may be empty with an account.
    """

    name: str
    subject: str
    html_body: str = ""
    text_body: str = ""
    from_email: str = ""
    reply_to: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    attachments: tuple[Attachment, ...] = ()
    account: EmailAccount | None = None
    server: PlannedServer | None = None
    emails: list[str] | None = None
    scheduled_at: datetime | None = None


# The names under which a client knows the template's fields.
_FIELDS = {"html": "body", "text": "text_body"}
# Base64 in lines of 76 characters and their ends.
_BASE64_GROWTH = 1.37


def create_campaign(caller: Caller, plan: CampaignPlan) -> Campaign:
    """Store the campaign, and start it now or at its time.

    Raises InvalidInput, TooLarge, Conflict and HostNotAllowed.
    """
    campaign = _build(caller, plan)
    _check_size(plan)
    _check_server(campaign, plan)
    _check_message(campaign, plan)
    audience = plan_audience(campaign, plan.emails)
    if not campaign.total_contacts:
        raise InvalidInput("There is nobody to send this campaign to.", code="no_recipients")
    is_for_later = plan.scheduled_at is not None and plan.scheduled_at > timezone.now()
    if is_for_later:
        campaign.status = CampaignStatus.SCHEDULED
    with transaction.atomic():
        campaign.save()
        audience.save()
        CampaignAttachment.objects.bulk_create(
            CampaignAttachment(
                campaign=campaign,
                filename=each.filename,
                content_type=each.content_type,
                size=len(each.content),
                content=each.content,
            )
            for each in plan.attachments
        )
        if not is_for_later:
            start_campaign(campaign)
    return campaign


def _build(caller: Caller, plan: CampaignPlan) -> Campaign:
    campaign = Campaign(
        tenant=caller.tenant,
        created_by=caller.user,
        name=plan.name or plan.subject[:200],
        subject=plan.subject,
        html_body=plan.html_body,
        text_body=plan.text_body,
        from_email=plan.from_email or (plan.account.email_address if plan.account else ""),
        reply_to=plan.reply_to,
        headers=plan.headers,
        scheduled_at=plan.scheduled_at,
        account=plan.account,
    )
    if plan.account is not None:
        campaign.sender = CampaignSender.ACCOUNT
    elif plan.server is not None:
        campaign.sender = CampaignSender.SERVER
        campaign.smtp_host = plan.server.host
        campaign.smtp_port = plan.server.port
        campaign.smtp_encryption = plan.server.encryption
        campaign.smtp_username = plan.server.username
        if plan.server.password:
            campaign.keep_smtp_password(plan.server.password)
    return campaign


def _check_size(plan: CampaignPlan) -> None:
    for attachment in plan.attachments:
        refuse_attachment(attachment.filename)
    files = sum(len(attachment.content) for attachment in plan.attachments)
    texts = len(plan.html_body.encode()) + len(plan.text_body.encode())
    limit = settings.MAILHUB_MESSAGE_LIMIT
    if texts + files * _BASE64_GROWTH > limit:
        raise TooLarge(
            f"One message would be larger than {limit // (1024 * 1024)} MB with its attachments.",
            details={"limit": limit},
        )


def _check_server(campaign: Campaign, plan: CampaignPlan) -> None:
    if plan.server is not None:
        server = plan.server
        server_settings(Protocol.SMTP, server.host, server.port, server.encryption, None)
        refuse_private_host(server.host, server.port)
    elif plan.account is None:
        default_server()
    elif not plan.account.smtp_hostname:
        raise InvalidInput("This account has no outgoing server.", code="no_outgoing_server")


def _check_message(campaign: Campaign, plan: CampaignPlan) -> None:
    """Compile it as the sending will."""
    if not plan.html_body.strip() and not plan.text_body.strip():
        raise InvalidInput.field("body", "Give a body, a text_body or both.")
    if not campaign.from_email:
        raise InvalidInput.field("from_email", "Give the sender's address.")
    try:
        refuse_breaks("The subject", plan.subject)
        for name, value in plan.headers.items():
            refuse_breaks(f"The header field {name}", value)
        Composer(campaign, plan.attachments)
    except TemplateError as error:
        name = _FIELDS.get(error.field, error.field)
        raise InvalidInput(
            f"{name}: {error.message}",
            code="template_error",
            details={
                "fields": {name: [error.message]},
                "line": error.line,
                "column": error.column,
            },
        ) from error
    except InvalidMessage as error:
        raise InvalidInput(error.message, code="invalid_message") from error
