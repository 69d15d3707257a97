"""The demonstration comes true, again and again, beside whatever a curious person did to it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mailhub.demo import keep_apart

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A newcomer's environment, with a folder for the demonstration's data."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "MAILHUB_DATA_DIR": str(tmp_path / "data"),
    }


def manage(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_the_main_job_comes_true_twice(environment: dict[str, str]) -> None:
    first = manage(environment, "demo", "--once", "--port", "0")
    assert first.returncode == 0, first.stdout + first.stderr
    assert "200 sent, 0 failed: completed" in first.stdout
    assert "200 messages, each addressed by name, the attachment intact" in first.stdout

    added = manage(
        environment,
        "shell",
        "--verbosity",
        "0",
        "--command",
        "from accounts.models import Tenant; from contacts.models import Contact; "
        "tenant = Tenant.objects.get(); "
        "Contact.objects.create(tenant=tenant, email='zed@example.com', first_name='\"Zed\" Y'); "
        "Contact.objects.filter(email='ada.abe@example.com').update(status='unsubscribed')",
    )
    assert added.returncode == 0, added.stderr

    second = manage(environment, "demo", "--once", "--port", "0")
    assert second.returncode == 0, second.stdout + second.stderr
    assert "0 imported, 200 updated" in second.stdout
    assert "199 sent, 0 failed: completed" in second.stdout
    assert "199 messages, each addressed by name" in second.stdout


def test_it_keeps_apart_from_an_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MAILHUB_DATA_DIR", "DATABASE_URL", "REDIS_URL"):
        monkeypatch.setenv(name, "")  # so that what is set below goes away afterwards
        monkeypatch.delenv(name)
    keep_apart()
    assert os.environ["MAILHUB_DATA_DIR"] == str(ROOT / "var" / "demo")
    assert os.environ["DATABASE_URL"] == f"sqlite:///{ROOT / 'var' / 'demo' / 'mailhub.sqlite3'}"
    assert os.environ["REDIS_URL"] == ""


def test_it_uses_what_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAILHUB_DATA_DIR", "/data")
    monkeypatch.setenv("DATABASE_URL", "postgres://localhost/mailhub")
    monkeypatch.setenv("REDIS_URL", "redis://localhost")
    keep_apart()
    assert os.environ["MAILHUB_DATA_DIR"] == "/data"
    assert os.environ["DATABASE_URL"] == "postgres://localhost/mailhub"
    assert os.environ["REDIS_URL"] == "redis://localhost"
