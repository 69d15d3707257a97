"""Signatures by DKIM, checked by another implementation than ours."""

from __future__ import annotations

import dkim
import pytest
from pytest_django.fixtures import Settings

from campaigns.models import DkimKey
from mailhub.mail.dkim import DkimSigner, make_key, public_part
from tests.campaigns.conftest import Campaigns
from tests.people import People

PEM = make_key()
_MESSAGES = (
    b"From: a@x.example\r\nTo: b@y.example\r\nSubject: Hi\r\n\r\nHello\r\n",
    b"From: a@x.example\nTo: b@y.example\nSubject:  folded \n\tand  spaced \n\nHello \t\n\n\n",
    b"From: a@x.example\r\nSubject: no body\r\n\r\n",
    b"From: a@x.example\r\nSubject: no end\r\nX: y\r\n\r\nlast line  of\tit",
    b"From: a@x.example\r\nReceived: 1\r\nTo: one@y.example\r\nTo: two@y.example\r\n\r\n \r\nx\r\n",
)


def is_valid(content: bytes, key: str = "") -> bool:
    record = f"v=DKIM1; k=rsa; p={key or public_part(PEM)}".encode()
    return bool(dkim.verify(content, dnsfunc=lambda name, timeout=5: record))


@pytest.mark.parametrize("content", _MESSAGES)
def test_another_implementation_finds_it_valid(content: bytes) -> None:
    signed = DkimSigner("x.example", "mailhub", PEM).sign(content)
    assert is_valid(signed)
    assert max(len(line) for line in signed.split(b"\r\n")) < 100
    for change in ((b"a@x.example", b"c@x.example"), (b"\r\n\r\n", b"\r\n\r\nAdded\r\n")):
        assert not is_valid(signed.replace(*change))
    assert not is_valid(b"Subject: another\r\n" + signed)


def test_a_campaign_is_signed_with_its_links_for_leaving(
    campaigns: Campaigns, settings: Settings
) -> None:
    # One-click unsubscribing wants an address that begins so.
    settings.MAILHUB_PUBLIC_URL = "https://news.example.org"
    body = {"domain": "Example.org", "selector": "s1"}
    assert campaigns.people.member.api.post("/api/dkim-keys", body).status_code == 403
    answer = campaigns.people.admin.api.post("/api/dkim-keys", body)
    assert answer.status_code == 201, answer.json()
    made = answer.json()
    assert made["dns_name"] == "s1._domainkey.example.org"
    assert "private" not in made
    campaigns.add_contacts(3)
    campaigns.finish(campaigns.create())
    assert len(campaigns.server.messages) == 3
    for message in campaigns.server.messages:
        assert is_valid(message.content, made["public_key"])
        assert b"list-unsubscribe:list-unsubscribe-post" in b"".join(message.content.split())
        altered = message.content.replace(b"One-Click", b"Two-Click")
        assert not is_valid(altered, made["public_key"])


def test_a_key_may_be_given_and_is_never_shown(people: People) -> None:
    api = people.admin.api
    body = {"domain": "example.org", "private_key": PEM}
    assert api.post("/api/dkim-keys", body).status_code == 201
    for domain in ("example.org", "EXAMPLE.org"):
        again = api.post("/api/dkim-keys", {"domain": domain, "selector": "two"})
        assert (again.status_code, again.json()["error"]) == (409, "dkim_key_exists")
        assert "Remove that one" in again.json()["message"]
    assert DkimKey.objects.get().public_key == public_part(PEM)
    shown = api.get("/api/dkim-keys")
    assert "PRIVATE" not in shown.content.decode()
    assert PEM[100:160] not in str(DkimKey.objects.values().get())
    refused = api.post("/api/dkim-keys", {"domain": "example.net", "private_key": "none"})
    assert "private_key" in refused.json()["details"]["fields"]
    assert people.stranger.api.get("/api/dkim-keys").json()["dkim_keys"] == []
    key = DkimKey.objects.get()
    assert people.stranger.api.delete(f"/api/dkim-keys/{key.pk}").status_code == 404
    assert api.delete(f"/api/dkim-keys/{key.pk}").status_code == 204
