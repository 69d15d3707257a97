"""What SNS posts: who is believed, and that nothing is taken twice, late or from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pytest_django.fixtures import Settings
from rest_framework.test import APIClient

from campaigns.feedback.queues import fetch_notices
from campaigns.models import SesNotice, SesTopic
from tests.people import People
from tests.servers.aws import KEYS, REGION, MotoServer
from tests.servers.sns import TOPIC, SnsFake

EVENT = {"eventType": "Send", "mail": {"messageId": "0102-1"}, "send": {}}


@pytest.fixture
def sns(tmp_path: Path, settings: Settings) -> Iterator[SnsFake]:
    fake = SnsFake(tmp_path)
    settings.MAILHUB_SNS_ORIGINS = [fake.origin]
    settings.MAILHUB_CA_FILE = str(fake.ca_file)
    yield fake
    fake.close()


@pytest.fixture
def topic(people: People) -> SesTopic:
    """The tenant's own, registered by an admin."""
    answer = people.admin.api.post("/api/ses-topics", {"arn": TOPIC})
    assert answer.status_code == 201, answer.json()
    return SesTopic.objects.get()


def post(notice: dict[str, Any]) -> Any:
    """As SNS does, which calls it text/plain and has no key."""
    return APIClient().post(
        "/api/webhooks/ses", json.dumps(notice), content_type="text/plain; charset=UTF-8"
    )


@pytest.mark.parametrize("version", ["1", "2"])
def test_a_signed_notice_is_kept_once(sns: SnsFake, topic: SesTopic, version: str) -> None:
    notice = sns.notification(EVENT, version=version, Subject="Amazon SES")
    for _ in range(3):
        answer = post(notice)
        assert (answer.status_code, answer.json()) == (200, {"status": "accepted"})
    kept = SesNotice.objects.get()
    assert json.loads(kept.event) == EVENT
    assert len(sns.asked) == 1
    assert SesTopic.objects.get().last_notice_at is not None


def test_a_subscription_is_confirmed_and_its_end_is_shown(
    people: People, sns: SnsFake, topic: SesTopic
) -> None:
    assert post(sns.confirmation("SubscriptionConfirmation", version="2")).status_code == 200
    assert sns.asked[-1].startswith("/?Action=ConfirmSubscription")
    [shown] = people.admin.api.get("/api/ses-topics").json()["ses_topics"]
    assert shown["confirmed_at"] and not shown["trouble"]
    assert post(sns.confirmation("UnsubscribeConfirmation")).status_code == 200
    [shown] = people.admin.api.get("/api/ses-topics").json()["ses_topics"]
    assert shown["confirmed_at"] is None and "ended" in shown["trouble"]
    assert sum("ConfirmSubscription" in path for path in sns.asked) == 1


