"""Visitors of the pages: Django's test client, logged in without the form."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from tests.people import Person

Visit = Callable[[Person], Client]


def log_in(person: Person) -> Client:
    """A client with this person's session, to which a defect is a page and not an exception."""
    client = Client(raise_request_exception=False)
    client.force_login(person.user, backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def visit() -> Visit:
    return log_in
