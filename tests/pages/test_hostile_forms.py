"""Whatever stands in the fields of a page or behind its ?, it is answered, and by no defect."""

from __future__ import annotations

import re
from functools import partial

import pytest

from contacts.models import Contact
from tests.access.things import Things
from tests.pages.conftest import Visit
from tests.pages.test_every_page import PAGES, PARAMETER
from tests.people import People

FIELD = re.compile(r"<(?:input|select|textarea|button)\b[^>]*\bname=\"([^\"]+)\"")
ASKED = (
    *("q", "cursor", "status", "show", "from", "to", "by", "before", "account", "state", "within"),
    *("ids", "open", "list", "segment_id", "template", "email", "code", "view", "next", "limit"),
)
HOSTILE = ["²", "9" * 5000, "http://[bad", "-5", "[" * 50_000, "{{ x", "0001-01-01T00:00:00+14:00"]
# What fills a placeholder that is named otherwise than the thing.
NAMES = {
    "account_id": "account",
    "folder_id": "folder",
    "message_id": "message",
    "campaign_id": "drafted",
    "template_id": "template",
    "list_id": "list",
    "segment_id": "segment",
    "import_id": "import",
    "draft_id": "draft",
    "name": "user",
}


def paths(things: Things) -> list[str]:
    """Each page's address, of something that is there where a name says what."""
    contact = str(Contact.objects.for_caller(things.people.owner.caller).latest("pk").pk)
    keys = {"event-webhooks": "webhook", "dkim": "dkim", "topics": "topic"}

    def fill(address: str, match: re.Match[str]) -> str:
        name = match[0].strip("<>").rpartition(":")[2]
        if name == "contact_id":
            return contact
        if name == "pk":
            known = next((thing for part, thing in keys.items() if part in address), "key")
            return things.names[known]
        return things.names.get(NAMES.get(name, name), "none")

    return [
        "/" + PARAMETER.sub(partial(fill, address), address)
        for address in sorted(PAGES)
        if address != "logout"
    ]


@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.django_db
def test_no_value_of_a_field_is_a_defect(people: People, visit: Visit, value: str) -> None:
    things, client = Things(people), visit(people.owner)
    for path in paths(things):
        shown = client.get(path, dict.fromkeys(ASKED, value[:5000]))
        assert shown.status_code < 500, path
        page = client.get(path)
        is_page = page["Content-Type"].startswith("text/html")
        fields = dict.fromkeys(FIELD.findall(page.text), value) if is_page else {}
        for name in [None, *fields]:
            given = fields if name is None else {name: value}
            answer = client.post(path, given)
            assert answer.status_code < 500, (path, name)
            if answer.status_code == 405:
                break
