"""The outbox over SES: the default sender, accounts with keys of their own, and their limits."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from email import message_from_bytes, policy
from typing import Any

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from accounts.models import Credential, EmailAccount, SesQuota
from mailboxes.models import OutboxMessage
from mailboxes.outbox.sending import send_due
from mailhub.mail.transports.in_memory import Disturbance, Step
from tests.mailboxes.operations.calls import call
from tests.mailboxes.test_outbox import MAIL, ask, come_due, look
from tests.people import People, Person
from tests.servers.aws import MotoServer
from tests.servers.ses import KEYS, REGION, THROTTLED, Limits, Refusal, SesFake
from tests.servers.smtp import SmtpReceiver


@pytest.fixture
def ses(ses_fake: SesFake, settings: Settings) -> SesFake:
    """The installation's own account of SES."""
    settings.MAILHUB_DEFAULT_SENDER = "ses"
    settings.AWS_SES_REGION_NAME, settings.AWS_SES_REGION_ENDPOINT_URL = REGION, ses_fake.url
    settings.AWS_SES_ACCESS_KEY_ID = KEYS.access_key_id
    settings.AWS_SES_SECRET_ACCESS_KEY = KEYS.secret_access_key
    settings.AWS_SES_CONFIGURATION_SET = "mailhub"
    settings.MAILHUB_MAIL_TIMEOUT = 0.5
    return ses_fake


def keep_keys(person: Person, secret: str = KEYS.secret_access_key) -> Credential:
    body = {"name": "ses", "aws": {"accessKeyId": KEYS.access_key_id, "secretAccessKey": secret}}
    answer = person.api.post("/api/credentials", body)
    assert answer.status_code == 201, answer.content
    return Credential.objects.get(pk=answer.json()["id"])


def compose(people: People, account: EmailAccount) -> Any:
    body = {"accountId": str(account.pk), "to": ["bo@example.org"], "subject": "Hi"}
    answer = people.member.api.post("/api/compose", body)
    assert answer.status_code == 202, answer.content
    return answer.json()


def test_the_default_sender_is_ses(people: People, ses: SesFake) -> None:
    queued = ask(people, bcc="di@example.org", html="<p>Thanks.</p>")
    send_due()
    [accepted] = ses.accepted
    assert accepted.received.envelope.sender == "shop@example.org"
    assert accepted.received.envelope.recipients == ("bo@example.org", "di@example.org")
    assert (accepted.configuration_set, accepted.tags) == ("mailhub", {"tenant": "acme"})
    parsed = message_from_bytes(accepted.received.content, policy=policy.default)
    assert (parsed["Message-ID"], parsed["Bcc"]) == (queued["messageId"], None)
    seen = look(people, queued)
    assert (seen["status"], seen["reply"]) == ("sent", f"250 Ok {accepted.message_id}")
    assert OutboxMessage.objects.get().provider_id == accepted.message_id


def test_over_moto_as_well(
    people: People, ses: SesFake, aws: MotoServer, settings: Settings
) -> None:
    settings.AWS_SES_REGION_ENDPOINT_URL = aws.url
    aws.client("sesv2").create_email_identity(EmailIdentity="example.org")
    queued = ask(people)
    send_due()
    assert look(people, queued)["status"] == "sent"


def test_throttling_uses_up_no_try_and_loses_nothing(people: People, ses: SesFake) -> None:
    ses.answers.extend([THROTTLED] * 5)
    queued = ask(people)
    send_due()
    seen = look(people, queued)
    assert (seen["status"], seen["errorCode"], seen["tries"]) == ("deferred", "rate_exceeded", 0)
    assert [row["result"] for row in seen["attempts"]] == ["deferred"]
    SesQuota.objects.update(free_at=None)
    come_due()
    send_due()
    assert look(people, queued)["status"] == "sent"
    assert len(ses.accepted) == 1


