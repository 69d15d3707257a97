"""A message as one person would get it, before anybody does; and to oneself, for a trial."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

from accounts.caller import Caller
from campaigns.checking import template_refused
from campaigns.composing import PERSON_FIELDS, Composer, Person
from campaigns.links.dressing import sample_links
from campaigns.models import Campaign
from campaigns.servers import way_of
from contacts.addresses import InvalidAddress, normalise_email
from contacts.models import Contact
from mailhub.errors import InvalidInput, MailServerRefused
from mailhub.mail.addresses import Address
from mailhub.mail.errors import InvalidMessage
from mailhub.mail.merge import Preview, TemplateError, render_preview
from mailhub.mail.message import Attachment, make_message_id
from mailhub.mail.transports.base import Result

MOST_TEST_RECIPIENTS = 10
# Stands for a contact where there is none yet (RFC 2606: it is nobody's).
_NOBODY = Person("someone@example.com", "Sam", "Sample", "Sample Ltd")
_TEST = "[Test] "


@dataclass(frozen=True, slots=True)
class Letter:
    """`raw` is the message on the wire; `person` whom it is for."""

    person: Person
    preview: Preview
    raw: bytes


def find_person(caller: Caller, email: str = "") -> Person:
    """The contact of this address; without one the newest, or an example where there is none.

    Raises InvalidInput for an address that is no contact's.
    """
    contacts = Contact.objects.for_caller(caller)
    if not email:
        newest = contacts.order_by("-pk").values_list(*PERSON_FIELDS).first()
        return Person(*newest) if newest else _NOBODY
    try:
        found = contacts.filter(email=normalise_email(email)).values_list(*PERSON_FIELDS).first()
    except InvalidAddress as error:
        raise InvalidInput.field("contact", str(error)) from error
    if found is None:
        raise InvalidInput.field("contact", "There is no contact of this address.")
    return Person(*found)


def preview_texts(*, subject: str, html: str, text: str, person: Person) -> Preview:
    """Raises InvalidInput (`template_error`), also for a variable that nobody knows.

    The links by which people leave are there, and change nothing.
    """
    try:
        return render_preview(
            subject=subject,
            html=html,
            text=text,
            variables=person.variables() | sample_links(),
        )
    except TemplateError as error:
        raise template_refused(error) from error


def write_letter(campaign: Campaign, attachments: Sequence[Attachment], person: Person) -> Letter:
    """The campaign's message to this person, as it stands. Raises InvalidInput."""
    _check_sender(campaign)
    try:
        composer = Composer(campaign, attachments)
        preview = render_preview(
            subject=campaign.subject,
            html=composer.html,
            text=composer.text,
            variables=person.variables() | composer.links(0, 0),
        )
        _, raw = composer.compose(person, composer.message_id(0, 0))
    except TemplateError as error:
        raise template_refused(error) from error
    except InvalidMessage as error:
        raise InvalidInput(error.message, code="invalid_message") from error
    return Letter(person, preview, bytes(raw))


def send_trial(
    campaign: Campaign,
    attachments: Sequence[Attachment],
    person: Person,
    recipients: Sequence[str],
) -> None:
    """Send it now, as `person` would get it, to these addresses.

    The subject says that it is a trial, and nothing of it is counted. Raises InvalidInput,
    MailError, and MailServerRefused in the server's words.
    """
    _check_sender(campaign)
    trial = copy.copy(campaign)
    trial.subject = _TEST + campaign.subject
    # A link that is counted leads on for a recipient of the campaign alone.
    trial.tracks_opens = trial.tracks_clicks = False
    try:
        composer = Composer(trial, attachments)
        letters = [
            composer.compose(
                person, make_message_id(composer.domain), recipient=Address("", recipient)
            )
            for recipient in recipients
        ]
    except TemplateError as error:
        raise template_refused(error) from error
    except InvalidMessage as error:
        raise InvalidInput(error.message, code="invalid_message") from error
    with way_of(campaign)() as transport:
        for envelope, content in letters:
            outcome = transport.send(envelope, content)
            if outcome.result is not Result.SENT:
                words = f"{envelope.recipients[0]}: {outcome.reason}"
                raise MailServerRefused(words, details={"reply": outcome.reason})


def _check_sender(campaign: Campaign) -> None:
    if not campaign.from_email:
        raise InvalidInput.field("from_email", "Give the sender's address first.")
