"""Making a campaign: everything that can be refused is refused before a row is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts.caller import Caller
from accounts.hosts import refuse_private_host
from accounts.models import EmailAccount
from campaigns.audience import EVERYBODY, Recipients, plan_audience
from campaigns.checking import check_size, check_texts, template_refused
from campaigns.composing import Composer
from campaigns.files import make_rows
from campaigns.lifecycle import start_campaign
from campaigns.models import (
    Campaign,
    CampaignAttachment,
    CampaignKind,
    CampaignSender,
    CampaignStatus,
)
from campaigns.models.campaign import make_campaign_id
from campaigns.servers import account_of, ses_of
from mailhub.errors import InvalidInput
from mailhub.mail.addresses import refuse_breaks
from mailhub.mail.errors import InvalidMessage
from mailhub.mail.merge import TemplateError
from mailhub.mail.message import Attachment
from mailhub.mail.server import Encryption, Protocol
from mailhub.mail.transports.ses import SesSettings
from mailhub.mail_policy import default_server, server_settings


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

    Without `account` and `server` it goes by the installation's own server, or its own SES.
    `from_email` may be empty with an account. `pacing` holds fields of the campaign: when, how
    fast, up to how many failures.
    """

    name: str
    subject: str
    kind: CampaignKind = CampaignKind.SMTP
    html_body: str = ""
    text_body: str = ""
    from_email: str = ""
    reply_to: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    attachments: tuple[Attachment, ...] = ()
    account: EmailAccount | None = None
    server: PlannedServer | None = None
    recipients: Recipients = EVERYBODY
    pacing: Mapping[str, Any] = field(default_factory=dict)
    tracks_opens: bool = False
    tracks_clicks: bool = False


# The names under which a client of campaigns knows the template's fields.
CAMPAIGN_NAMES = {"html": "body", "text": "text_body"}


def create_campaign(caller: Caller, plan: CampaignPlan) -> Campaign:
    """Store the campaign, and start it now or at its time.

    Raises InvalidInput, Conflict and HostNotAllowed.
    """
    campaign = _build(caller, plan)
    ses = _check_server(campaign, plan)
    check_size(
        (plan.html_body, plan.text_body),
        [len(each.content) for each in plan.attachments],
        limit=ses.size_limit if ses else None,
    )
    _check_message(campaign, plan)
    audience = plan_audience(caller, campaign, plan.recipients)
    if not campaign.total_contacts:
        raise InvalidInput("There is nobody to send this campaign to.", code="no_recipients")
    is_for_later = campaign.scheduled_at is not None and campaign.scheduled_at > timezone.now()
    if is_for_later:
        campaign.status = CampaignStatus.SCHEDULED
    with transaction.atomic():
        campaign.save()
        audience.save()
        for row in make_rows(CampaignAttachment, caller.tenant, plan.attachments):
            row.campaign = campaign
            row.save()
        if not is_for_later:
            start_campaign(campaign)
    return campaign


def _build(caller: Caller, plan: CampaignPlan) -> Campaign:
    campaign = Campaign(
        campaign_id=make_campaign_id(plan.kind),
        kind=plan.kind,
        tenant=caller.tenant,
        created_by=caller.user,
        name=plan.name or plan.subject[:200],
        subject=plan.subject,
        html_body=plan.html_body,
        text_body=plan.text_body,
        from_email=plan.from_email or (plan.account.email_address if plan.account else ""),
        reply_to=plan.reply_to,
        headers=plan.headers,
        account=plan.account,
        tracks_opens=plan.tracks_opens,
        tracks_clicks=plan.tracks_clicks,
        **plan.pacing,
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


def _check_server(campaign: Campaign, plan: CampaignPlan) -> SesSettings | None:
    """The account of SES by which it goes, None where it goes by SMTP."""
    ses = ses_of(campaign)
    if ses is not None:
        return ses
    if plan.kind == CampaignKind.SES:
        words = "This account does not send by SES."
        raise InvalidInput.field("account_id", words)
    if plan.server is not None:
        server = plan.server
        server_settings(Protocol.SMTP, server.host, server.port, server.encryption, None)
        refuse_private_host(server.host, server.port)
    else:
        account = account_of(campaign)
        if account is None:
            default_server()
        elif not account.smtp_hostname:
            raise InvalidInput("This account has no outgoing server.", code="no_outgoing_server")
    return None


def _check_message(campaign: Campaign, plan: CampaignPlan) -> None:
    """Compile it as the sending will."""
    if not plan.html_body.strip() and not plan.text_body.strip():
        raise InvalidInput.field("body", "Give a body, a text_body or both.")
    if not campaign.from_email:
        raise InvalidInput.field("from_email", "Give the sender's address.")
    # As it was written: what is added to it before it is compiled would move line and column.
    check_texts(
        subject=plan.subject, html=plan.html_body, text=plan.text_body, names=CAMPAIGN_NAMES
    )
    try:
        for name, value in plan.headers.items():
            refuse_breaks(f"The header field {name}", value)
        Composer(campaign, plan.attachments)
    except TemplateError as error:
        raise template_refused(error, CAMPAIGN_NAMES) from error
    except InvalidMessage as error:
        raise InvalidInput(error.message, code="invalid_message") from error
