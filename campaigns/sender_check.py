"""Is this a sender whose bulk mail arrives? The DNS of its domain, and its standing at SES."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from django.conf import settings

from accounts.caller import Caller
from accounts.models import EmailAccount, SesQuota
from accounts.sending import account_ses, default_account, default_sender
from accounts.ses_account import row_for
from accounts.ses_pace import pace_of
from campaigns.models import Campaign, DkimKey
from campaigns.senders import sent_as
from campaigns.servers import ses_of
from mailhub.errors import InvalidInput, MailhubError
from mailhub.mail.addresses import encode_domain, parse_address
from mailhub.mail.errors import InvalidMessage, MailError
from mailhub.mail.sender_records import Check, Result, SenderRecords, Signing, resolver_at
from mailhub.mail.transports.ses import SesSettings
from mailhub.mail.transports.ses_wire import SesWire
from mailhub.mail_policy import default_ses

_WORST = (Result.FAIL, Result.WARNING, Result.UNKNOWN, Result.PASS)
_NOT_FOUND = "NotFoundException"


@dataclass(frozen=True, slots=True)
class SesStanding:
    """What SES says of the sender and of the account. `daily` is -1 for no limit."""

    region: str
    identity: str
    is_verified: bool
    dkim: str
    is_in_sandbox: bool
    rate: float
    daily: float
    sent: float
    read_at: datetime | None
    checks: tuple[Check, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class SenderCheck:
    """All that is known of one from-address."""

    address: str
    domain: str
    checks: tuple[Check, ...]
    ses: SesStanding | None = None

    @property
    def result(self) -> Result:
        """The worst of all."""
        found = {check.result for check in self.checks}
        return next((each for each in _WORST if each in found), Result.UNKNOWN)


def check_sender(caller: Caller, text: str, campaign: Campaign | None = None) -> SenderCheck:
    """Look at the address from which somebody wants to send, by the way that mail takes.

    That is the campaign's where one is given. Raises InvalidInput.
    """
    try:
        address = parse_address(text)
        domain = encode_domain(address.domain).lower()
    except InvalidMessage as error:
        raise InvalidInput.field("from", error.message) from error
    ses = _ses_for(caller, address.address, campaign)
    standing = _stands_at_ses(ses, address.address, domain) if ses is not None else None
    checks = SenderRecords(domain, resolver_at(settings.MAILHUB_DNS_SERVER)).checks(
        by_ses=ses is not None, signing=None if ses is not None else _signing(caller, domain)
    )
    if standing is not None:
        checks = [_dkim_at_ses(standing) if each.name == "DKIM" else each for each in checks]
    at_ses = standing.checks if standing is not None else ()
    return SenderCheck(address.address, domain, (*checks, *at_ses), standing)


def _signing(caller: Caller, domain: str) -> Signing | None:
    key = DkimKey.objects.for_caller(caller).filter(domain=domain).first()
    return Signing(key.selector, key.public_key) if key is not None else None


def _ses_for(caller: Caller, address: str, campaign: Campaign | None) -> SesSettings | None:
    """The account of SES by which it would go; None for SMTP."""
    try:
        if campaign is not None:
            ways = [own for own in sent_as(campaign) if own.from_email.lower() == address.lower()]
            return ses_of(ways[0] if ways else campaign)
        accounts = EmailAccount.objects.sendable_by(caller).filter(email_address__iexact=address)
        # The caller's own first, and of those what needs our own signature.
        found = sorted(
            accounts.select_related("aws_credential"),
            key=lambda each: (each.user_id != caller.user.pk, bool(each.ses_region)),
        )
        if found:
            return account_ses(found[0]) if found[0].ses_region else None
        return _default_ses()
    except MailhubError:
        return None


def _default_ses() -> SesSettings | None:
    """That of what names no sender. Raises MailhubError."""
    sender = default_sender()
    if sender == "ses" or (not sender and settings.AWS_SES_CONFIGURATION_SET):
        return default_ses()
    if sender in ("", "smtp"):
        return None
    account = default_account()
    return account_ses(account) if account.ses_region else None


def _stands_at_ses(ses: SesSettings, address: str, domain: str) -> SesStanding:
    identity, checks = _identity(ses, address, domain)
    row = _quota(ses)
    if row.is_in_sandbox:
        words = (
            "The SES account is in the sandbox: 200 recipients a day, one a second, and verified "
            "addresses only. Ask AWS for production access."
        )
        checks.append(Check("SES sandbox", Result.WARNING, words))
    elif row.is_known:
        words = f"{row.rate:g} recipients a second, {_daily(row)}."
        checks.append(Check("SES quota", Result.PASS, words))
    else:
        words = row.note or "SES did not say what may be sent."
        checks.append(Check("SES quota", Result.UNKNOWN, words))
    return SesStanding(
        region=ses.region,
        identity=str(identity["name"]),
        is_verified=bool(identity["verified"]),
        dkim=str(identity["dkim"]),
        is_in_sandbox=row.is_in_sandbox,
        rate=row.rate,
        daily=row.daily,
        sent=row.sent + row.taken,
        read_at=row.read_at,
        checks=tuple(checks),
    )


def _identity(ses: SesSettings, address: str, domain: str) -> tuple[dict[str, object], list[Check]]:
    """The domain's identity, else the address's."""
    for name in (domain, address):
        try:
            found = SesWire(ses.service).get_identity(name)
        except MailError as error:
            if _NOT_FOUND in str(error.reply):
                continue
            words = str(error.reply or error.message)
            return _nobody(), [Check("SES identity", Result.UNKNOWN, words)]
        is_verified = bool(found.get("VerifiedForSendingStatus"))
        dkim = str(found.get("DkimAttributes", {}).get("Status", ""))
        words = f"SES has verified {name}." if is_verified else f"SES waits to verify {name}."
        result = Result.PASS if is_verified else Result.FAIL
        values = {"name": name, "verified": is_verified, "dkim": dkim}
        return values, [Check("SES identity", result, words)]
    words = f"SES knows neither {domain} nor {address}: add and verify one of them there."
    return _nobody(), [Check("SES identity", Result.FAIL, words)]


def _nobody() -> dict[str, object]:
    return {"name": "", "verified": False, "dkim": ""}


def _dkim_at_ses(standing: SesStanding) -> Check:
    if standing.dkim == "SUCCESS":
        return Check("DKIM", Result.PASS, "SES signs the messages of this sender.")
    if not standing.dkim:
        return Check("DKIM", Result.UNKNOWN, "SES does not say whether it signs for this sender.")
    words = f"SES does not sign yet: its check of the DNS stands at {standing.dkim}."
    return Check("DKIM", Result.FAIL, words)


def _quota(ses: SesSettings) -> SesQuota:
    """As it was read last; read now where it never was."""
    pace_of(ses).learn()
    return SesQuota.objects.filter(pk=row_for(ses).pk).first() or row_for(ses)


def _daily(row: SesQuota) -> str:
    if row.daily < 0:
        return "without a limit a day"
    return f"{row.sent + row.taken:,.0f} of {row.daily:,.0f} used in the last 24 hours"
