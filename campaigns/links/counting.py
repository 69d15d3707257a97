"""Opens and clicks as they come in: each counted once a minute at the most.

What comes again within the minute is only looked up. A delivery has at most 200 such events,
so that nobody who calls a link in a loop fills the database. What was counted never holds up
the image or the page that was asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from campaigns.composing import PERSON_FIELDS, Person
from campaigns.feedback.recording import Report, record_event
from campaigns.links.programs import name_program
from campaigns.links.tokens import LENGTH, Purpose, read_token
from campaigns.models import CampaignLink, Delivery, DeliveryEvent, EventKind, EventSource
from mailhub.mail.merge import CompiledText, TemplateError, compile_text

_MOST_EVENTS = 200
_LONGEST_NUMBER = 5


@dataclass(frozen=True, slots=True)
class Click:
    """A link of a campaign, followed by one of its recipients."""

    delivery: int
    link: CampaignLink
    target: str


def count_open(token: str, headers: Mapping[str, str]) -> None:
    """The image was fetched; nothing where the token is not ours."""
    named = read_token(Purpose.OPEN, token)
    if named is not None:
        _count(named.delivery, EventKind.OPEN, headers)


def find_click(token: str) -> Click | None:
    """Where a link leads; None for one that is not ours, or whose campaign is gone."""
    number = token[LENGTH + 1 :]
    is_number = number.isascii() and number.isdigit() and len(number) <= _LONGEST_NUMBER
    named = read_token(Purpose.CLICK, token[:LENGTH])
    if named is None or not is_number or token[LENGTH] != "-":
        return None
    campaigns = Delivery.objects.filter(pk=named.delivery).values("campaign")
    link = CampaignLink.objects.filter(campaign__in=campaigns, number=int(number)).first()
    if link is None:
        return None
    return Click(named.delivery, link, _target(link.target, named.delivery))


def count_click(click: Click, headers: Mapping[str, str]) -> None:
    """The link was followed."""
    _count(click.delivery, EventKind.CLICK, headers, click.link)


def _count(
    pk: int, kind: EventKind, headers: Mapping[str, str], link: CampaignLink | None = None
) -> None:
    now = timezone.now()
    sent_at = Delivery.objects.filter(pk=pk).values_list("finished_at", flat=True).first()
    program = name_program(headers, now, sent_at)
    start = f"{kind} {link.number} " if link else f"{kind} "
    start = f"automatic {start}" if program else start
    key = f"{start}{int(now.timestamp()) // 60}"
    own = DeliveryEvent.objects.filter(delivery=pk, source=EventSource.PAGE)
    known = set(own.values_list("key", flat=True)[:_MOST_EVENTS])
    if key in known or len(known) == _MOST_EVENTS:
        return
    details: dict[str, object] = {"link": link.number, "url": link.target} if link else {}
    if program:
        details["by"] = program
    report = Report(
        pk, kind, now, EventSource.PAGE, key, is_automatic=bool(program), details=details
    )
    with transaction.atomic():
        if record_event(report) is not None and link is not None:
            is_first = not own.filter(key__startswith=start).exclude(key=key).exists()
            _count_on_link(link, is_automatic=bool(program), is_first=is_first)


def _count_on_link(link: CampaignLink, *, is_automatic: bool, is_first: bool) -> None:
    rows = CampaignLink.objects.filter(pk=link.pk)
    if is_automatic:
        rows.update(automatic_clicks=F("automatic_clicks") + 1)
    else:
        rows.update(clicks=F("clicks") + 1, clicked=F("clicked") + int(is_first))


def _target(target: str, delivery: int) -> str:
    """The address for this recipient; never at another host than the campaign's link."""
    if "{{" not in target:
        return target
    compiled = _compiled(target)
    row = Delivery.objects.select_related("contact").filter(pk=delivery).first()
    contact = row and row.contact
    person = Person(row.email if row else "")
    if contact is not None:
        person = Person(*(getattr(contact, name) for name in PERSON_FIELDS))
    start = target.partition("{{")[0]
    try:
        found = compiled.render(person.variables())
    except TemplateError:
        return start
    return found if urlsplit(found).netloc == urlsplit(start).netloc else start


@lru_cache(maxsize=1000)
def _compiled(target: str) -> CompiledText:
    return compile_text(target, "link")
