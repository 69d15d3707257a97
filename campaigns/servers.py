"""By which mail server a campaign goes."""

from __future__ import annotations

from django.conf import settings

from accounts.connections import outgoing_settings
from campaigns.models import Campaign, CampaignSender
from mailhub.errors import Conflict
from mailhub.mail.host_guard import HostGuard
from mailhub.mail.server import Encryption, PasswordLogin, Protocol, ServerSettings
from mailhub.mail_policy import server_settings


def server_of(campaign: Campaign) -> ServerSettings:
    """Where and how to send this campaign.

    Raises Conflict where its account or the installation's server is gone, InvalidInput
    where the installation forbids the connection, SecretUnreadable where the password does
    not open.
    """
    if campaign.sender == CampaignSender.DEFAULT:
        return default_server()
    if campaign.sender == CampaignSender.SERVER:
        username = campaign.smtp_username
        login = PasswordLogin(username, campaign.reveal_smtp_password()) if username else None
        return server_settings(
            Protocol.SMTP,
            campaign.smtp_host,
            campaign.smtp_port or 0,
            Encryption(campaign.smtp_encryption),
            login,
        )
    if campaign.account is None or not campaign.account.is_enabled:
        raise Conflict("The email account of this campaign is gone or disabled.")
    return outgoing_settings(campaign.account)


def default_server() -> ServerSettings:
    """The installation's own server, which may be anywhere: its operator has named it.

    Raises Conflict where there is none.
    """
    if not settings.SMTP_SERVER:
        raise Conflict("This installation has no mail server of its own.", code="no_mail_server")
    username = settings.SMTP_USERNAME
    return ServerSettings(
        protocol=Protocol.SMTP,
        host=settings.SMTP_SERVER,
        port=settings.SMTP_PORT,
        encryption=Encryption(settings.SMTP_ENCRYPTION),
        login=PasswordLogin(username, settings.SMTP_PASSWORD) if username else None,
        timeout=settings.MAILHUB_MAIL_TIMEOUT,
        guard=HostGuard.allowing(["0.0.0.0/0", "::/0"]),
        ca_file=settings.MAILHUB_CA_FILE,
    )
