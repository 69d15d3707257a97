"""A file of contacts over the API, from the upload to its bad rows."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from contacts.models import Contact, ImportChunk, ImportJob
from contacts.tasks import revive_imports, run_import
from tests.contacts.imports import bad_rows, counts, import_at_once, named_file, stored, upload
from tests.people import People

BROKEN = (
    "E-mail;First Name;Last Name;Company;City\r\n"
    "ann@example.com;Ann;Lee;Acme;Köln\r\n"
    "no address;Bob;;;\r\n"
    "\r\n"
    'bob@example.com;"Bob\r\nBcc: eve@example.com";Ray;;\r\n'
    "ANN@example.com;Anna;;;Bonn\r\n"
    ";Nobody;;;\r\n"
    'carl@example.com;"Carl;never closed;;\r\n'
    "dora@example.com;Dora;;;Paris;one too many\r\n"
    "  Emil@EXAMPLE.com  ; Emil ;Ünal;;;;\r\n"
)


def test_good_rows_come_in_and_bad_ones_are_kept_with_their_reasons(people: People) -> None:
    person = people.member
    state = import_at_once(person, BROKEN)
    assert state["status"] == "completed"
    assert counts(state) == (8, 2, 1, 5)
    assert state["percent"] == 100
    assert state["filename"] == "people.csv"
    assert state["started_at"] <= state["completed_at"]
    contacts = stored(person)
    assert contacts.keys() == {"ann@example.com", "emil@example.com"}
    ann = contacts["ann@example.com"]
    assert (ann.first_name, ann.last_name, ann.company) == ("Anna", "Lee", "Acme")
    assert ann.attributes == {"city": "Bonn"}
    emil = contacts["emil@example.com"]
    assert (emil.first_name, emil.last_name) == ("Emil", "Ünal")
    assert [contact.email for contact in Contact.objects.search("unal")] == ["emil@example.com"]

    rows = bad_rows(person, state)
    assert [line for line, _, _ in rows] == [3, 5, 8, 9, 10]
    reasons = [reason for _, reason, _ in rows]
    assert "not an email address" in reasons[0]
    assert "first_name holds a line break" in reasons[1]
    assert "missing" in reasons[2]
    assert "quotation mark" in reasons[3]
    assert "6 values, the heading 5" in reasons[4]
    assert rows[0][2] == "no address;Bob;;;"
    assert rows[1][2].startswith("bob@example.com")
    assert not ImportChunk.objects.exists()


def test_bad_rows_can_be_downloaded(people: People) -> None:
    api = people.member.api
    state = import_at_once(people.member, "email,name\nx,=1+1\nok@example.com,\n")
    responses: list[Any] = [
        api.get(f"/api/contacts/imports/{state['id']}/errors.csv"),
        api.get(f"/api/contacts/imports/{state['id']}/errors", headers={"Accept": "text/csv"}),
    ]
    for response in responses:
        assert response["Content-Type"].startswith("text/csv")
        text = b"".join(response.streaming_content).decode()
        assert list(csv.reader(io.StringIO(text))) == [
            ["line", "reason", "row"],
            ["2", "This is not an email address.", "x,=1+1"],
        ]


def test_the_same_file_again_changes_nothing(people: People) -> None:
    first = import_at_once(people.member, BROKEN)
    before = {email: contact.updated_at for email, contact in stored(people.member).items()}
    content = "email,city\nann@example.com,Bonn\nemil@example.com,\n"
    second = import_at_once(people.member, content)
    assert counts(first) == (8, 2, 1, 5)
    assert counts(second) == (2, 0, 2, 0)
    after = {email: contact.updated_at for email, contact in stored(people.member).items()}
    assert after == before


def test_a_file_adds_to_what_is_known_and_erases_nothing(people: People) -> None:
    tenant = people.tenant
    Contact.objects.create(
        tenant=tenant,
        email="ann@example.com",
        first_name="Ann",
        company="Acme",
        attributes={"vip": True, "city": "Köln"},
        status="unsubscribed",
        email_count=3,
    )
    import_at_once(people.member, "email,First name,Company,city\nann@example.com,,Globex,Bonn\n")
    ann = Contact.objects.get()
    assert (ann.first_name, ann.company) == ("Ann", "Globex")
    assert ann.attributes == {"vip": True, "city": "Bonn"}
    assert (ann.status, ann.email_count) == ("unsubscribed", 3)


def test_an_export_comes_back_as_it_went(people: People) -> None:
    people.member.api.post(
        "/api/contacts",
        {
            "email": "+ann@example.com",
            "first_name": "=1+1",
            "company": "'=quoted",
            "attributes": {"n": 1, "tags": ["a", "ü"]},
            "status": "complained",
        },
    )
    people.member.api.post("/api/contacts", {"email": "bob@example.com", "company": 'a "b", c'})
    exported: Any = people.member.api.get("/api/contacts/export")
    content = b"".join(exported.streaming_content)
    state = import_at_once(people.stranger, content)
    assert counts(state) == (2, 2, 0, 0)
    names = ("email", "first_name", "last_name", "company", "attributes", "status")
    mine, theirs = (
        [{name: getattr(row, name) for name in names} for row in stored(person).values()]
        for person in (people.member, people.stranger)
    )
    assert theirs == mine
    # A file never subscribes anew who has left.
    back = content.replace(b"complained", b"subscribed")
    import_at_once(people.stranger, back)
    assert stored(people.stranger)["+ann@example.com"].status == "complained"


def test_columns_are_mapped_as_asked(people: People) -> None:
    content = "Who,Where,Secret,State\nann@example.com,Köln,x,Bounced\nbob@example.com,,,asleep\n"
    mapping = {"Who": "email", "Where": "attributes.city", "Secret": None, "State": "status"}
    state = import_at_once(people.member, content, mapping)
    assert counts(state) == (2, 1, 0, 1)
    ann = stored(people.member)["ann@example.com"]
    assert (ann.attributes, ann.status) == ({"city": "Köln"}, "bounced")
    assert "Unknown status “asleep”" in bad_rows(people.member, state)[0][1]


EXPORTED = """Email Address,Status
ann@example.com,Active
bob@example.com,Unsubscribed
cleo@example.com,opted-out
dora@example.com,CLEANED
emil@example.com,Spam complaint
ann@example.com,unsubscribed
bob@example.com,subscribed
fred@example.com,
"""


def test_who_left_another_product_stays_away(people: People) -> None:
    state = import_at_once(people.member, EXPORTED)
    assert counts(state) == (8, 6, 2, 0)
    assert state["columns"] == [
        {"heading": "Email Address", "target": "email"},
        {"heading": "Status", "target": "status"},
    ]
    assert {email: row.status for email, row in stored(people.member).items()} == {
        "ann@example.com": "unsubscribed",
        "bob@example.com": "unsubscribed",
        "cleo@example.com": "unsubscribed",
        "dora@example.com": "bounced",
        "emil@example.com": "complained",
        "fred@example.com": "subscribed",
    }
    assert not any(row.attributes for row in stored(people.member).values())
    import_at_once(people.member, "email,status\ndora@example.com,active\n")
    assert stored(people.member)["dora@example.com"].status == "bounced"


def test_an_unknown_status_is_a_bad_row_and_takes_nobody_else_along(people: People) -> None:
    content = (
        "email,status\nann@example.com,VIP\nbob@example.com,Active\ncleo@example.com,opted out\n"
    )
    state = import_at_once(people.member, content)
    assert counts(state) == (3, 2, 0, 1)
    assert state["columns"][1] == {"heading": "status", "target": "status"}
    assert {email: row.status for email, row in stored(people.member).items()} == {
        "bob@example.com": "subscribed",
        "cleo@example.com": "unsubscribed",
    }
    [(line, reason, row)] = bad_rows(people.member, state)
    assert (line, row) == (2, "ann@example.com,VIP")
    assert reason.startswith("Unknown status “VIP”")
    asked = import_at_once(people.stranger, content, {"status": "attributes.rank"})
    assert counts(asked) == (3, 3, 0, 0)
    assert stored(people.stranger)["ann@example.com"].attributes == {"rank": "VIP"}


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ("enabled,confirmed", "subscribed"),
        ("disabled,On hold,blocked,suppressed,Pending,do not contact,subscribed", "unsubscribed"),
        ("soft bounced,active,unsubscribed", "bounced"),
        ("Active,Spam report,bounced", "complained"),
    ],
)
def test_of_several_columns_of_the_status_the_gravest_word_counts(
    people: People, words: str, status: str
) -> None:
    headings = [f"c{number}" for number, _ in enumerate(words.split(","))]
    content = f"email,{','.join(headings)}\nann@example.com,{words}\n"
    state = import_at_once(people.member, content, dict.fromkeys(headings, "status"))
    assert counts(state) == (1, 1, 0, 0)
    assert stored(people.member)["ann@example.com"].status == status


ENCODED = "email;first_name;city\nann@example.com;Zoë;Łódź\n"
WESTERN = "email;first_name;city\nann@example.com;Zoë;Köln – „Süd“\n"


@pytest.mark.parametrize(
    ("content", "name", "city"),
    [
        (ENCODED.encode("utf-8-sig"), "Zoë", "Łódź"),
        (ENCODED.encode("utf-8"), "Zoë", "Łódź"),
        (ENCODED.encode("utf-16"), "Zoë", "Łódź"),
        (b"\xfe\xff" + ENCODED.encode("utf-16-be"), "Zoë", "Łódź"),
        (ENCODED.encode("utf-16-le"), "Zoë", "Łódź"),
        (ENCODED.encode("utf-16-be"), "Zoë", "Łódź"),
        (ENCODED.encode("utf-32"), "Zoë", "Łódź"),
        (WESTERN.encode("cp1252"), "Zoë", "Köln – „Süd“"),
    ],
)
def test_encodings_are_recognised(people: People, content: bytes, name: str, city: str) -> None:
    state = import_at_once(people.member, content)
    assert counts(state) == (1, 1, 0, 0)
    ann = stored(people.member)["ann@example.com"]
    assert (ann.first_name, ann.attributes) == (name, {"city": city})


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters_are_recognised(people: People, delimiter: str) -> None:
    rows = [["email", "company", "note"], ["ann@example.com", "a,b;c|d", "x"], ["b@example.com"]]
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter).writerows(rows)
    assert counts(import_at_once(people.member, text.getvalue())) == (2, 2, 0, 0)
    assert stored(people.member)["ann@example.com"].company == "a,b;c|d"


def test_a_delimiter_named_as_spreadsheets_do(people: People) -> None:
    state = import_at_once(people.member, "sep=;\r\nemail;note\r\nann@example.com;a,b,c\r\nx;y\r\n")
    assert counts(state) == (2, 1, 0, 1)
    assert bad_rows(people.member, state)[0][0] == 4


def test_one_column_needs_no_delimiter(people: People) -> None:
    content = "email\n" + "".join(f"c{number}@example.com\n" for number in range(1203))
    state = import_at_once(people.member, content)
    assert counts(state) == (1203, 1203, 0, 0)


def test_damaged_bytes_cost_their_row_alone(people: People) -> None:
    content = (
        "email,first_name\nann@example.com,Zoë\nben@example.com,Jörg\n".encode()
        + b"carl@example.com,\xed\xa0\x80\n"
        + b"dora@example.com,nul\0\n"
        + "emil@example.com,Łukasz\n".encode()
    )
    state = import_at_once(people.member, content)
    assert counts(state) == (5, 3, 0, 2)
    rows = bad_rows(people.member, state)
    assert [line for line, _, _ in rows] == [4, 5]
    assert "bytes that are not text" in rows[0][1]
    assert "control character" in rows[1][1]
    half = "email,first_name\nann@example.com,".encode("utf-16-le") + b"\x00\xd8\n\x00"
    state = import_at_once(people.member, b"\xff\xfe" + half)
    assert counts(state) == (1, 0, 0, 1)


def test_a_ten_megabyte_value_costs_its_row_alone(people: People) -> None:
    huge = "x" * (10 * 1024 * 1024)
    content = f"email,note\nann@example.com,{huge}\nbob@example.com,ok\n"
    state = import_at_once(people.member, content)
    assert counts(state) == (2, 1, 0, 1)
    ((line, reason, text),) = bad_rows(people.member, state)
    assert line == 2
    assert "longer than" in reason
    assert len(text) == 2000


@pytest.mark.parametrize(
    ("content", "mapping", "field", "words"),
    [
        (b"", None, "file", "empty"),
        (b" \r\n\r\n", None, "file", "empty"),
        (b"\xef\xbb\xbf", None, "file", "empty"),
        (b"email,name\n", None, "file", "no rows"),
        (b"name,town\nAnn,Bonn\n", None, "file", "No column holds email addresses"),
        (b"ann@example.com,Ann\nbob@example.com,Bob\n", None, "file", "names of the columns"),
        (b"PK\x03\x04 and so on", None, "file", "no workbook that can be read"),
        (b'email,"never closed\n' * 2, None, "file", "first line cannot be read"),
        (b"email,name\na@b.example,A\n", {"nmae": "company"}, "mapping", "no column"),
        (b"email,name\na@b.example,A\n", {"name": "surname"}, "mapping", "becomes one of"),
        (b"email,name\na@b.example,A\n", {"name": 3}, "mapping", "JSON object"),
        (b"email,name\na@b.example,A\n", ["name"], "mapping", "JSON object"),
        (b"\xff\xfee\x00m", None, "file", ""),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_imported_is_refused_at_once(
    people: People, content: bytes, mapping: dict[str, str], field: str, words: str
) -> None:
    answer = upload(people.member, content, mapping)
    assert answer.status_code == 400, answer.content
    assert words in answer.json()["details"]["fields"][field][0]
    assert not ImportJob.objects.received().exists()


def test_what_the_form_does_not_know_is_refused(people: People) -> None:
    api = people.member.api
    form = {"file": named_file("email\na@b.example\n"), "list_ids": "[1]"}
    answer = api.post("/api/contacts/import", form, format="multipart")
    assert (answer.status_code, *answer.json()["details"]["fields"]) == (400, "list_ids")
    answer = api.post("/api/contacts/import", {"mapping": "{}"}, format="multipart")
    assert (answer.status_code, *answer.json()["details"]["fields"]) == (400, "file")
    form = {"file": named_file("email\na@b.example\n"), "mapping": "{broken"}
    answer = api.post("/api/contacts/import", form, format="multipart")
    assert (answer.status_code, *answer.json()["details"]["fields"]) == (400, "mapping")
    assert api.post("/api/contacts/import", {"file": "text"}).status_code == 415


def test_an_idempotency_key_imports_once(people: People) -> None:
    content = "email\nann@example.com\n"
    first = upload(people.member, content, key="k")
    second = upload(people.member, content, key="k")
    assert (first.status_code, second.status_code) == (202, 202)
    assert second.json() == first.json()
    assert ImportJob.objects.count() == 1


def test_an_import_belongs_to_its_tenant(people: People) -> None:
    state = import_at_once(people.member, BROKEN)
    for person in (people.stranger, people.namesake):
        assert person.api.get("/api/contacts/imports").json()["imports"] == []
        for path in ("", "/errors", "/errors.csv"):
            response = person.api.get(f"/api/contacts/imports/{state['id']}{path}")
            assert response.status_code == 404
        assert person.api.post(f"/api/contacts/imports/{state['id']}/cancel").status_code == 404
    listed = people.viewer.api.get("/api/contacts/imports").json()["imports"]
    assert [row["id"] for row in listed] == [state["id"]]
    cancelled = people.viewer.api.post(f"/api/contacts/imports/{state['id']}/cancel")
    assert cancelled.status_code == 403


def test_a_cancelled_import_goes_no_further(people: People) -> None:
    api = people.member.api
    answer = upload(people.member, "email\nann@example.com\n").json()
    assert (answer["status"], answer["total"], answer["imported"]) == ("pending", 1, 0)
    cancelled = api.post(f"/api/contacts/imports/{answer['id']}/cancel")
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    run_import(answer["id"])
    assert stored(people.member) == {}
    assert api.post(f"/api/contacts/imports/{answer['id']}/cancel").status_code == 409
    revive_imports()
    assert not ImportChunk.objects.exists()


def test_two_imports_know_nothing_of_each_other(people: People) -> None:
    one = import_at_once(people.member, "email,first_name\nann@example.com,Ann\n")
    two = import_at_once(people.stranger, "email,first_name\nann@example.com,Other\n")
    assert counts(one) == counts(two) == (1, 1, 0, 0)
    assert stored(people.member)["ann@example.com"].first_name == "Ann"
