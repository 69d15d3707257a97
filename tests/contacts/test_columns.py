"""Which column becomes what."""

from __future__ import annotations

import pytest

from contacts.columns import EXPORT_COLUMNS, map_columns
from contacts.formulas import guard, unguard
from mailhub.errors import InvalidInput

PEOPLE = ["email", "first_name", "last_name"]


@pytest.mark.parametrize(
    ("columns", "targets"),
    [
        (["E-Mail", "Vorname", "Nachname", "Firma"], [*PEOPLE, "company"]),
        (["Email Address", "First Name", "Surname"], ["email", "first_name", "last_name"]),
        (["Correo electrónico", "Nombre", "Apellidos"], ["email", "first_name", "last_name"]),
        (["Adresse e-mail", "Prénom", "NOM", "Société"], [*PEOPLE, "company"]),
        (["e_mail", "Favourite Colour", "Größe (cm)"],
         ["email", "attributes.favourite_colour", "attributes.größe_cm"]),
        (["email", "Mail", "City", "city", ""],
         ["email", "attributes.mail", "attributes.city", "attributes.city_2",
          "attributes.column_5"]),
        (["Subscription status", "email", "Status"], ["status", "email", "status"]),
        (list(EXPORT_COLUMNS),
         ["email", "first_name", "last_name", "company", "status", "attributes", "", "", "", ""]),
    ],
)  # fmt: skip
def test_usual_headings_are_recognised(columns: list[str], targets: list[str]) -> None:
    assert map_columns(columns) == targets


def test_a_mapping_goes_first() -> None:
    columns = ["Mail 1", "Email", "Town", "Notes", "Last"]
    mapping = {"Mail 1": "email", "Town": "attributes.city", "Notes": None}
    assert map_columns(columns, mapping) == [
        "email",
        "attributes.email",
        "attributes.city",
        "",
        "last_name",
    ]


@pytest.mark.parametrize(
    ("columns", "mapping", "field"),
    [
        (["a", "b"], {}, "file"),
        (["email"], {"email": None}, "file"),
        (["email"] + ["x"] * 500, {}, "file"),
        (["email", "b"], {"c": "company"}, "mapping"),
        (["email", "b"], {"b": "id"}, "mapping"),
        (["email", "b"], {"b": "attributes."}, "mapping"),
        (["email", "b"], {"b": "attributes." + "k" * 101}, "mapping"),
        (["a", "b", "c"], {"a": "email", "b": "email"}, "mapping"),
        (["a", "a"], {"a": "email"}, "mapping"),
    ],
)
def test_what_makes_no_sense_is_refused(
    columns: list[str], mapping: dict[str, str | None], field: str
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        map_columns(columns, mapping)
    assert field in refusal.value.details["fields"]


@pytest.mark.parametrize(
    "value", ["=1+1", "+49 221", "-1", "@A1", "\tx", "'=1", "''-1", "'quoted'", "O'Neil", "", "＝1"]
)
def test_a_guarded_value_comes_back(value: str) -> None:
    guarded = guard(value)
    assert not guarded.startswith(("=", "+", "-", "@", "\t", "＝"))
    assert unguard(guarded) == value
