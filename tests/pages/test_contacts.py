"""The pages of contacts: table, import, bad rows."""

from __future__ import annotations

import csv
import io

from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from contacts.csv_import import carry_on
from contacts.models import Contact, ContactStatus, ImportJob
from contacts.tasks import run_import
from tests.contacts.test_workbooks import sheet_of, workbook
from tests.pages.conftest import Visit
from tests.people import People, Person

ROWS = "email,Vorname,Shoe size\nann@example.com,Ann,38\nbroken,Bob,40\n=1@x,Eve,41\n"


def add_contacts(person: Person, *emails: str, **fields: str) -> None:
    for email in emails:
        Contact.objects.create(tenant=person.tenant, email=email, **fields)


def upload(client: Client, text: str, **more: object) -> ImportJob:
    file = SimpleUploadedFile("people.csv", text.encode(), "text/csv")
    answer = client.post("/contacts/import", {"file": file, **more})
    assert answer.status_code == 302, answer.text
    job = ImportJob.objects.latest("pk")
    assert answer["Location"] == f"/contacts/imports/{job.pk}"
    return job


def test_the_first_visit_teaches_the_next_step(people: People, visit: Visit) -> None:
    page = visit(people.member).get("/contacts").text
    assert "No contacts yet" in page
    assert 'href="/contacts/import"' in page
    assert 'href="/contacts/import"' not in visit(people.viewer).get("/contacts").text


def test_a_table_shows_the_contacts_of_the_tenant_alone(people: People, visit: Visit) -> None:
    add_contacts(people.member, "ann@example.com", first_name="<b>Ann</b>")
    add_contacts(people.stranger, "foreign@example.com")
    page = visit(people.viewer).get("/contacts").text
    assert "ann@example.com" in page
    assert "&lt;b&gt;Ann&lt;/b&gt;" in page
    assert "foreign@example.com" not in page


def test_a_search_finds_by_address_and_name(people: People, visit: Visit) -> None:
    add_contacts(people.member, "ann@example.com", first_name="Ann", last_name="Özil")
    add_contacts(people.member, "bob@example.com", first_name="Bob")
    client = visit(people.member)
    for text in ("ann@", "ozil", "An"):
        page = client.get("/contacts", {"q": text}).text
        assert "ann@example.com" in page
        assert "bob@example.com" not in page
    assert "No contact here" in client.get("/contacts", {"q": '"><script>'}).text


def test_a_status_narrows_the_table(people: People, visit: Visit) -> None:
    add_contacts(people.member, "ann@example.com")
    add_contacts(people.member, "gone@example.com", status=ContactStatus.UNSUBSCRIBED)
    page = visit(people.member).get("/contacts", {"status": "unsubscribed"}).text
    assert "gone@example.com" in page
    assert "ann@example.com" not in page
    assert visit(people.member).get("/contacts", {"status": "nonsense"}).status_code == 200


def test_a_long_table_is_walked_page_by_page(people: People, visit: Visit) -> None:
    Contact.objects.bulk_create(
        Contact(tenant=people.tenant, email=f"c{number:03}@example.com") for number in range(120)
    )
    client = visit(people.member)
    found: list[str] = []
    address = "/contacts?q=c"
    while address:
        answer = client.get(address)
        found += [row.email for row in answer.context["rows"]]
        older = answer.context["older"]
        address = f"/contacts?{older}" if older else ""
    assert found == [f"c{number:03}@example.com" for number in reversed(range(120))]


def test_a_search_for_what_no_database_holds_is_no_defect(people: People, visit: Visit) -> None:
    client = visit(people.member)
    for text in ("\x00", "%", "_", "\\", "a" * 5000, "a " * 500):
        assert client.get("/contacts", {"q": text}).status_code in (200, 400)
    for text in ("%ff%fe", "%ed%a0%80"):
        assert client.get(f"/contacts?q={text}").status_code in (200, 400)


def test_a_cursor_from_nowhere_is_an_error_in_words(people: People, visit: Visit) -> None:
    answer = visit(people.member).get("/contacts", {"cursor": "x"})
    assert answer.status_code == 400
    assert "This cursor does not belong to this list." in answer.text


def test_a_file_becomes_contacts_and_a_list_of_bad_rows(people: People, visit: Visit) -> None:
    client = visit(people.member)
    job = upload(client, ROWS)
    assert "Waiting" in client.get(f"/contacts/imports/{job.pk}").text
    run_import(job.pk)
    contact = Contact.objects.get(tenant=people.tenant)
    assert (contact.email, contact.first_name) == ("ann@example.com", "Ann")
    assert contact.attributes == {"shoe_size": "38"}
    page = client.get(f"/contacts/imports/{job.pk}").text
    assert "3 of 3 rows done: 1 new, 0 updated, 2 bad." in page
    assert "broken,Bob,40" in page
    assert "hx-get" not in page


def test_bad_rows_are_downloaded_without_formulas_that_run(people: People, visit: Visit) -> None:
    client = visit(people.member)
    job = upload(client, ROWS)
    run_import(job.pk)
    answer = client.get(f"/contacts/imports/{job.pk}/bad-rows.csv")
    assert "attachment" in answer["Content-Disposition"]
    assert answer.streaming
    rows = list(csv.reader(io.StringIO(answer.getvalue().decode())))
    assert rows[0] == ["line", "reason", "row"]
    assert [(row[0], row[2]) for row in rows[1:]] == [("3", "broken,Bob,40"), ("4", "'=1@x,Eve,41")]


