"""A person at a browser: logs in by the form, and notices what is wrong with a page.

The pages come from a server of this process (`live_server`), so that a test can change
what they show. A test takes `desk`; what the browser complains of fails it at its end.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, ViewportSize, expect
from pytest_django.live_server_helper import LiveServer

from tests.people import People, Person
from tests.servers.chromium import ARTEFACTS
from tests.servers.processes import wait_until
from tests.servers.site import RunningSite

# How long a page may take on a machine that is busy with other tests, in milliseconds.
PATIENCE = 60_000
expect.set_options(timeout=PATIENCE)
PASSWORD = "quite a long pass phrase"
DESKTOP: ViewportSize = {"width": 1280, "height": 800}
PHONE: ViewportSize = {"width": 390, "height": 844}
SET_PASSWORD = (
    "from accounts.models import User;"
    "user = User.objects.get(username='alice@acme');"
    f"user.set_password({PASSWORD!r});"
    "user.save()"
)
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
            self.page.set_viewport_size(size)
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
        self.page.set_viewport_size(DESKTOP)

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
    context = browser.new_context(viewport=DESKTOP, locale="en-GB")
    opened = Desk(context, live_server.url)
    yield opened
    context.close()
    wait_until(lambda: not _answering(), "the server has answered every request")
    assert not opened.complaints, opened.complaints


def _answering() -> list[str]:
    """Threads of `live_server` that are about a request, each with a database connection."""
    names = [thread.name for thread in threading.enumerate()]
    return [name for name in names if "process_request_thread" in name]


@pytest.fixture
def members_desk(desk: Desk, people: People) -> Desk:
    """A browser at which `people.member` is logged in, and that shows the first page."""
    enter(desk, people.member)
    return desk


@pytest.fixture
def key(site: RunningSite) -> str:
    """An API key of Alice's at a whole mailhub."""
    return site.create_api_key("acme", "alice")


@pytest.fixture
def alices_desk(browser: Browser, site: RunningSite, key: str) -> Iterator[Desk]:
    """A browser before that mailhub, where alice@acme may log in."""
    site.manage("shell", "-v", "0", "-c", SET_PASSWORD)
    context = browser.new_context(viewport=DESKTOP, locale="en-GB")
    desk = Desk(context, site.url)
    yield desk
    context.close()
    assert not desk.complaints, desk.complaints


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
