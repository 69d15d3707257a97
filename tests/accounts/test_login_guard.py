"""Guessing passwords: after ten wrong ones the name is closed to that address, everywhere."""

from __future__ import annotations

import pytest
from django.test import Client

from accounts.models import User

PASSWORD = "a long enough phrase"


@pytest.fixture
def operator(db: None) -> User:
    return User.objects.create_superuser("operator", password=PASSWORD)


def log_in(path: str, password: str, address: str = "192.0.2.1", name: str = "operator") -> Client:
    client = Client(REMOTE_ADDR=address)
    client.post(path, {"username": name, "password": password})
    return client


def is_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


@pytest.mark.usefixtures("operator")
@pytest.mark.parametrize("path", ["/admin/login/", "/login"])
def test_ten_wrong_passwords_close_the_door_even_for_the_right_one(path: str) -> None:
    for number in range(10):
        assert not is_in(log_in(path, f"wrong {number}"))
    for door in ("/admin/login/", "/login"):
        assert not is_in(log_in(door, PASSWORD))
    refused = Client(REMOTE_ADDR="192.0.2.1").post(
        path, {"username": "operator", "password": PASSWORD}
    )
    assert refused.status_code == 429
    assert PASSWORD not in refused.content.decode()


@pytest.mark.usefixtures("operator")
def test_another_address_and_another_name_stay_open() -> None:
    User.objects.create_superuser("colleague", password=PASSWORD)
    for number in range(11):
        log_in("/admin/login/", f"wrong {number}")
    assert is_in(log_in("/admin/login/", PASSWORD, address="192.0.2.2"))
    assert is_in(log_in("/login", PASSWORD, name="colleague"))


@pytest.mark.usefixtures("operator")
def test_right_password_in_between_starts_the_count_anew() -> None:
    for _ in range(2):
        for number in range(9):
            log_in("/login", f"wrong {number}")
        assert is_in(log_in("/login", PASSWORD))
