"""A person at a browser: logs in by the form, and notices what is wrong with a page.

The pages come from a server of this process (`live_server`), so that a test can change
what they show. A test takes `desk`; what the browser complains of fails it at its end.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect
from pytest_django.live_server_helper import LiveServer

from tests.people import People, Person
from tests.servers.chromium import ARTEFACTS

# How long a page may take on a machine that is busy with other tests, in milliseconds.
PATIENCE = 20_000
expect.set_options(timeout=PATIENCE)
PASSWORD = "quite a long pass phrase"
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
AUDITED = {("desktop", "light"), ("phone", "dark")}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


class Desk:
    """One person's browser, with cookies of its own."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.url = url
        self.page: Page = context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.complaints: list[str] = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._note)

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.text} ({message.location})")

    def forgive(self, words: str) -> None:
        """Expect one complaint that has these words in it, as of a page that is meant to fail."""
        found = [complaint for complaint in self.complaints if words in complaint]
        assert found, f"no complaint of {words!r}: {self.complaints}"
        self.complaints.remove(found[0])

    def forgive_all(self, *words: str) -> None:
        """Expect any number of complaints that have one of these words in them."""
        self.complaints = [
            complaint
            for complaint in self.complaints
            if not any(word in complaint for word in words)
        ]

    def open(self, path: str) -> Page:
        """Show a page."""
        self.page.goto(f"{self.url}{path}")
        return self.page

    def log_in(self, person: Person, password: str = PASSWORD) -> Page:
        """Fill in the form of the login, as the page shows it."""
        self.page.get_by_label("Name").fill(person.user.username)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Log in").click()
        return self.page

    def look(self, name: str) -> None:
        """Check the page shown as people see it: both widths, both colour schemes.

        Nothing that axe-core finds (on a light desktop and a dark phone), nothing that must
        be scrolled sideways. Pictures are kept as test-artefacts/<name>-<width>-<scheme>.png.
        """
        ARTEFACTS.mkdir(exist_ok=True)
        for width, size in (("desktop", DESKTOP), ("phone", PHONE)):
            self.page.set_viewport_size(size)  # type: ignore[arg-type]  # a ViewportSize
            for scheme in ("light", "dark"):
                self.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
                picture = ARTEFACTS / f"{name}-{width}-{scheme}.png"
                self.page.screenshot(path=str(picture), full_page=True, animations="disabled")
                if (width, scheme) in AUDITED:
                    self._audit(f"{name} on a {width}, {scheme}")
            overflow = self.page.evaluate(
                "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
            assert overflow <= 0, f"{name} on a {width} is {overflow} px too wide"
        self.page.set_viewport_size(DESKTOP)  # type: ignore[arg-type]  # a ViewportSize

    def _audit(self, what: str) -> None:
        violations: list[dict[str, Any]] = Axe().run(self.page).response["violations"]
        told = [
            f"{violation['id']}: {violation['help']}: "
            + "; ".join(
                f"{node['target']} {' '.join(node['failureSummary'].split())}"
                for node in violation["nodes"][:3]
            )
            for violation in violations
        ]
        assert not told, f"{what}: {told}"


@pytest.fixture
def desk(browser: Browser, live_server: LiveServer) -> Iterator[Desk]:
    """A browser at which nobody is logged in yet."""
    context = browser.new_context(viewport=DESKTOP, locale="en-GB")  # type: ignore[arg-type]  # a ViewportSize
    opened = Desk(context, live_server.url)
    yield opened
    context.close()
    assert not opened.complaints, opened.complaints


@pytest.fixture
def members_desk(desk: Desk, people: People) -> Desk:
    """A browser at which `people.member` is logged in, and that shows the first page."""
    enter(desk, people.member)
    return desk


def enter(desk: Desk, person: Person) -> None:
    """Log the person in without the form, and show the first page."""
    client = Client()
    client.force_login(person.user, backend="django.contrib.auth.backends.ModelBackend")
    session = client.cookies[settings.SESSION_COOKIE_NAME].value
    desk.page.context.add_cookies(
        [{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": desk.url}]
    )
    desk.open("/")


def allow_to_log_in(person: Person) -> None:
    """Give the person the password that `Desk.log_in` types."""
    person.user.set_password(PASSWORD)
    person.user.save()
