"""A tenant is deleted with everything that it has, and no other tenant loses anything."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django.fixtures import Settings

from accounts.event_webhooks import add_webhook
from accounts.models import EmailAccount, Tenant, User
from campaigns.engine.journal import Journal, journal_folder
from campaigns.models import DeliveryEvent, SendShift
from contacts.models import Contact, ContactList, ListMember
from mailboxes.models import Folder
from mailboxes.raw_store import RawStore
from mailhub.mail.message import Attachment
from mailhub.mail.transports.in_memory import Step
from tests.campaigns.conftest import Campaigns
from tests.people import People, Person

APPS = ("accounts", "campaigns", "contacts", "mailboxes")
# Of the installation, not of a tenant.
SHARED = ("accounts.Tenant", "accounts.User", "accounts.SesQuota", "mailboxes.Watcher")


def counted() -> dict[str, int]:
    """The rows of each model that holds any."""
    models = [model for name in APPS for model in apps.get_app_config(name).get_models()]
    found = {model._meta.label: model._base_manager.count() for model in models}
    return {name: number for name, number in found.items() if number and name not in SHARED}


def furnish(person: Person) -> EmailAccount:
    """An account with mail on the disk, a list with a member."""
    account = People().connect_account(person)
    RawStore(account.pk).put_many([b"Subject: x\r\n\r\nHello"])
    Folder.objects.create(account=account, path="INBOX")
    made = ContactList.objects.create(tenant=person.tenant, name="Readers")
    reader = Contact.objects.create(tenant=person.tenant, email="reader@example.com")
    ListMember.objects.create(list=made, contact=reader)
    return account


def with_everything(campaigns: Campaigns) -> Path:
    """A tenant that has sent; a journal that a worker left behind."""
    people = campaigns.people
    add_webhook(people.admin.caller, url="https://127.0.0.1:1/x", events=["*"])
    campaigns.add_contacts(3)
    campaigns.server.script.answer(Step.RCPT, "550 5.1.1 Nobody", address="person1@example.com")
    logo = Attachment("logo.png", b"x", "image/png")
    campaign = campaigns.finish(campaigns.create(attachments=(logo,)))
    assert DeliveryEvent.objects.exists()
    with Journal("left-behind"):
        pass
    SendShift.objects.create(campaign=campaign, asked_at=campaign.created_at, journal="left-behind")
    furnish(people.member)
    return journal_folder()


def test_nothing_of_it_stays_and_nothing_of_another_goes(
    campaigns: Campaigns,
    settings: Settings,
) -> None:
    theirs = furnish(campaigns.people.stranger)
    before = counted()
    journals = with_everything(campaigns)
    tenant, member = campaigns.people.tenant, campaigns.people.member
    raw = Path(settings.MAILHUB_DATA_DIR) / "raw"
    own = EmailAccount.objects.get(tenant=tenant)
    assert (raw / own.pk.hex).is_dir()
    call_command("delete_tenant", "acme", "--yes")
    assert counted() == before
    assert not Tenant.objects.filter(slug="acme").exists()
    assert not User.objects.filter(pk=member.user.pk).exists()
    assert not (raw / own.pk.hex).exists()
    assert (raw / theirs.pk.hex).is_dir()
    assert not list(journals.glob("left-behind.*"))
    assert member.api.get("/api/accounts").status_code == 401
    assert campaigns.people.stranger.api.get("/api/accounts").json()["accounts"]


def test_what_is_not_there_is_not_deleted(people: People) -> None:
    assert people.tenant
    with pytest.raises(CommandError, match="no tenant nobody"):
        call_command("delete_tenant", "nobody", "--yes")
    assert Tenant.objects.filter(slug="acme").exists()


def test_a_superuser_deletes_a_small_one_on_its_page(campaigns: Campaigns) -> None:
    with_everything(campaigns)
    client = Client()
    client.force_login(
        User.objects.create_superuser("root", password="x"),
        backend="django.contrib.auth.backends.ModelBackend",
    )
    address = f"/admin/accounts/tenant/{campaigns.people.tenant.pk}/delete/"
    assert "Are you sure" in client.get(address).content.decode()
    client.post(address, {"post": "yes"})
    assert not Tenant.objects.exists()
    assert not counted()
    assert [user.username for user in User.objects.all()] == ["root"]


def test_the_page_of_a_large_one_names_the_command(campaigns: Campaigns) -> None:
    campaigns.add_contacts(1_001)
    client = Client()
    client.force_login(
        User.objects.create_superuser("root", password="x"),
        backend="django.contrib.auth.backends.ModelBackend",
    )
    address = f"/admin/accounts/tenant/{campaigns.people.tenant.pk}/delete/"
    page = client.get(address).content.decode()
    assert "manage.py delete_tenant acme" in page
    client.post(address, {"post": "yes"})
    assert Tenant.objects.filter(slug="acme").exists()
