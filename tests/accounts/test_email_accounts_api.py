"""`accounts`, as its owner, a delegate, a teammate, an admin and a stranger meet it."""

from __future__ import annotations

from typing import Any

import pytest

from accounts.connections import incoming_settings, outgoing_settings
from accounts.models import Credential, EmailAccount
from mailhub.mail.server import Encryption, PasswordLogin
from tests.people import People, Person, client_with

WORK = {
    "accountName": "Work Email",
    "emailAddress": "user@company.example",
    "protocol": "imap",
    "hostname": "127.0.0.1",
    "port": 993,
    "encryption": "tls",
    "username": "user@company.example",
    "password": "correct horse",
    "isSyncEnabled": True,
    "syncInterval": 300,
}


def create(person: Person, **changes: Any) -> dict[str, Any]:
    response = person.api.post("/api/accounts", {**WORK, **changes})
    assert response.status_code == 201, response.content
    answer: dict[str, Any] = response.json()
    return answer


def test_owner_connects_reads_changes_and_deletes(people: People) -> None:
    api = people.member.api
    created = create(people.member)
    url = f"/api/accounts/{created['id']}"
    assert created["accountName"] == "Work Email"
    assert created["isSyncing"] is False
    assert created["lastSyncAt"] is None
    assert created["access"] == "owner"
    assert isinstance(created["createdAt"], int)
    assert api.get(url).json() == created
    assert api.get("/api/accounts").json() == {"accounts": [created], "nextCursor": None}
    changed = api.patch(url, {"accountName": "Mine", "syncInterval": 60}).json()
    assert (changed["accountName"], changed["syncInterval"]) == ("Mine", 60)
    assert changed["hostname"] == "127.0.0.1"
    assert api.put(url, {**WORK, "accountName": "Put"}).json()["accountName"] == "Put"
    assert api.delete(url).status_code == 204
    assert api.get(url).status_code == 404
    assert not Credential.objects.exists()


def test_no_answer_and_no_column_holds_the_password(people: People) -> None:
    created = people.member.api.post("/api/accounts", {**WORK, "password": "tr0ub4dor&3"})
    listed = people.member.api.get("/api/accounts")
    assert b"tr0ub4dor" not in created.content + listed.content
    assert b"password" not in created.content
    stored = EmailAccount.objects.get()
    assert "tr0ub4dor" not in f"{stored.credential.secret.token}{stored.credential!r}{stored!r}"
    login = incoming_settings(stored).login
    assert login == PasswordLogin("user@company.example", "tr0ub4dor&3")
    assert "tr0ub4dor" not in repr(login)


def test_what_follows_from_the_rest_is_filled_in(people: People) -> None:
    given = {
        "accountName": "Short",
        "emailAddress": "me@company.example",
        "hostname": "127.0.0.1",
        "smtpHostname": "127.0.0.1",
        "password": "x",
    }
    response = people.member.api.post("/api/accounts", given)
    answer = response.json()
    assert response.status_code == 201, answer
    assert (answer["protocol"], answer["port"], answer["encryption"]) == ("imap", 993, "tls")
    assert answer["username"] == "me@company.example"
    assert (answer["smtpPort"], answer["smtpEncryption"]) == (587, "starttls")


@pytest.mark.parametrize(
    ("given", "encryption", "port"),
    [
        ({"smtpPort": 465}, Encryption.TLS, 465),
        ({"smtpPort": 2525}, Encryption.STARTTLS, 2525),
        ({"smtpEncryption": "none"}, Encryption.NONE, 25),
        ({"smtpEncryption": "tls"}, Encryption.TLS, 465),
    ],
)
def test_outgoing_server_is_completed(
    people: People, given: dict[str, Any], encryption: Encryption, port: int
) -> None:
    create(people.member, smtpHostname="127.0.0.1", **given)
    settings = outgoing_settings(EmailAccount.objects.get())
    assert (settings.encryption, settings.port) == (encryption, port)
    assert settings.login == PasswordLogin("user@company.example", "correct horse")


@pytest.mark.parametrize(
    ("stored", "change", "port"),
    [
        ({"port": 10993}, {"encryption": "tls"}, 10993),
        ({"port": 10993}, {"protocol": "imap", "encryption": "starttls"}, 10993),
        ({"port": 10993}, {"protocol": "pop3", "port": 995}, 995),
        ({}, {"encryption": "tls"}, 993),
        ({}, {"encryption": "starttls"}, 143),
        ({}, {"protocol": "pop3"}, 995),
        ({}, {"encryption": "starttls", "port": 993}, 993),
    ],
)
def test_usual_port_follows_a_change_and_a_chosen_one_stays(
    people: People, stored: dict[str, Any], change: dict[str, Any], port: int
) -> None:
    url = f"/api/accounts/{create(people.member, **stored)['id']}"
    assert people.member.api.patch(url, change).json()["port"] == port
    assert people.member.api.get(url).json()["port"] == port


