"""Django's own mail by SES, and what installations without AWS pay for it: nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from io import StringIO

import pytest
from botocore.exceptions import ClientError
from django.core import mail
from django.core.mail import EmailMessage, get_connection
from django.core.management import call_command
from pytest_django.fixtures import Settings

from tests import environment
from tests.servers.aws import MotoServer
from tests.servers.ses import KEYS, REGION, THROTTLED, SesFake


@pytest.fixture
def ses(ses_fake: SesFake, settings: Settings) -> SesFake:
    settings.EMAIL_BACKEND = "mailhub.site_mail.SesBackend"
    settings.AWS_SES_REGION_NAME, settings.AWS_SES_REGION_ENDPOINT_URL = REGION, ses_fake.url
    settings.AWS_SES_ACCESS_KEY_ID = KEYS.access_key_id
    settings.AWS_SES_SECRET_ACCESS_KEY = KEYS.secret_access_key
    return ses_fake


def letter() -> EmailMessage:
    return EmailMessage("Hi", "Hello.", "site@example.org", ["ops@example.org"])


def test_the_sites_own_mail_goes_by_ses(ses: SesFake, settings: Settings) -> None:
    settings.ADMINS = [("", "ops@example.org")]
    settings.SERVER_EMAIL = "site@example.org"
    mail.mail_admins("It broke", "Look.")
    [accepted] = ses.accepted
    assert accepted.received.envelope.recipients == ("ops@example.org",)
    assert b"It broke" in accepted.received.content
    message = letter()
    assert get_connection().send_messages([message]) == 1
    assert message.extra_headers == {}


def test_it_is_never_sent_twice_and_may_fail_silently(ses: SesFake) -> None:
    ses.answers.append(THROTTLED)
    with pytest.raises(ClientError):
        letter().send()
    ses.answers.append(THROTTLED)
    assert letter().send(fail_silently=True) == 0
    assert len(ses.requests) == 2


def test_over_moto_as_well(ses: SesFake, aws: MotoServer, settings: Settings) -> None:
    settings.AWS_SES_REGION_ENDPOINT_URL = aws.url
    aws.client("sesv2").create_email_identity(EmailIdentity="example.org")
    settings.DEFAULT_FROM_EMAIL = "site@example.org"
    out = StringIO()
    call_command("sendtestemail", "ops@example.org", stdout=out)
    # Moto counts recipients of the envelope and of the header.
    assert aws.client("ses").get_send_quota()["SentLast24Hours"] > 0


LOOK = """
import sys, django
django.setup()
from django.conf import settings
from django.test import Client
import mailhub.dispatch, mailhub.urls, campaigns.tasks, mailboxes.tasks
print(settings.EMAIL_BACKEND, "boto3" in sys.modules, "botocore" in sys.modules)
"""


@pytest.mark.parametrize(
    ("sender", "seen"),
    [
        ("", "django.core.mail.backends.console.EmailBackend False False"),
        ("smtp", "django.core.mail.backends.smtp.EmailBackend False False"),
        ("ses", "mailhub.site_mail.SesBackend True True"),
    ],
)
def test_who_does_not_use_aws_does_not_load_it(sender: str, seen: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOOK],
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "mailhub.settings",
            "MAILHUB_DEFAULT_SENDER": sender,
            "SMTP_SERVER": "smtp.example.org" if sender == "smtp" else "",
            "AWS_SES_REGION_NAME": REGION,
            "SECRET_KEY": environment.SECRET_KEY,
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip().splitlines()[-1] == seen
