"""`manage.py create_api_key`, as an operator runs it."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from accounts.models import ApiKey, Membership, Role, Tenant
from tests.people import People

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("create_api_key", *arguments, stdout=out)
    return out.getvalue()


def test_prints_the_key_alone_and_keeps_only_its_digest() -> None:
    text = run("--tenant", "acme", "--user", "alice", "--create").strip()
    key = ApiKey.objects.find(text)
    assert key is not None
    assert key.user.username == "alice@acme"
    assert text not in str(key.__dict__)


def test_first_user_of_a_tenant_is_its_owner_and_the_next_a_member() -> None:
    run("--tenant", "acme", "--user", "alice", "--create")
    run("--tenant", "acme", "--user", "bob", "--create")
    run("--tenant", "acme", "--user", "carol", "--create", "--role", "viewer")
    roles = Membership.objects.order_by("pk").values_list("name", "role")
    assert list(roles) == [("alice", "owner"), ("bob", "member"), ("carol", "viewer")]


def test_a_user_who_exists_gets_another_key() -> None:
    first = run("--tenant", "acme", "--user", "alice", "--create")
    second = run("--tenant", "acme", "--user", "alice")
    assert first != second
    assert Membership.objects.count() == 1
    assert ApiKey.objects.count() == 2


def test_service_and_scopes_are_kept() -> None:
    text = run("--tenant", "acme", "--user", "robot", "--create", "--service",
               "--scopes", "mail:read, campaigns:write", "--name", "the shop").strip()  # fmt: skip
    key = ApiKey.objects.find(text)
    assert key is not None
    assert key.is_service
    assert key.scopes == ["mail:read", "campaigns:write"]
    assert key.name == "the shop"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--tenant", "nowhere", "--user", "alice"], "no tenant nowhere"),
        (["--tenant", "acme", "--user", "nobody"], "no user nobody"),
        (["--tenant", "acme", "--user", "x", "--create", "--scopes", "mail"], "Unknown scopes"),
        (["--tenant", "two words", "--user", "x", "--create"], "slug"),
        (["--tenant", "acme", "--user", "a/b", "--create"], "valid username"),
        (["--tenant", "acme", "--user", "mary", "--role", "owner"], "mary exists, as member"),
    ],
)
def test_says_what_is_wrong_and_makes_nothing(
    people: People, arguments: list[str], words: str
) -> None:
    assert people.member.membership.role == Role.MEMBER
    before = (Tenant.objects.count(), Membership.objects.count(), ApiKey.objects.count())
    with pytest.raises(CommandError, match=words):
        run(*arguments)
    assert (Tenant.objects.count(), Membership.objects.count(), ApiKey.objects.count()) == before
