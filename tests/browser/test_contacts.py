"""Contacts come in by a file that a person chooses."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from django.utils import timezone
from playwright.sync_api import expect

from contacts.models import (
    Contact,
    ContactList,
    ContactStatus,
    ImportJob,
    ListMember,
    OptIn,
)
from contacts.tasks import run_import
from tests.browser.conftest import Desk
from tests.contacts.test_workbooks import workbook
from tests.people import People

FILE = """E-Mail,Vorname,Nachname,Firma,Shoe size
ann@example.com,Ann,Andersson,Äpfel & Birnen GmbH,38
bob@example.com,Bob,Brown,,44
not an address,Eve,Evil,"A company with a rather long name, and a comma in it",40
carla@example.com,Carla,Cruz,Cruz y Cía,36
dan@example.com,"Dan
Line break",Dahl,,41
"""


def test_a_file_is_chosen_its_columns_checked_and_imported(
    members_desk: Desk, people: People, tmp_path: Path
) -> None:
    file = tmp_path / "people.csv"
    file.write_text(FILE)
    page = members_desk.open("/contacts")
    page.get_by_text("No contacts yet").wait_for()
    members_desk.look("contacts-empty")
    page.get_by_role("link", name="Import contacts").click()
    page.get_by_label("CSV file or workbook").set_input_files(file)
    page.get_by_label("Shoe size becomes").wait_for()
    assert page.get_by_label("E-Mail becomes").input_value() == "email"
    page.get_by_label("Firma becomes").select_option("")
    members_desk.look("import-columns")
    page.get_by_role("button", name="Start the import").click()
    page.get_by_text("Waiting").wait_for()
    members_desk.look("import-waiting")
    run_import(ImportJob.objects.get().pk)
    page.get_by_text("5 of 5 rows done: 3 new, 0 updated, 2 bad.").first.wait_for()
    assert "Completed" in page.locator("#announcement").inner_text()
    members_desk.look("import-ended")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download all 2").click()
    assert "not an address" in download.value.path().read_text()
    assert Contact.objects.get(email="ann@example.com").company == ""
    page.get_by_role("link", name="Show contacts").click()
    page.get_by_text("carla@example.com").wait_for()
    members_desk.look("contacts")


def test_a_workbook_is_shown_and_imported_onto_a_list(
    members_desk: Desk, people: People, tmp_path: Path
) -> None:
    ContactList.objects.create(tenant=people.tenant, name="News", opt_in=OptIn.DOUBLE)
    ContactList.objects.create(tenant=people.tenant, name="Offers")
    file = tmp_path / "people.xlsx"
    file.write_bytes(workbook())
    page = members_desk.open("/contacts/import")
    page.get_by_label("CSV file or workbook").set_input_files(file)
    page.get_by_label("Joined becomes").wait_for()
    page.get_by_label("Offers").check()
    members_desk.look("import-workbook")
    page.get_by_role("button", name="Start the import").click()
    page.get_by_text("Waiting").wait_for()
    run_import(ImportJob.objects.get().pk)
    page.get_by_text("3 of 3 rows done: 2 new, 0 updated, 1 bad.").first.wait_for()
    assert ListMember.objects.filter(list__name="Offers").count() == 2
    assert not ListMember.objects.filter(list__name="News").exists()


def test_a_file_that_is_none_says_so_before_it_is_sent(members_desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_bytes(b"%PDF-1.7 not a table")
    page = members_desk.open("/contacts/import")
    page.get_by_label("CSV file").set_input_files(file)
    page.get_by_text("This is a PDF. Import a CSV file or a workbook.").wait_for()
    page.get_by_role("button", name="Start the import").click()
    page.get_by_role("alert").get_by_text("This is a PDF.").wait_for()
    members_desk.forgive("400")
    members_desk.look("import-refused")


def test_a_search_without_scripts(members_desk: Desk, people: People) -> None:
    sent = timezone.now() - timedelta(hours=3)
    Contact.objects.bulk_create(
        Contact(
            tenant=people.tenant,
            email=f"{name}.with.a.rather.long.address{number}@a-long-domain-name.example.com",
            first_name=name.capitalize(),
            last_name="Example",
            company="Example & Sons",
            status=list(ContactStatus)[number % 4],
            last_email_sent=sent if number % 2 else None,
            email_count=number * 1000,
        )
        for number in range(14)
        for name in ("ann", "bob", "carla", "dan")
    )
    page = members_desk.open("/contacts")
    page.get_by_role("link", name="Older").click()
    page.get_by_role("link", name="Newest").wait_for()
    members_desk.look("contacts-many")
    page.get_by_label("Address or name begins with").fill("carla")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="Bounced").click()
    assert "q=carla" in page.url
    assert "status=bounced" in page.url
    expect(page.locator("tbody tr")).to_have_count(3)
    with page.expect_download() as download:
        page.get_by_role("link", name="Export these").click()
    lines = download.value.path().read_text().splitlines()
    assert lines[0].startswith("email,")
    assert len(lines) == 4


def test_a_page_of_contacts_is_short_on_a_phone(members_desk: Desk, people: People) -> None:
    for number in range(50):
        Contact.objects.create(
            tenant=people.tenant,
            email=f"ann{number}@example.com",
            first_name="Ann" if number % 2 else "",
            company="A company with a rather long name" if number % 3 else "",
        )
    page = members_desk.open("/contacts")
    page.get_by_text("ann0@example.com").wait_for()
    members_desk.look("contacts-fifty")
    page.set_viewport_size({"width": 390, "height": 844})
    table = page.get_by_role("table").bounding_box()
    assert table is not None
    assert table["height"] < 50 * 72
