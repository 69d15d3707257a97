"""Workbooks: what stands in a sheet becomes contacts, row by row, as a CSV file's lines do."""

from __future__ import annotations

import io
import zipfile
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import pytest

from contacts.csv_import import carry_on, read_heading
from contacts.models import Contact, ContactList, ImportChunk, ImportJob, ListMember
from contacts.tasks import run_import
from contacts.workbook_reading import read_as_csv
from mailhub.errors import InvalidInput
from tests.contacts.imports import bad_rows, counts, named_file
from tests.people import People, Person

MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
KIND = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
SHEET = (
    '<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="s"><v>1</v></c>'
    '<c r="C1" t="inlineStr"><is><t>Joined</t></is></c><c r="D1" t="str"><v>Age</v></c></row>'
    '<row r="2"><c r="A2" t="s"><v>2</v></c><c r="B2" t="s"><v>3</v></c>'
    '<c r="C2" s="1"><v>46082</v></c><c r="D2"><v>4.1E1</v></c></row>'
    '<row r="4"><c r="A4" t="inlineStr"><is><t>no address</t></is></c></row>'
    '<row r="5"><c r="A5" t="str"><f>A1</f><v>bob@example.com</v></c>'
    '<c r="C5" s="2"><v>46082.5</v></c><c r="D5" t="b"><v>1</v></c></row>'
)
TEXTS = (
    "<si><t>E-Mail</t></si><si><t>Vorname</t></si><si><t>ann@example.com</t></si>"
    "<si><r><t>Än</t></r><r><t>n\nB.</t></r><rPh><t>ignored</t></rPh></si>"
)
STYLES = (
    '<numFmts><numFmt numFmtId="164" formatCode="yyyy\\-mm\\-dd hh:mm"/></numFmts>'
    '<cellStyleXfs><xf numFmtId="14"/></cellStyleXfs>'
    '<cellXfs><xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="164"/></cellXfs>'
)


