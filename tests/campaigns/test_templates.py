"""Templates: kept only where they compile, looked at for a real contact, tried before use."""

from __future__ import annotations

import base64
from email import message_from_bytes
from email.policy import default
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from campaigns.models import StoredFile, Template
from contacts.models import Contact
from mailhub.mail.transports.in_memory import Step
from tests.people import People
from tests.servers.smtp import SmtpReceiver

LOGO = {
    "filename": "logo.png",
    "content": base64.b64encode(b"\x89PNG octets").decode(),
    "content_type": "image/png",
    "content_id": "logo",
}


@pytest.fixture
def crowd(db: None, people: People) -> People:
    Contact.objects.create(
        tenant=people.tenant, email="ann@example.com", first_name="Ann", attributes={"city": "Bern"}
    )
    Contact.objects.create(tenant=people.tenant, email="bob@example.com", first_name="Bob")
    return people


def make(people: People, **fields: Any) -> dict[str, Any]:
    values = {"name": "Welcome", "subject": "Hi {{ first_name }}", "html": "<p>Hello</p>", **fields}
    answer = people.member.api.post("/api/templates", values)
    assert answer.status_code == 201, answer.json()
    return dict(answer.json())


def test_a_template_is_kept_changed_and_forgotten(crowd: People) -> None:
    api = crowd.member.api
    made = make(crowd, files=[LOGO])
    assert made["attachments"][0]["content_id"] == "logo"
    assert "content" not in made["attachments"][0]
    address = f"/api/templates/{made['id']}"
    [listed] = api.get("/api/templates").json()["templates"]
    assert listed["name"] == "Welcome"
    assert "html" not in listed
    changed = api.patch(address, {"name": "Warm welcome"}).json()
    assert (changed["name"], changed["html"]) == ("Warm welcome", "<p>Hello</p>")
    assert len(changed["attachments"]) == 1
    assert api.patch(address, {"files": []}).json()["attachments"] == []
    assert api.delete(address).status_code == 204
    assert api.get(address).status_code == 404


def test_a_name_is_given_once(crowd: People) -> None:
    make(crowd)
    again = crowd.member.api.post("/api/templates", {"name": "Welcome", "html": "x"})
    assert (again.status_code, again.json()["error"]) == (409, "template_exists")


def test_what_does_not_compile_is_refused_with_its_place(crowd: People) -> None:
    api = crowd.member.api
    refused = api.post(
        "/api/templates", {"name": "Broken", "html": "<p>Hello</p>\n  {% if vip %}<b>"}
    )
    assert refused.status_code == 400
    assert refused.json()["error"] == "template_error"
    assert refused.json()["details"]["line"] == 2
    assert refused.json()["details"]["column"] > 1
    assert "html" in refused.json()["details"]["fields"]
    made = make(crowd)
    broken = api.patch(f"/api/templates/{made['id']}", {"subject": "Hi {{ first_name | shout }}"})
    assert (broken.status_code, broken.json()["details"]["column"]) == (400, 20)
    assert Template.objects.get().subject == "Hi {{ first_name }}"


def test_a_preview_is_for_a_real_contact(crowd: People) -> None:
    api = crowd.member.api
    made = make(crowd, html="<p>{{ first_name }} in {{ city | default: 'town' }} & more</p>")
    address = f"/api/templates/{made['id']}/preview"
    shown = api.post(address, {"contact": "Ann@Example.com"}).json()
    assert shown == {
        "contact": "ann@example.com",
        "subject": "Hi Ann",
        "html": "<p>Ann in Bern & more</p>",
        "text": "Ann in Bern & more",
    }
    assert api.post(address, {}).json()["contact"] == "bob@example.com"
    unknown = api.post("/api/templates/preview", {"html": "Dear {{ frist_name }}"})
    assert (unknown.status_code, unknown.json()["error"]) == (400, "template_error")
    assert "frist_name" in unknown.json()["message"]
    nobody = api.post(address, {"contact": "nobody@example.com"})
    assert nobody.json()["details"]["fields"]["contact"]


def test_a_preview_needs_no_contact_at_all(db: None, people: People) -> None:
    shown = people.member.api.post("/api/templates/preview", {"subject": "Hi {{ first_name }}"})
    assert shown.json()["subject"] == "Hi Sam"


def test_a_test_goes_out_as_the_contact_would_get_it(
    crowd: People, start_smtp_receiver: Any, settings: Settings
) -> None:
    receiver: SmtpReceiver = start_smtp_receiver()
    settings.SMTP_SERVER, settings.SMTP_PORT = "127.0.0.1", receiver.port
    settings.SMTP_ENCRYPTION, settings.SMTP_USERNAME = "none", ""
    made = make(crowd, html='<p>{{ first_name }}</p><img src="cid:logo" alt="">', files=[LOGO])
    answer = crowd.member.api.post(
        f"/api/templates/{made['id']}/test",
        {"to": ["me@example.org"], "contact": "ann@example.com", "from_email": "us@example.org"},
    )
    assert answer.json() == {"status": "success", "sent_to": ["me@example.org"]}
    [received] = receiver.messages
    assert received.envelope.recipients == ("me@example.org",)
    message = message_from_bytes(received.content, policy=default)
    assert message["Subject"] == "[Test] Hi Ann"
    assert message["To"] == "me@example.org"
    assert b"<p>Ann</p>" in received.content
    assert b"Content-ID: <logo>" in received.content


def test_a_test_that_the_server_refuses_says_so(
    crowd: People, start_smtp_receiver: Any, settings: Settings
) -> None:
    receiver: SmtpReceiver = start_smtp_receiver()
    receiver.script.answer(Step.RCPT, "550 5.7.1 Not here")
    settings.SMTP_SERVER, settings.SMTP_PORT = "127.0.0.1", receiver.port
    settings.SMTP_ENCRYPTION, settings.SMTP_USERNAME = "none", ""
    made = make(crowd)
    answer = crowd.member.api.post(
        f"/api/templates/{made['id']}/test",
        {"to": ["me@example.org"], "from_email": "us@example.org"},
    )
    assert answer.status_code == 422
    assert "Not here" in answer.json()["message"]


def test_templates_share_a_file(crowd: People) -> None:
    make(crowd, files=[LOGO])
    make(crowd, name="Second", files=[LOGO])
    assert StoredFile.objects.count() == 1


def test_a_kind_of_file_that_is_not_sent_is_refused(crowd: People) -> None:
    program = {"filename": "game.exe", "content": "aGk="}
    answer = crowd.member.api.post("/api/templates", {"name": "X", "html": "x", "files": [program]})
    assert (answer.status_code, answer.json()["error"]) == (400, "attachment_refused")
    assert not Template.objects.exists()