def test_a_used_up_quota_holds_all_and_says_when_it_frees(people: People, ses: SesFake) -> None:
    ses.limits = Limits(rate=200, daily=2)
    queued = [ask(people) for _ in range(4)]
    send_due()
    seen = [look(people, each) for each in queued]
    assert [each["status"] for each in seen] == ["sent", "sent", "deferred", "deferred"]
    for each in seen[2:]:
        assert (each["errorCode"], each["tries"], each["attempts"]) == ("quota_exceeded", 0, [])
        assert "Some of it is free at" in each["reply"]
        assert each["nextTryAt"] > timezone.now().timestamp() * 1000
    # A day later, as SES counts it.
    ses.limits = Limits(rate=200, daily=4)
    SesQuota.objects.update(read_due_at=timezone.now() - timedelta(seconds=1))
    come_due()
    send_due()
    assert [look(people, each)["status"] for each in queued] == ["sent"] * 4
    assert len(ses.accepted) == 4


def test_a_quota_that_others_have_used_up_is_heard_of_from_ses(
    people: People, ses: SesFake
) -> None:
    ses.answers.append(Refusal(400, "ThrottlingException", "Daily message quota exceeded."))
    queued = ask(people)
    send_due()
    seen = look(people, queued)
    assert (seen["status"], seen["errorCode"], seen["tries"]) == ("deferred", "quota_exceeded", 0)
    assert [row["reply"] for row in seen["attempts"]] == [
        "454 ThrottlingException: Daily message quota exceeded."
    ]


def test_a_refusal_in_the_sandbox_is_a_dead_letter_in_clear_words(
    people: People, ses: SesFake
) -> None:
    ses.account.in_sandbox, ses.account.verified = True, {"shop@example.org"}
    queued = ask(people)
    send_due()
    seen = look(people, queued)
    assert seen["status"] == "failed"
    assert "bo@example.org" in seen["reply"]
    assert SesQuota.objects.get().is_in_sandbox
    api = people.member.api
    [letter] = api.get("/api/dead-letters").json()["deadLetters"]
    ses.account.verified.add("bo@example.org")
    assert api.post(f"/api/dead-letters/{letter['id']}/requeue").status_code == 202
    send_due()
    assert look(people, queued)["status"] == "sent"


@pytest.mark.parametrize("disturbance", [Disturbance.HANG, Disturbance.ACCEPT_AND_DROP])
def test_a_lost_answer_is_uncertain_and_never_sent_again(
    people: People, ses: SesFake, disturbance: Disturbance
) -> None:
    ses.script.answer(Step.CONTENT, disturbance, times=1)
    queued = ask(people)
    send_due()
    come_due()
    send_due()
    assert look(people, queued)["status"] == "uncertain"
    assert len(ses.accepted) == (disturbance is Disturbance.ACCEPT_AND_DROP)


