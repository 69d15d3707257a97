"""Settings › SES topics: whose word on bounces and complaints is taken; for admins."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from accounts.models import Credential, CredentialKind
from campaigns.feedback.intake import keep_notices
from campaigns.feedback.topics import register_topic
from campaigns.models import SesTopic
from tests.pages.conftest import Visit
from tests.people import People, Person
from tests.servers.sns import TOPIC

ROOT = "/settings/ses-topics"
QUEUE = "https://sqs.eu-west-1.amazonaws.com/123456789012/mail-events"


def add_keys(person: Person) -> Credential:
    """Keys of AWS that this person has stored."""
    tenant = person.caller.tenant
    keys = Credential(tenant=tenant, user=person.user, kind=CredentialKind.AWS, name="The queue")
    keys.keep_secret({"access_key_id": "AKIATEST", "secret_access_key": "never-to-be-shown"})
    keys.save()
    return keys


def test_one_is_added_and_told_how_to_be_subscribed(people: People, visit: Visit) -> None:
    client = visit(people.admin)
    empty = client.get(ROOT).text
    assert "No topics yet" in empty
    assert "/api/webhooks/ses" in empty
    page = client.post(f"{ROOT}/add", {"arn": f" {TOPIC} "}, follow=True).text
    assert "The topic is registered." in page
    assert "Not subscribed yet" in page
    topic = SesTopic.objects.get()
    assert (topic.arn, topic.tenant) == (TOPIC, people.tenant)
    SesTopic.objects.update(confirmed_at=timezone.now())
    assert "Subscribed" in client.get(ROOT).text
    SesTopic.objects.update(trouble="<b>The queue is gone</b>")
    page = client.get(ROOT).text
    assert "Failing" in page
    assert "&lt;b&gt;The queue is gone&lt;/b&gt;" in page


def test_a_queue_is_read_with_keys_of_ones_own(people: People, visit: Visit) -> None:
    client = visit(people.admin)
    foreign = add_keys(people.owner)
    assert "queue_url" not in client.get(f"{ROOT}/add").text
    keys = add_keys(people.admin)
    page = client.get(f"{ROOT}/add").text
    assert str(keys.pk) in page
    assert str(foreign.pk) not in page
    assert "never-to-be-shown" not in page
    form = {"arn": TOPIC, "queue_url": QUEUE}
    for wrong in ({}, {"credential_id": str(foreign.pk)}):
        answer = client.post(f"{ROOT}/add", {**form, **wrong})
        assert answer.status_code == 400
        assert QUEUE in answer.text
    assert not SesTopic.objects.exists()
    page = client.post(f"{ROOT}/add", {**form, "credential_id": str(keys.pk)}, follow=True).text
    assert QUEUE in page
    topic = SesTopic.objects.get()
    assert (topic.queue_url, topic.credential) == (QUEUE, keys)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"arn": ""}, "This field is required"),
        ({"arn": "arn:aws:sqs:eu-west-1:123456789012:x"}, "Give the ARN of an SNS topic"),
        ({"arn": "arn:aws:sns:eu-west-1:1:<script>"}, "Give the ARN of an SNS topic"),
        ({"queue_url": "https://elsewhere.example/1/x"}, "Give the URL of an SQS queue"),
    ],
)
def test_what_is_wrong_is_said_and_what_was_typed_is_kept(
    people: People, visit: Visit, wrong: dict[str, Any], words: str
) -> None:
    keys = add_keys(people.admin)
    form = {"arn": TOPIC, "queue_url": QUEUE, "credential_id": str(keys.pk), **wrong}
    answer = visit(people.admin).post(f"{ROOT}/add", form)
    assert answer.status_code == 400
    assert words in answer.text
    assert "<script>" not in answer.text.partition("<form")[2]
    assert "mail-events" in answer.text
    assert not SesTopic.objects.exists()


def test_a_topic_is_named_once_by_a_tenant_and_no_stranger_hinders_it(
    people: People, visit: Visit
) -> None:
    register_topic(people.other_tenant, TOPIC)
    assert visit(people.admin).post(f"{ROOT}/add", {"arn": TOPIC}).status_code == 302
    answer = visit(people.admin).post(f"{ROOT}/add", {"arn": TOPIC})
    assert answer.status_code == 400
    assert "registered already" in answer.text
    assert SesTopic.objects.filter(tenant=people.tenant).count() == 1


def test_it_is_removed_once_what_waits_was_named(people: People, visit: Visit) -> None:
    client = visit(people.admin)
    topic = register_topic(people.tenant, TOPIC)
    path = f"{ROOT}/{topic.pk}/remove"
    assert "to be acted on" not in client.get(path).text
    keep_notices(topic, [("1", "{}"), ("2", "{}")])
    assert "2 events wait" in client.get(path).text
    assert "No topics yet" in client.post(path, follow=True).text
    assert not SesTopic.objects.exists()


def test_it_is_for_admins_of_the_tenant(people: People, visit: Visit) -> None:
    topic = register_topic(people.tenant, TOPIC)
    for method, path in (
        ("get", ROOT),
        ("get", f"{ROOT}/add"),
        ("post", f"{ROOT}/add"),
        ("get", f"{ROOT}/{topic.pk}/remove"),
        ("post", f"{ROOT}/{topic.pk}/remove"),
    ):
        assert getattr(visit(people.member), method)(path).status_code == 403, path
        if path.endswith("remove"):
            assert getattr(visit(people.stranger), method)(path).status_code == 404, path
    assert TOPIC not in visit(people.stranger).get(ROOT).text
    assert SesTopic.objects.exists()
