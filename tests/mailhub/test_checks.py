"""`manage.py check` says what would go wrong later."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.conf import settings as configured
from django.core.checks import run_checks
from pytest_django.fixtures import Settings


def found(*, deploy: bool = False) -> set[str]:
    messages = run_checks(include_deployment_checks=deploy)
    return {str(message.id) for message in messages if str(message.id).startswith("mailhub.")}


def test_settings_of_the_tests_are_sane() -> None:
    assert found() == set()


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("MAILHUB_ENCRYPTION_KEYS", ["short"], "mailhub.E001"),
        ("MAILHUB_ENCRYPTION_KEYS", [Fernet.generate_key().decode(), ""], "mailhub.E001"),
        ("MAILHUB_ALLOWED_NETWORKS", ["10.0.0.0/40"], "mailhub.E002"),
        ("MAILHUB_ALLOWED_NETWORKS", ["localhost"], "mailhub.E002"),
        ("MAILHUB_METRICS_NETWORKS", ["10.0.0.0/40"], "mailhub.E010"),
        ("MAILHUB_DNS_SERVER", "192.0.2.53", "mailhub.E011"),
        ("MAILHUB_DNS_SERVER", "ns.example.org:53", "mailhub.E011"),
        ("Q_CLUSTER", {**configured.Q_CLUSTER, "retry": 360, "timeout": 120}, "mailhub.E003"),
        ("MAILHUB_REQUEST_RATE", 0, "mailhub.E004"),
        ("MAILHUB_REQUEST_BURST", 0, "mailhub.E004"),
        ("MAILHUB_IDLE_RENEWAL_SECONDS", 541, "mailhub.E005"),
        ("MAILHUB_IDLE_RENEWAL_SECONDS", 0, "mailhub.E005"),
        ("MAILHUB_DEAD_LETTER_SQS_URL", "https://sqs.eu-west-1.amazonaws.com/", "mailhub.E009"),
        ("MAILHUB_DEAD_LETTER_SQS_URL", "http://127.0.0.1:9000/12/letters", "mailhub.E009"),
        ("MAILHUB_DEAD_LETTER_SQS_URL", "letters", "mailhub.E009"),
        ("MAILHUB_DEAD_LETTER_SQS_URL", "https://[letters", "mailhub.E009"),
        ("MAILHUB_DEFAULT_SENDER", "ses", "mailhub.E008"),
        ("MAILHUB_DEFAULT_SENDER", "smtp", "mailhub.E008"),
        ("MAILHUB_DEFAULT_SENDER", "sendmail", "mailhub.E008"),
    ],
)
def test_each_mistake_is_named(settings: Settings, name: str, value: Any, code: str) -> None:
    setattr(settings, name, value)
    assert found() == {code}


def test_address_without_encryption_is_warned_of_at_deployment(settings: Settings) -> None:
    settings.MAILHUB_PUBLIC_URL = "http://mail.example"
    assert "mailhub.W001" in found(deploy=True)
    settings.MAILHUB_PUBLIC_URL = "https://mail.example"
    assert "mailhub.W001" not in found(deploy=True)
