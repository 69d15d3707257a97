"""A mail server that is away: a whole site tries it seldom, and goes on when it is back."""

from __future__ import annotations

import json
import time
import urllib.request
from typing import Any

from tests.servers.processes import free_port, wait_until
from tests.servers.site import RunningSite, SiteTemplate
from tests.servers.smtp import SmtpReceiver

RECIPIENTS = 300
WORKERS = 2
SHORTEST_PAUSE = 5
SAID = "nothing can be sent"


def test_it_is_tried_seldom_delays_nobody_and_is_taken_up_again(
    site_template: SiteTemplate, smtp_receiver: SmtpReceiver
) -> None:
    port = free_port()
    site = RunningSite(site_template, only=("web", "workers", "dispatcher"), workers=WORKERS)
    try:
        site.start()
        key = site.create_api_key()
        began = time.monotonic()
        held_up = [start(site, key, port) for _ in range(3)]
        wait_until(lambda: all(error_of(site, key, each) for each in held_up), "all are tried")
        healthy = start(site, key, smtp_receiver.port)
        wait_until(lambda: status_of(site, key, healthy) == "completed", "the other one ends")
        wait_until(lambda: site.said().count(SAID) > len(held_up), "one is tried again")
        tries = site.said().count(SAID)
        most = len(held_up) * (2 + (time.monotonic() - began) / SHORTEST_PAUSE)
        assert tries <= most, f"{tries} tries"
        with SmtpReceiver(port=port) as receiver:
            wait_until(
                lambda: all(status_of(site, key, each) == "completed" for each in held_up),
                "all go on when the server is back",
                seconds=40,
            )
            assert len(receiver.messages) == len(held_up) * RECIPIENTS
    except BaseException as error:
        error.add_note(site.said()[-4000:])
        raise
    finally:
        site.remove()


def start(site: RunningSite, key: str, port: int) -> str:
    """Start a campaign by a server on this port; its id."""
    payload = {
        "subject": "Hello",
        "body": "<p>Hello</p>",
        "from_email": "shop@example.org",
        "smtp_server": "127.0.0.1",
        "smtp_port": port,
        "smtp_encryption": "none",
        "emails": [f"person{number}@example.com" for number in range(RECIPIENTS)],
    }
    return str(call(site, key, "smtp-campaign", payload)["campaign_id"])


def status_of(site: RunningSite, key: str, campaign: str) -> str:
    return str(call(site, key, f"campaign-status/{campaign}")["status"])


def error_of(site: RunningSite, key: str, campaign: str) -> str:
    return str(call(site, key, f"campaign-status/{campaign}")["last_error"])


def call(
    site: RunningSite, key: str, path: str, payload: dict[str, Any] | None = None
) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{site.url}/api/{path}",
        data=None if payload is None else json.dumps(payload).encode(),
        headers={"Authorization": f"Token {key}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return dict(json.load(answer))
