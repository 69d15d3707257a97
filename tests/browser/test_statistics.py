"""The statistics page as a person reads it."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone
from playwright.sync_api import expect

from campaigns.models import Delivery
from tests.browser.conftest import Desk
from tests.pages.mailings import make_campaign
from tests.people import People


def test_the_days_are_drawn_and_narrowed(members_desk: Desk, people: People) -> None:
    now = timezone.now()
    make_campaign(people.member, sent=60, failed=4, started_at=now - timedelta(days=20))
    for number, row in enumerate(Delivery.objects.order_by("pk")):
        Delivery.objects.filter(pk=row.pk).update(
            finished_at=now - timedelta(days=number % 12),
            opened_at=now if number % 3 else None,
            clicked_at=None if number % 5 else now,
            bounced_at=None if number % 9 else now,
        )
    page = members_desk.open("/statistics")
    expect(page.locator("#total-sent")).to_have_text("60")
    members_desk.look("statistics")
    page.get_by_role("link", name="By sender").click()
    expect(page.get_by_role("rowheader", name="news@acme.example")).to_be_visible()
    page.locator("#from").fill(f"{now - timedelta(days=2):%Y-%m-%d}")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("#total-sent")).not_to_have_text("60")
    members_desk.look("statistics-by-sender")
