"""From a campaign and a recipient to the message on the wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from campaigns.feedback.proof import proof_writer, return_path
from campaigns.files import read_attachments
from campaigns.links.dressing import Dress
from campaigns.models import Campaign, CampaignAttachment, Variant
from campaigns.signing import signer_of
from campaigns.subject_testing import subject_test_of
from mailhub.mail.addresses import Address, parse_address
from mailhub.mail.dkim import DkimSigner
from mailhub.mail.merge import MergeTemplate, compile_text
from mailhub.mail.message import Attachment
from mailhub.mail.transports.base import Envelope
from mailhub.mail.transports.octets import Content


class Person(NamedTuple):
    """What of a contact may stand in a message; an address alone has no more than that."""

    email: str
    first_name: str = ""
    last_name: str = ""
    company: str = ""
    attributes: Mapping[str, Any] | None = None

    @property
    def name(self) -> str:
        """The display name, in one line."""
        return " ".join(f"{self.first_name} {self.last_name}".split())

    def variables(self) -> dict[str, object]:
        """What templates read: each field by its name and under `contact`, attributes too.

        A contact's own field wins over an attribute of the same name.
        """
        attributes = self.attributes if isinstance(self.attributes, Mapping) else {}
        contact: dict[str, object] = {
            **attributes,
            "email": self.email,
            "first_name": self.first_name,
            "last_name": self.last_name,
            "company": self.company,
            "attributes": attributes,
        }
        return {**contact, "contact": contact}


_OWN_FIELDS = ("email", "first_name", "last_name", "company")
PERSON_FIELDS = (*_OWN_FIELDS, "attributes")


class Composer:
    """A campaign's message compiled once; to be used from any thread.

    Raises TemplateError and InvalidMessage where the campaign cannot be sent as it stands.
    """

    def __init__(
        self,
        campaign: Campaign,
        attachments: Sequence[Attachment],
        signer: DkimSigner | None = None,
    ) -> None:
        sender = parse_address(campaign.from_email)
        given = {name.lower() for name in campaign.headers}
        own = own_headers(campaign, sender)
        self._campaign_id = campaign.campaign_id
        self._write_proof = proof_writer()
        self.domain = sender.domain.strip("[]")
        self._signer = signer
        self._sender = sender.address
        account = campaign.account
        # SES keeps an envelope's sender of its own, to hear of bounces.
        is_ours = account is not None and not account.ses_region
        self._bounce_address = account.bounce_address if account and is_ours else ""
        self._dress = Dress.of(campaign)
        self._template = MergeTemplate.compile(
            subject=campaign.subject,
            html=self._dress.html,
            text=self._dress.text,
            headers=campaign.headers
            | {name: value for name, value in own.items() if name.lower() not in given},
            sender=sender,
            reply_to=[parse_address(campaign.reply_to)] if campaign.reply_to else [],
            attachments=attachments,
        )
        self._test = subject_test_of(campaign)
        self._other = self._template
        if self._test is not None:
            other = compile_text(self._test.subject_b, "subject_b")
            self._other = replace(self._template, subject=other)

    @classmethod
    def of(cls, campaign: Campaign) -> Composer:
        """For a stored campaign, with its attachments and its domain's key.

        Raises SecretUnreadable, too.
        """
        rows = CampaignAttachment.objects.filter(campaign=campaign).select_related("file")
        domain = parse_address(campaign.from_email).domain
        return cls(campaign, read_attachments(rows), signer_of(campaign, domain))

    def message_id(self, delivery: int, attempt: int) -> str:
        """One for each attempt, told from the row alone, and not to be guessed."""
        return f"<{self._write_proof(delivery)}.{attempt}.{self._campaign_id}@{self.domain}>"

    @property
    def person_fields(self) -> tuple[str, ...]:
        """What of a contact its messages say, in the order of `Person`."""
        known = {*_OWN_FIELDS, *(f"contact.{name}" for name in _OWN_FIELDS), *self.links(0, 0)}
        compiled = (self._template, self._other)
        is_known = all(each.is_plain and each.variables <= known for each in compiled)
        return _OWN_FIELDS if is_known else PERSON_FIELDS

    @property
    def html(self) -> str:
        """The HTML template that is sent, with what was added to the campaign's."""
        return self._dress.html

    @property
    def text(self) -> str:
        """The text template that is sent."""
        return self._dress.text

    def links(self, delivery: int, contact: int) -> dict[str, object]:
        """The variables beside a person's own."""
        return self._dress.variables(delivery, contact)

    def compose(
        self,
        person: Person,
        message_id: str,
        *,
        delivery: int = 0,
        contact: int = 0,
        recipient: Address | None = None,
    ) -> tuple[Envelope, Content]:
        """The message for one person, to somebody else where `recipient` is given.

        `delivery` and `contact` are the keys of whom its links speak for; without them, as in
        a test message, the links change nothing. Raises TemplateError and InvalidMessage.
        """
        recipient = recipient or Address(person.name, person.email)
        links = self.links(delivery, contact)
        is_other = self._test is not None and self._test.variant_of(delivery) == Variant.B
        template = self._other if is_other else self._template
        content = template.make(
            recipient,
            person.variables() | links,
            message_id=message_id,
            own_fields=self._dress.fields(links),
        )
        if self._signer is not None:
            content = self._signer.sign(bytes(content))
        sender = self._sender
        if self._bounce_address and delivery:
            sender = return_path(self._bounce_address, delivery)
        return Envelope(sender, (recipient.address,)), content


def own_headers(campaign: Campaign, sender: Address) -> dict[str, str]:
    """Fields that every bulk message carries (RFC 2919, Gmail's Feedback-ID)."""
    tenant = campaign.tenant.slug
    domain = sender.domain.strip("[]")
    return {
        "List-Id": f"<{tenant}.{domain}>",
        "Feedback-ID": f"{campaign.campaign_id}:{tenant}:{campaign.kind}:mailhub",
        "Precedence": "bulk",
    }
