"""A campaign's messages as the standard library reads them, with all that is added to them."""

from __future__ import annotations

import re
from email import message_from_bytes, policy
from email.message import EmailMessage

from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.models import Tenant
from campaigns.composing import Composer, Person
from campaigns.links.tokens import Purpose, read_token
from campaigns.models import Campaign
from mailhub.mail.addresses import Address
from mailhub.mail.merge import compile_text
from mailhub.mail.message import Attachment, OutgoingMessage
from tests.mail.test_merge import TestMergeTemplate as Merging
from tests.mail.test_merge import parts

DELIVERY, CONTACT = 2**47 - 1, 7
TARGET = "https://shop.example/" + "long/" * 300


def read(octets: bytes) -> EmailMessage:
    message = message_from_bytes(octets, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


@settings(max_examples=60, deadline=None)
@given(
    name=Merging.LINE,
    company=Merging.BODY,
    html=Merging.BODY,
    text=st.just("") | Merging.BODY,
    attachments=Merging.ATTACHMENTS,
    is_counted=st.booleans(),
)
def test_reads_as_what_the_standard_library_writes(
    *,
    name: str,
    company: str,
    html: str,
    text: str,
    attachments: list[Attachment],
    is_counted: bool,
) -> None:
    campaign = Campaign(
        tenant=Tenant(slug="acme", name="Acme"),
        subject="{{ first_name }}",
        html_body=f'{html}<a href="{TARGET}">{{{{ company }}}}</a>',
        text_body=text,
        from_email="Zoë <news@example.org>",
        tracks_opens=is_counted,
        tracks_clicks=is_counted,
    )
    person = Person("bob@example.com", name, "", company)
    message_id = "<1.1.c@example.org>"
    composer = Composer(campaign, attachments)
    envelope, content = composer.compose(person, message_id, delivery=DELIVERY, contact=CONTACT)
    octets = bytes(content)
    parsed = read(octets)
    assert envelope.recipients == ("bob@example.com",)

    unsubscribe = parsed["List-Unsubscribe"]
    found = re.fullmatch(r"<http://localhost:8000/u/([\w-]{36})>", unsubscribe)
    assert found and read_token(Purpose.LEAVE, found[1]) == (DELIVERY, CONTACT)
    links = composer.links(DELIVERY, CONTACT)
    variables = person.variables() | links
    expected = OutgoingMessage(
        sender=Address("Zoë", "news@example.org"),
        to=[Address(person.name, "bob@example.com")],
        subject=name,
        html=compile_text(composer.html, "html", html=True).render(variables),
        text=compile_text(composer.text, "text").render(variables),
        headers={
            "List-Id": "<acme.example.org>",
            "Feedback-ID": f"{campaign.campaign_id}:acme:smtp:mailhub",
            "Precedence": "bulk",
            "List-Unsubscribe": unsubscribe,
        },
        attachments=attachments,
        message_id=message_id,
        date=parsed["Date"].datetime,
    ).as_bytes()
    assert parts(octets) == parts(expected)
    assert octets.isascii()
    assert not any(len(line) > 998 for line in octets.split(b"\r\n"))
    body = parsed.get_body(("html",))
    assert body is not None
    assert ("/c/" in body.get_content()) == is_counted
    assert ("/o/" in body.get_content()) == is_counted
    assert (TARGET in body.get_content()) != is_counted
