"""The sender check: what the DNS says, over a real name server, and what SES says."""

from __future__ import annotations

import re

import pytest
from pytest_django.fixtures import Settings

from campaigns.models import Campaign, CampaignSender
from campaigns.signing import add_dkim_key
from tests.pages.conftest import Visit
from tests.people import People
from tests.servers.dns import NameServer
from tests.servers.ses import KEYS, REGION, Limits, SesFake

GOOD = {
    ("mx.shop.example.", "A"): ["192.0.2.1"],
    ("_spf.mail.example.", "TXT"): ['"v=spf1 ip4:192.0.2.0/24 -all"'],
    ("shop.example.", "MX"): ["10 mx.shop.example."],
    ("shop.example.", "TXT"): ['"v=spf1 include:_spf.mail.example ~all"', '"other=1"'],
    ("_dmarc.shop.example.", "TXT"): ['"v=DMARC1; p=quarantine; " "rua=mailto:d@shop.example"'],
}


@pytest.fixture
def zone(name_server: NameServer, settings: Settings) -> NameServer:
    settings.MAILHUB_DNS_SERVER = name_server.address
    name_server.records.update(GOOD)
    return name_server


@pytest.fixture
def ses(ses_fake: SesFake, settings: Settings) -> SesFake:
    settings.MAILHUB_DEFAULT_SENDER = "ses"
    settings.AWS_SES_REGION_NAME, settings.AWS_SES_REGION_ENDPOINT_URL = REGION, ses_fake.url
    settings.AWS_SES_ACCESS_KEY_ID = KEYS.access_key_id
    settings.AWS_SES_SECRET_ACCESS_KEY = KEYS.secret_access_key
    return ses_fake


def results(people: People, address: str = "news@shop.example") -> dict[str, str]:
    answer = people.member.api.get(f"/api/sender-check?from={address}")
    assert answer.status_code == 200, answer.json()
    return {each["name"]: each["result"] for each in answer.json()["checks"]}


def test_a_domain_in_order(people: People, zone: NameServer) -> None:
    assert results(people) == {"SPF": "pass", "DKIM": "unknown", "DMARC": "pass", "MX": "pass"}
    found = people.member.api.get("/api/sender-check?from=News <news@shop.example>").json()
    assert (found["from"], found["domain"]) == ("news@shop.example", "shop.example")
    assert found["checks"][2]["records"] == ["v=DMARC1; p=quarantine; rua=mailto:d@shop.example"]
    assert found["ses"] is None


@pytest.mark.parametrize(
    ("name", "texts", "wanted"),
    [
        ("shop.example. MX", ["0 ."], ("MX", "fail")),
        ("shop.example. MX", None, ("MX", "fail")),
        ("shop.example. TXT", None, ("SPF", "fail")),
        ("shop.example. TXT", ['"v=spf1 +all"'], ("SPF", "fail")),
        ("shop.example. TXT", ['"v=spf1 mx -all"', '"v=spf1 a -all"'], ("SPF", "fail")),
        ("shop.example. TXT", ['"v=spf1 mx"'], ("SPF", "warning")),
        ("shop.example. TXT", ['"v=spf1 ' + "include:a.example " * 11 + '-all"'], ("SPF", "fail")),
        ("shop.example. TXT", ['"v=spf1 -all"'], ("SPF", "fail")),
        ("shop.example. TXT", ['"v=spf1 ?all"'], ("SPF", "fail")),
        ("shop.example. TXT", ['"v=spf1 include:shop.example -all"'], ("SPF", "fail")),
        ("shop.example. TXT", ['"v=spf1 include:nothing.example -all"'], ("SPF", "fail")),
        ("shop.example. TXT", ['"v=spf1 redirect=shop.example"'], ("SPF", "fail")),
        ("shop.example. TXT", ['"v=spf1 mx foo:bar -all"'], ("SPF", "fail")),
        ("shop.example. TXT", ['"v=spf1 ip4:192.0.2.300 -all"'], ("SPF", "fail")),
        ("shop.example. TXT", ['"v=spf1 mx/33 -all"'], ("SPF", "fail")),
        ("shop.example. TXT", ['"v=spf1 a:b..example -all"'], ("SPF", "fail")),
        ("shop.example. TXT", ['"v=spf1 ' + "mx " * 11 + '-all"'], ("SPF", "fail")),
        ("shop.example. TXT", ['"v=spf1 mx ?all"'], ("SPF", "warning")),
        ("shop.example. TXT", ['"v=spf1 redirect=_spf.mail.example"'], ("SPF", "pass")),
        ("shop.example. TXT", ['"v=spf1 A/24//64 -ip6:::/0 new=1 ~ALL"'], ("SPF", "pass")),
        ("shop.example. TXT", ['"v=spf1 exists:%{i}._spf.%{d2} -all"'], ("SPF", "pass")),
        ("mx.shop.example. A", None, ("MX", "fail")),
        ("_dmarc.shop.example. TXT", None, ("DMARC", "fail")),
        ("_dmarc.shop.example. TXT", ['"v=DMARC1"'], ("DMARC", "fail")),
        ("_dmarc.shop.example. TXT", ['"v=DMARC1; p=none"'], ("DMARC", "pass")),
    ],
)
def test_what_is_wrong_is_told(
    people: People,
    zone: NameServer,
    name: str,
    texts: list[str] | None,
    wanted: tuple[str, str],
) -> None:
    domain, _, kind = name.partition(" ")
    if texts is None:
        del zone.records[domain, kind]
    else:
        zone.records[domain, kind] = texts
    assert wanted in results(people).items()


