"""From a campaign and a recipient to the message on the wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from campaigns.models import Campaign, CampaignAttachment
from mailhub.mail.addresses import Address, parse_address
from mailhub.mail.merge import MergeTemplate
from mailhub.mail.message import Attachment
from mailhub.mail.transports.base import Envelope


@dataclass(frozen=True, slots=True)
class Person:
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


PERSON_FIELDS = ("email", "first_name", "last_name", "company", "attributes")


class Composer:
    """A campaign's message compiled once; to be used from any thread.

    Raises TemplateError and InvalidMessage where the campaign cannot be sent as it stands.
    """

    def __init__(self, campaign: Campaign, attachments: Sequence[Attachment]) -> None:
        sender = parse_address(campaign.from_email)
        given = {name.lower() for name in campaign.headers}
        own = own_headers(campaign, sender)
        self._campaign_id = campaign.campaign_id
        self._domain = sender.domain.strip("[]")
        self._sender = sender.address
        self._template = MergeTemplate.compile(
            subject=campaign.subject,
            html=campaign.html_body,
            text=campaign.text_body,
            headers=campaign.headers
            | {name: value for name, value in own.items() if name.lower() not in given},
            sender=sender,
            reply_to=[parse_address(campaign.reply_to)] if campaign.reply_to else [],
            attachments=attachments,
        )

    @classmethod
    def of(cls, campaign: Campaign) -> Composer:
        """For a stored campaign, with its attachments."""
        rows = CampaignAttachment.objects.filter(campaign=campaign)
        return cls(
            campaign,
            [Attachment(row.filename, bytes(row.content), row.content_type) for row in rows],
        )

    def message_id(self, delivery: int, attempt: int) -> str:
        """One for each attempt, told from the row alone."""
        return f"<{delivery}.{attempt}.{self._campaign_id}@{self._domain}>"

    def compose(self, person: Person, message_id: str) -> tuple[Envelope, bytes]:
        """The message for one person. Raises TemplateError and InvalidMessage."""
        recipient = Address(person.name, person.email)
        content = self._template.render(recipient, person.variables(), message_id=message_id)
        return Envelope(self._sender, (recipient.address,)), content


def own_headers(campaign: Campaign, sender: Address) -> dict[str, str]:
    """Fields that every bulk message carries (RFC 2919, Gmail's Feedback-ID)."""
    tenant = campaign.tenant.slug
    domain = sender.domain.strip("[]")
    return {
        "List-Id": f"<{tenant}.{domain}>",
        "Feedback-ID": f"{campaign.campaign_id}:{tenant}:{campaign.kind}:mailhub",
        "Precedence": "bulk",
    }