def test_what_is_tampered_with_is_refused(sns: SnsFake, topic: SesTopic) -> None:
    good = sns.notification(EVENT)
    old = (datetime.now(UTC) - timedelta(days=3)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    refused = {
        "bad_signature": [
            {**good, "Message": json.dumps({**EVENT, "eventType": "Bounce"})},
            {**good, "MessageId": "another"},
            {**good, "Subject": "added"},
            {**good, "SignatureVersion": "2"},
            {**good, "SignatureVersion": "3"},
            {**good, "Signature": "AAAA"},
            {**good, "Signature": "?"},
            {**good, "SigningCertURL": "https://evil.example/sns.pem"},
            {**good, "SigningCertURL": "http://sns.eu-west-1.amazonaws.com/a.pem"},
            {**good, "SigningCertURL": "https://sns.us-east-1.amazonaws.com/a.pem"},
            {**good, "SigningCertURL": "https://sns.eu-west-1.amazonaws.com.evil.example/a.pem"},
            {**good, "SigningCertURL": "https://sns.eu-west-1.amazonaws.com@evil.example/a.pem"},
            {**good, "SigningCertURL": f"{sns.origin}/not-a-certificate"},
        ],
        "stale_notice": [sns.notification(EVENT, Timestamp=old)],
        "unknown_topic": [
            sns.notification(EVENT, TopicArn="arn:aws:sns:eu-west-1:123456789012:other")
        ],
    }
    for code, notices in refused.items():
        for notice in notices:
            answer = post(notice)
            assert (answer.status_code, answer.json()["error"]) == (403, code), notice
    unreadable: list[Any] = [[], {}, {"Type": "Notification"}, {**good, "Timestamp": "soon"}]
    for malformed in unreadable:
        assert post(malformed).status_code == 400
    assert not SesNotice.objects.exists()


def test_a_subscription_is_never_confirmed_elsewhere(sns: SnsFake, topic: SesTopic) -> None:
    notice = sns.confirmation("SubscriptionConfirmation", SubscribeURL="https://evil.example/")
    assert post(notice).status_code == 403
    assert SesTopic.objects.get().confirmed_at is None


def test_a_certificate_that_does_not_come_is_asked_for_again(sns: SnsFake, topic: SesTopic) -> None:
    notice = sns.notification(EVENT)
    sns.failures.extend([500, 503, 500])
    answer = post(notice)
    assert answer.status_code == 503
    assert answer["Retry-After"]
    assert not SesNotice.objects.exists()
    sns.failures.extend([500])
    assert post(notice).status_code == 200
    assert SesNotice.objects.count() == 1


def test_a_topic_is_one_tenants_and_for_admins(people: People, topic: SesTopic) -> None:
    body = {"arn": TOPIC}
    assert people.member.api.post("/api/ses-topics", body).status_code == 403
    assert people.admin.api.post("/api/ses-topics", body).json()["error"] == "topic_registered"
    assert people.stranger.api.get("/api/ses-topics").json()["ses_topics"] == []
    assert people.stranger.api.delete(f"/api/ses-topics/{topic.pk}").status_code == 404
    wrong = people.admin.api.post("/api/ses-topics", {"arn": "arn:aws:sqs:eu-west-1:1:x"})
    assert wrong.status_code == 400
    assert people.admin.api.delete(f"/api/ses-topics/{topic.pk}").status_code == 204


def test_a_stranger_who_named_the_topic_first_hinders_nobody_and_hears_nothing(
    people: People, sns: SnsFake
) -> None:
    for person in (people.stranger, people.admin):
        assert person.api.post("/api/ses-topics", {"arn": TOPIC}).status_code == 201
    assert post(sns.confirmation("SubscriptionConfirmation", version="2")).status_code == 200
    assert sns.asked[-1].startswith("/?Action=ConfirmSubscription")
    tags = {"tenant": [people.tenant.slug]}
    event = {**EVENT, "mail": {"messageId": "0102-1", "tags": tags}}
    assert post(sns.notification(event)).status_code == 200
    assert SesNotice.objects.get().topic.tenant == people.tenant
    [ours] = people.admin.api.get("/api/ses-topics").json()["ses_topics"]
    assert ours["confirmed_at"] and ours["last_notice_at"]
    # What names no tenant is looked at by each, among its own mail.
    untagged = {**EVENT, "mail": {"messageId": "0102-2"}}
    assert post({**sns.notification(untagged, MessageId="other")}).status_code == 200
    assert SesNotice.objects.filter(notice_id="other").count() == 2
    assert post(sns.confirmation("UnsubscribeConfirmation")).status_code == 200
    [theirs] = people.stranger.api.get("/api/ses-topics").json()["ses_topics"]
    assert not (theirs["confirmed_at"] or theirs["last_notice_at"] or theirs["trouble"])


def test_notices_are_fetched_from_a_queue_as_well(
    people: People, aws: MotoServer, settings: Settings
) -> None:
    settings.MAILHUB_SQS_ENDPOINT_URL = aws.url
    arn = aws.client("sns").create_topic(Name="mail-events")["TopicArn"]
    sqs = aws.client("sqs")
    url = sqs.create_queue(QueueName="mail-events")["QueueUrl"]
    queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    aws.client("sns").subscribe(
        TopicArn=arn, Protocol="sqs", Endpoint=queue["Attributes"]["QueueArn"]
    )
    keys = {"accessKeyId": KEYS.access_key_id, "secretAccessKey": KEYS.secret_access_key}
    api = people.admin.api
    credential = api.post("/api/credentials", {"name": "queue", "aws": keys}).json()
    body = {"arn": arn, "queue_url": url}
    assert api.post("/api/ses-topics", body).status_code == 400
    answer = api.post("/api/ses-topics", {**body, "credential_id": credential["id"]})
    assert answer.status_code == 201, answer.json()
    for number in range(12):
        event = {**EVENT, "mail": {"messageId": f"0102-{number}"}}
        aws.client("sns").publish(TopicArn=arn, Message=json.dumps(event))
    sqs.send_message(QueueUrl=url, MessageBody="not even JSON")
    while fetch_notices():
        pass
    assert SesNotice.objects.count() == 12
    assert {json.loads(row.event)["mail"]["messageId"] for row in SesNotice.objects.all()} == {
        f"0102-{number}" for number in range(12)
    }
    [shown] = api.get("/api/ses-topics").json()["ses_topics"]
    assert shown["confirmed_at"]
    assert shown["trouble"] == "The queue has 1 messages that are no notices, which were deleted."
    assert api.delete(f"/api/credentials/{credential['id']}").status_code == 409
    aws.client("sns").publish(TopicArn=arn, Message=json.dumps(EVENT))
    fetch_notices()
    [shown] = api.get("/api/ses-topics").json()["ses_topics"]
    assert not shown["trouble"]
    sqs.delete_queue(QueueUrl=url)
    fetch_notices()
    [shown] = api.get("/api/ses-topics").json()["ses_topics"]
    assert shown["trouble"]
    assert REGION in arn


def test_what_a_queue_has_of_another_topic_stays_in_it(
    people: People, aws: MotoServer, settings: Settings
) -> None:
    settings.MAILHUB_SQS_ENDPOINT_URL = aws.url
    keys = {"accessKeyId": KEYS.access_key_id, "secretAccessKey": KEYS.secret_access_key}
    sqs = aws.client("sqs")
    at_once = {"VisibilityTimeout": "0"}
    url = sqs.create_queue(QueueName="shared", Attributes=at_once)["QueueUrl"]
    api = people.admin.api
    credential = api.post("/api/credentials", {"name": "queue", "aws": keys}).json()
    body = {"arn": f"{TOPIC}-ours", "queue_url": url, "credential_id": credential["id"]}
    assert api.post("/api/ses-topics", body).status_code == 201
    notice = {"Type": "Notification", "TopicArn": f"{TOPIC}-theirs", "MessageId": "1"}
    for text in (json.dumps({**notice, "Message": "{}"}), "garbage", "[]"):
        sqs.send_message(QueueUrl=url, MessageBody=text)
    fetch_notices()
    [shown] = api.get("/api/ses-topics").json()["ses_topics"]
    assert f"{TOPIC}-theirs" in shown["trouble"]
    assert "2 messages that are no notices" in shown["trouble"]
    assert not shown["confirmed_at"] and not SesNotice.objects.exists()
    [left] = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert json.loads(left["Body"])["TopicArn"] == f"{TOPIC}-theirs"


@pytest.mark.parametrize("odd", ["\\u0000", "\\ud800"])
def test_what_no_database_holds_stops_no_queue(
    people: People, aws: MotoServer, settings: Settings, odd: str
) -> None:
    settings.MAILHUB_SQS_ENDPOINT_URL = aws.url
    keys = {"accessKeyId": KEYS.access_key_id, "secretAccessKey": KEYS.secret_access_key}
    sqs = aws.client("sqs")
    for person, name in ((people.admin, "first"), (people.stranger, "second")):
        url = sqs.create_queue(QueueName=name)["QueueUrl"]
        credential = person.api.post("/api/credentials", {"name": "queue", "aws": keys}).json()
        arn = f"{TOPIC}-{name}"
        body = {"arn": arn, "queue_url": url, "credential_id": credential["id"]}
        assert person.api.post("/api/ses-topics", body).status_code == 201
        notice = {"Type": "Notification", "TopicArn": arn, "MessageId": f"{name}-", "Message": "{}"}
        content = json.dumps(notice).replace(f"{name}-", f"{name}-{odd}")
        content = content.replace("{}", f"{{{odd}}}")
        for octets in (content, json.dumps({**notice, "MessageId": f"{name}-plain"})):
            sqs.send_message(QueueUrl=url, MessageBody=octets)
    while fetch_notices():
        pass
    kept = set(SesNotice.objects.values_list("notice_id", flat=True))
    assert {"first-plain", "second-plain"} <= kept
    for name in ("first", "second"):
        url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
        assert not sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages")