def test_wrong_keys_fail_and_are_in_no_answer(
    people: People, ses: SesFake, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.AWS_SES_SECRET_ACCESS_KEY = "a-wrong-secret-55d1"
    queued = ask(people)
    send_due()
    seen = look(people, queued)
    assert (seen["status"], seen["errorCode"]) == ("failed", "login_failed")
    assert "a-wrong-secret-55d1" not in f"{seen} {caplog.text}"


def test_an_account_sends_by_ses_with_its_own_keys(people: People, ses: SesFake) -> None:
    ses.keys["AKIAOTHERS"] = "the-operators"
    credential = keep_keys(people.member)
    account = people.connect_account(people.member, smtp_hostname="")
    address = f"/api/accounts/{account.pk}"
    change = {"sesRegion": REGION, "awsCredentialId": str(credential.pk)}
    changed = people.member.api.patch(address, {**change, "sesConfigurationSet": "mine"})
    assert changed.status_code == 200, changed.content
    assert changed.json()["sesRegion"] == REGION
    queued = compose(people, account)
    send_due()
    assert look(people, queued)["status"] == "sent"
    assert ses.accepted[0].configuration_set == "mine"
    in_use = people.member.api.delete(f"/api/credentials/{credential.pk}")
    assert (in_use.status_code, in_use.json()["error"]) == (409, "credential_in_use")


def test_what_an_account_must_have_to_send_by_ses(people: People, ses: SesFake) -> None:
    account = people.connect_account(people.member, smtp_hostname="")
    address = f"/api/accounts/{account.pk}"
    mine, foreign = keep_keys(people.member), keep_keys(people.teammate)

    def refused(**change: Any) -> list[str]:
        answer = people.member.api.patch(address, change)
        assert answer.status_code == 400, answer.content
        return sorted(answer.json()["details"]["fields"])

    keys = str(mine.pk)
    assert refused(sesRegion=REGION) == ["awsCredentialId"]
    assert refused(sesRegion=REGION, awsCredentialId=str(foreign.pk)) == ["awsCredentialId"]
    other = str(account.credential_id)
    assert refused(sesRegion=REGION, awsCredentialId=other) == ["awsCredentialId"]
    assert refused(sesRegion="evil.example/", awsCredentialId=keys) == ["sesRegion"]
    assert refused(sesRegion=REGION, awsCredentialId=keys, smtpHostname="127.0.0.1") == [
        "sesRegion"
    ]
    people.delegate(account, people.reader)
    shown = people.reader.api.get(address).json()
    assert shown["awsCredentialId"] is None


def test_verifying_an_account_asks_ses(people: People, ses: SesFake) -> None:
    ses.account.in_sandbox = True
    account = people.connect_account(people.member, smtp_hostname="", ses_region=REGION)
    account.aws_credential = keep_keys(people.member)
    account.save()
    address = f"/api/accounts/{account.pk}/verify"
    outgoing = people.member.api.post(address).json()["outgoing"]
    assert (outgoing["protocol"], outgoing["works"]) == ("ses", True)
    assert "sandbox" in outgoing["message"]
    account.aws_credential.keep_secret(
        {"access_key_id": KEYS.access_key_id, "secret_access_key": "wrong"}
    )
    account.aws_credential.save()
    outgoing = people.member.api.post(address).json()["outgoing"]
    assert (outgoing["works"], outgoing["error"]) == (False, "login_failed")


def test_a_named_account_is_the_default_sender(
    people: People, start_smtp_receiver: Callable[..., SmtpReceiver], settings: Settings
) -> None:
    receiver = start_smtp_receiver(users={"mary@globex.example": "correct horse"})
    account = people.connect_account(
        people.namesake,
        smtp_hostname=receiver.host,
        smtp_port=receiver.port,
        smtp_encryption="none",
    )
    settings.MAILHUB_DEFAULT_SENDER = str(account.pk)
    queued = ask(people)
    send_due()
    assert look(people, queued)["status"] == "sent"
    assert len(receiver.messages) == 1
    # It is the sender's own message, and not in the account's outbox.
    assert people.namesake.api.get("/api/outbox").json()["outbox"] == []


def test_a_default_sender_that_cannot_send_is_said_at_once(
    people: People, settings: Settings
) -> None:
    account = people.connect_account(people.namesake, is_enabled=False)
    for chosen, code in (
        (str(account.pk), "account_disabled"),
        ("5f0c3f4e-8f1d-4a39-9a0e-0d6f3c1f3a00", "no_mail_server"),
        ("ses", "no_ses_region"),
    ):
        settings.MAILHUB_DEFAULT_SENDER = chosen
        answer = call(people.member.api, "send-email", {"mailOptions": MAIL})
        assert (answer.status_code, answer.json()["error"]) == (409, code)
    assert not OutboxMessage.objects.exists()


def test_an_account_never_sends_by_the_machines_role(people: People, ses: SesFake) -> None:
    account = people.connect_account(people.member, smtp_hostname="", ses_region=REGION)
    account.aws_credential = None
    account.save()
    body = {"accountId": str(account.pk), "to": ["bo@example.org"], "subject": "Hi"}
    answer = people.member.api.post("/api/compose", body)
    assert (answer.status_code, answer.json()["error"]) == (400, "wrong_credential_kind")
    assert ses.requests == []
