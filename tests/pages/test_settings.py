"""Settings › Members and API keys: for admins; a key's text is shown once."""

from __future__ import annotations

import re
import shlex
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import ApiKey, Membership, Role
from tests.pages.conftest import Visit
from tests.people import People

KEYS, MEMBERS = "/settings/keys", "/settings/members"
KEY = re.compile(r'value="(mh_\w+)"')


def call(line: str) -> int:
    """The status that the API answers to a shown line of curl."""
    words = shlex.split(line)
    headers = dict(words[n + 1].split(": ", 1) for n, word in enumerate(words) if word == "-H")
    path = words[-1].removeprefix("http://localhost:8000")
    return Client().get(path, headers=headers).status_code


@pytest.mark.parametrize("scopes", [[], ["mail:read"], ["campaigns:read"], ["admin:read"]])
def test_a_key_is_shown_once_and_its_line_works(
    people: People, visit: Visit, scopes: list[str]
) -> None:
    client = visit(people.admin)
    form = {"name": "The CRM", "user": "adam", "scopes": scopes, "lifetime": "30"}
    shown = client.post(f"{KEYS}/add", form)
    found = KEY.search(shown.text)
    assert found is not None
    key = ApiKey.objects.get(name="The CRM")
    assert ApiKey.objects.find(found[1]) == key
    assert key.scopes == scopes
    assert key.expires_at is not None
    assert abs(key.expires_at - timezone.now() - timedelta(days=30)) < timedelta(minutes=1)
    assert call(shown.context["curl"]) == 200
    for path in (KEYS, f"{KEYS}/{key.pk}/revoke"):
        page = client.get(path).text
        assert found[1] not in page
        assert "The CRM" in page


def test_a_service_key_is_an_owners_to_give(people: People, visit: Visit) -> None:
    form = {"name": "Sync", "user": "olivia", "is_service": "on"}
    shown = visit(people.owner).post(f"{KEYS}/add", form)
    assert ApiKey.objects.get(name="Sync").is_service
    assert call(shown.context["curl"]) == 200
    visit(people.admin).post(f"{KEYS}/add", {**form, "name": "Other", "user": "adam"})
    assert not ApiKey.objects.get(name="Other").is_service


def test_a_key_for_somebody_else_is_without_mail(people: People, visit: Visit) -> None:
    client, name = visit(people.admin), people.member.name
    refused = client.post(f"{KEYS}/add", {"name": "Spy", "user": name, "scopes": ["mail:read"]})
    assert refused.status_code == 400
    assert "a user&#x27;s mail is its own" in refused.text
    client.post(f"{KEYS}/add", {"name": "News", "user": name, "scopes": ["campaigns:write"]})
    assert ApiKey.objects.get(name="News").user == people.member.user
    assert not ApiKey.objects.filter(name="Spy").exists()


def test_a_stranger_cannot_be_named(people: People, visit: Visit) -> None:
    answer = visit(people.admin).post(f"{KEYS}/add", {"name": "X", "user": people.stranger.name})
    assert answer.status_code == 400
    assert not ApiKey.objects.filter(name="X").exists()


def test_a_revoked_key_is_refused_at_once(people: People, visit: Visit) -> None:
    assert people.member.api.get("/api/contacts").status_code == 200
    client, path = visit(people.admin), f"{KEYS}/{people.member.api_key.pk}/revoke"
    assert "refused at once" in client.get(path).text
    assert "is revoked" in client.post(path, follow=True).text
    assert people.member.api.get("/api/contacts").status_code == 401
    above = f"{KEYS}/{people.owner.api_key.pk}/revoke"
    assert client.post(above).status_code == 403
    assert people.owner.api.get("/api/contacts").status_code == 200


def test_a_member_is_added_and_logs_in(people: People, visit: Visit) -> None:
    client = visit(people.admin)
    form = {"name": "bea", "email": "bea@acme.example", "role": "member", "password": "12345678"}
    assert "too common" in client.post(f"{MEMBERS}/add", form).text
    form["password"] = "seven red kites"
    said = client.post(f"{MEMBERS}/add", form, follow=True).text
    assert "logs in as bea@acme" in said
    login = {"username": "bea@acme", "password": "seven red kites"}
    assert Client().post("/login", login).status_code == 302
    again = client.post(f"{MEMBERS}/add", form)
    assert again.status_code == 400
    assert "There is a user named bea already." in again.text


def test_nobody_reaches_above_the_own_role(people: People, visit: Visit) -> None:
    client = visit(people.admin)
    assert "Owner:" not in client.get(f"{MEMBERS}/add").text
    wanted = {"name": "boss", "role": "owner"}
    assert client.post(f"{MEMBERS}/add", wanted).status_code == 400
    owner = f"{MEMBERS}/{people.owner.name}"
    assert client.post(f"{owner}/role", {"role": "viewer"}).status_code == 400
    assert client.post(f"{owner}/remove").status_code == 403
    assert people.owner.membership.role == Role.OWNER
    last = visit(people.owner).post(f"{owner}/role", {"role": "admin"})
    assert "at least one owner" in last.text


def test_a_role_is_changed_and_a_member_removed(people: People, visit: Visit) -> None:
    people.connect_account(people.member)
    client, path = visit(people.admin), f"{MEMBERS}/{people.member.name}"
    assert "is viewer now" in client.post(f"{path}/role", {"role": "viewer"}, follow=True).text
    assert people.member.api.post("/api/contacts", {"email": "a@b.example"}).status_code == 403
    asked = client.get(f"{path}/remove").text
    assert "1 email account" in asked
    assert "1 API key " in asked
    assert "mary is removed" in client.post(f"{path}/remove", follow=True).text
    assert not Membership.objects.filter(name="mary").exists()


def test_both_are_for_admins_of_the_tenant(people: People, visit: Visit) -> None:
    key, name = people.admin.api_key.pk, people.admin.name
    theirs = [f"{KEYS}/{key}/revoke", f"{MEMBERS}/{name}/role", f"{MEMBERS}/{name}/remove"]
    for path in [KEYS, f"{KEYS}/add", MEMBERS, f"{MEMBERS}/add", *theirs]:
        assert visit(people.member).get(path).status_code == 403, path
        seen = visit(people.stranger).get(path)
        assert seen.status_code == (404 if path in theirs else 200), path
        assert name not in seen.text, path
