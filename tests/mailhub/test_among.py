"""The lookup `among`: what `in` finds, for any number of values of any kind."""

from __future__ import annotations

import pytest
from django.utils import timezone

from accounts.models import Tenant
from contacts.models import Contact, Suppression
from tests.people import People


@pytest.mark.django_db
def test_it_finds_what_in_finds() -> None:
    tenant = People().tenant
    emails = [f"person{number}@example.com" for number in range(2_000)]
    contacts = Contact.objects.bulk_create(Contact(tenant=tenant, email=email) for email in emails)
    keys = [contact.pk for contact in contacts]
    assert Contact.objects.filter(pk__among=keys).count() == 2_000
    assert set(Contact.objects.filter(pk__among=keys[5:7])) == set(contacts[5:7])
    assert set(Contact.objects.filter(email__among=emails[:3])) == set(contacts[:3])
    assert set(Contact.objects.exclude(pk__among=keys[1:])) == {contacts[0]}
    assert not Contact.objects.filter(pk__among=[]).exists()
    assert Contact.objects.filter(pk__among=keys[:9]).update(company="Acme") == 9
    assert Contact.objects.filter(email__among=['"odd\\\'"@example.com', "x" * 300]).count() == 0


@pytest.mark.django_db
def test_values_of_other_kinds_are_put_into_the_form_of_the_database() -> None:
    tenant = People().tenant
    assert Tenant.objects.filter(pk__among=[tenant.pk]).get() == tenant
    Suppression.objects.suppress(tenant, ["a@example.com"])
    moment = Suppression.objects.get().created_at
    among = Suppression.objects.filter(created_at__among=[moment, timezone.now()])
    assert among.count() == 1
