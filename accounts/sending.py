"""From an email account, or the installation's default sender, to a way of sending."""

from __future__ import annotations

import dataclasses
from uuid import UUID

from django.conf import settings

from accounts.connections import outgoing_settings, secret_of
from accounts.models import CredentialKind, EmailAccount, Tenant
from accounts.ses_pace import pace_of
from mailhub.errors import Conflict, InvalidInput
from mailhub.mail.aws import AwsKeys
from mailhub.mail.transports.base import Transport
from mailhub.mail.transports.pacing import Pace
from mailhub.mail.transports.ses import SesSettings, SesTransport
from mailhub.mail.transports.smtp import SmtpTransport
from mailhub.mail_policy import default_server, default_ses, ses_settings


def account_transport(account: EmailAccount) -> Transport:
    """How the account sends; not yet connected.

    Raises Conflict for a disabled account and for a secret that does not open, InvalidInput
    where it has no outgoing server, or one that the installation forbids.
    """
    refuse_disabled(account)
    if account.ses_region:
        return ses_transport(account_ses(account), account.tenant)
    return SmtpTransport(outgoing_settings(account))


def default_transport(tenant: Tenant) -> Transport:
    """How what names no server is sent for this tenant; not yet connected.

    Raises Conflict where the installation has no default sender, else as
    `account_transport` does.
    """
    match default_sender():
        case "":
            raise Conflict("This installation has no sender of its own.", code="no_mail_server")
        case "ses":
            return ses_transport(default_ses(), tenant)
        case "smtp":
            return SmtpTransport(default_server())
    return account_transport(default_account())


def default_account() -> EmailAccount:
    """The account that MAILHUB_DEFAULT_SENDER names. Raises Conflict where there is none."""
    accounts = EmailAccount.objects.select_related("credential", "aws_credential", "tenant")
    try:
        return accounts.get(pk=UUID(default_sender()))
    except (ValueError, EmailAccount.DoesNotExist) as error:
        words = "The default sender is an account that is gone."
        raise Conflict(words, code="no_mail_server") from error


def default_sender() -> str:
    """MAILHUB_DEFAULT_SENDER; without it `smtp` where SMTP_SERVER is set, else "" for nobody."""
    chosen: str = settings.MAILHUB_DEFAULT_SENDER
    return chosen or ("smtp" if settings.SMTP_SERVER else "")


def account_ses(account: EmailAccount) -> SesSettings:
    """The SES account by which an email account sends, always with keys of its own."""
    credential = account.aws_credential
    if credential is None or credential.kind != CredentialKind.AWS:
        raise InvalidInput("This account has no keys for SES.", code="wrong_credential_kind")
    secret = secret_of(credential)
    keys = AwsKeys(secret["access_key_id"], secret["secret_access_key"])
    return ses_settings(account.ses_region, keys, account.ses_configuration_set)


def ses_transport(
    ses: SesSettings, tenant: Tenant, pace: Pace | None = None, **tags: str
) -> SesTransport:
    """One that keeps to the pace of all; its messages are tagged with tenant and `tags`."""
    tagged = tuple({"tenant": tenant.slug, **tags}.items())
    return SesTransport(dataclasses.replace(ses, tags=tagged), pace or pace_of(ses))


def refuse_disabled(account: EmailAccount) -> None:
    """Raises Conflict for an account that is switched off."""
    if not account.is_enabled:
        reason = account.disabled_reason or "It was switched off."
        raise Conflict(f"This account is disabled. {reason}", code="account_disabled")
