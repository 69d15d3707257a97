"""`manage.py rotate_encryption_keys`: a new key in front, every secret resealed."""

from __future__ import annotations

from io import StringIO

import pytest
from cryptography.fernet import Fernet
from django.core.management import call_command
from pytest_django.fixtures import Settings

from accounts.models import Credential
from mailhub.encryption import Sealed, SecretUnreadable
from tests.people import People


def run() -> tuple[str, str, int]:
    out, errors = StringIO(), StringIO()
    code = 0
    try:
        call_command("rotate_encryption_keys", stdout=out, stderr=errors)
    except SystemExit as end:
        code = int(str(end.code))
    return out.getvalue(), errors.getvalue(), code


def test_old_key_can_be_dropped_afterwards(people: People, settings: Settings) -> None:
    for number in range(205):
        people.connect_account(people.member, password=f"secret {number}")
    old, new = settings.MAILHUB_ENCRYPTION_KEYS[0], Fernet.generate_key().decode()
    settings.MAILHUB_ENCRYPTION_KEYS = [new, old]
    before = list(Credential.objects.order_by("pk").values_list("updated_at", flat=True))
    out, errors, code = run()
    assert (errors, code) == ("", 0)
    assert "205 of 205" in out
    settings.MAILHUB_ENCRYPTION_KEYS = [new]
    opened = {row.reveal_secret()["password"] for row in Credential.objects.all()}
    assert opened == {f"secret {number}" for number in range(205)}
    assert list(Credential.objects.order_by("pk").values_list("updated_at", flat=True)) == before
    settings.MAILHUB_ENCRYPTION_KEYS = [old]
    with pytest.raises(SecretUnreadable):
        Credential.objects.earliest("pk").reveal_secret()


def test_second_run_changes_nothing(people: People, settings: Settings) -> None:
    people.connect_account(people.member)
    settings.MAILHUB_ENCRYPTION_KEYS = [
        Fernet.generate_key().decode(),
        *settings.MAILHUB_ENCRYPTION_KEYS,
    ]
    run()
    token = Credential.objects.get().secret.token
    assert run()[2] == 0
    assert Credential.objects.get().secret.token == token


def test_what_does_not_open_is_named_and_the_rest_goes_on(
    people: People, settings: Settings
) -> None:
    broken = people.connect_account(people.member).credential
    forgotten = Fernet(Fernet.generate_key()).encrypt(b"[]").decode()
    Credential.objects.filter(pk=broken.pk).update(secret=Sealed(forgotten))
    empty = Credential.objects.create(
        tenant=people.tenant, user=people.member.user, kind="password"
    )
    good = people.connect_account(people.member).credential
    settings.MAILHUB_ENCRYPTION_KEYS = [
        Fernet.generate_key().decode(),
        *settings.MAILHUB_ENCRYPTION_KEYS,
    ]
    out, errors, code = run()
    assert code == 1
    assert f"credentials.secret of {broken.pk}" in errors
    assert "1 of 2" in out
    assert Credential.objects.get(pk=good.pk).secret.is_current
    assert not Credential.objects.get(pk=empty.pk).secret
