"""Every kind of event of SES, as notifications and as event publishing have it.

The shapes are those of AWS's documents, whole, with what is of no use here left in.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from campaigns.feedback.ses_events import read_event
from campaigns.models import EventKind
from mailhub.mail.bounce import Verdict

EMAIL = "ann@example.com"
MAIL = {
    "timestamp": "2026-11-01T10:00:00.000Z",
    "source": "Shop <shop@example.org>",
    "sourceArn": "arn:aws:ses:eu-west-1:123456789012:identity/example.org",
    "sourceIp": "192.0.2.7",
    "callerIdentity": "mailhub",
    "sendingAccountId": "123456789012",
    "messageId": "0102019d2f0a1b2c-000000",
    "destination": [EMAIL],
    "headersTruncated": False,
    "headers": [
        {"name": "From", "value": "Shop <shop@example.org>"},
        {"name": "To", "value": EMAIL},
        {"name": "Message-ID", "value": "<one@example.org>"},
    ],
    "commonHeaders": {"from": ["Shop <shop@example.org>"], "to": [EMAIL], "subject": "News"},
    "tags": {"ses:configuration-set": ["mailhub"], "campaign": ["ses_campaign_1"]},
}
AT = "2026-11-01T10:00:09.123Z"
# Name, key of its part, the part; what is read of it.
EVENTS: list[tuple[str, str, dict[str, Any], Any]] = [
    ("Send", "send", {}, (None, None)),
    (
        "Delivery",
        "delivery",
        {
            "timestamp": AT,
            "processingTimeMillis": 546,
            "recipients": [EMAIL],
            "smtpResponse": "250 ok:  Message 64111812 accepted",
            "reportingMTA": "a8-70.smtp-out.amazonses.com",
            "remoteMtaIp": "192.0.2.25",
        },
        (EventKind.DELIVERY, None),
    ),
    (
        "Bounce",
        "bounce",
        {
            "bounceType": "Permanent",
            "bounceSubType": "General",
            "bouncedRecipients": [
                {
                    "emailAddress": f"Ann <{EMAIL}>",
                    "action": "failed",
                    "status": "5.1.1",
                    "diagnosticCode": "smtp; 550 5.1.1 user unknown",
                }
            ],
            "timestamp": AT,
            "feedbackId": "0102-bounce-000000",
            "reportingMTA": "dsn; a8-70.smtp-out.amazonses.com",
        },
        (EventKind.BOUNCE, Verdict.HARD),
    ),
    (
        "Complaint",
        "complaint",
        {
            "complainedRecipients": [{"emailAddress": EMAIL}],
            "timestamp": AT,
            "feedbackId": "0102-complaint-000000",
            "complaintSubType": None,
            "userAgent": "Amazon SES Mailbox Simulator",
            "complaintFeedbackType": "abuse",
            "arrivalDate": AT,
        },
        (EventKind.COMPLAINT, Verdict.COMPLAINT),
    ),
    ("Reject", "reject", {"reason": "Bad content"}, (EventKind.REJECT, None)),
    (
        "DeliveryDelay",
        "deliveryDelay",
        {
            "timestamp": AT,
            "delayType": "TransientCommunicationFailure",
            "expirationTime": "2026-11-01T22:00:00.000Z",
            "delayedRecipients": [
                {
                    "emailAddress": EMAIL,
                    "status": "4.4.1",
                    "diagnosticCode": "smtp; 421 4.4.1 Unable to connect to remote host",
                }
            ],
        },
        (EventKind.DELAY, None),
    ),
    (
        "Rendering Failure",
        "failure",
        {"errorMessage": "Attribute 'name' is not present.", "templateName": "MyTemplate"},
        (EventKind.RENDERING_FAILURE, None),
    ),
    (
        "Open",
        "open",
        {"ipAddress": "192.0.2.1", "timestamp": AT, "userAgent": "Mozilla/5.0 (X11)"},
        (EventKind.OPEN, None),
    ),
    (
        "Click",
        "click",
        {
            "ipAddress": "192.0.2.1",
            "link": "https://example.org/news",
            "linkTags": {"part": ["head"]},
            "timestamp": AT,
            "userAgent": "Mozilla/5.0 (X11)",
        },
        (EventKind.CLICK, None),
    ),
    (
        "Subscription",
        "subscription",
        {
            "contactList": "News",
            "timestamp": AT,
            "source": "UnsubscribeHeader",
            "newTopicPreferences": {"unsubscribeAll": True, "topicSubscriptionStatus": []},
            "oldTopicPreferences": {"unsubscribeAll": False, "topicSubscriptionStatus": []},
        },
        (EventKind.SUBSCRIPTION, Verdict.OPT_OUT),
    ),
]


@pytest.mark.parametrize("form", ["notificationType", "eventType"])
@pytest.mark.parametrize(
    ("name", "key", "part", "wanted"), EVENTS, ids=[each[0] for each in EVENTS]
)
def test_an_event_is_read_in_either_form(
    form: str, name: str, key: str, part: dict[str, Any], wanted: Any
) -> None:
    event = read_event(json.dumps({form: name, "mail": MAIL, key: part}))
    assert event is not None
    kind, verdict = wanted
    assert (event.kind, event.provider_id) == (kind, "0102019d2f0a1b2c-000000")
    assert (event.campaign, event.message_id) == ("ses_campaign_1", "<one@example.org>")
    assert [(each.recipient, each.verdict) for each in event.happened] == (
        [(EMAIL, verdict)] if kind else []
    )
    assert event.at.isoformat() == (
        "2026-11-01T10:00:09.123000+00:00" if "timestamp" in part else "2026-11-01T10:00:00+00:00"
    )


def test_every_kind_of_ses_is_among_them() -> None:
    told = {wanted[0] for *_, wanted in EVENTS} - {None}
    # A page of ours tells of the one; the other is found by who it names.
    assert told == set(EventKind) - {EventKind.UNSUBSCRIBE, EventKind.ELSEWHERE}


@pytest.mark.parametrize("odd", ["a\\u0000b", "a\\ud800b", "a\\udc00\\ud800b"])
def test_nothing_that_no_database_holds_is_read(odd: str) -> None:
    for name, key, part, _ in EVENTS:
        text = json.dumps({"eventType": name, "mail": MAIL, key: part})
        event = read_event(text.replace("Ann", odd).replace("ann@", f"{odd}@").replace("ok", odd))
        assert event is not None
        words = repr([event.sent_to, event.campaign, event.happened])
        assert "\\x00" not in words
        assert "\\ud" not in words
        words.encode()
