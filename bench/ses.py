"""A campaign over SES at its quota, and events of SES coming in.

    python -m bench.ses [--messages 30000] [--rate 500] [--workers 4] [--events 5000]

quota: a campaign with 4 workers over a server that enforces 500 recipients a second as SES does;
printed is how much of the quota was used between the first and the last message, the most in
any second, and how often the server had to refuse. events: signed notices posted at 10,000 a
minute by ten clients; printed is how long after the last one all of them were acted on.
"""

from __future__ import annotations

import argparse
import gc
import json
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from tests.faults.campaign_kill import prepare_sites
from tests.servers.ses import Limits, SesFake
from tests.servers.site import RunningSite, SiteTemplate
from tests.servers.sns import TOPIC, SnsFake

EVENTS_A_MINUTE = 10_000
LEAST_SHARE = 0.95
# As far away as SES is.
_LATENCY = 0.05
_CLIENTS = 10
_LONGEST = 240.0


class Caller:
    """The site's API."""

    def __init__(self, site: RunningSite, key: str) -> None:
        self._base, self._key = f"{site.url}/api/", key

    def call(self, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(
            self._base + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Token {self._key}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)


@contextmanager
def running(
    template: SiteTemplate, workers: int, ses: SesFake, sns: SnsFake
) -> Iterator[RunningSite]:
    """A site whose SES and SNS are those."""
    settings = {
        **ses.site_settings(),
        "MAILHUB_WORKERS": str(workers),
        "MAILHUB_SNS_ORIGINS": sns.origin,
        "MAILHUB_CA_FILE": str(sns.ca_file),
    }
    services = ("web", "workers", "dispatcher")
    site = RunningSite(template, only=services, workers=workers, settings=settings)
    try:
        site.start()
        yield site
    finally:
        site.remove()


def measure_quota(caller: Caller, ses: SesFake, messages: int, rate: float) -> str:
    """Send to everybody; the campaign's id."""
    campaign = caller.call(
        "ses-campaign",
        {
            "subject": "Hello {{ email }}",
            "body": "<p>Dear {{ email }}</p>" + "<p>words</p>" * 100,
            "from_email": "shop@example.org",
            "emails": [f"person{number}@example.com" for number in range(messages)],
        },
    )["campaign_id"]
    until = time.monotonic() + _LONGEST
    status: dict[str, Any] = {}
    while status.get("status") not in ("completed", "failed", "paused"):
        assert time.monotonic() < until, status
        time.sleep(0.5)
        status = caller.call(f"campaign-status/{campaign}")
    moments = sorted(each.at for each in ses.accepted)
    used = (len(moments) - 1) / (moments[-1] - moments[0]) / rate
    most = ses.recipients_within(1.0)
    print(
        f"  quota: {100 * used:.1f} % of {rate:.0f} a second, at most {most} in any second, "
        f"{ses.throttled} refused; {status['sent_count']:,} sent, {status['status']}",
        flush=True,
    )
    is_held = used >= LEAST_SHARE and most <= rate and not ses.throttled
    print(f"  {'held' if is_held else 'NOT HELD'}", flush=True)
    return str(campaign)


def measure_events(
    site: RunningSite, caller: Caller, sns: SnsFake, campaign: str, events: int
) -> None:
    """Post deliveries and bounces of the campaign, evenly, and wait until all are acted on."""
    ids = list(provider_ids(caller, campaign, events))
    notices: SimpleQueue[tuple[float, bytes]] = SimpleQueue()
    signed = [json.dumps(sns.notification(event_of(*each), version="2")).encode() for each in ids]
    began = time.monotonic() + 0.5
    for number, body in enumerate(signed):
        notices.put((began + number * 60 / EVENTS_A_MINUTE, body))
    late: list[float] = []
    clients = [
        threading.Thread(target=post_all, args=(site.url, notices, late)) for _ in range(_CLIENTS)
    ]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    ended = time.monotonic()
    until = ended + _LONGEST
    while caller.call(f"campaign-status/{campaign}")["bounced_count"] < len(ids) // 10:
        assert time.monotonic() < until, "the events are not acted on"
        time.sleep(0.1)
    pace = len(ids) / (ended - began) * 60
    print(
        f"  events: {pace:,.0f} a minute taken, at worst {max(late):.2f} s after their time; all "
        f"acted on {time.monotonic() - ended:.1f} s after the last",
        flush=True,
    )


def provider_ids(caller: Caller, campaign: str, most: int) -> Iterator[tuple[int, str, str]]:
    """Number, SES's id and address of the campaign's recipients."""
    cursor, number = "", 0
    while number < most:
        path = f"campaigns/{campaign}/deliveries?limit=500&state=sent{cursor}"
        page = caller.call(path)
        for row in page["deliveries"][: most - number]:
            yield number, row["provider_id"], row["email"]
            number += 1
        if page["next_cursor"] is None:
            return
        cursor = f"&cursor={page['next_cursor']}"


def event_of(number: int, provider_id: str, email: str) -> dict[str, Any]:
    """One of ten bounces, the others are delivered."""
    mail = {"messageId": provider_id, "destination": [email], "timestamp": "2026-11-01T10:00:00Z"}
    if number % 10:
        part = {
            "timestamp": "2026-11-01T10:00:01Z",
            "recipients": [email],
            "smtpResponse": "250 ok",
        }
        return {"eventType": "Delivery", "mail": mail, "delivery": part}
    recipient = {"emailAddress": email, "diagnosticCode": "smtp; 452 4.2.2 full", "status": "4.2.2"}
    part = {
        "bounceType": "Transient",
        "bounceSubType": "MailboxFull",
        "bouncedRecipients": [recipient],
        "timestamp": "2026-11-01T10:00:01Z",
        "feedbackId": f"feedback-{number}",
    }
    return {"eventType": "Bounce", "mail": mail, "bounce": part}


def post_all(url: str, notices: SimpleQueue[tuple[float, bytes]], late: list[float]) -> None:
    """Each when its time has come."""
    while True:
        try:
            when, body = notices.get_nowait()
        except Empty:
            return
        time.sleep(max(0.0, when - time.monotonic()))
        request = urllib.request.Request(
            f"{url}/api/webhooks/ses", data=body, headers={"Content-Type": "text/plain"}
        )
        with urllib.request.urlopen(request, timeout=60):
            late.append(time.monotonic() - when)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--messages", type=int, default=30_000)
    parser.add_argument("--rate", type=float, default=500.0)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--events", type=int, default=5_000)
    chosen = parser.parse_args()
    # A pause of the server that measures would look like messages that came together.
    gc.disable()
    with ExitStack() as stack:
        template = prepare_sites(stack, False)
        ses = stack.enter_context(SesFake())
        ses.latency, ses.limits = _LATENCY, Limits(rate=chosen.rate, daily=-1)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mailhub-bench-")))
        sns = SnsFake(folder)
        stack.callback(sns.close)
        site = stack.enter_context(running(template, chosen.workers, ses, sns))
        print(f"SES, {chosen.workers} workers on SQLite", flush=True)
        caller = Caller(site, site.create_api_key())
        caller.call("ses-topics", {"arn": TOPIC})
        campaign = measure_quota(caller, ses, chosen.messages, chosen.rate)
        measure_events(site, caller, sns, campaign, chosen.events)


if __name__ == "__main__":
    main()