def test_a_subdomain_has_the_policy_of_the_domain_above(people: People, zone: NameServer) -> None:
    zone.records["_dmarc.shop.example.", "TXT"] = ['"v=DMARC1; p=reject; sp=none"']
    answer = people.member.api.get("/api/sender-check?from=a@mail.shop.example").json()
    [dmarc] = [each for each in answer["checks"] if each["name"] == "DMARC"]
    assert (dmarc["result"], "p=none" in dmarc["message"]) == ("pass", True)


def test_at_ses_the_identity_the_sandbox_and_the_quota_are_told(
    people: People, zone: NameServer, ses: SesFake
) -> None:
    found = results(people)
    assert (found["SES identity"], found["SES quota"]) == ("fail", "pass")
    ses.account.verified.add("shop.example")
    ses.limits = Limits(rate=14, daily=50_000)
    found = results(people)
    assert (found["SES identity"], found["DKIM"]) == ("pass", "pass")
    answer = people.member.api.get("/api/sender-check?from=news@shop.example").json()
    assert answer["ses"]["identity"] == "shop.example"
    assert answer["ses"]["is_in_sandbox"] is False
    assert answer["result"] == "pass"


def test_the_sandbox_is_recognised(people: People, zone: NameServer, ses: SesFake) -> None:
    ses.account.in_sandbox = True
    ses.account.verified.add("news@shop.example")
    found = results(people)
    assert (found["SES identity"], found["SES sandbox"]) == ("pass", "warning")


def test_the_page_says_what_is_to_be_mended(people: People, zone: NameServer, visit: Visit) -> None:
    browser = visit(people.viewer)
    assert "From which address" in browser.get("/sender-check").text
    del zone.records["_dmarc.shop.example.", "TXT"]
    page = browser.get("/sender-check", {"from": "news@shop.example"}).text
    assert "There is no DMARC record" in page
    assert "v=spf1 include:_spf.mail.example ~all" in page
    refused = browser.get("/sender-check", {"from": "nobody"})
    assert refused.status_code == 400
    assert "field-error" in refused.text
    assert people.member.api.get("/api/sender-check").status_code == 400


def test_a_name_server_that_does_not_answer_leaves_it_unknown(
    people: People,
) -> None:
    assert set(results(people).values()) == {"unknown"}


@pytest.mark.parametrize(
    ("published", "wanted"),
    [
        (None, "fail"),
        ("v=DKIM1; p=", "fail"),
        (f"v=DKIM1; k=rsa; p={'A' * 60}", "fail"),
        ("ours", "pass"),
    ],
)
def test_an_account_that_sends_by_smtp_is_judged_by_our_key_though_ses_is_the_default(
    people: People,
    zone: NameServer,
    ses: SesFake,
    published: str | None,
    wanted: str,
) -> None:
    ses.account.verified.add("shop.example")
    key = add_dkim_key(people.tenant, "shop.example", "mailhub")
    account = people.connect_account(people.member)
    account.email_address = "leave@shop.example"
    account.save()
    if published is not None:
        text = key.dns_value if published == "ours" else published
        strings = " ".join(f'"{text[at : at + 200]}"' for at in range(0, len(text), 200))
        zone.records["mailhub._domainkey.shop.example.", "TXT"] = [strings]
    for address in ("leave@shop.example", "leave@SHOP.EXAMPLE"):
        assert results(people, address)["DKIM"] == wanted
        answer = people.member.api.get(f"/api/sender-check?from={address}").json()
        assert (answer["result"], answer["ses"]) == (wanted, None)
    # Another address goes by the default sender.
    assert results(people, "news@shop.example")["DKIM"] == "pass"


def test_a_campaign_is_judged_by_the_way_it_goes(
    people: People, zone: NameServer, ses: SesFake, visit: Visit
) -> None:
    ses.account.verified.add("shop.example")
    account = people.connect_account(people.member)
    campaign = Campaign.objects.create(
        tenant=people.tenant,
        name="Spring",
        from_email="alias@shop.example",
        sender=CampaignSender.ACCOUNT,
        account=account,
    )
    path = f"/api/sender-check?from=alias@shop.example&campaign={campaign.campaign_id}"
    assert people.member.api.get(path).json()["ses"] is None
    asked = {"from": "alias@shop.example", "campaign": campaign.campaign_id}
    page = visit(people.member).get("/sender-check", asked).text
    assert "It will mostly arrive" in page
    assert "SES signs" not in page
    kept = f'<input type="hidden" name="campaign" value="{campaign.campaign_id}">'
    assert kept in page
    assert kept in visit(people.member).get("/sender-check", {**asked, "from": "no address"}).text
    assert "campaign" not in re.findall(
        r'name="(\w+)"', visit(people.stranger).get("/sender-check", asked).text
    )
    assert people.member.api.get(f"{path}-").status_code == 400
    assert people.stranger.api.get(path).status_code == 400
