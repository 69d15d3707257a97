"""Who sends by SES, and where: keys, regions, the environment, and what nobody is shown."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from mailhub.mail.aws import AwsKeys, AwsService, is_region
from mailhub.mail.errors import (
    InvalidMessage,
    LoginFailed,
)
from mailhub.mail.transports.base import Envelope, Result
from mailhub.mail.transports.ses import SesTransport
from tests.mail.test_ses import CONTENT, to
from tests.servers.aws import MotoServer
from tests.servers.ses import KEYS, SesFake


def test_secrets_are_in_no_repr_and_no_error(ses_fake: SesFake) -> None:
    settings = ses_fake.settings(keys=AwsKeys(KEYS.access_key_id, "wrong-key-51", "token-8"))
    assert "wrong-key-51" not in repr(settings)
    assert "token-8" not in repr(settings.service)
    with pytest.raises(LoginFailed) as raised:
        SesTransport(settings).send(to("a"), CONTENT)
    assert "wrong-key-51" not in f"{raised.value!r} {raised.value.reply}"


@pytest.mark.parametrize(
    ("region", "is_one"),
    [
        ("eu-west-1", True),
        ("us-gov-east-1", True),
        ("ap-southeast-2", True),
        ("evil.example/#", False),
        ("eu-west-1.evil.example", False),
        ("EU-WEST-1", False),
        ("", False),
    ],
)
def test_a_region_cannot_name_a_host(region: str, is_one: bool) -> None:
    assert is_region(region) is is_one
    if not is_one:
        with pytest.raises(InvalidMessage):
            AwsService("sesv2", region)


SEND = """
from mailhub.mail.transports.base import Envelope
from mailhub.mail.transports.ses import SesSettings, SesTransport
from mailhub.mail.errors import MailError
settings = SesSettings("eu-west-1", endpoint="{url}", timeout=5.0)
try:
    with SesTransport(settings) as transport:
        print(transport.send(Envelope("a@b.example", ("c@d.example",)), b"x").result)
except MailError as error:
    print(error.code)
"""


def test_without_keys_the_environment_says_who_sends(ses_fake: SesFake) -> None:
    def run(**environment: str) -> str:
        kept = {name: text for name, text in os.environ.items() if not name.startswith("AWS_")}
        done = subprocess.run(
            [sys.executable, "-c", SEND.format(url=ses_fake.url)],
            env={
                **kept,
                "HOME": "/nonexistent",
                "AWS_EC2_METADATA_DISABLED": "true",
                **environment,
            },
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    assert run() == "login_failed"
    keys = {
        "AWS_ACCESS_KEY_ID": KEYS.access_key_id,
        "AWS_SECRET_ACCESS_KEY": KEYS.secret_access_key,
    }
    assert run(**keys) == "sent"
    assert len(ses_fake.messages) == 1


def test_moto_takes_the_same_requests(aws: MotoServer, ses_fake: SesFake) -> None:
    """What SES's own description of its API refuses, moto refuses."""
    aws.client("sesv2").create_email_identity(EmailIdentity="example.org")
    settings = ses_fake.settings(endpoint=aws.url, tags=(("tenant", "acme"),))
    with SesTransport(settings) as transport:
        outcome = transport.send(to("a", "b"), CONTENT)
        stranger = transport.send(Envelope("a@example.net", ("b@example.com",)), CONTENT)
    assert outcome.result is Result.SENT
    assert outcome.provider_id
    assert stranger.result is Result.FAILED
    assert stranger.error is not None