@pytest.mark.parametrize(
    "field",
    ["accountName", "emailAddress", "hostname", "username", "smtpHostname", "smtpUsername"],
)
def test_line_break_at_the_end_is_refused_and_not_trimmed(people: People, field: str) -> None:
    whole = {**WORK, "smtpHostname": "127.0.0.1", "smtpUsername": "me"}
    for url in ("/api/accounts", "/api/accounts/verify"):
        answer = people.member.api.post(url, {**whole, field: f"{whole[field]}\r\n"})
        assert answer.status_code == 400
        assert list(answer.json()["details"]["fields"]) == [field]
    assert not EmailAccount.objects.exists()


def test_whole_account_put_without_a_port_keeps_the_chosen_one(people: People) -> None:
    url = f"/api/accounts/{create(people.member, port=10993)['id']}"
    whole = {name: value for name, value in WORK.items() if name != "port"}
    assert people.member.api.put(url, whole).json()["port"] == 10993
    assert people.member.api.put(url, {**whole, "port": 993}).json()["port"] == 993
    assert people.member.api.put(url, {**whole, "encryption": "starttls"}).json()["port"] == 143


@pytest.mark.parametrize(
    ("stored", "change", "port"),
    [
        ({"smtpPort": 2525, "smtpEncryption": "starttls"}, {"smtpEncryption": "starttls"}, 2525),
        ({"smtpPort": 2525, "smtpEncryption": "starttls"}, {"smtpEncryption": "tls"}, 2525),
        ({"smtpEncryption": "starttls"}, {"smtpEncryption": "tls"}, 465),
        ({"smtpEncryption": "tls"}, {"smtpEncryption": "tls", "hostname": "127.0.0.2"}, 465),
        ({"smtpEncryption": "tls"}, {"smtpEncryption": "starttls", "smtpPort": 26}, 26),
        ({"smtpEncryption": "tls"}, {"smtpPort": None}, 465),
    ],
)
def test_usual_smtp_port_follows_a_change_and_a_chosen_one_stays(
    people: People, stored: dict[str, Any], change: dict[str, Any], port: int
) -> None:
    account = create(people.member, smtpHostname="127.0.0.1", **stored)
    answer = people.member.api.patch(f"/api/accounts/{account['id']}", change).json()
    assert answer["smtpPort"] == port


def test_credential_by_id_survives_its_account(people: People) -> None:
    api = people.member.api
    credential = api.post("/api/credentials", {"name": "work", "password": "x"}).json()
    given = {**WORK, "credentialId": credential["id"]}
    del given["password"]
    account = api.post("/api/accounts", given).json()
    assert account["credentialId"] == credential["id"]
    in_use = api.delete(f"/api/credentials/{credential['id']}")
    assert (in_use.status_code, in_use.json()["error"]) == (409, "credential_in_use")
    assert api.delete(f"/api/accounts/{account['id']}").status_code == 204
    assert api.delete(f"/api/credentials/{credential['id']}").status_code == 204


def test_foreign_credential_is_like_one_that_does_not_exist(people: People) -> None:
    theirs = people.teammate.api.post("/api/credentials", {"password": "x"}).json()["id"]
    nowhere = "7f2b8a52-0000-4000-8000-000000000000"
    given = {name: value for name, value in WORK.items() if name != "password"}
    answers = [
        people.member.api.post("/api/accounts", {**given, "credentialId": identity})
        for identity in (theirs, nowhere)
    ]
    assert [answer.status_code for answer in answers] == [400, 400]
    assert answers[0].json() == answers[1].json()
    assert "credentialId" in answers[0].json()["details"]["fields"]


def test_new_password_replaces_the_accounts_own_secret(people: People) -> None:
    account = create(people.member)
    url = f"/api/accounts/{account['id']}"
    assert people.member.api.patch(url, {"password": "second"}).status_code == 200
    stored = EmailAccount.objects.get()
    assert stored.credential.reveal_secret() == {"password": "second"}
    assert Credential.objects.count() == 1


