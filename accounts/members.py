"""Who belongs to a tenant, and who may change that: nobody reaches above the own role."""

from __future__ import annotations

from django.contrib.auth.password_validation import validate_password
from django.db import IntegrityError, transaction

from accounts.caller import Caller
from accounts.models import ApiKey, Delegation, Membership, Role, User
from mailhub.errors import Conflict, NotAllowed


def refuse_weak_password(name: str, email: str, password: str) -> None:
    """ValidationError where the password is easily guessed, by name and email too."""
    validate_password(password, User(username=name, email=email))


def add_member(
    caller: Caller, name: str, role: Role, *, email: str = "", password: str = ""
) -> Membership:
    """A new user of the caller's tenant. Raises Conflict where the name is taken."""
    _refuse_above(caller, role)
    try:
        with transaction.atomic():
            membership = Membership.objects.add_user(caller.tenant, name, role, email=email)
            if password:
                membership.user.set_password(password)
                membership.user.save(update_fields=["password"])
    except IntegrityError as error:
        raise Conflict(f"There is a user named {name} already.", code="user_exists") from error
    return membership


def change_role(caller: Caller, membership: Membership, role: Role) -> None:
    """Give a member another role. Raises NotAllowed, Conflict (`last_owner`)."""
    _refuse_above(caller, Role(membership.role))
    _refuse_above(caller, role)
    with transaction.atomic():
        if role is not Role.OWNER:
            _keep_an_owner(membership)
        membership.role = role
        membership.save(update_fields=["role"])


def roles_to_give(caller: Caller) -> list[Role]:
    """The roles that the caller may give to others, highest last."""
    return [role for role in Role if caller.role.includes(role)]


def remove_member(caller: Caller, membership: Membership) -> None:
    """Take a user out of the tenant, with its keys, accounts and mail there.

    The user itself goes as well where it belongs to no other tenant. Raises NotAllowed,
    Conflict (`last_owner`).
    """
    _refuse_above(caller, Role(membership.role))
    with transaction.atomic():
        _keep_an_owner(membership)
        user, tenant = membership.user, membership.tenant
        ApiKey.objects.filter(tenant=tenant, user=user).delete()
        Delegation.objects.filter(account__tenant=tenant, user=user).delete()
        user.email_accounts.filter(tenant=tenant).delete()
        user.credentials.filter(tenant=tenant).delete()
        membership.delete()
        if not user.memberships.exists() and not user.is_staff:
            user.delete()


def set_active(caller: Caller, membership: Membership, is_active: bool) -> None:
    """Let a member in again, or no more: its keys and sessions are worth nothing from then on.

    Raises NotAllowed, and Conflict for the last owner, for the last who manages the tenant, and
    for a user who is not this tenant's alone.
    """
    _refuse_above(caller, Role(membership.role))
    user = membership.user
    if user.is_active == is_active:
        return
    if user.is_staff or user.memberships.exclude(pk=membership.pk).exists():
        words = "This user is not of this tenant alone: take it out of the tenant instead."
        raise Conflict(words, code="user_shared")
    with transaction.atomic():
        if not is_active:
            _keep_an_owner(membership)
            _keep_a_manager(membership)
        user.is_active = is_active
        user.save(update_fields=["is_active"])


def _refuse_above(caller: Caller, role: Role) -> None:
    if not caller.role.includes(role):
        raise NotAllowed(f"Only an {role.value} may do this.", code="role_too_low")


def _keep_an_owner(membership: Membership) -> None:
    """Locks the owners' rows, so that two of them cannot leave at the same moment."""
    owners = Membership.objects.select_for_update(of=("self",)).filter(
        tenant=membership.tenant, role=Role.OWNER, user__is_active=True
    )
    if membership.role == Role.OWNER and {row.pk for row in owners} == {membership.pk}:
        raise Conflict("A tenant keeps at least one owner.", code="last_owner")


def _keep_a_manager(membership: Membership) -> None:
    """As for owners: somebody stays who may let others in again."""
    managers = Membership.objects.select_for_update(of=("self",)).filter(
        tenant=membership.tenant, role__in=(Role.ADMIN, Role.OWNER), user__is_active=True
    )
    if {row.pk for row in managers.order_by("pk")} == {membership.pk}:
        raise Conflict("A tenant keeps at least one admin.", code="last_admin")
