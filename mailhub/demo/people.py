"""Who gets the demonstration's campaign: 200 people from a list of names, always the same."""

from __future__ import annotations

import csv
import io
from itertools import islice, product
from typing import NamedTuple

_FIRST = [
    "Ada",
    "Bruno",
    "Chloé",
    "Dimitri",
    "Élodie",
    "Farid",
    "Grace",
    "Håkon",
    "Ines",
    "Jürgen",
    "Keiko",
    "Łukasz",
    "Maria",
    "Noor",
    "Oskar",
    "Priya",
    "Quentin",
    "Rosa",
    "Søren",
    "Tomás",
]
_LAST = [
    "Abe",
    "Brandt",
    "Costa",
    "Dubois",
    "Eriksen",
    "Fischer",
    "Gupta",
    "Haddad",
    "Ito",
    "Jansen",
]
_COMPANIES = ["Northwind", "Bluefin", "Cedar", "Larkspur", "Juniper"]
_CITIES = ["Lisbon", "Kyoto", "Tromsø", "Kraków", "Lyon", "Nairobi", "Montréal"]
_PLAIN = str.maketrans("éÉåüłŁøáó", "eEaulLoao")


class Guest(NamedTuple):
    """One line of the CSV."""

    email: str
    first_name: str
    last_name: str
    company: str
    city: str


def invite(count: int) -> list[Guest]:
    """The first `count` people, at most 200."""
    guests = []
    for number, (last, first) in enumerate(islice(product(_LAST, _FIRST), count)):
        address = f"{first}.{last}@example.com".translate(_PLAIN).lower()
        company, city = _COMPANIES[number % len(_COMPANIES)], _CITIES[number % len(_CITIES)]
        guests.append(Guest(address, first, last, company, city))
    return guests


def as_csv(guests: list[Guest]) -> bytes:
    """A CSV with a heading: email, first_name, last_name, company, city."""
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(Guest._fields)
    rows.writerows(guests)
    return text.getvalue().encode()