def test_new_password_leaves_a_credential_chosen_by_id_alone(people: People) -> None:
    api = people.member.api
    credential = api.post("/api/credentials", {"password": "first"}).json()["id"]
    account = create(people.member)
    url = f"/api/accounts/{account['id']}"
    assert api.patch(url, {"credentialId": credential}).status_code == 200
    assert Credential.objects.count() == 1
    assert api.patch(url, {"password": "second"}).status_code == 200
    assert Credential.objects.get(pk=credential).reveal_secret() == {"password": "first"}
    assert EmailAccount.objects.get().credential.reveal_secret() == {"password": "second"}


def test_enabling_an_account_again_clears_the_reason(people: People) -> None:
    account = people.connect_account(
        people.member, is_enabled=False, disabled_reason="The server refused the login."
    )
    answer = people.member.api.patch(f"/api/accounts/{account.pk}", {"isEnabled": True}).json()
    assert (answer["isEnabled"], answer["disabledReason"]) == (True, "")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"hostname": "-bad-.example"}, "hostname"),
        ({"hostname": "two words"}, "hostname"),
        ({"hostname": "a\r\nb"}, "hostname"),
        ({"hostname": f"{'a' * 64}.example"}, "hostname"),
        ({"accountName": "two\r\nlines"}, "accountName"),
        ({"username": "me\nQUIT"}, "username"),
        ({"smtpUsername": "me\rQUIT"}, "smtpUsername"),
        ({"password": "one\r\ntwo"}, "password"),
        ({"emailAddress": "nobody"}, "emailAddress"),
        ({"port": 0}, "port"),
        ({"port": 70_000}, "port"),
        ({"protocol": "exchange"}, "protocol"),
        ({"encryption": "ssl"}, "encryption"),
        ({"syncInterval": 1}, "syncInterval"),
        ({"syncintervall": 300}, "syncintervall"),
        ({"password": ""}, "password"),
        ({"credentialId": "none"}, "credentialId"),
    ],
)
def test_bad_field_is_named_and_nothing_is_stored(
    people: People, changes: dict[str, Any], field: str
) -> None:
    response = people.member.api.post("/api/accounts", {**WORK, **changes})
    assert response.status_code == 400
    assert list(response.json()["details"]["fields"]) == [field]
    assert not EmailAccount.objects.exists()
    assert not Credential.objects.exists()


@pytest.mark.parametrize(
    "host", ["10.0.0.8", "169.254.169.254", "fd00::1", "0x0a000001", "[fe80::1]"]
)
def test_private_address_is_refused(people: People, host: str) -> None:
    for name in ("hostname", "smtpHostname"):
        response = people.member.api.post("/api/accounts", {**WORK, name: host})
        assert (response.status_code, response.json()["error"]) == (400, "host_not_allowed")
    account = create(people.member)
    response = people.member.api.patch(f"/api/accounts/{account['id']}", {"hostname": host})
    assert (response.status_code, response.json()["error"]) == (400, "host_not_allowed")


def test_international_host_name_is_kept_as_it_goes_on_the_wire(people: People) -> None:
    assert create(people.member, hostname="MÜNCHEN.invalid")["hostname"] == "xn--mnchen-3ya.invalid"


def test_delegate_sees_the_account_and_cannot_change_it(people: People) -> None:
    account = people.connect_account(people.member)
    people.delegate(account, people.reader)
    people.delegate(account, people.sender, may_send=True)
    url = f"/api/accounts/{account.pk}"
    for person, access in ((people.reader, "read"), (people.sender, "send")):
        seen = person.api.get(url).json()
        assert seen["access"] == access
        assert seen["credentialId"] is seen["username"] is seen["smtpUsername"] is None
        assert person.api.get("/api/accounts").json()["accounts"] == [seen]
        for response in (
            person.api.patch(url, {"accountName": "Mine"}),
            person.api.put(url, WORK),
            person.api.delete(url),
            person.api.post(f"{url}/verify"),
            person.api.get(f"{url}/delegates"),
            person.api.post(f"{url}/delegates", {"userId": "tom"}),
            person.api.delete(f"{url}/delegates/rita"),
        ):
            assert (response.status_code, response.json()["error"]) == (403, "not_owner")
    assert EmailAccount.objects.get().account_name == account.account_name


