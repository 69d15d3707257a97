"""The main job as one person does it: import contacts, send a campaign, watch it arrive.

Over a whole mailhub with its workers, and a real SMTP server that can be told to dawdle.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
import requests
from playwright.sync_api import Page, expect

from mailhub.mail.transports.in_memory import ReceivedMessage
from tests.browser.conftest import PASSWORD, Desk
from tests.servers.site import RunningSite
from tests.servers.smtp import SmtpReceiver

PEOPLE = 400
BEFORE_THE_HALT = 150


class DawdlingReceiver(SmtpReceiver):
    """Stops after so many messages, until it is told to go on."""

    def __init__(self) -> None:
        super().__init__()
        self.may_go_on = Event()

    def record(self, message: ReceivedMessage) -> None:
        super().record(message)
        if len(self.messages) >= BEFORE_THE_HALT:
            self.may_go_on.wait(20)

    def recipients(self) -> Counter[str]:
        """How many messages each address got."""
        with self.lock:
            return Counter(
                address for message in self.messages for address in message.envelope.recipients
            )


@pytest.fixture
def receiver() -> Iterator[DawdlingReceiver]:
    with DawdlingReceiver() as running:
        yield running
        running.may_go_on.set()


def import_people(page: Page, file: Path) -> None:
    rows = "".join(f"person{number}@example.com,Person {number}\n" for number in range(PEOPLE))
    file.write_text(f"email,first name\n{rows}")
    page.get_by_role("link", name="Import contacts").click()
    page.get_by_label("CSV file").set_input_files(file)
    page.get_by_label("first name becomes").wait_for()
    page.get_by_role("button", name="Start the import").click()
    expect(page.locator(".report")).to_contain_text(f"{PEOPLE} new", timeout=60_000)


def send_campaign(url: str, key: str, port: int) -> str:
    """Start a campaign over the API; the address of its page."""
    answer = requests.post(
        f"{url}/api/smtp-campaign",
        headers={"Authorization": f"Token {key}"},
        json={
            "campaign_name": "Spring letter",
            "subject": "Hello {{ first_name }}",
            "body": "<p>Dear {{ first_name }}, spring is here.</p>",
            "from_email": "Acme <news@acme.example>",
            "smtp_server": "127.0.0.1",
            "smtp_port": port,
            "smtp_encryption": "none",
        },
        timeout=20,
    )
    assert answer.status_code == 202, answer.text
    address: str = answer.json()["progress_url"]
    return address


def test_import_send_watch_pause_and_resume(
    site: RunningSite, key: str, alices_desk: Desk, receiver: DawdlingReceiver, tmp_path: Path
) -> None:
    page = alices_desk.open("/")
    page.get_by_label("Name").fill("alice@acme")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    import_people(page, tmp_path / "people.csv")
    progress_page = send_campaign(site.url, key, receiver.port)
    page.goto(progress_page)
    good = page.locator("#part-good")
    expect(good).not_to_have_attribute("width", "0.000%", timeout=60_000)
    page.get_by_role("button", name="Pause").click()
    expect(page.locator(".title .status")).to_have_text("Paused")
    receiver.may_go_on.set()
    page.get_by_role("button", name="Resume").click()
    expect(page.locator(".report")).to_contain_text(
        f"accepted the message for {PEOPLE} of {PEOPLE} recipients", timeout=60_000
    )
    expect(good).to_have_attribute("width", "100.000%")
    alices_desk.look("main-job-completed")
    assert receiver.recipients() == {f"person{number}@example.com": 1 for number in range(PEOPLE)}
    page.get_by_role("link", name="Contacts").click()
    expect(page.locator("tbody tr").first.locator("time")).to_have_count(1)
