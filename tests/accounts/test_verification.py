"""Verifying an account: real logins over IMAP, POP3 and SMTP, good and bad."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from accounts.models import Credential, EmailAccount
from tests.accounts.pop3_server import Pop3Server
from tests.people import People
from tests.servers.certificates import make_certificate
from tests.servers.dovecot import DovecotUser
from tests.servers.smtp import SmtpReceiver

StartReceiver = Callable[..., SmtpReceiver]


def payload(**changes: Any) -> dict[str, Any]:
    return {"emailAddress": "mary@acme.example", "username": "mary", "password": "correct horse",
            "hostname": "127.0.0.1", "encryption": "none", **changes}  # fmt: skip


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port where connections are accepted and nothing is ever said."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def test_stored_account_that_works(
    people: People,
    dovecot_user: DovecotUser,
    start_smtp_receiver: StartReceiver,
    settings: Settings,
) -> None:
    settings.MAILHUB_CA_FILE = dovecot_user.server.ca_file
    receiver = start_smtp_receiver(users={dovecot_user.name: dovecot_user.password})
    account = people.connect_account(
        people.member,
        password=dovecot_user.password,
        username=dovecot_user.name,
        hostname="localhost",
        port=dovecot_user.server.tls_port,
        smtp_port=receiver.port,
        smtp_encryption="none",
    )
    response = people.member.api.post(f"/api/accounts/{account.pk}/verify")
    assert response.status_code == 200
    assert response.json() == {
        "works": True,
        "incoming": {
            "protocol": "imap",
            "hostname": "localhost",
            "port": dovecot_user.server.tls_port,
            "works": True,
            "error": None,
            "message": "",
            "details": {},
        },
        "outgoing": {
            "protocol": "smtp",
            "hostname": "127.0.0.1",
            "port": receiver.port,
            "works": True,
            "error": None,
            "message": "",
            "details": {},
        },
    }


def test_wrong_password_is_told_for_each_side_in_the_servers_words(
    people: People, dovecot_user: DovecotUser, start_smtp_receiver: StartReceiver
) -> None:
    receiver = start_smtp_receiver(users={dovecot_user.name: dovecot_user.password})
    given = payload(
        username=dovecot_user.name,
        password="wrong-one",
        port=dovecot_user.server.port,
        smtpHostname="127.0.0.1",
        smtpPort=receiver.port,
        smtpEncryption="none",
    )
    response = people.member.api.post("/api/accounts/verify", given)
    answer = response.json()
    assert (response.status_code, answer["works"]) == (200, False)
    for side in ("incoming", "outgoing"):
        assert answer[side]["error"] == "login_failed"
        assert answer[side]["message"]
    assert "AUTHENTICATIONFAILED" in answer["incoming"]["message"]
    assert answer["outgoing"]["details"]["reply"].startswith("535")
    assert b"wrong-one" not in response.content


def test_one_side_may_work_alone(
    people: People, dovecot_user: DovecotUser, closed_port: int
) -> None:
    given = payload(
        username=dovecot_user.name,
        password=dovecot_user.password,
        port=dovecot_user.server.port,
        smtpHostname="127.0.0.1",
        smtpPort=closed_port,
        smtpEncryption="none",
    )
    answer = people.member.api.post("/api/accounts/verify", given).json()
    assert (answer["works"], answer["incoming"]["works"]) == (False, True)
    assert answer["outgoing"]["error"] == "connection_failed"


def test_unsaved_form_stores_nothing(people: People, dovecot_user: DovecotUser) -> None:
    given = payload(
        username=dovecot_user.name,
        password=dovecot_user.password,
        port=dovecot_user.server.port,
    )
    answer = people.member.api.post("/api/accounts/verify", given).json()
    assert (answer["works"], answer["outgoing"]) == (True, None)
    assert not EmailAccount.objects.exists()
    assert not Credential.objects.exists()


def test_unsaved_form_takes_a_stored_credential_of_ones_own(
    people: People, dovecot_user: DovecotUser
) -> None:
    secret = {"password": dovecot_user.password}
    mine = people.member.api.post("/api/credentials", secret).json()["id"]
    given = payload(username=dovecot_user.name, port=dovecot_user.server.port, credentialId=mine)
    del given["password"]
    assert people.member.api.post("/api/accounts/verify", given).json()["works"] is True
    assert people.teammate.api.post("/api/accounts/verify", given).status_code == 400


def test_certificate_of_a_stranger_is_refused(people: People, dovecot_user: DovecotUser) -> None:
    given = payload(hostname="localhost", port=dovecot_user.server.tls_port, encryption="tls")
    answer = people.member.api.post("/api/accounts/verify", given).json()
    assert answer["incoming"]["error"] == "encryption_refused"


def test_plaintext_that_the_installation_forbids(people: People, settings: Settings) -> None:
    settings.MAILHUB_ALLOW_PLAINTEXT = False
    answer = people.member.api.post("/api/accounts/verify", payload(port=1)).json()
    assert answer["incoming"]["error"] == "plaintext_not_allowed"


def test_secret_that_no_longer_opens_is_told(people: People) -> None:
    account = people.connect_account(people.member)
    other = people.connect_account(people.teammate)
    Credential.objects.filter(pk=account.credential_id).update(secret=other.credential.secret)
    answer = people.member.api.post(f"/api/accounts/{account.pk}/verify").json()
    assert answer["incoming"]["error"] == "credential_unreadable"


@pytest.mark.parametrize("tls", ["none", "starttls", "tls"])
def test_pop3_login(people: People, tmp_path: Path, settings: Settings, tls: str) -> None:
    certificate = make_certificate(tmp_path, "localhost")
    settings.MAILHUB_CA_FILE = str(certificate[0])
    with Pop3Server(tls=tls, certificate=certificate) as server:
        given = payload(protocol="pop3", hostname="localhost", port=server.port, encryption=tls)
        answer = people.member.api.post("/api/accounts/verify", given).json()
    assert answer["works"] is True, answer
    assert server.commands[-1] == "QUIT"


def test_pop3_login_with_a_token(people: People) -> None:
    with Pop3Server(password="ya29.token") as server:
        given = payload(protocol="pop3", port=server.port, oauth2={"accessToken": "ya29.token"})
        del given["password"]
        assert people.member.api.post("/api/accounts/verify", given).json()["works"] is True


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"password": "another"}, "login_failed"),
        ({"password": "another", "refusal": "-ERR [IN-USE] busy"}, "login_deferred"),
        ({"greeting": "-ERR go away"}, "protocol_violation"),
        ({"greeting": "220 smtp.example ESMTP"}, "protocol_violation"),
        ({"greeting": "+OK " + "x" * 5000}, "protocol_violation"),
    ],
)
def test_pop3_refusals(people: People, options: dict[str, Any], error: str) -> None:
    with Pop3Server(**options) as server:
        given = payload(protocol="pop3", port=server.port)
        answer = people.member.api.post("/api/accounts/verify", given).json()
    assert answer["incoming"]["error"] == error
    assert "correct horse" not in str(answer)
    if "refusal" in options:
        assert "[IN-USE] busy" in answer["incoming"]["message"]


def test_pop3_server_without_starttls_never_hears_the_password(people: People) -> None:
    with Pop3Server() as server:
        given = payload(protocol="pop3", port=server.port, encryption="starttls")
        answer = people.member.api.post("/api/accounts/verify", given).json()
    assert answer["incoming"]["error"] == "encryption_refused"
    assert "USER" not in server.commands


def test_pop3_server_with_a_strange_certificate(people: People, tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path, "localhost")
    for tls in ("tls", "starttls"):
        with Pop3Server(tls=tls, certificate=certificate) as server:
            given = payload(protocol="pop3", hostname="localhost", port=server.port, encryption=tls)
            answer = people.member.api.post("/api/accounts/verify", given).json()
        assert answer["incoming"]["error"] == "encryption_refused"


@pytest.mark.parametrize("protocol", ["imap", "pop3"])
def test_server_that_says_nothing(
    people: People, silent_port: int, settings: Settings, protocol: str
) -> None:
    settings.MAILHUB_MAIL_TIMEOUT = 0.2
    given = payload(protocol=protocol, port=silent_port)
    answer = people.member.api.post("/api/accounts/verify", given).json()
    assert answer["incoming"]["error"] == "server_timeout"


@pytest.mark.parametrize("protocol", ["imap", "pop3"])
def test_nobody_listens(people: People, closed_port: int, protocol: str) -> None:
    given = payload(protocol=protocol, port=closed_port)
    answer = people.member.api.post("/api/accounts/verify", given).json()
    assert answer["incoming"]["error"] == "connection_failed"
