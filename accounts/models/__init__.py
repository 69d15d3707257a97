"""One model a file; everything that others may import is named here."""

from accounts.models.api_key import ApiKey
from accounts.models.consent_request import ConsentRequest
from accounts.models.credential import Credential, CredentialKind
from accounts.models.delegation import Delegation
from accounts.models.email_account import AccountEncryption, AccountProtocol, EmailAccount
from accounts.models.event import Event
from accounts.models.event_delivery import EventDelivery, EventDeliveryState
from accounts.models.event_webhook import EventWebhook
from accounts.models.idempotent_request import IdempotentRequest
from accounts.models.membership import Membership, Role
from accounts.models.ses_quota import SesQuota
from accounts.models.tenant import Tenant
from accounts.models.user import User

__all__ = [
    "AccountEncryption",
    "AccountProtocol",
    "ApiKey",
    "ConsentRequest",
    "Credential",
    "CredentialKind",
    "Delegation",
    "EmailAccount",
    "Event",
    "EventDelivery",
    "EventDeliveryState",
    "EventWebhook",
    "IdempotentRequest",
    "Membership",
    "Role",
    "SesQuota",
    "Tenant",
    "User",
]
