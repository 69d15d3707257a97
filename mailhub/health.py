"""Is the process up, and can it do its work? For load balancers and monitors."""

from __future__ import annotations

from collections.abc import Callable

from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe
from django_q.brokers import get_broker
from django_q.status import Stat

from mailboxes.models import Watcher
from mailhub.logs import get_logger

log = get_logger(__name__)

_NEEDED = ("database", "broker", "workers")


@require_safe
def healthz(_request: HttpRequest) -> JsonResponse:
    """200 as long as the process answers."""
    return JsonResponse({"status": "ok"})


@require_safe
def readyz(_request: HttpRequest) -> JsonResponse:
    """200 when the database, the queue's broker and at least one worker are there, else 503.

    Whether a watcher is there is told, and no more: without one requests are answered all
    the same, but no mail is fetched that nobody asks for.
    """
    parts = ask_parts()
    down = [name for name in _NEEDED if not parts[name]]
    if down:
        log.error("not ready", down=down)
    return JsonResponse(
        {
            "status": "not_ready" if down else "ok",
            **{name: "ok" if works else "down" for name, works in parts.items()},
        },
        status=503 if down else 200,
    )


def ask_parts() -> dict[str, bool]:
    """Which part of the installation answers, by its name."""
    return {
        "database": _works("database", _ask_database),
        "broker": _works("broker", lambda: bool(get_broker().ping())),
        "workers": _works("workers", lambda: bool(Stat.get_all())),
        "watcher": _works("watcher", Watcher.objects.alive().exists),
    }


def _ask_database() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        return bool(cursor.fetchone() == (1,))


def _works(name: str, ask: Callable[[], bool]) -> bool:
    try:
        return ask()
    except Exception as error:
        log.warning("no answer", part=name, error=str(error))
        return False
