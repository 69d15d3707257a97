"""What an event of Amazon SES says: in the form of notifications, and in that of event publishing.

https://docs.aws.amazon.com/ses/latest/dg/notification-contents.html
https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html

Nothing in an event is taken for granted: what cannot be read is left out, and never raises.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.dateparse import parse_datetime

from campaigns.models import EventKind
from mailhub.mail.bounce import Action, Verdict, classify
from mailhub.mail.parsing.charsets import clean_text

LONGEST_REASON = 1000
_LONGEST_ADDRESS = 320
_MOST_RECIPIENTS = 100

_KINDS = {
    "bounce": EventKind.BOUNCE,
    "complaint": EventKind.COMPLAINT,
    "delivery": EventKind.DELIVERY,
    "deliverydelay": EventKind.DELAY,
    "reject": EventKind.REJECT,
    "renderingfailure": EventKind.RENDERING_FAILURE,
    "open": EventKind.OPEN,
    "click": EventKind.CLICK,
    "subscription": EventKind.SUBSCRIPTION,
}
_PARTS = {
    EventKind.DELAY: "deliveryDelay",
    EventKind.RENDERING_FAILURE: "failure",
}
_SUPPRESSED = {"suppressed", "onaccountsuppressionlist"}
_UNSUBSCRIBED = "unsubscribedrecipient"
_CONTENT = {"messagetoolarge", "contentrejected", "attachmentrejected"}
_PLAINLY_HARD = {"general", "noemail", ""}
_FEEDBACK = {
    "not-spam": Verdict.NOT_SPAM,
    "auth-failure": Verdict.AUTH_FAILURE,
}


@dataclass(frozen=True, slots=True)
class Happened:
    """What happened for one recipient ("" where the event names none).

    `key` names it among all events of this message and recipient.
    """

    recipient: str
    verdict: Verdict | None
    key: str
    details: dict[str, Any] = field(default_factory=dict)
    status: str = ""


@dataclass(frozen=True, slots=True)
class SesEvent:
    """`kind` is None for a `Send`: it tells that SES took the message, and no more.

    `sent_to` are the recipients of the message, `message_id` what stands in its header, in
    angle brackets, or "". `campaign` is the tag that campaigns send with.
    """

    kind: EventKind | None
    provider_id: str
    at: datetime
    sent_to: tuple[str, ...]
    message_id: str
    campaign: str
    happened: tuple[Happened, ...]
    agent: str = ""


def read_event(text: str) -> SesEvent | None:
    """The event, None for what is none that matters here (a topic's test message, for one)."""
    try:
        value = json.loads(text)
        if "\\u" in text:
            value = _storable(value)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    name = _text(value, "eventType") or _text(value, "notificationType")
    name = name.replace(" ", "").lower()
    mail = _object(value, "mail")
    provider_id = _text(mail, "messageId")
    if not provider_id or (name != "send" and name not in _KINDS):
        return None
    kind = None if name == "send" else _KINDS[name]
    part = _object(value, _PARTS.get(kind, name) if kind else name)
    sent_to = tuple(_addresses(mail.get("destination")))
    at = _moment(part) or _moment(mail) or timezone.now()
    happened = () if kind is None else tuple(_happened(kind, part, sent_to, at))
    return SesEvent(
        kind=kind,
        provider_id=provider_id,
        at=min(at, timezone.now()),
        sent_to=sent_to,
        message_id=_message_id(mail),
        campaign=_tag(mail, "campaign"),
        happened=happened,
        agent=_text(part, "userAgent")[:500],
    )


def tagged_tenant(text: str) -> str:
    """The slug of the tenant whose message an event is about, as its tags say; "" for none."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    return _tag(_object(value, "mail"), "tenant") if isinstance(value, dict) else ""


def _storable(value: Any) -> Any:
    """The same without what escapes can say and no database holds: NUL, half of a pair."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, list):
        return [_storable(each) for each in value]
    if isinstance(value, dict):
        return {clean_text(name): _storable(each) for name, each in value.items()}
    return value


def _happened(
    kind: EventKind, part: Mapping[str, Any], sent_to: tuple[str, ...], at: datetime
) -> Iterator[Happened]:
    told = at.isoformat()
    match kind:
        case EventKind.BOUNCE:
            yield from _bounced(part, told)
        case EventKind.COMPLAINT:
            yield from _complained(part, told)
        case EventKind.DELIVERY:
            reply = _text(part, "smtpResponse")[:LONGEST_REASON]
            for each in _addresses(part.get("recipients")) or list(sent_to):
                yield Happened(each, None, "delivery", {"reply": reply})
        case EventKind.DELAY:
            reason = _text(part, "delayType")
            for each, about in _recipients(part.get("delayedRecipients")):
                words = _text(about, "diagnosticCode") or reason
                yield Happened(each, None, f"delay:{told}", {"reason": words[:LONGEST_REASON]})
        case EventKind.REJECT | EventKind.RENDERING_FAILURE:
            reason = _text(part, "reason") or _text(part, "errorMessage")
            for each in sent_to:
                yield Happened(each, None, str(kind), {"reason": reason[:LONGEST_REASON]})
        case EventKind.OPEN | EventKind.CLICK:
            link = _text(part, "link")
            parts = (told, link, _text(part, "ipAddress"), _text(part, "userAgent"))
            digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
            details = {"url": link[:2000]} if link else {}
            for each in sent_to:
                yield Happened(each, None, f"{kind}:{digest}", details)
        case EventKind.SUBSCRIPTION:
            wants = _object(part, "newTopicPreferences")
            is_over = wants.get("unsubscribeAll") is True
            for each in sent_to:
                verdict = Verdict.OPT_OUT if is_over else None
                yield Happened(each, verdict, f"subscription:{told}")


def _bounced(part: Mapping[str, Any], told: str) -> Iterator[Happened]:
    kind = _text(part, "bounceType").lower()
    subtype = _text(part, "bounceSubType").lower()
    key = f"bounce:{_text(part, 'feedbackId') or told}"[:200]
    for each, about in _recipients(part.get("bouncedRecipients")):
        status, words = _text(about, "status"), _text(about, "diagnosticCode")
        verdict = _bounce_verdict(kind, subtype, status, words)
        reason = words or " ".join(filter(None, (status, kind, subtype)))
        details = {"reason": reason[:LONGEST_REASON]}
        yield Happened(each, verdict, key, details, status=status[:11])


def _bounce_verdict(kind: str, subtype: str, status: str, words: str) -> Verdict:
    """SES's own kind decides where the server's words leave it open, never against them."""
    if subtype in _SUPPRESSED:
        return Verdict.HARD
    if subtype == _UNSUBSCRIBED:
        return Verdict.OPT_OUT
    if subtype in _CONTENT:
        return Verdict.CONTENT
    if kind == "transient":
        # So SES also calls the vacation messages that it gets.
        return Verdict.SOFT if status or words else Verdict.AUTO_REPLY
    said = classify(status=status, text=words, action=Action.FAILED)
    is_plain = kind == "permanent" and subtype in _PLAINLY_HARD
    return Verdict.HARD if said is Verdict.UNCLEAR and is_plain else said


def _complained(part: Mapping[str, Any], told: str) -> Iterator[Happened]:
    feedback = _text(part, "complaintFeedbackType").lower()
    verdict = _FEEDBACK.get(feedback, Verdict.COMPLAINT)
    key = f"complaint:{_text(part, 'feedbackId') or told}"[:200]
    details = {"reason": feedback[:LONGEST_REASON]} if feedback else {}
    for each, _ in _recipients(part.get("complainedRecipients")):
        yield Happened(each, verdict, key, details)


def _text(value: Mapping[str, Any], name: str) -> str:
    found = value.get(name)
    return found if isinstance(found, str) else ""


def _object(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def _moment(value: Mapping[str, Any]) -> datetime | None:
    try:
        found = parse_datetime(_text(value, "timestamp"))
    except ValueError:
        return None
    return found if found is not None and found.tzinfo is not None else None


def _addresses(value: object) -> list[str]:
    texts = value if isinstance(value, list) else []
    kept = (each for each in texts[:_MOST_RECIPIENTS] if isinstance(each, str) and each)
    return [_bare(each) for each in kept]


def _recipients(value: object) -> Iterator[tuple[str, Mapping[str, Any]]]:
    rows = value if isinstance(value, list) else []
    for each in rows[:_MOST_RECIPIENTS]:
        if isinstance(each, dict) and (address := _text(each, "emailAddress")):
            yield _bare(address), each


def _bare(address: str) -> str:
    """SES tells some recipients with their names: `Ann <ann@example.org>`."""
    if address.endswith(">"):
        address = address.rpartition("<")[2].rstrip(">")
    return address.strip().lower()[:_LONGEST_ADDRESS]


def _message_id(mail: Mapping[str, Any]) -> str:
    headers = mail.get("headers")
    for each in headers if isinstance(headers, list) else []:
        if isinstance(each, dict) and _text(each, "name").lower() == "message-id":
            return _text(each, "value").strip()[:998]
    return ""


def _tag(mail: Mapping[str, Any], name: str) -> str:
    values = _object(mail, "tags").get(name)
    if isinstance(values, list) and values and isinstance(values[0], str):
        return values[0][:64]
    return ""
