"""Issuing API keys: a key never gives its issuer more than the issuer has.

A key of another user opens that user's mail, and a service key everyone's. So an admin
issues keys for itself, and for others only without the right to mail; service keys are
issued by an owner, or by the operator of the installation.
"""

from __future__ import annotations

from datetime import datetime

from accounts.caller import Caller
from accounts.models import ApiKey, Membership, Role
from mailhub.errors import NotAllowed


def issue_key(
    caller: Caller,
    membership: Membership,
    *,
    name: str = "",
    scopes: list[str] | None = None,
    is_service: bool = False,
    expires_at: datetime | None = None,
) -> tuple[ApiKey, str]:
    """A new key for a member of the caller's tenant, and its text. Raises NotAllowed."""
    beyond = [scope for scope in scopes or [] if not _has(caller, scope)]
    if beyond:
        raise NotAllowed(
            f"You cannot give rights that you do not have: {', '.join(beyond)}.",
            code="scope_too_wide",
        )
    is_narrowed = caller.api_key is not None and bool(caller.api_key.scopes)
    if not scopes and is_narrowed:
        raise NotAllowed(
            f"Your key has not all your rights; name scopes of {', '.join(sorted(caller.scopes))}.",
            code="scope_too_wide",
        )
    if is_service and caller.role is not Role.OWNER:
        raise NotAllowed("Only an owner may issue a service key.", code="role_too_low")
    if membership.user_id != caller.user.pk and not is_service:
        _refuse_for_another(caller, membership, scopes or [])
    return ApiKey.objects.issue(
        membership, name=name, scopes=scopes, is_service=is_service, expires_at=expires_at
    )


def revoke_key(caller: Caller, key: ApiKey) -> None:
    """Delete a key of the caller's tenant. Raises NotAllowed where its user has a higher role."""
    holder = Membership.objects.filter(tenant=key.tenant_id, user=key.user_id).first()
    if holder is not None and not caller.role.includes(Role(holder.role)):
        raise NotAllowed("This key's user has a higher role than you.", code="role_too_low")
    key.delete()


def _has(caller: Caller, scope: str) -> bool:
    name, _, right = scope.partition(":")
    return caller.may(name, write=right == "write")


def _refuse_for_another(caller: Caller, membership: Membership, scopes: list[str]) -> None:
    if not caller.role.includes(Role(membership.role)):
        raise NotAllowed("This user has a higher role than you.", code="role_too_low")
    if not scopes or any(scope.startswith("mail:") for scope in scopes):
        raise NotAllowed(
            "A key for another user names its scopes, without mail: a user's mail is its own.",
            code="mail_is_private",
        )
