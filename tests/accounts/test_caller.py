"""Whom a call is for: names must match the key, and a name alone is never trusted."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.caller import ALL_SCOPES, caller_from_session
from accounts.models import ApiKey, Membership, Role
from mailhub.errors import NotAllowed
from tests.people import People, client_with


def get(key: str, query: str = "", **headers: str) -> tuple[int, str]:
    response = client_with(key, **headers).get(f"/api/accounts{query}")
    return response.status_code, response.json().get("error", "")


@pytest.mark.parametrize("by_id", [False, True])
@pytest.mark.parametrize("by_header", [False, True])
def test_names_that_match_the_key(people: People, by_id: bool, by_header: bool) -> None:
    tenant = str(people.tenant.pk) if by_id else "acme"
    user = str(people.member.user.pk) if by_id else "mary"
    if by_header:
        answer = get(people.member.key, x_tenant_id=tenant, x_user_id=user)
    else:
        answer = get(people.member.key, f"?tenant_id={tenant}&user_id={user}")
    assert answer == (200, "")


@pytest.mark.parametrize(
    ("names", "code"),
    [
        ({"x_tenant_id": "globex"}, "tenant_mismatch"),
        ({"x_tenant_id": "ACME"}, "tenant_mismatch"),
        ({"x_tenant_id": "nowhere"}, "tenant_mismatch"),
        ({"x_user_id": "tom"}, "user_mismatch"),
        ({"x_user_id": "nobody"}, "user_mismatch"),
        ({"x_tenant_id": "globex", "x_user_id": "mary"}, "tenant_mismatch"),
    ],
)
def test_names_that_do_not(people: People, names: dict[str, str], code: str) -> None:
    assert people.namesake.tenant.slug == "globex"
    assert people.teammate.name == "tom"
    assert get(people.member.key, **names) == (403, code)
    query = "&".join(f"{name[2:]}={value}" for name, value in names.items())
    assert get(people.member.key, f"?{query}") == (403, code)


def test_header_and_query_that_contradict_each_other(people: People) -> None:
    assert get(people.member.key, "?user_id=mary", x_user_id="tom") == (403, "user_mismatch")
    assert get(people.service.key, "?tenant_id=globex", x_tenant_id="acme") == (
        403,
        "tenant_mismatch",
    )


def test_service_key_acts_for_any_user_of_its_tenant_alone(people: People) -> None:
    assert people.namesake.tenant.slug == "globex"
    key = people.service.key
    account = people.connect_account(people.member)
    for user in ("mary", str(people.member.user.pk)):
        response = client_with(key, x_tenant_id="acme", x_user_id=user).get("/api/accounts")
        assert [row["id"] for row in response.json()["accounts"]] == [str(account.pk)]
    assert get(key) == (401, "caller_required")
    assert get(key, x_tenant_id="acme") == (401, "caller_required")
    assert get(key, x_user_id="mary") == (401, "caller_required")
    assert get(key, x_tenant_id="globex", x_user_id="mary") == (403, "tenant_mismatch")
    for user in ("nobody", str(people.stranger.user.pk), "stan", "9" * 30, "٣", "-1"):
        assert get(key, f"?tenant_id=acme&user_id={user}") == (403, "unknown_user")


def test_service_key_has_the_rights_of_whom_it_acts_for(people: People) -> None:
    for person, code in ((people.viewer, 403), (people.member, 403), (people.admin, 200)):
        assert people.service_acting_for(person).get("/api/users").status_code == code


def test_user_whose_name_is_anothers_id_is_found_by_name(people: People) -> None:
    named = people.add(str(people.member.user.pk), Role.MEMBER)
    account = people.connect_account(named)
    listed = people.service_acting_for(named).get("/api/accounts").json()["accounts"]
    assert [row["id"] for row in listed] == [str(account.pk)]


def test_scopes_narrow_the_role_and_never_widen_it(people: People) -> None:
    for scopes, expected in (
        (["mail:write"], {"mail:write", "mail:read"}),
        (["mail:read", "contacts:read"], {"mail:read", "contacts:read"}),
        (list(ALL_SCOPES), {scope for scope in ALL_SCOPES if not scope.startswith("admin")}),
        (["admin:write"], set()),
    ):
        ApiKey.objects.filter(pk=people.member.api_key.pk).update(scopes=scopes)
        people.member.api_key.refresh_from_db()
        caller = people.member.caller
        assert {
            s for s in ALL_SCOPES if caller.may(s.split(":")[0], write=s.endswith("write"))
        } == (expected)


@pytest.mark.parametrize("gone", ["key", "expired", "user", "tenant", "member"])
def test_key_dies_with_what_it_stands_on(people: People, gone: str) -> None:
    person = people.member
    assert get(person.key)[0] == 200
    match gone:
        case "key":
            person.api_key.delete()
        case "expired":
            person.api_key.expires_at = timezone.now() - timedelta(seconds=1)
            person.api_key.save()
        case "user":
            person.user.is_active = False
            person.user.save()
        case "tenant":
            person.tenant.is_active = False
            person.tenant.save()
        case "member":
            person.membership.delete()
    assert get(person.key)[0] == 401


def test_last_use_is_noted_at_most_once_a_minute(people: People) -> None:
    get(people.member.key)
    people.member.api_key.refresh_from_db()
    first = people.member.api_key.last_used_at
    assert first is not None
    get(people.member.key)
    people.member.api_key.refresh_from_db()
    assert people.member.api_key.last_used_at == first
    ApiKey.objects.update(last_used_at=first - timedelta(minutes=2))
    get(people.member.key)
    people.member.api_key.refresh_from_db()
    assert people.member.api_key.last_used_at > first - timedelta(minutes=1)


def test_session_reads_and_writes_only_with_its_csrf_token(people: People) -> None:
    client = APIClient(enforce_csrf_checks=True)
    client.force_login(people.member.user)
    assert client.get("/api/accounts").status_code == 200
    refused = client.post("/api/credentials", {"password": "x"})
    assert (refused.status_code, refused.json()["error"]) == (403, "not_allowed")
    page = Client()
    page.get("/login")
    token = page.cookies["csrftoken"].value
    client.cookies["csrftoken"] = token
    given = {"password": "x"}
    assert client.post("/api/credentials", given, HTTP_X_CSRFTOKEN=token).status_code == 201


def test_person_of_several_tenants_names_one(people: People) -> None:
    user = people.member.user
    Membership.objects.create(
        tenant=people.other_tenant, user=user, name="moonlighter", role=Role.ADMIN
    )
    first, named = caller_from_session(user), caller_from_session(user, "globex")
    assert first is not None
    assert named is not None
    assert (first.tenant.slug, first.role) == ("acme", Role.MEMBER)
    assert (named.tenant.slug, named.role) == ("globex", Role.ADMIN)
    for names in (("nowhere", None), ("globex", "mary"), (None, "tom")):
        with pytest.raises(NotAllowed):
            caller_from_session(user, *names)


def test_person_of_no_tenant_has_no_caller(people: People) -> None:
    people.member.membership.delete()
    assert caller_from_session(people.member.user) is None
    client = APIClient()
    client.force_login(people.member.user)
    assert client.get("/api/accounts").json()["error"] == "no_tenant"


@pytest.mark.parametrize("text", ["", "mh__", "mh_short_x", "é", "mh_a%_b", "x" * 10_000])
def test_text_that_is_no_key(people: People, text: str) -> None:
    assert ApiKey.objects.find(text) is None


def test_key_with_one_letter_changed_is_no_key(people: People) -> None:
    key = people.member.key
    for position in range(3, len(key)):
        letter = "x" if key[position] != "x" else "y"
        assert ApiKey.objects.find(key[:position] + letter + key[position + 1 :]) is None


def test_key_says_nothing_in_print(people: People) -> None:
    row: Any = people.member.api_key
    for text in (str(row), repr(row)):
        assert people.member.key[12:] not in text
        assert row.digest not in text
