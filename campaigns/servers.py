"""By which mail server or provider a campaign goes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from django.conf import settings

from accounts.connections import outgoing_settings
from accounts.models import EmailAccount
from accounts.sending import account_ses, default_account, default_sender, ses_transport
from accounts.ses_pace import pace_of
from campaigns.models import Campaign, CampaignKind, CampaignSender
from campaigns.senders import sent_as
from mailhub.errors import Conflict, MailhubError
from mailhub.mail.errors import QuotaExceeded, RateExceeded, Reply
from mailhub.mail.server import Encryption, PasswordLogin, Protocol, ServerSettings
from mailhub.mail.transports.base import Transport
from mailhub.mail.transports.pacing import Pace
from mailhub.mail.transports.ses import SesSettings
from mailhub.mail.transports.smtp import SmtpTransport
from mailhub.mail_policy import default_server, default_ses, server_settings

# How long one of many senders waits for its turn at an account's rate.
_PATIENCE = 10.0
_LONGEST_NAP = 1.0
# A request takes about a tenth of a second; twice as many as that needs keep the rate.
_CONNECTIONS_FOR_RATE = 0.2
_LEAST_CONNECTIONS = 2


def way_of(campaign: Campaign) -> Callable[[], Transport]:
    """How each of the campaign's senders comes to a transport of its own.

    Raises Conflict where its account or the installation's sender is gone, InvalidInput
    where the installation forbids the connection, SecretUnreadable where a password does
    not open.
    """
    ses = ses_of(campaign)
    if ses is not None:
        shared = pace_of(ses)
        # Its rate says how many senders there is use for.
        shared.learn()
        pace = PatientPace(shared)
        tenant, campaign_id = campaign.tenant, campaign.campaign_id
        return lambda: ses_transport(ses, tenant, pace, campaign=campaign_id)
    server = _server_of(campaign)
    return lambda: SmtpTransport(server)


def ses_of(campaign: Campaign) -> SesSettings | None:
    """The account of SES by which it goes, None where it goes by SMTP. Raises as `way_of`."""
    account = account_of(campaign)
    if account is not None:
        return account_ses(account) if account.ses_region else None
    is_default = campaign.sender == CampaignSender.DEFAULT
    if is_default and (campaign.kind == CampaignKind.SES or default_sender() == "ses"):
        return default_ses()
    return None


def account_of(campaign: Campaign) -> EmailAccount | None:
    """The email account by which it goes, its own or the installation's. Raises Conflict."""
    if campaign.sender == CampaignSender.ACCOUNT:
        if campaign.account is None or not campaign.account.is_enabled:
            raise Conflict("The email account of this campaign is gone or disabled.")
        return campaign.account
    is_default = campaign.sender == CampaignSender.DEFAULT and campaign.kind == CampaignKind.SMTP
    if is_default and default_sender() not in ("", "smtp", "ses"):
        return default_account()
    return None


def goes_by_ses(campaign: Campaign) -> bool:
    """Whether it is SES that answers its messages."""
    try:
        return ses_of(campaign) is not None
    except MailhubError:
        return campaign.kind == CampaignKind.SES


def ask_anew(campaign: Campaign) -> None:
    """Have SES asked what it allows, wherever the campaign waits for a daily quota."""
    for own in sent_as(campaign):
        try:
            ses = ses_of(own)
        except MailhubError:
            continue
        if ses is not None:
            pace_of(ses).ask_anew()


def connections_for(campaign: Campaign) -> int:
    """How many senders a worker has for it: as many as an account's rate has use for."""
    try:
        ses = ses_of(campaign)
    except MailhubError:
        ses = None
    if ses is None:
        return int(settings.MAILHUB_CAMPAIGN_CONNECTIONS)
    wanted = max(_LEAST_CONNECTIONS, math.ceil(pace_of(ses).rate() * _CONNECTIONS_FOR_RATE))
    return min(wanted, int(settings.MAILHUB_SES_CONNECTIONS))


class PatientPace:
    """An account's allowance for one of many senders, who waits its turn for some seconds.

    Without that a slow account would have most of a campaign put off, again and again.
    """

    def __init__(self, pace: Pace, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._pace = pace
        self._sleep = sleep

    def take(self, recipients: int) -> float:
        """See `Pace.take`."""
        waited = 0.0
        while True:
            try:
                return self._pace.take(recipients)
            except RateExceeded as error:
                if waited >= _PATIENCE:
                    raise
                nap = min(error.retry_after, _LONGEST_NAP)
            self._sleep(nap)
            waited += nap

    def slow_down(self) -> None:
        """See `Pace.slow_down`."""
        self._pace.slow_down()

    def use_up(self, reply: Reply) -> QuotaExceeded:
        """See `Pace.use_up`."""
        return self._pace.use_up(reply)


def _server_of(campaign: Campaign) -> ServerSettings:
    account = account_of(campaign)
    if account is not None:
        return outgoing_settings(account)
    if campaign.sender == CampaignSender.DEFAULT:
        return default_server()
    username = campaign.smtp_username
    login = PasswordLogin(username, campaign.reveal_smtp_password()) if username else None
    return server_settings(
        Protocol.SMTP,
        campaign.smtp_host,
        campaign.smtp_port or 0,
        Encryption(campaign.smtp_encryption),
        login,
    )
