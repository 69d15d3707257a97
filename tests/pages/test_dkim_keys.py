"""Settings › DKIM keys: what to publish is shown, the private key nowhere; for admins."""

from __future__ import annotations

import html
import re
from typing import Any

import dkim
import pytest

from campaigns.models import DkimKey
from campaigns.signing import add_dkim_key
from mailhub.mail.dkim import DkimSigner, make_key, public_part
from tests.pages.conftest import Visit
from tests.people import People

ROOT = "/settings/dkim-keys"
FORM = {"domain": "News.Example.org", "selector": "mailhub", "private_key": ""}
PEM = make_key()
LETTER = b"From: a@news.example.org\r\nSubject: Hi\r\n\r\nHello\r\n"


def shown_in(page: str, name: str) -> str:
    """What the field of this id holds."""
    found = re.search(rf'<textarea id="{name}"[^>]*>([^<]*)<|id="{name}" value="([^"]*)"', page)
    assert found is not None
    return html.unescape(found[1] or found[2])


def test_a_key_is_made_and_its_record_is_what_verifies_a_signature(
    people: People, visit: Visit
) -> None:
    client = visit(people.admin)
    assert "No keys yet" in client.get(ROOT).text
    page = client.post(f"{ROOT}/add", FORM, follow=True).text
    key = DkimKey.objects.get()
    assert shown_in(page, "name") == "mailhub._domainkey.news.example.org"
    record = shown_in(page, "value")
    signed = DkimSigner(key.domain, key.selector, key.reveal_private_key()).sign(LETTER)
    assert dkim.verify(signed, dnsfunc=lambda name, timeout=5: record.encode())
    strings = re.findall(r'"([^"]*)"', shown_in(page, "line"))
    assert "".join(strings) == record
    assert max(map(len, strings)) <= 255
    assert "news.example.org" in client.get(ROOT).text


def test_no_private_key_is_ever_shown(people: People, visit: Visit) -> None:
    client = visit(people.admin)
    refused = client.post(f"{ROOT}/add", {**FORM, "private_key": PEM, "selector": "-"})
    assert refused.status_code == 400
    added = client.post(f"{ROOT}/add", {**FORM, "private_key": PEM}, follow=True)
    key = DkimKey.objects.get()
    assert key.public_key == public_part(PEM)
    pages = [refused, added, client.get(ROOT), client.get(f"{ROOT}/{key.pk}")]
    pages.append(client.get(f"{ROOT}/{key.pk}/remove"))
    made = key.reveal_private_key().split("\n")[1:-2]
    for page in pages:
        assert "PRIVATE KEY" not in page.text
        assert not [line for line in made if line in page.text and line not in key.public_key]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"domain": ""}, "This field is required"),
        ({"domain": "not a domain"}, "This is not a host name."),
        ({"selector": "a.b c"}, "A selector has letters"),
        ({"private_key": "none"}, "This is no private key in PEM"),
        ({"private_key": make_key(1024)}, "2048 bits at least"),
    ],
)
def test_what_is_wrong_is_said(
    people: People, visit: Visit, wrong: dict[str, Any], words: str
) -> None:
    answer = visit(people.admin).post(f"{ROOT}/add", {**FORM, "selector": "spring", **wrong})
    assert answer.status_code == 400
    assert words in answer.text
    assert "spring" in answer.text or "selector" in wrong
    assert not DkimKey.objects.exists()


def test_a_key_is_not_replaced_unasked(people: People, visit: Visit) -> None:
    add_dkim_key(people.tenant, "news.example.org", "mailhub", PEM)
    answer = visit(people.admin).post(f"{ROOT}/add", FORM)
    assert answer.status_code == 400
    assert "This domain has a key." in answer.text
    assert DkimKey.objects.get().public_key == public_part(PEM)
    # Another tenant has its own.
    assert visit(people.stranger).post(f"{ROOT}/add", FORM).status_code == 302
    assert DkimKey.objects.count() == 2


def test_it_is_removed(people: People, visit: Visit) -> None:
    key = add_dkim_key(people.tenant, "example.org", "mailhub", PEM)
    client = visit(people.admin)
    assert "cannot be had back" in client.get(f"{ROOT}/{key.pk}/remove").text
    assert "No keys yet" in client.post(f"{ROOT}/{key.pk}/remove", follow=True).text


def test_it_is_for_admins_of_the_tenant(people: People, visit: Visit) -> None:
    key = add_dkim_key(people.tenant, "example.org", "mailhub", PEM)
    for method, path in (
        ("get", ROOT),
        ("get", f"{ROOT}/add"),
        ("post", f"{ROOT}/add"),
        ("get", f"{ROOT}/{key.pk}"),
        ("get", f"{ROOT}/{key.pk}/remove"),
        ("post", f"{ROOT}/{key.pk}/remove"),
    ):
        assert getattr(visit(people.member), method)(path).status_code == 403, path
        if str(key.pk) in path.split("/"):
            assert getattr(visit(people.stranger), method)(path).status_code == 404, path
    assert "example.org" not in visit(people.stranger).get(ROOT).text
    assert DkimKey.objects.exists()