def test_columns_become_what_was_chosen(people: People, visit: Visit) -> None:
    job = upload(
        visit(people.member),
        "a,b,c\nx,ann@example.com,y\n",
        column=["a", "b", "c"],
        target=["company", "email", ""],
    )
    assert job.targets == ["company", "email", ""]


def test_a_preview_shows_five_rows_and_what_each_column_becomes(
    people: People, visit: Visit
) -> None:
    text = "E-Mail,Vorname,Shoe size\n" + "".join(
        f"p{number}@example.com,P{number},<i>{number}\n" for number in range(9)
    )
    file = SimpleUploadedFile("people.csv", text.encode())
    page = visit(people.member).post("/contacts/import/preview", {"file": file}).text
    assert page.count('name="target"') == 3
    assert '<option value="email" selected>' in page
    assert '<option value="first_name" selected>' in page
    assert '<option value="attributes.shoe_size" selected>' in page
    assert "p4@example.com" in page
    assert "p5@example.com" not in page
    assert "&lt;i&gt;4" in page
    assert ImportJob.objects.count() == 0


def test_a_preview_asks_for_the_address_where_no_column_is_one(
    people: People, visit: Visit
) -> None:
    file = SimpleUploadedFile("people.csv", b"who,where,who\nann@example.com,here,x\n")
    page = visit(people.member).post("/contacts/import/preview", {"file": file}).text
    assert "No column is recognised as the address" in page
    assert page.count('name="target"') == 2


def test_a_file_that_is_no_table_is_refused_in_words(people: People, visit: Visit) -> None:
    client = visit(people.member)
    for content, words in (
        (b"", "Choose a file first."),
        (b"\n\n", "The file is empty."),
        (b"PK\x03\x04rest", "no workbook that can be read"),
        (b"who,where\nann,here\n", "No column holds email addresses"),
    ):
        data = {"file": SimpleUploadedFile("x.csv", content)} if content else {}
        answer = client.post("/contacts/import", data)
        assert answer.status_code == 400
        assert words in answer.text
    assert ImportJob.objects.count() == 0


def test_a_workbook_says_how_much_of_it_is_read_before_its_rows_come(
    people: People, visit: Visit
) -> None:
    client = visit(people.member)
    file = SimpleUploadedFile("people.xlsx", workbook(sheet_of(20_000)))
    assert client.post("/contacts/import", {"file": file}).status_code == 302
    job = ImportJob.objects.latest("pk")
    assert "0 percent of the workbook read" in client.get(f"/contacts/imports/{job.pk}").text
    for words in ("3 percent of the workbook read", "54 percent of the workbook read"):
        assert job.claim()
        assert not carry_on(job, seconds=0)
        job.release()
        moving = client.get(f"/contacts/imports/{job.pk}/measures", {"status": "in_progress"})
        assert words in moving.text
    run_import(job.pk)
    assert "20,000 of 20,000 rows done" in client.get(f"/contacts/imports/{job.pk}").text


def test_a_workbook_that_proves_broken_says_so_on_its_page(people: People, visit: Visit) -> None:
    client = visit(people.member)
    file = SimpleUploadedFile("people.xlsx", workbook(sheet_of(5_000) + '<row r="3"/>'))
    client.post("/contacts/import", {"file": file})
    job = ImportJob.objects.latest("pk")
    run_import(job.pk)
    page = client.get(f"/contacts/imports/{job.pk}").text
    assert "no workbook that can be read" in page


def test_the_moving_part_brings_bad_rows_only_when_there_are_new_ones(
    people: People, visit: Visit
) -> None:
    client = visit(people.member)
    job = upload(client, ROWS)
    address = f"/contacts/imports/{job.pk}/measures"
    same = client.get(address, {"status": "pending", "failed": "0"})
    assert "hx-swap-oob" not in same.text
    assert "HX-Retarget" not in same
    run_import(job.pk)
    ended = client.get(address, {"status": "pending", "failed": "0"})
    assert ended["HX-Retarget"] == "#import"
    assert "broken,Bob,40" in ended.text


def test_an_import_is_stopped(people: People, visit: Visit) -> None:
    client = visit(people.member)
    job = upload(client, ROWS)
    assert client.get(f"/contacts/imports/{job.pk}/cancel").status_code == 405
    page = client.post(f"/contacts/imports/{job.pk}/cancel", follow=True).text
    assert "Cancelled" in page
    again = client.post(f"/contacts/imports/{job.pk}/cancel", follow=True).text
    assert "The import had ended already." in again


def test_who_may_import(people: People, visit: Visit) -> None:
    job = upload(visit(people.member), ROWS)
    viewer, stranger = visit(people.viewer), visit(people.stranger)
    assert viewer.get(f"/contacts/imports/{job.pk}").status_code == 200
    for method, path in (
        ("get", "/contacts/import"),
        ("post", "/contacts/import"),
        ("post", "/contacts/import/preview"),
        ("post", f"/contacts/imports/{job.pk}/cancel"),
    ):
        answer = getattr(viewer, method)(path)
        assert answer.status_code == 403
        assert "Your role in Acme is viewer" in answer.text
    for method, path in (
        ("get", f"/contacts/imports/{job.pk}"),
        ("get", f"/contacts/imports/{job.pk}/measures"),
        ("get", f"/contacts/imports/{job.pk}/bad-rows.csv"),
        ("post", f"/contacts/imports/{job.pk}/cancel"),
        ("get", "/contacts/imports/99999999999999999999999999"),
    ):
        assert getattr(stranger, method)(path).status_code == 404
