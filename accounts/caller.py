"""Who is calling: one tenant, one user, what it may do. Every request has at most one.

A key or a session says who comes; `X-Tenant-ID` and `X-User-ID` (or `tenant_id` and
`user_id` in the query) say whom the call is for. Names alone are never trusted: they
must match the key, or the key must be a service key of that tenant.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Q

from accounts.models import ApiKey, Membership, Role, Tenant, User
from mailhub.errors import NotAllowed, NotAuthenticated
from mailhub.numbers import whole_number

SCOPES = ("mail", "campaigns", "contacts", "admin")
ALL_SCOPES = tuple(f"{name}:{right}" for name in SCOPES for right in ("read", "write"))

_ROLE_SCOPES: dict[Role, frozenset[str]] = {
    Role.VIEWER: frozenset({"mail:read", "campaigns:read", "contacts:read"}),
    Role.MEMBER: frozenset(
        f"{name}:{right}"
        for name in ("mail", "campaigns", "contacts")
        for right in ("read", "write")
    ),
    Role.ADMIN: frozenset(ALL_SCOPES),
    Role.OWNER: frozenset(ALL_SCOPES),
}


@dataclass(frozen=True, slots=True)
class Caller:
    """The tenant and user a request acts for, with the rights it has there.

    `scopes` are those of the role, narrowed by the key's.
    """

    tenant: Tenant
    user: User
    membership: Membership
    scopes: frozenset[str]
    api_key: ApiKey | None = None

    def may(self, scope: str, *, write: bool) -> bool:
        """Whether the caller may read or write this kind of resource; write includes read."""
        return f"{scope}:write" in self.scopes or (not write and f"{scope}:read" in self.scopes)

    @property
    def role(self) -> Role:
        """The role in the tenant."""
        return Role(self.membership.role)

    @property
    def is_admin(self) -> bool:
        """Admin or owner."""
        return self.role.includes(Role.ADMIN)


def _scopes(membership: Membership, key: ApiKey | None) -> frozenset[str]:
    own = _ROLE_SCOPES[Role(membership.role)]
    if key is None or not key.scopes:
        return own
    asked = set(key.scopes)
    asked |= {f"{scope.partition(':')[0]}:read" for scope in asked if scope.endswith(":write")}
    return own & frozenset(asked)


def _is_named(row: Tenant | User, own_name: str, given: str) -> bool:
    return given in (own_name, str(row.pk))


def caller_from_key(key: ApiKey, tenant_name: str | None, user_name: str | None) -> Caller:
    """The caller of a request that came with a key.

    Raises NotAuthenticated where a service key does not say whom it acts for, NotAllowed
    where the names do not match the key.
    """
    tenant = key.tenant
    if tenant_name is not None and not _is_named(tenant, tenant.slug, tenant_name):
        raise NotAllowed("This key belongs to another tenant.", code="tenant_mismatch")
    if key.is_service:
        if tenant_name is None or user_name is None:
            raise NotAuthenticated(
                "A service key must name the tenant (X-Tenant-ID) and the user (X-User-ID) "
                "it acts for.",
                code="caller_required",
            )
        membership = find_member(tenant, user_name)
        if membership is None:
            raise NotAllowed("The tenant has no such user.", code="unknown_user")
    else:
        membership = key.membership
        if membership is None:
            raise NotAuthenticated("The key's user has left the tenant.")
        membership.user = key.user
        if user_name is not None and not _is_named(key.user, membership.name, user_name):
            raise NotAllowed("This key belongs to another user.", code="user_mismatch")
    return Caller(tenant, membership.user, membership, _scopes(membership, key), key)


def caller_from_session(
    user: User, tenant_name: str | None = None, user_name: str | None = None
) -> Caller | None:
    """The caller of a logged-in person; None where it belongs to no active tenant.

    A person of several tenants names one of them, else the first joined is meant.
    """
    found = Membership.objects.filter(user=user, tenant__is_active=True).select_related("tenant")
    memberships = list(found.order_by("pk"))
    if not memberships:
        return None
    if tenant_name is not None:
        memberships = [
            row for row in memberships if _is_named(row.tenant, row.tenant.slug, tenant_name)
        ]
        if not memberships:
            raise NotAllowed("You do not belong to this tenant.", code="tenant_mismatch")
    membership = memberships[0]
    if user_name is not None and not _is_named(user, membership.name, user_name):
        raise NotAllowed("You are logged in as another user.", code="user_mismatch")
    return Caller(membership.tenant, user, membership, _scopes(membership, None))


def caller_of(membership: Membership) -> Caller:
    """The caller of work that goes on in a member's name after the request has ended."""
    return Caller(membership.tenant, membership.user, membership, _scopes(membership, None))


def find_member(tenant: Tenant, name: str) -> Membership | None:
    """The active member of this name, or else of this id; None where there is none."""
    wanted = Q(name=name)
    if (key := whole_number(name)) is not None:
        wanted |= Q(user_id=key)
    members = Membership.objects.filter(tenant=tenant, user__is_active=True).filter(wanted)
    by_name = sorted(members.select_related("user"), key=lambda row: row.name != name)
    return by_name[0] if by_name else None
