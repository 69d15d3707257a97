"""Log in, log out, change the password, choose the tenant."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from accounts.models import Membership, Role
from tests.pages.conftest import Visit
from tests.people import People, Person

PASSWORD = "quite a long pass phrase"


def with_password(person: Person) -> Person:
    person.user.set_password(PASSWORD)
    person.user.save()
    return person


def try_to_log_in(client: Client, name: str, password: str, **more: str) -> Any:
    return client.post("/login", {"username": name, "password": password, **more})


def test_a_person_logs_in_with_name_and_password(people: People) -> None:
    member = with_password(people.member)
    client = Client()
    answer = try_to_log_in(client, member.user.username, PASSWORD)
    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert "Acme, member" in client.get("/").text


def test_after_the_login_comes_the_page_that_was_asked_for(people: People) -> None:
    member = with_password(people.member)
    answer = try_to_log_in(Client(), member.user.username, PASSWORD, next="/password")
    assert answer["Location"] == "/password"


def test_a_login_never_leads_to_another_site(people: People) -> None:
    member = with_password(people.member)
    for elsewhere in ("https://evil.example/", "//evil.example/", "javascript:alert(1)"):
        answer = try_to_log_in(Client(), member.user.username, PASSWORD, next=elsewhere)
        assert answer["Location"] == "/"


@pytest.mark.parametrize("name", ["mary@acme", "nobody", "", "x\x00y", '"><script>alert(1)'])
def test_a_wrong_login_says_so_and_keeps_the_name(people: People, name: str) -> None:
    with_password(people.member)
    answer = try_to_log_in(Client(), name, "wrong")
    assert answer.status_code == 200
    assert "do not belong together" in answer.text
    assert "<script>alert" not in answer.text
    if name == "mary@acme":
        assert 'value="mary@acme"' in answer.text


def test_after_too_many_wrong_passwords_even_the_right_one_is_refused(people: People) -> None:
    member = with_password(people.member)
    client = Client()
    for _ in range(settings.AXES_FAILURE_LIMIT):
        answer = try_to_log_in(client, member.user.username, "wrong")
    assert answer.status_code == 429
    answer = try_to_log_in(client, member.user.username, PASSWORD)
    assert answer.status_code == 429
    assert "may not log in from here for 15 minutes" in answer.text
    other = with_password(people.teammate)
    assert try_to_log_in(client, other.user.username, PASSWORD).status_code == 302


def test_logging_out_needs_a_post(people: People, visit: Visit) -> None:
    client = visit(people.member)
    assert client.get("/logout").status_code == 405
    assert client.post("/logout")["Location"] == "/login"
    assert client.get("/")["Location"] == "/login?next=/"


def test_a_form_from_elsewhere_changes_nothing(people: People) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(people.member.user, backend="django.contrib.auth.backends.ModelBackend")
    answer = client.post("/logout")
    assert answer.status_code == 403
    assert "The form was too old" in answer.text
    assert client.get("/").status_code == 200


def test_a_new_password_needs_the_old_one(people: People) -> None:
    member = with_password(people.member)
    client = Client()
    try_to_log_in(client, member.user.username, PASSWORD)
    new = {"new_password1": "another long phrase", "new_password2": "another long phrase"}
    answer = client.post("/password", {"old_password": "wrong", **new})
    assert answer.status_code == 400
    assert "entered incorrectly" in answer.text
    answer = client.post("/password", {"old_password": PASSWORD, **new}, follow=True)
    assert "Your password is changed." in answer.text
    assert try_to_log_in(Client(), member.user.username, "another long phrase").status_code == 302


def test_a_person_of_two_tenants_chooses_between_them(people: People, visit: Visit) -> None:
    user = people.member.user
    Membership.objects.create(tenant=people.other_tenant, user=user, name="mary2", role=Role.VIEWER)
    client = visit(people.member)
    assert '<option value="acme" selected>' in client.get("/").text
    client.post("/tenant", {"tenant": "globex"})
    assert '<option value="globex" selected>' in client.get("/").text
    Membership.objects.filter(tenant=people.other_tenant, user=user).delete()
    assert "Acme, member" in client.get("/").text


def test_nobody_chooses_a_tenant_of_others(people: People, visit: Visit) -> None:
    assert people.stranger.tenant.slug == "globex"
    client = visit(people.member)
    assert client.post("/tenant", {"tenant": "globex"}).status_code == 403
    assert "Acme, member" in client.get("/").text


def test_a_person_of_no_tenant_is_told_so(people: People, visit: Visit) -> None:
    member = people.member
    client = visit(member)
    member.membership.delete()
    answer = client.get("/")
    assert answer.status_code == 403
    assert "You belong to no tenant yet" in answer.text


def test_a_person_of_a_closed_tenant_belongs_to_none(people: People, visit: Visit) -> None:
    people.tenant.is_active = False
    people.tenant.save()
    assert visit(people.member).get("/").status_code == 403


def test_a_live_part_of_a_page_leads_to_the_login_when_the_session_ended(db: None) -> None:
    answer = Client().get(
        "/",
        headers={"HX-Request": "true", "HX-Current-URL": "http://testserver/campaigns?status=x"},
    )
    assert (answer.status_code, answer["HX-Redirect"]) == (401, "/login?next=/campaigns")


def test_an_address_that_is_none_leads_to_the_login_as_well(db: None) -> None:
    headers = {"HX-Request": "true", "HX-Current-URL": "http://[bad"}
    answer = Client().get("/running", headers=headers)
    assert (answer.status_code, answer["HX-Redirect"]) == (401, "/login?next=/")


def test_the_form_says_what_a_login_name_looks_like(db: None) -> None:
    page = Client().get("/login").text
    assert '<label for="id_username">Login name</label>' in page
    assert 'aria-describedby="id_username_hint"' in page
    assert "as in mary@acme" in page
