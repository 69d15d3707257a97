"""One model a file; everything that others may import is named here."""

from accounts.models.api_key import ApiKey
from accounts.models.credential import Credential, CredentialKind
from accounts.models.delegation import Delegation
from accounts.models.email_account import AccountEncryption, AccountProtocol, EmailAccount
from accounts.models.idempotent_request import IdempotentRequest
from accounts.models.membership import Membership, Role
from accounts.models.tenant import Tenant
from accounts.models.user import User

__all__ = [
    "AccountEncryption",
    "AccountProtocol",
    "ApiKey",
    "Credential",
    "CredentialKind",
    "Delegation",
    "EmailAccount",
    "IdempotentRequest",
    "Membership",
    "Role",
    "Tenant",
    "User",
]
