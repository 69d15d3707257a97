"""A user's place in a tenant: the name it is known by there, and its role."""

from __future__ import annotations

from django.contrib.auth.validators import UnicodeUsernameValidator
from django.db import models, transaction

from accounts.models.tenant import Tenant
from accounts.models.user import User
from accounts.scope import TenantQuerySet


class Role(models.TextChoices):
    """What a member may do; each includes the ones before it."""

    VIEWER = "viewer"
    MEMBER = "member"
    ADMIN = "admin"
    OWNER = "owner"

    def includes(self, other: Role) -> bool:
        """Whether this role may do all that the other may."""
        order = list(Role)
        return order.index(self) >= order.index(other)


class MembershipQuerySet(TenantQuerySet["Membership"]):
    def add_user(
        self, tenant: Tenant, name: str, role: Role = Role.MEMBER, *, email: str = ""
    ) -> Membership:
        """A new user known as `name` in the tenant.

        Its login name carries the tenant, so that two tenants' alices are two people. It
        has no usable password until one is set. Raises IntegrityError where the name is
        taken, ValidationError where it is no name (letters, digits and @.+-_).
        """
        Membership._meta.get_field("name").clean(name, None)
        with transaction.atomic():
            user = User(username=f"{name}@{tenant.slug}", email=email)
            user.set_unusable_password()
            user.save()
            return self.create(tenant=tenant, user=user, name=name, role=role)


class Membership(models.Model):
    """`name` is what X-User-ID names; unique in the tenant."""

    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    name = models.CharField(max_length=80, validators=[UnicodeUsernameValidator()])
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.MEMBER)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = MembershipQuerySet.as_manager()

    class Meta:
        db_table = "memberships"
        constraints = [
            models.UniqueConstraint(fields=["tenant", "name"], name="membership_name_in_tenant"),
            models.UniqueConstraint(fields=["tenant", "user"], name="membership_user_in_tenant"),
        ]

    def __str__(self) -> str:
        return f"{self.name} of {self.tenant.slug}"
