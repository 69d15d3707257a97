"""The people that tests are about: one tenant with a person for every role, and outsiders.

A test takes `people`; each person is made when first named.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.caller import Caller, caller_from_key
from accounts.models import (
    ApiKey,
    Credential,
    CredentialKind,
    Delegation,
    EmailAccount,
    Membership,
    Role,
    Tenant,
    User,
)
from tests.servers.dovecot import DovecotUser


def client_with(key: str, **headers: str) -> APIClient:
    """A client that sends this key, and headers named as `x_user_id="mary"`."""
    client = APIClient(raise_request_exception=False)
    extra: dict[str, Any] = {f"HTTP_{name.upper()}": value for name, value in headers.items()}
    client.credentials(HTTP_AUTHORIZATION=f"Token {key}", **extra)
    return client


@dataclass(frozen=True)
class Person:
    """A member of a tenant; `key` is the text of an API key with the rights of its role."""

    membership: Membership
    api_key: ApiKey
    key: str

    @property
    def name(self) -> str:
        return self.membership.name

    @property
    def user(self) -> User:
        return self.membership.user

    @property
    def tenant(self) -> Tenant:
        return self.membership.tenant

    @property
    def caller(self) -> Caller:
        names = (self.tenant.slug, self.name) if self.api_key.is_service else (None, None)
        return caller_from_key(self.api_key, *names)

    @cached_property
    def api(self) -> APIClient:
        """A client of the API with this person's key; a defect is answered with 500."""
        return client_with(self.key)


class People:
    """Everyone. `member` and `teammate` have the same role; `reader` and `sender` are members
    to whom an account may be delegated (`delegate`); `service` holds a service key.
    `stranger` belongs to another tenant, where `namesake` has the name of `member`.
    """

    @cached_property
    def tenant(self) -> Tenant:
        return Tenant.objects.create(slug="acme", name="Acme")

    @cached_property
    def other_tenant(self) -> Tenant:
        return Tenant.objects.create(slug="globex", name="Globex")

    @cached_property
    def owner(self) -> Person:
        return self.add("olivia", Role.OWNER)

    @cached_property
    def admin(self) -> Person:
        return self.add("adam", Role.ADMIN)

    @cached_property
    def member(self) -> Person:
        return self.add("mary", Role.MEMBER)

    @cached_property
    def teammate(self) -> Person:
        return self.add("tom", Role.MEMBER)

    @cached_property
    def viewer(self) -> Person:
        return self.add("victor", Role.VIEWER)

    @cached_property
    def reader(self) -> Person:
        return self.add("rita", Role.MEMBER)

    @cached_property
    def sender(self) -> Person:
        return self.add("sam", Role.MEMBER)

    @cached_property
    def service(self) -> Person:
        return self.add("robot", Role.MEMBER, is_service=True)

    @cached_property
    def stranger(self) -> Person:
        return self.add("stan", Role.OWNER, tenant=self.other_tenant)

    @cached_property
    def namesake(self) -> Person:
        return self.add("mary", Role.OWNER, tenant=self.other_tenant)

    def add(
        self, name: str, role: Role, *, tenant: Tenant | None = None, is_service: bool = False
    ) -> Person:
        """One more person, of the first tenant unless another is given."""
        membership = Membership.objects.add_user(tenant or self.tenant, name, role)
        api_key, key = ApiKey.objects.issue(membership, is_service=is_service)
        return Person(membership, api_key, key)

    def service_acting_for(self, person: Person) -> APIClient:
        """A client with the service key, naming whom it acts for."""
        return client_with(self.service.key, x_tenant_id=person.tenant.slug, x_user_id=person.name)

    def connect_account(
        self, person: Person, *, password: str = "correct horse", **fields: Any
    ) -> EmailAccount:
        """An email account of this person's, on loopback unless `hostname` says otherwise."""
        credential = Credential(
            tenant=person.tenant,
            user=person.user,
            kind=CredentialKind.PASSWORD,
            goes_with_account=True,
        )
        credential.keep_secret({"password": password})
        credential.save()
        address = fields.pop("email_address", f"{person.name}@{person.tenant.slug}.example")
        defaults = {
            "account_name": address,
            "hostname": "127.0.0.1",
            "port": 993,
            "username": address,
            "smtp_hostname": "127.0.0.1",
            "smtp_port": 587,
        }
        return EmailAccount.objects.create(
            tenant=person.tenant,
            user=person.user,
            credential=credential,
            email_address=address,
            **{**defaults, **fields},
        )

    def connect_mailbox(self, person: Person, user: DovecotUser, **fields: Any) -> EmailAccount:
        """An email account of this person's that reads this user's mailbox on Dovecot."""
        reached = {
            "username": user.name,
            "password": user.password,
            "port": user.server.port,
            "encryption": "none",
        }
        return self.connect_account(person, **{**reached, **fields})

    def delegate(
        self, account: EmailAccount, person: Person, *, may_send: bool = False
    ) -> Delegation:
        """Let this person read the account, and send from it where so said."""
        return Delegation.objects.create(account=account, user=person.user, may_send=may_send)


@pytest.fixture
def people(db: None) -> People:
    return People()
