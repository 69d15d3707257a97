"""Proposing servers: known providers, then the DNS (a real server on loopback), then a guess."""

from __future__ import annotations

import socket
from typing import Any

import dns.resolver
import pytest
from django.core.exceptions import ValidationError

from accounts.autoconfig import propose_servers
from tests.people import People
from tests.servers.dns import NameServer


def servers(proposed: list[dict[str, Any]]) -> list[tuple[str, str, int, str]]:
    return [(s["protocol"], s["hostname"], s["port"], s["encryption"]) for s in proposed]


def test_large_provider_is_known_without_asking(name_server: NameServer) -> None:
    found = propose_servers("someone@GMail.com", name_server.resolver).as_json()
    assert (found["source"], found["provider"]) == ("provider", "Google")
    assert servers(found["incoming"])[0] == ("imap", "imap.gmail.com", 993, "tls")
    assert found["logins"] == ["oauth2", "app_password"]
    assert name_server.asked == []


def test_customer_of_a_provider_is_known_by_its_exchanger(name_server: NameServer) -> None:
    name_server.records["company.example.", "MX"] = [
        "20 mx.backup.example.",
        "10 company-example.mail.protection.outlook.com.",
    ]
    found = propose_servers("me@company.example", name_server.resolver).as_json()
    assert found["provider"] == "Microsoft 365"
    assert servers(found["outgoing"]) == [("smtp", "smtp.office365.com", 587, "starttls")]


def test_service_records_are_followed_in_their_order(name_server: NameServer) -> None:
    name_server.records.update({
        ("company.example.", "MX"): ["10 mx.company.example."],
        ("_imaps._tcp.company.example.", "SRV"): [
            "20 0 993 second.company.example.",
            "10 1 993 third.company.example.",
            "10 5 1993 First.Company.example.",
        ],
        ("_imap._tcp.company.example.", "SRV"): ["0 0 0 ."],
        ("_pop3s._tcp.company.example.", "SRV"): ["0 1 995 pop.company.example."],
        ("_submissions._tcp.company.example.", "SRV"): ["0 1 465 out.company.example."],
        ("_submission._tcp.company.example.", "SRV"): ["0 1 587 out.company.example."],
    })  # fmt: skip
    found = propose_servers("me@company.example", name_server.resolver).as_json()
    assert found["source"] == "dns"
    assert servers(found["incoming"]) == [
        ("imap", "first.company.example", 1993, "tls"),
        ("imap", "third.company.example", 993, "tls"),
        ("imap", "second.company.example", 993, "tls"),
        ("pop3", "pop.company.example", 995, "tls"),
    ]
    assert servers(found["outgoing"]) == [
        ("smtp", "out.company.example", 465, "tls"),
        ("smtp", "out.company.example", 587, "starttls"),
    ]


def test_nothing_known_is_a_guess_and_says_so(name_server: NameServer) -> None:
    found = propose_servers("me@company.example", name_server.resolver).as_json()
    assert found["source"] == "guess"
    assert servers(found["incoming"])[0] == ("imap", "imap.company.example", 993, "tls")
    assert servers(found["outgoing"])[0] == ("smtp", "smtp.company.example", 587, "starttls")


def test_international_domain_is_asked_by_its_wire_name(name_server: NameServer) -> None:
    propose_servers("me@münchen.example", name_server.resolver)
    assert name_server.asked[0] == "xn--mnchen-3ya.example. MX"


def test_name_server_that_refuses_is_asked_once() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers = ["127.0.0.1"]
        resolver.port = probe.getsockname()[1]
    assert propose_servers("me@company.example", resolver).source == "guess"


@pytest.mark.parametrize("email", ["me@-bad-", "me@" + "a" * 64 + ".example", "me@"])
def test_domain_that_is_no_name_is_refused(email: str) -> None:
    with pytest.raises(ValidationError):
        propose_servers(email, dns.resolver.Resolver(configure=False))


def test_endpoint_answers_any_member_and_no_stranger(people: People) -> None:
    response = people.member.api.get("/api/accounts/autoconfig?email=someone@gmail.com")
    assert response.status_code == 200
    assert response.json()["username"] == "someone@gmail.com"
    assert people.viewer.api.get("/api/accounts/autoconfig?email=a@gmail.com").status_code == 200


@pytest.mark.parametrize(
    "query", ["", "?email=", "?email=nobody", "?email=a@b@c", "?email=a%0d%0a@b.c"]
)
def test_endpoint_names_the_bad_field(people: People, query: str) -> None:
    response = people.member.api.get(f"/api/accounts/autoconfig{query}")
    assert response.status_code == 400
    assert list(response.json()["details"]["fields"]) == ["email"]
