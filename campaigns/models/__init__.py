"""One model a file; everything that others may import is named here."""

from campaigns.models.campaign import (
    ACTIVE,
    OVER,
    Campaign,
    CampaignKind,
    CampaignSender,
    CampaignStatus,
    PauseReason,
)
from campaigns.models.campaign_attachment import CampaignAttachment
from campaigns.models.campaign_audience import CampaignAudience
from campaigns.models.campaign_tally import CampaignTally
from campaigns.models.delivery import (
    REMAINING,
    RESPONSES,
    SENDING,
    SHOWN_STATES,
    Delivery,
    DeliveryState,
    shown_as,
)
from campaigns.models.dkim_key import DkimKey
from campaigns.models.event import DeliveryEvent, EventKind, EventSource
from campaigns.models.link import CampaignLink
from campaigns.models.response_tally import ResponseTally
from campaigns.models.send_allowance import SendAllowance
from campaigns.models.send_shift import SendShift
from campaigns.models.sender_share import SenderShare
from campaigns.models.sending_pulse import SendingPulse
from campaigns.models.ses_notice import SesNotice
from campaigns.models.ses_topic import SesTopic
from campaigns.models.stored_file import StoredFile
from campaigns.models.subject_test import Measure, SubjectTest, Variant
from campaigns.models.template import Template
from campaigns.models.template_attachment import TemplateAttachment

__all__ = [
    "ACTIVE",
    "OVER",
    "REMAINING",
    "RESPONSES",
    "SENDING",
    "SHOWN_STATES",
    "Campaign",
    "CampaignAttachment",
    "CampaignAudience",
    "CampaignKind",
    "CampaignLink",
    "CampaignSender",
    "CampaignStatus",
    "CampaignTally",
    "Delivery",
    "DeliveryEvent",
    "DeliveryState",
    "DkimKey",
    "EventKind",
    "EventSource",
    "Measure",
    "PauseReason",
    "ResponseTally",
    "SendAllowance",
    "SendShift",
    "SenderShare",
    "SendingPulse",
    "SesNotice",
    "SesTopic",
    "StoredFile",
    "SubjectTest",
    "Template",
    "TemplateAttachment",
    "Variant",
    "shown_as",
]
