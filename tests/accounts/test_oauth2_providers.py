"""Providers as the settings describe them, and what the checks say of those that are not whole."""

from __future__ import annotations

import pytest
from django.core.checks import run_checks
from pytest_django.fixtures import Settings

from accounts.oauth2.providers import configured_providers, get_provider, provider_of_server
from mailhub.mail.server import Encryption, Protocol

ACME = {
    "ACME_MAIL_CLIENT_ID": "id",
    "ACME_MAIL_AUTHORIZE_URL": "https://id.acme.example/authorize",
    "ACME_MAIL_TOKEN_URL": "https://id.acme.example/token",
    "ACME_MAIL_SCOPES": "mail.read mail.send",
    "ACME_MAIL_INCOMING": "imaps://imap.acme.example",
    "ACME_MAIL_OUTGOING": "smtp://smtp.acme.example:2587",
}


def complaints() -> list[str]:
    found = [message for message in run_checks() if str(message.id).startswith("mailhub.")]
    assert {message.id for message in found} <= {"mailhub.E006", "mailhub.E007"}
    return [str(message.msg) for message in found]


def test_none_is_there_until_it_is_set(settings: Settings) -> None:
    settings.MAILHUB_OAUTH2 = {"GOOGLE_CLIENT_ID": "", "RETURN_URLS": "https://a.example/"}
    assert configured_providers() == []
    assert complaints() == []


def test_of_google_and_microsoft_the_client_is_enough(settings: Settings) -> None:
    settings.MAILHUB_OAUTH2 = {
        "MICROSOFT_CLIENT_ID": "m", "MICROSOFT_CLIENT_SECRET": "hidden-word",
        "GOOGLE_CLIENT_ID": "g", "GOOGLE_CLIENT_SECRET": "hidden-word",
    }  # fmt: skip
    google, microsoft = configured_providers()
    assert complaints() == []
    assert "hidden-word" not in f"{google!r}{google.token_endpoint()!r}"
    assert google.authorize_url == "https://accounts.google.com/o/oauth2/v2/auth"
    assert google.token_url == "https://oauth2.googleapis.com/token"
    assert google.mail_scopes == ("https://mail.google.com/",)
    assert dict(google.parameters) == {"access_type": "offline", "prompt": "consent"}
    assert google.redirect_uri == "http://localhost:8000/oauth2/google/callback"
    base = "https://login.microsoftonline.com/common/oauth2/v2.0"
    assert microsoft.authorize_url == f"{base}/authorize"
    assert microsoft.token_url == f"{base}/token"
    assert "offline_access" in microsoft.scopes
    assert microsoft.mail_scopes == tuple(
        f"https://outlook.office.com/{scope}"
        for scope in ("IMAP.AccessAsUser.All", "POP.AccessAsUser.All", "SMTP.Send")
    )


@pytest.mark.parametrize(
    ("address", "hostname"),
    [
        ("ann@outlook.com", "smtp-mail.outlook.com"),
        ("ann@HOTMAIL.com", "smtp-mail.outlook.com"),
        ("ann@acme.example", "smtp.office365.com"),
        ("ann@gmail.com", "smtp.office365.com"),
    ],
)
def test_microsoft_sends_by_another_server_for_people_than_for_companies(
    settings: Settings, address: str, hostname: str
) -> None:
    settings.MAILHUB_OAUTH2 = {"MICROSOFT_CLIENT_ID": "m"}
    server = get_provider("microsoft").outgoing_for(address)
    assert server is not None
    assert (server.hostname, server.port, server.encryption) == (hostname, 587, Encryption.STARTTLS)


def test_what_is_known_may_be_set_otherwise(settings: Settings) -> None:
    settings.MAILHUB_OAUTH2 = {
        "MICROSOFT_CLIENT_ID": "m",
        "MICROSOFT_TENANT": "acme.example",
        "MICROSOFT_INCOMING": "imaps://partner.outlook.cn",
    }
    microsoft = get_provider("microsoft")
    assert microsoft.token_url == (
        "https://login.microsoftonline.com/acme.example/oauth2/v2.0/token"
    )
    assert provider_of_server("partner.outlook.cn") == microsoft
    assert provider_of_server("outlook.office365.com") is None


def test_any_other_has_variables_of_its_own(settings: Settings) -> None:
    settings.MAILHUB_OAUTH2 = {**ACME, "GOOGLE_CLIENT_ID": "g"}
    acme, _ = configured_providers()
    assert complaints() == []
    assert (acme.key, acme.name, acme.client_secret) == ("acme_mail", "Acme Mail", "")
    incoming, outgoing = acme.incoming, acme.outgoing
    assert outgoing is not None
    assert (incoming.protocol, incoming.port, incoming.encryption) == (
        Protocol.IMAP, 993, Encryption.TLS,
    )  # fmt: skip
    assert (outgoing.hostname, outgoing.port, outgoing.encryption) == (
        "smtp.acme.example", 2587, Encryption.STARTTLS,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("AUTHORIZE_URL", "", "is missing"),
        ("TOKEN_URL", "", "is missing"),
        ("SCOPES", "", "is missing"),
        ("INCOMING", "", "is missing"),
        ("TOKEN_URL", "http://id.acme.example/token", "is no https address"),
        ("AUTHORIZE_URL", "https://[", "is no https address"),
        ("USERINFO_URL", "javascript:alert(1)", "is no https address"),
        ("INCOMING", "imap.acme.example", "is no server: write imaps://host or pop3s://host"),
        ("INCOMING", "smtps://acme.example", "is no server"),
        ("INCOMING", "imaps://acme.example:99999", "is no server"),
        ("INCOMING", "imaps://[acme.example", "is no server"),
        ("OUTGOING", "imaps://acme.example", "is no server: write smtps://host"),
    ],
)
def test_what_is_missing_or_wrong_is_named_and_the_provider_not_offered(
    settings: Settings, name: str, value: str, words: str
) -> None:
    settings.MAILHUB_OAUTH2 = {**ACME, f"ACME_MAIL_{name}": value}
    [complaint] = complaints()
    assert complaint.startswith(f"MAILHUB_OAUTH2_ACME_MAIL_{name} {words}")
    assert configured_providers() == []


@pytest.mark.parametrize(
    ("url", "is_fine"),
    [
        ("https://app.example/connected", True),
        ("http://localhost:3000/connected", True),
        ("http://app.example/connected", False),
        ("https://app.example/connected?a=1", False),
        ("https://app.example/#connected", False),
        ("https://ann@app.example/", False),
        ("app.example/connected", False),
        ("https://[", False),
    ],
)
def test_addresses_to_return_to(settings: Settings, url: str, is_fine: bool) -> None:
    settings.MAILHUB_OAUTH2_RETURN_URLS = [url]
    assert (complaints() == []) is is_fine
