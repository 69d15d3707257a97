"""The admin of accounts, as an operator uses it in a browser."""

from __future__ import annotations

import re

import pytest
from axes.models import AccessAttempt, AccessLog
from django.contrib import admin
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from accounts.event_webhooks import add_webhook
from accounts.events.publishing import publish_test
from accounts.models import (
    ApiKey,
    Credential,
    Delegation,
    EmailAccount,
    IdempotentRequest,
    SesQuota,
    User,
)
from mailhub.encryption import SealedField
from tests.people import People

MODELS = ("tenant", "user", "membership", "apikey", "credential", "emailaccount", "delegation",
          "idempotentrequest", "eventwebhook", "event", "eventdelivery", "sesquota")  # fmt: skip
PASSWORD = "tr0ub4dor&3"


@pytest.fixture
def operator(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("operator", password="x"))
    return client


def furnish(people: People) -> list[str]:
    """Rows of every kind; the secrets that no page may show."""
    account = people.connect_account(people.member, password=PASSWORD)
    people.delegate(account, people.reader)
    people.member.api.post(
        "/api/credentials", {"password": "another one"}, HTTP_IDEMPOTENCY_KEY="first"
    )
    IdempotentRequest.objects.update(answer={"hidden": "in the answer"})
    SesQuota.objects.create(key="1", region="eu-west-1", rate=14, daily=50_000)
    url = "https://127.0.0.1:1/its-own-secret"
    webhook, secret = add_webhook(people.admin.caller, url=url, events=["*"])
    publish_test(webhook)
    return [
        PASSWORD,
        "another one",
        "in the answer",
        people.member.key,
        people.member.api_key.digest,
        account.credential.secret.token,
        secret,
        webhook.secret.token,
        "its-own-secret",
    ]


@pytest.mark.parametrize("model", MODELS)
def test_lists_and_pages_open_and_show_no_secret(
    people: People, operator: Client, model: str
) -> None:
    secrets = furnish(people)
    changelist = reverse(f"admin:accounts_{model}_changelist")
    assert operator.get(f"{changelist}?q=mary").status_code == 200
    page = operator.get(changelist).content.decode()
    pages = [page]
    links = re.findall(rf'href="(/admin/accounts/{model}/[^/"]+/change/)', page)
    assert links or model == "idempotentrequest"
    pages += [operator.get(link).content.decode() for link in links]
    for text in pages:
        assert not [secret for secret in secrets if secret in text]


def test_every_column_that_is_sealed_stays_out_of_every_admin() -> None:
    for model, page in admin.site._registry.items():
        sealed = {field.name for field in model._meta.fields if isinstance(field, SealedField)}
        named = {*page.list_display, *page.search_fields, *(page.fields or ())}
        assert not sealed & {str(name) for name in named}, model


