"""What Prometheus reads: how the whole installation stands, counted when it asks.

The figures are no tenant's, so no tenant's key opens them: a monitor shows
`MAILHUB_METRICS_KEY`, or comes from `MAILHUB_METRICS_NETWORKS`. Only what is small or has an
index of its own is counted, so that a scrape costs the same however much mail is kept.

Text format: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from ipaddress import ip_address, ip_network
from typing import Any

from django.conf import settings
from django.db.models import Count, Min, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe
from django_q.brokers import get_broker
from django_q.status import Stat
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from accounts.models import EmailAccount, EventDelivery, EventDeliveryState
from campaigns.models import OVER, Campaign, CampaignStatus, SendShift
from contacts.models import ImportJob, ImportStatus
from mailboxes.models import DeadLetter, OutboxMessage, OutboxState, SyncRun, Watcher
from mailboxes.models.outbox_message import WAITING
from mailhub.api.errors import json_error
from mailhub.health import ask_parts

_OPEN_CAMPAIGNS = [status for status in CampaignStatus if status not in OVER]
_OPEN_IMPORTS = [ImportStatus.PENDING, ImportStatus.IN_PROGRESS]


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """The gauges in the format that the scraper asks for; 403 for others than monitors."""
    if not (_holds_key(request) or _comes_from_monitor(request)):
        return json_error(
            "forbidden", "Metrics need MAILHUB_METRICS_KEY or an allowed address.", 403
        )
    registry = CollectorRegistry()
    registry.register(Installation())
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return HttpResponse(encode(registry), content_type=content_type)


def _holds_key(request: HttpRequest) -> bool:
    kind, _, key = request.headers.get("Authorization", "").partition(" ")
    wanted = settings.MAILHUB_METRICS_KEY
    return bool(
        wanted
        and kind.lower() in {"bearer", "token"}
        and secrets.compare_digest(key.strip().encode(), wanted.encode())
    )


def _comes_from_monitor(request: HttpRequest) -> bool:
    """By the address of the connection: what a header says of it, anybody can say."""
    try:
        address = ip_address(request.META.get("REMOTE_ADDR", ""))
    except ValueError:  # a socket of this machine has none
        return False
    return any(address in ip_network(each) for each in settings.MAILHUB_METRICS_NETWORKS)


class Installation(Collector):
    """Its gauges, asked of the database and the queue anew each time."""

    def collect(self) -> Iterator[Metric]:
        """Each part's health first; what cannot be asked without the database is then left out."""
        parts = ask_parts()
        up = GaugeMetricFamily("mailhub_up", "1 where this part answers.", labels=["part"])
        for name, works in parts.items():
            up.add_metric([name], int(works))
        yield up
        if parts["broker"]:
            yield _gauge("mailhub_queue_tasks", "Tasks that no worker has taken.", _queued())
            yield _gauge("mailhub_worker_clusters", "Groups of workers.", len(Stat.get_all()))
        if parts["database"]:
            yield from _of_mail()
            yield from _of_campaigns()
            yield from _of_events()

    def describe(self) -> Iterable[Metric]:
        """Nothing ahead of time: registering asks no database."""
        return ()


def _of_mail() -> Iterator[Metric]:
    accounts = EmailAccount.objects.order_by()
    yield _gauge("mailhub_accounts", "Email accounts.", accounts.filter(is_enabled=True).count())
    disabled = accounts.filter(is_enabled=False).count()
    yield _gauge("mailhub_accounts_disabled", "Email accounts that are switched off.", disabled)
    yield _gauge("mailhub_watchers", "Watchers alive.", Watcher.objects.alive().count())
    syncs = SyncRun.objects.active().order_by()
    yield _by("mailhub_syncs", "Syncs that are not over.", syncs, "state")
    waiting = OutboxMessage.objects.waiting()
    yield _by("mailhub_outbox_messages", "Messages that are to leave.", waiting, "state", WAITING)
    in_hand = OutboxMessage.objects.filter(state=OutboxState.SENDING).count()
    yield _gauge("mailhub_outbox_in_hand", "Messages that a worker is sending.", in_hand)
    due = waiting.aggregate(oldest=Min("next_try_at"))["oldest"]
    late = max(0.0, (timezone.now() - due).total_seconds()) if due else 0.0
    yield _gauge("mailhub_outbox_late_seconds", "How long the oldest due message has waited.", late)
    letters = DeadLetter.objects.count()
    yield _gauge("mailhub_dead_letters", "Messages that nobody got, awaiting a person.", letters)


def _of_campaigns() -> Iterator[Metric]:
    open_ones = Campaign.objects.filter(status__in=_OPEN_CAMPAIGNS)
    yield _by("mailhub_campaigns", "Campaigns not over.", open_ones, "status", _OPEN_CAMPAIGNS)
    rate = sum(SendShift.objects.values_list("rate", flat=True))
    yield _gauge("mailhub_campaign_rate", "Messages a second accepted lately.", rate)
    imports = ImportJob.objects.filter(status__in=_OPEN_IMPORTS)
    yield _by("mailhub_imports", "Imports of contacts not over.", imports, "status", _OPEN_IMPORTS)


def _of_events() -> Iterator[Metric]:
    waiting = EventDelivery.objects.filter(state=EventDeliveryState.PENDING)
    count = waiting.filter(next_attempt_at__isnull=False).count()
    yield _gauge("mailhub_events_waiting", "Events that webhooks have yet to take.", count)


def _gauge(name: str, words: str, value: float) -> Metric:
    return GaugeMetricFamily(name, words, value=value)


def _by(
    name: str, words: str, rows: QuerySet[Any], field: str, always: Iterable[str] = ()
) -> Metric:
    """How many rows have each value of a field; those of `always` are shown at 0 too."""
    counts = {str(value): 0 for value in always}
    counts |= dict(rows.order_by().values_list(field).annotate(Count("pk")))
    family = GaugeMetricFamily(name, words, labels=[field])
    for value, count in counts.items():
        family.add_metric([str(value)], count)
    return family


def _queued() -> int:
    return int(get_broker().queue_size())
