"""Who plays in the demonstration: a tenant, and an operator with a login and an API key."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from django.db import transaction

from accounts.models import ApiKey, Membership, Role, Tenant

DEMO_TENANT = "demo"
OPERATOR_NAME = "operator"
_KEY_NAME = "demo"


@dataclass(frozen=True, slots=True)
class Operator:
    """A login of the pages and the admin, and an API key; the secrets are shown once."""

    username: str
    password: str = field(repr=False)
    key: str = field(repr=False)


def cast_operator() -> Operator:
    """The demo tenant's owner, with a new password and a new key at each run."""
    with transaction.atomic():
        tenant, _ = Tenant.objects.get_or_create(
            slug=DEMO_TENANT, defaults={"name": "Northwind Events"}
        )
        member = Membership.objects.filter(tenant=tenant, name=OPERATOR_NAME).first()
        if member is None:
            member = Membership.objects.add_user(tenant, OPERATOR_NAME, Role.OWNER)
        password = secrets.token_urlsafe(9)
        user = member.user
        user.set_password(password)
        user.is_staff = user.is_superuser = True
        user.save()
        ApiKey.objects.filter(tenant=tenant, user=user, name=_KEY_NAME).delete()
        _, key = ApiKey.objects.issue(member, name=_KEY_NAME)
    return Operator(user.username, password, key)