@pytest.mark.parametrize("model", MODELS)
def test_list_asks_as_many_queries_for_many_rows_as_for_few(
    people: People,
    operator: Client,
    model: str,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    for person in (people.member, people.teammate, people.viewer, people.admin):
        account = people.connect_account(person)
        people.delegate(account, people.reader)
        IdempotentRequest.objects.create(tenant=people.tenant, user=person.user, key=person.name)
    with django_assert_max_num_queries(10):
        operator.get(reverse(f"admin:accounts_{model}_changelist"))


def test_key_is_issued_and_shown_once(people: People, operator: Client) -> None:
    add = reverse("admin:accounts_apikey_add")
    given = {
        "tenant": str(people.tenant.pk),
        "user": str(people.member.user.pk),
        "name": "the shop",
        "scopes": ["contacts:read"],
    }
    page = operator.post(add, given, follow=True).content.decode()
    [text] = re.findall(r"mh_\w{8}_\w{40}", page)
    key = ApiKey.objects.find(text)
    assert key is not None
    assert (key.name, key.scopes, key.tenant) == ("the shop", ["contacts:read"], people.tenant)
    change = reverse("admin:accounts_apikey_change", args=[key.pk])
    assert text not in operator.get(change).content.decode()
    operator.post(change, {"name": "the new shop"})
    key.refresh_from_db()
    assert key.name == "the new shop"
    assert ApiKey.objects.find(text) == key


def test_no_key_and_no_credential_for_a_user_of_another_tenant(
    people: People, operator: Client
) -> None:
    given = {"tenant": str(people.tenant.pk), "user": str(people.stranger.user.pk)}
    before = ApiKey.objects.count()
    for model in ("apikey", "credential"):
        page = operator.post(reverse(f"admin:accounts_{model}_add"), {**given, "new_password": "x"})
        assert "is no user of acme" in page.content.decode()
    assert ApiKey.objects.count() == before
    assert not Credential.objects.exists()


def test_password_is_set_anew_and_never_drawn_back(people: People, operator: Client) -> None:
    credential = people.connect_account(people.member).credential
    change = reverse("admin:accounts_credential_change", args=[credential.pk])
    page = operator.post(
        change, {"name": "work", "new_password": PASSWORD, "_continue": "1"}, follow=True
    )
    assert PASSWORD not in page.content.decode()
    credential.refresh_from_db()
    assert credential.reveal_secret() == {"password": PASSWORD}
    operator.post(change, {"name": "home", "new_password": ""})
    credential.refresh_from_db()
    assert (credential.name, credential.reveal_secret()) == ("home", {"password": PASSWORD})


def test_new_credential_needs_a_password(people: People, operator: Client) -> None:
    given = {"tenant": str(people.tenant.pk), "user": str(people.member.user.pk), "name": "work"}
    add = reverse("admin:accounts_credential_add")
    assert "needs a password" in operator.post(add, given).content.decode()
    operator.post(add, {**given, "new_password": PASSWORD})
    credential = Credential.objects.get()
    assert (credential.kind, credential.reveal_secret()) == ("password", {"password": PASSWORD})


def test_account_cannot_be_given_another_users_credential(people: People, operator: Client) -> None:
    mine = people.connect_account(people.member)
    theirs = people.connect_account(people.stranger)
    change = reverse("admin:accounts_emailaccount_change", args=[mine.pk])
    form = operator.get(change).context["adminform"].form
    given = {name: value for name, value in form.initial.items() if value is not None}
    page = operator.post(
        change,
        {
            **given,
            "credential": str(theirs.credential.pk),
            "delegations-TOTAL_FORMS": "0",
            "delegations-INITIAL_FORMS": "0",
        },
    )
    assert "belongs to another user" in page.content.decode()
    mine.refresh_from_db()
    assert mine.credential != theirs.credential


def test_delegate_must_be_of_the_tenant(people: People, operator: Client) -> None:
    account = people.connect_account(people.member)
    add = reverse("admin:accounts_delegation_add")
    for person in (people.stranger, people.member):
        given = {"account": str(account.pk), "user": str(person.user.pk)}
        page = operator.post(add, given).content.decode()
        assert "another user of the account" in page
    assert not Delegation.objects.exists()
    operator.post(add, {"account": str(account.pk), "user": str(people.reader.user.pk)})
    assert Delegation.objects.get().user == people.reader.user


def test_verify_login_says_what_works(people: People, operator: Client) -> None:
    account = people.connect_account(people.member, hostname="10.1.2.3", smtp_hostname="")
    page = operator.post(
        reverse("admin:accounts_emailaccount_changelist"),
        {"action": "verify_login", "_selected_action": [str(account.pk)]},
        follow=True,
    )
    assert "points at a private address" in page.content.decode()


def test_requests_are_only_to_look_at(people: People, operator: Client) -> None:
    furnish(people)
    row = IdempotentRequest.objects.get()
    change = reverse("admin:accounts_idempotentrequest_change", args=[row.pk])
    assert operator.get(change).status_code == 200
    assert operator.post(change, {"key": "x"}).status_code == 403
    assert operator.get(reverse("admin:accounts_idempotentrequest_add")).status_code == 403


def test_deleting_an_account_in_the_admin_leaves_no_secret_behind(
    people: People, operator: Client
) -> None:
    account = people.connect_account(people.member)
    operator.post(reverse("admin:accounts_emailaccount_delete", args=[account.pk]), {"post": "yes"})
    assert not EmailAccount.objects.exists()
    assert not Credential.objects.exists()


def test_what_never_runs_has_no_page(operator: Client) -> None:
    index = operator.get(reverse("admin:index")).content.decode()
    assert "Scheduled tasks" not in index
    assert "Access failures" not in index
    for path in ("django_q/schedule/add/", "axes/accessfailurelog/"):
        assert operator.get(f"/admin/{path}").status_code == 404


def test_what_the_login_guard_notes_is_not_written_by_hand(operator: Client) -> None:
    attempt = AccessAttempt.objects.create(
        username="mary@acme", ip_address="192.0.2.1", failures_since_start=3
    )
    entry = AccessLog.objects.create(username="mary@acme", ip_address="192.0.2.1")
    for model, row in (("accessattempt", attempt), ("accesslog", entry)):
        assert operator.get(reverse(f"admin:axes_{model}_add")).status_code == 403
        change = reverse(f"admin:axes_{model}_change", args=[row.pk])
        assert operator.get(change).status_code == 200
        operator.post(change, {"username": "eve@acme", "failures_since_start": "0"})
        row.refresh_from_db()
        assert row.username == "mary@acme"
