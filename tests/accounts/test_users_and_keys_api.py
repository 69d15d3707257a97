"""`users` and `keys`: admins manage them, and nobody reaches above the own role."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import ApiKey, Credential, EmailAccount, Membership, Role, User
from tests.pages.conftest import log_in
from tests.people import People, client_with


def test_admin_adds_changes_and_removes_a_user(people: People) -> None:
    api = people.admin.api
    made = api.post("/api/users", {"name": "nina", "email": "nina@acme.example"})
    assert made.status_code == 201
    assert (made.json()["role"], made.json()["login"]) == ("member", "nina@acme")
    assert api.get("/api/users/nina").json() == made.json()
    assert api.patch("/api/users/nina", {"role": "viewer"}).json()["role"] == "viewer"
    names = [row["name"] for row in api.get("/api/users").json()["users"]]
    assert names == ["adam", "nina"]
    assert api.delete("/api/users/nina").status_code == 204
    assert not User.objects.filter(username="nina@acme").exists()


def test_password_given_with_a_user_opens_the_pages(people: People) -> None:
    given = {"name": "nina", "password": "a long enough phrase"}
    response = people.admin.api.post("/api/users", given)
    assert b"phrase" not in response.content
    assert User.objects.get(username="nina@acme").check_password("a long enough phrase")
    again = people.admin.api.patch("/api/users/nina", {"password": "another long phrase"})
    assert again.status_code == 400


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, "name"),
        ({"name": "two words"}, "name"),
        ({"name": "a/b"}, "name"),
        ({"name": "a\r\nb"}, "name"),
        ({"name": "n" * 81}, "name"),
        ({"name": "nina", "role": "emperor"}, "role"),
        ({"name": "nina", "email": "nobody"}, "email"),
        ({"name": "nina", "password": "short"}, "password"),
        ({"name": "nina", "is_superuser": True}, "is_superuser"),
    ],
)
def test_bad_field_is_named(people: People, given: dict[str, Any], field: str) -> None:
    response = people.admin.api.post("/api/users", given)
    assert response.status_code == 400
    assert list(response.json()["details"]["fields"]) == [field]


def test_name_is_taken_once_in_a_tenant_and_free_in_another(people: People) -> None:
    assert people.namesake.name == people.member.name
    response = people.admin.api.post("/api/users", {"name": "mary"})
    assert (response.status_code, response.json()["error"]) == (409, "user_exists")


def test_name_stays(people: People) -> None:
    assert people.member.name == "mary"
    assert people.admin.api.patch("/api/users/mary", {"name": "maria"}).status_code == 400


def test_admin_does_not_reach_the_owner(people: People) -> None:
    assert people.owner.name == "olivia"
    api = people.admin.api
    for response in (
        api.patch("/api/users/olivia", {"role": "member"}),
        api.patch("/api/users/adam", {"role": "owner"}),
        api.post("/api/users", {"name": "nina", "role": "owner"}),
        api.delete("/api/users/olivia"),
        api.post("/api/keys", {"user": "olivia", "scopes": ["admin:write"]}),
        api.delete(f"/api/keys/{people.owner.api_key.pk}"),
    ):
        assert (response.status_code, response.json()["error"]) == (403, "role_too_low")
    assert Membership.objects.get(name="olivia").role == Role.OWNER


def test_a_tenant_keeps_an_owner(people: People) -> None:
    api = people.owner.api
    for response in (
        api.patch("/api/users/olivia", {"role": "admin"}),
        api.delete("/api/users/olivia"),
    ):
        assert (response.status_code, response.json()["error"]) == (409, "last_owner")
    assert people.admin.name == "adam"
    assert api.patch("/api/users/adam", {"role": "owner"}).status_code == 200
    assert api.patch("/api/users/olivia", {"role": "member"}).status_code == 200


def test_removed_user_loses_everything_in_this_tenant_alone(people: People) -> None:
    account = people.connect_account(people.member)
    theirs = people.connect_account(people.teammate)
    people.delegate(theirs, people.member)
    elsewhere = Membership.objects.create(
        tenant=people.other_tenant, user=people.member.user, name="moonlighter", role=Role.MEMBER
    )
    other_key, other_text = ApiKey.objects.issue(elsewhere)
    assert people.admin.api.delete("/api/users/mary").status_code == 204
    assert people.member.api.get("/api/accounts").status_code == 401
    assert not EmailAccount.objects.filter(pk=account.pk).exists()
    assert not theirs.delegations.exists()
    assert Credential.objects.get() == theirs.credential
    assert client_with(other_text).get("/api/accounts").status_code == 200
    assert User.objects.filter(pk=other_key.user_id).exists()


def test_only_admins_manage(people: People) -> None:
    assert people.teammate.name == "tom"
    for person in (people.member, people.viewer):
        for response in (
            person.api.get("/api/users"),
            person.api.post("/api/users", {"name": "nina"}),
            person.api.get("/api/users/tom"),
            person.api.patch("/api/users/tom", {"role": "viewer"}),
            person.api.delete("/api/users/tom"),
            person.api.get("/api/keys"),
            person.api.post("/api/keys", {}),
            person.api.delete(f"/api/keys/{people.teammate.api_key.pk}"),
        ):
            assert (response.status_code, response.json()["error"]) == (403, "scope_required")


def test_another_tenants_users_and_keys_do_not_exist(people: People) -> None:
    assert people.member.name == "mary"
    assert people.teammate.name == "tom"
    api = people.stranger.api
    assert api.get("/api/users/tom").status_code == 404
    assert api.patch("/api/users/tom", {"role": "viewer"}).status_code == 404
    assert api.delete("/api/users/tom").status_code == 404
    assert api.delete(f"/api/keys/{people.teammate.api_key.pk}").status_code == 404
    assert [row["name"] for row in api.get("/api/users").json()["users"]] == ["stan"]
    assert [row["user"] for row in api.get("/api/keys").json()["keys"]] == ["stan"]
    response = api.post("/api/keys", {"user": "tom", "scopes": ["contacts:read"]})
    assert list(response.json()["details"]["fields"]) == ["user"]


def test_key_is_shown_once_and_works_until_deleted(people: People) -> None:
    api = people.admin.api
    made = api.post("/api/keys", {"name": "the shop", "scopes": ["contacts:write"]}).json()
    key = client_with(made["key"])
    assert made["key"].startswith(f"mh_{made['prefix']}_")
    assert (made["user"], made["last_used_at"]) == ("adam", None)
    assert key.get("/api/accounts").json()["error"] == "scope_required"
    listed = api.get("/api/keys")
    assert made["key"] not in listed.content.decode()
    [row] = [row for row in listed.json()["keys"] if row["id"] == made["id"]]
    assert row["last_used_at"] is not None
    assert "digest" not in row
    assert api.delete(f"/api/keys/{made['id']}").status_code == 204
    assert key.get("/api/accounts").json()["error"] == "invalid_key"


def test_replayed_request_does_not_show_the_key_again(people: People) -> None:
    first = people.admin.api.post("/api/keys", {}, HTTP_IDEMPOTENCY_KEY="once")
    again = people.admin.api.post("/api/keys", {}, HTTP_IDEMPOTENCY_KEY="once")
    assert again["Idempotent-Replayed"] == "true"
    assert "key" not in again.json()
    assert again.json() == {name: v for name, v in first.json().items() if name != "key"}
    assert ApiKey.objects.count() == 2


def test_key_cannot_give_more_than_its_issuer_has(people: People) -> None:
    narrow = people.admin.api.post("/api/keys", {"scopes": ["admin:write"]}).json()["key"]
    for given in ({}, {"scopes": ["mail:read"]}, {"scopes": ["admin:write", "contacts:read"]}):
        response = client_with(narrow).post("/api/keys", given)
        assert (response.status_code, response.json()["error"]) == (403, "scope_too_wide")
    assert client_with(narrow).post("/api/keys", {"scopes": ["admin:read"]}).status_code == 201


def test_key_for_another_user_leaves_mail_private(people: People) -> None:
    assert people.member.name == "mary"
    refused: tuple[dict[str, Any], ...] = (
        {},
        {"scopes": ["mail:read"]},
        {"scopes": ["contacts:read", "mail:write"]},
    )
    for given in refused:
        response = people.owner.api.post("/api/keys", {"user": "mary", **given})
        assert (response.status_code, response.json()["error"]) == (403, "mail_is_private")
    made = people.admin.api.post("/api/keys", {"user": "mary", "scopes": ["contacts:read"]}).json()
    assert made["user"] == "mary"


def test_service_keys_are_the_owners_to_issue(people: People) -> None:
    response = people.admin.api.post("/api/keys", {"is_service": True})
    assert (response.status_code, response.json()["error"]) == (403, "role_too_low")
    made = people.owner.api.post("/api/keys", {"is_service": True})
    assert (made.status_code, made.json()["is_service"]) == (201, True)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"scopes": ["mail"]}, "scopes"),
        ({"scopes": "mail:read"}, "scopes"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "tomorrow"}, "expires_at"),
        ({"user": "nobody"}, "user"),
        ({"name": "two\nlines"}, "name"),
        ({"scope": ["mail:read"]}, "scope"),
    ],
)
def test_bad_field_of_a_key_is_named(people: People, given: dict[str, Any], field: str) -> None:
    response = people.admin.api.post("/api/keys", given)
    assert response.status_code == 400
    assert list(response.json()["details"]["fields"]) == [field]


def test_expired_key_is_no_key(people: People) -> None:
    soon = (timezone.now() + timedelta(hours=1)).isoformat()
    made = people.admin.api.post("/api/keys", {"expires_at": soon}).json()
    client = client_with(made["key"])
    assert client.get("/api/keys").status_code == 200
    ApiKey.objects.filter(pk=made["id"]).update(expires_at=timezone.now() - timedelta(seconds=1))
    assert client.get("/api/keys").json()["error"] == "invalid_key"


def test_a_user_who_is_deactivated_is_let_in_nowhere(people: People) -> None:
    api, member = people.admin.api, people.member
    browser = log_in(member)
    assert browser.get("/campaigns").status_code == 200
    path = f"/api/users/{member.name}"
    changed = api.patch(path, {"is_active": False})
    assert (changed.status_code, changed.json()["is_active"]) == (200, False)
    assert member.api.get("/api/contacts").status_code == 401
    assert browser.get("/campaigns").status_code == 302
    assert api.patch(path, {"is_active": True}).json()["is_active"] is True
    assert member.api.get("/api/contacts").status_code == 200
    assert member.api.patch(path, {"is_active": False}).status_code == 403


def test_the_last_who_manages_a_tenant_is_not_deactivated(people: People) -> None:
    api, name = people.admin.api, people.admin.name
    refused = api.patch(f"/api/users/{name}", {"is_active": False})
    assert (refused.status_code, refused.json()["error"]) == (409, "last_admin")
    api.post("/api/users", {"name": "nina", "role": "admin"})
    assert api.patch(f"/api/users/{name}", {"is_active": False}).status_code == 200


def test_who_belongs_to_another_tenant_too_is_not_deactivated(people: People) -> None:
    member = people.member
    Membership.objects.create(tenant=people.other_tenant, user=member.user, name="guest")
    refused = people.admin.api.patch(f"/api/users/{member.name}", {"is_active": False})
    assert (refused.status_code, refused.json()["error"]) == (409, "user_shared")
