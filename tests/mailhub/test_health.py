"""What a load balancer hears: that the process is up, and whether it can do its work."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models.functions import Now
from django.test import Client
from pytest_django.fixtures import Settings

from mailboxes.models import Watcher


def test_process_is_up_without_a_database() -> None:
    response = Client().get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


@pytest.mark.django_db
def test_without_workers_it_is_not_ready() -> None:
    response = Client().get("/readyz")
    assert response.status_code == 503
    assert response.json() == {
        "status": "not_ready", "database": "ok", "broker": "ok", "workers": "down",
        "watcher": "down",
    }  # fmt: skip


@pytest.mark.django_db
def test_a_watcher_is_told_of_while_it_lives() -> None:
    watcher = Watcher.objects.create(process="machine:1")
    assert Client().get("/readyz").json()["watcher"] == "ok"
    Watcher.objects.filter(pk=watcher.pk).update(renewed_at=Now() - timedelta(seconds=21))
    assert Client().get("/readyz").json()["watcher"] == "down"


def test_database_that_cannot_be_asked_is_named_and_no_more_is_said() -> None:
    # Outside of a test that may use the database, every query is refused.
    response = Client().get("/readyz")
    answer = response.json()
    assert (response.status_code, answer["status"]) == (503, "not_ready")
    assert answer["database"] == "down"
    assert set(answer) == {"status", "database", "broker", "workers", "watcher"}


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_only_asks(path: str) -> None:
    assert Client().post(path).status_code == 405


def test_host_names_of_others_hear_nothing(settings: Settings) -> None:
    settings.ALLOWED_HOSTS = ["mail.example"]
    assert Client().get("/api/accounts", HTTP_HOST="evil.example").status_code == 400