def test_for_others_the_account_does_not_exist(people: People) -> None:
    account = people.connect_account(people.member)
    url = f"/api/accounts/{account.pk}"
    missing = "/api/accounts/7f2b8a52-0000-4000-8000-000000000000"
    for person in (people.teammate, people.stranger, people.namesake):
        for response, nowhere in (
            (person.api.get(url), person.api.get(missing)),
            (person.api.patch(url, {}), person.api.patch(missing, {})),
            (person.api.put(url, WORK), person.api.put(missing, WORK)),
            (person.api.delete(url), person.api.delete(missing)),
            (person.api.post(f"{url}/verify"), person.api.post(f"{missing}/verify")),
            (person.api.get(f"{url}/delegates"), person.api.get(f"{missing}/delegates")),
        ):
            assert (response.status_code, response.content) == (404, nowhere.content)
        assert person.api.get("/api/accounts").json()["accounts"] == []


def test_admin_sees_that_it_exists_and_works_and_no_more(people: People) -> None:
    account = people.connect_account(people.member)
    url = f"/api/accounts/{account.pk}"
    for person in (people.admin, people.owner):
        assert person.api.get("/api/accounts").json()["accounts"] == []
        [seen] = person.api.get("/api/accounts?everyone=true").json()["accounts"]
        assert seen == person.api.get(url).json()
        assert (seen["access"], seen["isEnabled"]) == ("admin", True)
        assert seen["credentialId"] is seen["username"] is None
        assert person.api.delete(url).status_code == 403
        assert not EmailAccount.objects.for_caller(person.caller).exists()
    assert people.member.api.get("/api/accounts?everyone=true").status_code == 403


def test_admin_key_without_the_admin_right_sees_only_its_own(people: People) -> None:
    account = people.connect_account(people.member)
    issued = people.admin.api.post("/api/keys", {"scopes": ["mail:read"]}).json()["key"]
    assert client_with(issued).get(f"/api/accounts/{account.pk}").status_code == 404


def test_viewer_reads_and_does_not_write(people: People) -> None:
    api = people.viewer.api
    assert api.get("/api/accounts").json()["accounts"] == []
    for response in (api.post("/api/accounts", WORK), api.post("/api/accounts/verify", WORK)):
        assert (response.status_code, response.json()["error"]) == (403, "scope_required")


def test_clients_that_name_themselves_in_the_query(people: People) -> None:
    account = people.connect_account(people.member)
    names = "tenant_id=acme&user_id=mary"
    for api in (people.member.api, client_with(people.service.key)):
        assert api.get(f"/api/accounts/{account.pk}?{names}").json()["id"] == str(account.pk)
        [listed] = api.get(f"/api/accounts?{names}").json()["accounts"]
        assert listed["id"] == str(account.pk)
    assert people.member.api.delete(f"/api/accounts/{account.pk}?{names}").status_code == 204


def test_delegates_are_made_changed_listed_and_removed(people: People) -> None:
    account = people.connect_account(people.member)
    url = f"/api/accounts/{account.pk}/delegates"
    api = people.member.api
    assert people.reader.name == "rita"
    made = api.post(url, {"userId": "rita"})
    assert (made.status_code, made.json()["access"]) == (201, "read")
    changed = api.post(url, {"userId": str(people.reader.user.pk), "access": "send"})
    assert (changed.status_code, changed.json()["access"]) == (200, "send")
    assert api.get(url).json() == {"delegates": [changed.json()], "nextCursor": None}
    assert changed.json()["userId"] == "rita"
    assert EmailAccount.objects.sendable_by(people.reader.caller).get() == account
    assert api.delete(f"{url}/tom").status_code == 404
    assert api.delete(f"{url}/rita").status_code == 204
    assert people.reader.api.get(f"/api/accounts/{account.pk}").status_code == 404


@pytest.mark.parametrize("name", ["stan", "nobody", "mary", "", "a\r\nb"])
def test_delegate_must_be_another_user_of_the_tenant(people: People, name: str) -> None:
    account = people.connect_account(people.member)
    assert people.stranger.name == "stan"
    response = people.member.api.post(f"/api/accounts/{account.pk}/delegates", {"userId": name})
    assert response.status_code == 400
    assert list(response.json()["details"]["fields"]) == ["userId"]


def test_pages_of_accounts_stay_stable_while_accounts_are_added(people: People) -> None:
    old = [str(people.connect_account(people.member).pk) for _ in range(5)]
    api = people.member.api
    first = api.get("/api/accounts?limit=2").json()
    people.connect_account(people.member)
    seen, cursor = [row["id"] for row in first["accounts"]], first["nextCursor"]
    while cursor:
        page = api.get("/api/accounts", {"limit": "2", "cursor": cursor}).json()
        seen += [row["id"] for row in page["accounts"]]
        cursor = page["nextCursor"]
    assert seen == old[::-1]
