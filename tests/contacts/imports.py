"""Files to import, and a way to carry their import through at once."""

from __future__ import annotations

import io
import json
from typing import Any

from contacts.models import Contact
from contacts.tasks import run_import
from tests.people import Person


def named_file(content: str | bytes, name: str = "people.csv") -> io.BytesIO:
    """An upload of this content."""
    file = io.BytesIO(content.encode() if isinstance(content, str) else content)
    file.name = name
    return file


def upload(
    person: Person, content: str | bytes, mapping: dict[str, Any] | None = None, *, key: str = ""
) -> Any:
    """The answer to POST contacts/import."""
    form: dict[str, Any] = {"file": named_file(content)}
    if mapping is not None:
        form["mapping"] = json.dumps(mapping)
    headers = {"Idempotency-Key": key} if key else {}
    return person.api.post("/api/contacts/import", form, format="multipart", headers=headers)


def import_at_once(
    person: Person, content: str | bytes, mapping: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Upload, run the task, and say what GET contacts/imports/{id} says then."""
    answer = upload(person, content, mapping)
    assert answer.status_code == 202, answer.content
    run_import(answer.json()["id"])
    state: dict[str, Any] = person.api.get(f"/api/contacts/imports/{answer.json()['id']}").json()
    return state


def counts(state: dict[str, Any]) -> tuple[int, int, int, int]:
    """total, imported, updated, failed."""
    return state["total"], state["imported"], state["updated"], state["failed"]


def bad_rows(person: Person, state: dict[str, Any]) -> list[tuple[int, str, str]]:
    """Line, reason and text of each bad row."""
    answer = person.api.get(f"/api/contacts/imports/{state['id']}/errors?limit=500").json()
    return [(row["line"], row["reason"], row["text"]) for row in answer["errors"]]


def stored(person: Person) -> dict[str, Contact]:
    """The tenant's contacts by address."""
    return {row.email: row for row in Contact.objects.for_caller(person.caller)}
