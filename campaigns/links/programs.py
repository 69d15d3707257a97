"""Who fetched a link: a person's mail program, or a program that nobody asked.

Images and links of a message are fetched by proxies that load all of a mailbox beforehand,
and by scanners that look for attacks. What they do says nothing of the person, so it is
counted apart. Where a proxy fetches what a person looks at just then (Gmail's, Yahoo's), it
is the person.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta

# Nobody reads so fast; a scanner on the way is as fast as the server that it belongs to.
TOO_SOON = timedelta(seconds=5)

# Mail Privacy Protection names no browser and no system, and no browser does that.
_APPLE = "Mozilla/5.0"
_FOR_A_PERSON = re.compile(r"GoogleImageProxy|YahooMailProxy", re.IGNORECASE)
_PROGRAMS = re.compile(
    r"barracuda|mimecast|proofpoint|symantec|fireeye|trend ?micro|sophos|cloudmark|ironport"
    r"|safelinks|urlscan|virustotal|existence discovery|forefront|mailscanner"
    r"|bot\b|bot/|crawler|spider|slurp|preview|facebookexternalhit|whatsapp|skypeuri"
    r"|google-safety|google-read-aloud|apis-google|headless|phantomjs|lighthouse"
    r"|curl/|wget/|python|java/|okhttp|go-http-client|libwww|axios|node-fetch|ruby|guzzle"
    r"|httpclient|scrapy|postman",
    re.IGNORECASE,
)
_FETCHED_BEFORE = ("sec-purpose", "purpose", "x-purpose", "x-moz")


def name_program(headers: Mapping[str, str], now: datetime, sent_at: datetime | None) -> str:
    """What fetched it, in a few words for people; "" where that was the person.

    `sent_at` is when the server took the message, None where it has not yet.
    """
    agent = headers.get("User-Agent", "").strip()
    if any("prefetch" in headers.get(name, "") for name in _FETCHED_BEFORE) or any(
        "preview" in headers.get(name, "") for name in _FETCHED_BEFORE
    ):
        return "a browser, beforehand"
    if not agent:
        return "a program without a name"
    if agent == _APPLE:
        return "Apple Mail Privacy Protection"
    if not _FOR_A_PERSON.search(agent) and _PROGRAMS.search(agent):
        return "a scanner or another program"
    if sent_at is None or now - sent_at < TOO_SOON:
        return "within seconds of its sending"
    return ""
