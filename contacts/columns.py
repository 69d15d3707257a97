"""What each column of a file becomes: a field, an attribute, or nothing.

A target is `email`, `first_name`, `last_name`, `company`, `status`, `attributes` (a JSON
object), `attributes.<key>`, or "" for a column that is left out. What becomes `status` can
make a contact one that no campaign writes to, and never the reverse: so a column whose heading
says status is taken for it whatever it holds, and several may be, of which the word counts that
keeps the contact away.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from contacts.attributes import LONGEST_KEY
from contacts.models import fold
from mailhub.errors import InvalidInput

NAMES = ("first_name", "last_name", "company")
FIELDS = ("email", *NAMES, "status", "attributes")
MOST_COLUMNS = 500

EXPORT_COLUMNS = (
    "email",
    "first_name",
    "last_name",
    "company",
    "status",
    "attributes",
    "created_at",
    "last_email_sent",
    "last_campaign",
    "email_count",
)

# Folded, without anything but letters and digits.
_ALIASES: dict[str, str] = {
    alias: field
    for field, aliases in {
        "email": (
            "email mail emailaddress mailaddress emailadresse mailadresse emailadress epost "
            "epostadresse correo correoelectronico courriel adressemail adresseemail "
            "indirizzoemail emailadres subscriber useremail contactemail workemail emailid"
        ),
        "first_name": (
            "firstname first fname givenname given forename vorname prenom nombre nome "
            "voornaam fornamn fornavn imie contactfirstname"
        ),
        "last_name": (
            "lastname last lname surname familyname family nachname familienname nom "
            "nomdefamille apellido apellidos cognome sobrenome achternaam efternamn etternavn "
            "nazwisko contactlastname"
        ),
        "company": (
            "company companyname organisation organization organisationname "
            "organizationname firma unternehmen societe entreprise empresa azienda bedrijf "
            "foretag business employer"
        ),
        "status": (
            "status subscriptionstatus subscriberstatus emailstatus mailstatus contactstatus "
            "memberstatus optinstatus newsletterstatus marketingstatus emailmarketingstatus "
            "consentstatus emailconsentstatus abostatus anmeldestatus statut"
        ),
    }.items()
    for alias in aliases.split()
}


def map_columns(
    columns: Sequence[str], mapping: Mapping[str, str | None] | None = None
) -> list[str]:
    """The target of each column.

    `mapping` names columns by their heading; null leaves one out. Columns that it does not
    name are recognised by their usual headings, the rest become attributes. Raises
    InvalidInput (details.fields.mapping or .file).
    """
    if len(columns) > MOST_COLUMNS:
        raise InvalidInput.field("file", f"The file has more than {MOST_COLUMNS} columns.")
    given = _check_mapping(columns, mapping or {})
    targets = [given.get(column) for column in columns]
    taken = {target for target in targets if target}
    is_own_export = set(EXPORT_COLUMNS) <= set(columns)
    for position, column in enumerate(columns):
        if targets[position] is None:
            target = _recognise(column, position, taken, is_own_export=is_own_export)
            targets[position] = target
            taken.add(target)
    chosen = [target or "" for target in targets]
    if "email" not in chosen:
        raise InvalidInput.field(
            "file",
            "No column holds email addresses. Name the column `email`, or say in `mapping` "
            f"which it is. The columns are: {_listed(columns)}.",
        )
    return chosen


def _check_mapping(columns: Sequence[str], mapping: Mapping[str, str | None]) -> dict[str, str]:
    unknown = [name for name in mapping if name not in columns]
    if unknown:
        raise InvalidInput.field(
            "mapping",
            f"The file has no column {_listed(unknown)}. Its columns are: {_listed(columns)}.",
        )
    chosen: dict[str, str] = {}
    for column, target in mapping.items():
        chosen[column] = _check_target(target or "")
    named = [chosen[column] for column in columns if chosen.get(column)]
    twice = sorted({each for each in named if named.count(each) > 1 and each != "status"})
    if twice:
        raise InvalidInput.field("mapping", f"More than one column becomes {_listed(twice)}.")
    return chosen


def _check_target(target: str) -> str:
    prefix, dot, key = target.partition(".")
    if target in ("", *FIELDS):
        return target
    if (
        prefix == "attributes"
        and dot
        and key.strip()
        and "\0" not in key
        and len(key) <= LONGEST_KEY
    ):
        return target
    raise InvalidInput.field(
        "mapping",
        f"A column becomes one of {', '.join(FIELDS)} or attributes.<key>, not {target[:80]!r}.",
    )


def _recognise(column: str, position: int, taken: set[str], *, is_own_export: bool) -> str:
    if is_own_export and column in EXPORT_COLUMNS:
        return column if column in FIELDS else ""
    field = _ALIASES.get(re.sub(r"[\W_]+", "", fold(column)), "")
    if field == "status" or (field and field not in taken):
        return field
    key = attribute_key(column) or f"column_{position + 1}"
    target, number = f"attributes.{key}", 2
    while target in taken:
        target, number = f"attributes.{key}_{number}", number + 1
    return target


def attribute_key(heading: str) -> str:
    """`Favourite Colour` → `favourite_colour`: a name that a template can speak of."""
    return re.sub(r"\W+", "_", heading.strip().lower()).strip("_")[: LONGEST_KEY - 10]


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(f"“{name[:60]}”" for name in list(names)[:20])
    return f"{shown} and {len(names) - 20} more" if len(names) > 20 else shown
