"""Is the process up, and can it do its work? For load balancers and monitors."""

from __future__ import annotations

from collections.abc import Callable

from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe
from django_q.brokers import get_broker
from django_q.status import Stat

from mailhub.logs import get_logger

log = get_logger(__name__)


@require_safe
def healthz(_request: HttpRequest) -> JsonResponse:
    """200 as long as the process answers."""
    return JsonResponse({"status": "ok"})


@require_safe
def readyz(_request: HttpRequest) -> JsonResponse:
    """200 when the database, the queue's broker and at least one worker are there, else 503."""
    parts = {
        "database": _works("database", _ask_database),
        "broker": _works("broker", lambda: bool(get_broker().ping())),
        "workers": _works("workers", lambda: bool(Stat.get_all())),
    }
    ready = all(parts.values())
    return JsonResponse(
        {
            "status": "ok" if ready else "not_ready",
            **{name: "ok" if works else "down" for name, works in parts.items()},
        },
        status=200 if ready else 503,
    )


def _ask_database() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        return bool(cursor.fetchone() == (1,))


def _works(name: str, ask: Callable[[], bool]) -> bool:
    try:
        return ask()
    except Exception as error:
        log.warning("not ready", part=name, error=str(error))
        return False