def workbook(sheet: str = SHEET, *, texts: str = TEXTS, book: str = "", head: str = "") -> bytes:
    """A file of one sheet behind a hidden one."""
    parts = {
        "xl/_rels/workbook.xml.rels": (
            "<Relationships>"
            f'<Relationship Id="r1" Type="{KIND}/worksheet" Target="worksheets/hidden.xml"/>'
            f'<Relationship Id="r2" Type="{KIND}/worksheet" Target="/xl/worksheets/people.xml"/>'
            f'<Relationship Id="r3" Type="{KIND}/sharedStrings" Target="sharedStrings.xml"/>'
            f'<Relationship Id="r4" Type="{KIND}/styles" Target="styles.xml"/></Relationships>'
        ),
        "xl/workbook.xml": (
            f'<workbook {MAIN} xmlns:r="{KIND}">{book}<sheets>'
            '<sheet name="Hidden" sheetId="1" state="hidden" r:id="r1"/>'
            '<sheet name="People" sheetId="2" r:id="r2"/></sheets></workbook>'
        ),
        "xl/worksheets/people.xml": (
            f"{head}<worksheet {MAIN}><sheetData>{sheet}</sheetData></worksheet>"
        ),
        "xl/sharedStrings.xml": f"<sst {MAIN}>{texts}</sst>",
        "xl/styles.xml": f"<styleSheet {MAIN}>{STYLES}</styleSheet>",
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return file.getvalue()


def lines_of(content: bytes) -> list[str]:
    blocks = [block for block, _ in read_as_csv(io.BytesIO(content))]
    return b"".join(blocks).decode().split("\n")


def send(person: Person, content: bytes, **more: Any) -> dict[str, Any]:
    """The answer to an upload that is taken."""
    form = {"file": named_file(content, "people.xlsx"), **more}
    answer = person.api.post("/api/contacts/import", form, format="multipart")
    assert answer.status_code == 202, answer.content
    taken: dict[str, Any] = answer.json()
    return taken


def state_of(person: Person, taken: dict[str, Any]) -> dict[str, Any]:
    state: dict[str, Any] = person.api.get(f"/api/contacts/imports/{taken['id']}").json()
    return state


def upload(person: Person, content: bytes, **more: Any) -> dict[str, Any]:
    """Import at once, and say how that went."""
    taken = send(person, content, **more)
    run_import(taken["id"])
    return state_of(person, taken)


def test_each_kind_of_cell_says_what_a_person_sees() -> None:
    assert lines_of(workbook()) == [
        "E-Mail,Vorname,Joined,Age",
        "ann@example.com,Änn B.,2026-03-01,41",
        "",
        "no address",
        "bob@example.com,,2026-03-01T12:00:00,true",
        "",
    ]


def test_dates_may_count_from_1904() -> None:
    (_, first, *_rest) = lines_of(workbook(book='<workbookPr date1904="1"/>'))
    assert "2030-03-02" in first


def test_a_workbook_becomes_contacts_and_bad_rows_by_the_sheets_numbers(people: People) -> None:
    for times in range(2):
        state = upload(people.member, workbook())
        assert state["status"] == "completed"
        assert counts(state) == ((3, 2, 0, 1), (3, 0, 2, 1))[times]
        ((line, reason, text),) = bad_rows(people.member, state)
        assert (line, text) == (4, "no address")
        assert reason == "This is not an email address."
    ann = Contact.objects.get(email="ann@example.com")
    assert (ann.first_name, ann.attributes) == ("Änn B.", {"joined": "2026-03-01", "age": "41"})
    assert Contact.objects.count() == 2


def test_a_sheet_of_many_rows_is_read_in_pieces() -> None:
    rows = "".join(
        f'<row r="{number}"><c r="A{number}" t="s"><v>0</v></c><c r="B{number}"><v>{number}</v>'
        "</c></row>"
        for number in range(1, 40_002, 2)
    )
    blocks = [block for block, _ in read_as_csv(io.BytesIO(workbook(rows)))]
    assert len(blocks) > 1
    assert all(block.endswith(b"\n") for block in blocks)
    assert b"".join(blocks).split(b"\n")[40_000] == b"E-Mail,40001"


def octets_read_for_a_preview(people: int) -> int:
    """How much of a workbook with so many texts of their own is read to show its first rows."""
    texts = "".join(
        f"<si><t>{uuid5(NAMESPACE_URL, str(number))}@example.com</t></si>"
        for number in range(people)
    )
    rows = "".join(
        f'<row r="{number + 1}"><c t="s"><v>{number}</v></c></row>'
        for number in range(1, people + 1)
    )
    heading = '<row r="1"><c t="s"><v>0</v></c></row>'
    content = workbook(heading + rows, texts=f"<si><t>E-Mail</t></si>{texts}")
    file = _CountedReads(content)
    assert len(read_heading(file).rows) >= 5
    return file.octets


def test_a_preview_of_a_large_sheet_reads_no_more_than_that_of_a_smaller_one() -> None:
    smaller, larger = octets_read_for_a_preview(30_000), octets_read_for_a_preview(50_000)
    assert larger < smaller * 1.1


class _CountedReads(io.BytesIO):
    """Says how much of it was read."""

    octets = 0

    def read(self, size: int | None = -1, /) -> bytes:
        found = super().read(size)
        self.octets += len(found)
        return found


HEADING = '<row r="1"><c t="s"><v>0</v></c><c t="s"><v>1</v></c></row>'


def row_of(number: int) -> str:
    address = f'<c r="A{number}" t="inlineStr"><is><t>p{number}@example.com</t></is></c>'
    return f'<row r="{number}">{address}<c r="B{number}" t="s"><v>3</v></c></row>'


def sheet_of(people: int) -> str:
    """A heading, and so many people."""
    return HEADING + "".join(map(row_of, range(2, people + 2)))


def test_an_upload_is_taken_before_the_rows_of_its_sheet_are_read(people: People) -> None:
    taken = send(people.member, workbook(sheet_of(20_000)))
    assert (taken["status"], taken["total"], taken["workbook_percent"]) == ("pending", None, 0)
    job = ImportJob.objects.get(pk=taken["id"])
    assert (job.size, job.columns) == (0, ["E-Mail", "Vorname"])


def test_a_sheet_is_read_and_imported_piece_by_piece(people: People) -> None:
    count = 20_000
    taken = send(people.member, workbook(sheet_of(count)))
    seen: list[int] = []
    while state_of(people.member, taken)["status"] != "completed":
        job = ImportJob.objects.get(pk=taken["id"])
        assert job.claim()
        carry_on(job, seconds=0)
        job.release()
        seen.append(state_of(people.member, taken)["workbook_percent"])
    assert len(set(seen)) > 2, "progress is told while the sheet is read"
    assert seen == sorted(seen)
    assert seen[-1] == 100
    state = state_of(people.member, taken)
    assert counts(state) == (count, count, 0, 0)
    assert Contact.objects.filter(email="p20001@example.com", first_name="Änn B.").exists()
    assert not ImportChunk.objects.exists()


def test_a_workbook_that_proves_broken_is_refused_in_words_and_forgotten(people: People) -> None:
    sheet = sheet_of(5_000) + '<row r="3"/>'
    state = upload(people.member, workbook(sheet))
    assert (state["status"], state["imported"]) == ("failed", 0)
    assert state["error"] == (
        "This is an archive, and no workbook that can be read. Save the sheet as CSV."
    )
    assert not Contact.objects.exists()
    assert not ImportChunk.objects.exists()


def test_a_cancelled_import_reads_no_more_of_its_sheet(people: People) -> None:
    taken = send(people.member, workbook(sheet_of(5_000)))
    assert ImportJob.objects.get(pk=taken["id"]).cancel()
    run_import(taken["id"])
    state = state_of(people.member, taken)
    assert (state["status"], state["workbook_percent"]) == ("cancelled", 0)


def deep_sheet(heading: str) -> bytes:
    """The rows of this begin behind much that says nothing, as where texts were sorted."""
    return workbook(f"<!--{' ' * 40_000_000}-->{heading}{row_of(2)}")


def test_columns_that_come_late_are_found_in_the_background(people: People) -> None:
    taken = send(people.member, deep_sheet(HEADING), mapping='{"Vorname": "last_name"}')
    assert ImportJob.objects.get(pk=taken["id"]).columns == []
    run_import(taken["id"])
    assert counts(state_of(people.member, taken)) == (1, 1, 0, 0)
    assert Contact.objects.get().last_name == "Änn B."


def test_columns_that_come_late_and_hold_no_address_fail_the_import(people: People) -> None:
    nameless = '<row r="1"><c t="s"><v>1</v></c></row>'
    state = upload(people.member, deep_sheet(nameless))
    assert state["status"] == "failed"
    assert "No column holds email addresses" in state["error"]


def test_a_small_part_that_unpacks_to_much_is_refused_at_once(people: People) -> None:
    file = named_file(workbook(book=f"<!--{' ' * 20_000_000}-->"), "bomb.xlsx")
    answer = people.member.api.post("/api/contacts/import", {"file": file}, format="multipart")
    assert answer.status_code == 400
    assert "unpacks to more" in answer.json()["details"]["fields"]["file"][0]
    assert not ImportJob.objects.received().exists()


BOMB = '<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;&b;">]>'


@pytest.mark.parametrize(
    "content",
    [
        workbook()[:-30],
        workbook(texts=""),
        workbook("<row r='1'><c t='s'><v>-1</v></c></row>"),
        workbook("<row r='5'/><row r='2'/>"),
        workbook("<row r='99999999'/>"),
        workbook("<row><c><v>many</v></c></row>"),
        workbook("<row><c s='1'><v>1e300</v></c></row>"),
        workbook("<row>"),
        workbook(head=BOMB),
    ],
    ids=lambda content: f"{len(content)} bytes",
)
def test_what_is_no_workbook_is_refused_in_words(content: bytes) -> None:
    with pytest.raises(InvalidInput, match="no workbook that can be read"):
        lines_of(content)


def test_an_import_puts_its_people_on_lists(people: People) -> None:
    news, offers = (
        ContactList.objects.create(tenant=people.tenant, name=name) for name in ("News", "Offers")
    )
    Contact.objects.create(tenant=people.tenant, email="ann@example.com")
    left = Contact.objects.create(tenant=people.tenant, email="bob@example.com")
    ListMember.objects.create(list=news, contact=left, state="unsubscribed")
    for _ in range(2):
        state = upload(people.member, workbook(), list_ids=f"[{news.pk}, {offers.pk}]")
        assert state["list_ids"] == [news.pk, offers.pk]
    assert set(ListMember.objects.values_list("list__name", "contact__email", "state")) == {
        ("News", "ann@example.com", "subscribed"),
        ("News", "bob@example.com", "unsubscribed"),
        ("Offers", "ann@example.com", "subscribed"),
        ("Offers", "bob@example.com", "subscribed"),
    }


@pytest.mark.parametrize("given", ["[987654321]", "x", '["1"]', "{}", "[true]"])
def test_lists_that_are_none_are_refused(people: People, given: str) -> None:
    theirs = ContactList.objects.create(tenant=people.other_tenant, name="Theirs")
    for text in (given, f"[{theirs.pk}]"):
        form = {"file": named_file("email\na@example.com\n"), "list_ids": text}
        answer = people.member.api.post("/api/contacts/import", form, format="multipart")
        assert answer.status_code == 400
        assert "list_ids" in answer.json()["details"]["fields"]
