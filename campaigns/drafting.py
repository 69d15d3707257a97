"""A campaign as it is being written: changed at will, and checked whole when it is to go."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts.caller import Caller
from accounts.hosts import refuse_private_host
from accounts.models import EmailAccount
from campaigns.audience import EVERYONE, Recipients, audience_rule, count_recipients
from campaigns.checking import check_size, check_texts, template_refused
from campaigns.composing import Composer
from campaigns.creation import CAMPAIGN_NAMES, PlannedServer
from campaigns.files import copy_rows, make_rows
from campaigns.lifecycle import change_pace, refuse_status, schedule_campaign, start_campaign
from campaigns.models import (
    Campaign,
    CampaignAttachment,
    CampaignAudience,
    CampaignKind,
    CampaignSender,
    CampaignStatus,
    Measure,
    SenderShare,
    SubjectTest,
    Template,
)
from campaigns.models.campaign import make_campaign_id
from campaigns.scheduling import refuse_past
from campaigns.senders import sent_as
from campaigns.servers import ses_of, way_of
from campaigns.subject_testing import subject_test_of
from mailhub.encryption import Sealed
from mailhub.errors import Conflict, InvalidInput
from mailhub.mail.errors import InvalidMessage
from mailhub.mail.merge import TemplateError
from mailhub.mail.message import Attachment

EDITABLE = (CampaignStatus.DRAFT, CampaignStatus.SCHEDULED)
MOST_SENDERS = 20
_OF_B = {"subject": "subject_b"}
_PACE = frozenset({"rate_per_second", "rate_per_hour", "rate_per_day", "failure_limit"})


@dataclass(frozen=True, slots=True)
class Changes:
    """What a person changes of a draft; None and what is missing stay as they are.

    `fields` are those of the campaign's row. A template fills in the texts and files that
    are not given beside it. `audience` with `everyone` is for all contacts.
    """

    fields: dict[str, Any] = field(default_factory=dict)
    template: Template | None = None
    files: Sequence[Attachment] | None = None
    audience: Recipients | None = None
    everyone: bool = False
    account: EmailAccount | None = None
    server: PlannedServer | None = None
    by_default: bool = False
    senders: Sequence[SenderShare] | None = None
    subject_test: SubjectTest | None = None
    without_test: bool = False


def create_draft(caller: Caller, changes: Changes) -> Campaign:
    """A new draft. Raises InvalidInput and TooLarge, as `change_draft` does."""
    campaign = Campaign(tenant=caller.tenant, created_by=caller.user, name="", subject="")
    with transaction.atomic():
        campaign.save()
        CampaignAudience.objects.create(campaign=campaign)
        _apply(caller, campaign, changes)
    return campaign


def change_draft(caller: Caller, campaign: Campaign, changes: Changes) -> Campaign:
    """Change what is given, of a draft or of one that waits for its time.

    The latter must be fit to go afterwards, too. Of one that has begun, only how fast it goes
    and at how many failures it pauses. Raises InvalidInput, TooLarge, and Conflict.
    """
    if changes == Changes(fields=changes.fields) and changes.fields.keys() <= _PACE:
        change_pace(campaign, changes.fields)
        return campaign
    with transaction.atomic():
        campaign = _locked(campaign)
        _apply(caller, campaign, changes)
        if campaign.status == CampaignStatus.SCHEDULED:
            refuse_past(changes.fields.get("scheduled_at"))
            check_ready(campaign)
    return campaign


def add_files(campaign: Campaign, attachments: Sequence[Attachment]) -> None:
    """Let these go with the draft, beside those that do. Raises InvalidInput, TooLarge."""
    with transaction.atomic():
        campaign = _locked(campaign)
        _attach(campaign, make_rows(CampaignAttachment, campaign.tenant, attachments))
        _check_size(campaign)


def launch(campaign: Campaign, *, at_once: bool = False) -> Campaign:
    """Start it now, or schedule it where its time is still to come and not `at_once`.

    Raises InvalidInput, TooLarge and Conflict where it is not fit to go.
    """
    with transaction.atomic():
        campaign = _locked(campaign)
        check_ready(campaign)
        Campaign.objects.filter(pk=campaign.pk).update(total_contacts=campaign.total_contacts)
        is_for_later = campaign.scheduled_at is not None and campaign.scheduled_at > timezone.now()
        if is_for_later and not at_once:
            schedule_campaign(campaign)
        else:
            start_campaign(campaign)
    return campaign


def duplicate(caller: Caller, campaign: Campaign) -> Campaign:
    """A new draft that says the same to the same people; without a server's password."""
    made = Campaign.objects.get(pk=campaign.pk)
    blank = Campaign(tenant=caller.tenant, created_by=caller.user)
    for name in (
        *("pk", "resumes_at", "status", "created_by", "smtp_password", "scheduled_at"),
        *("started_at", "completed_at", "total_contacts", "last_error", "pause_reason"),
        *("judged_sent", "judged_failed", "paced_until", "trouble_since", "retry_at"),
    ):
        setattr(made, name, getattr(blank, name))
    made._state = blank._state
    made.campaign_id = make_campaign_id(CampaignKind(campaign.kind))
    made.name = f"Copy of {campaign.name}"[:200]
    rules = CampaignAudience.objects.filter(campaign=campaign).values_list("rule", flat=True)
    with transaction.atomic():
        made.save()
        CampaignAudience.objects.create(campaign=made, rule=rules.first() or {})
        _attach(made, copy_rows(CampaignAttachment, campaign.attachments.all()))
        _share(made, [copy_share(share) for share in campaign.senders.all()])
        test = subject_test_of(campaign)
        if test is not None:
            SubjectTest.objects.create(
                campaign=made,
                subject_b=test.subject_b,
                percent=test.percent,
                wait_minutes=test.wait_minutes,
                measure=test.measure,
            )
    return made


def delete_campaign(campaign: Campaign) -> None:
    """Forget one that has written to nobody. Raises Conflict: history is kept."""
    with transaction.atomic():
        rows = Campaign.objects.select_for_update().filter(pk=campaign.pk, started_at=None)
        over = (*EDITABLE, CampaignStatus.CANCELLED)
        found = rows.filter(status__in=over).first()
        if found is None:
            words = "This campaign has begun: its history is kept."
            raise Conflict(words, code="campaign_kept")
        found.delete()


def check_ready(campaign: Campaign) -> None:
    """Whether it can go as it stands; counts its recipients.

    Raises InvalidInput, TooLarge, Conflict and HostNotAllowed.
    """
    if not campaign.subject.strip():
        raise InvalidInput.field("subject", "Give the message a subject.")
    if not campaign.html_body.strip() and not campaign.text_body.strip():
        raise InvalidInput.field("body", "Give a body, a text_body or both.")
    _check_size(campaign)
    _check_test(campaign)
    for each in sent_as(campaign):
        _check_sender(each)
    campaign.total_contacts = count_recipients(campaign.tenant, campaign.audience.rule)
    if not campaign.total_contacts:
        raise InvalidInput("There is nobody to send this campaign to.", code="no_recipients")


def _check_test(campaign: Campaign) -> None:
    test = subject_test_of(campaign)
    if test is None:
        return
    if not test.subject_b.strip():
        raise InvalidInput.field("subject_test", "Give the other subject, too.")
    is_counted = campaign.tracks_opens if test.measure == Measure.OPENS else campaign.tracks_clicks
    if not is_counted:
        words = f"Two subjects cannot be compared by {test.measure} that are not counted."
        raise InvalidInput.field("tracking", words)


def _check_sender(campaign: Campaign) -> None:
    if not campaign.from_email:
        raise InvalidInput.field("from_email", "Give the sender's address.")
    if campaign.sender == CampaignSender.SERVER:
        refuse_private_host(campaign.smtp_host, campaign.smtp_port or 0)
        if campaign.smtp_username and not campaign.smtp_password:
            words = "Give the server's password."
            raise InvalidInput.field("smtp_password", words)
    way_of(campaign)
    ses = ses_of(campaign)
    if ses is not None:
        sizes = campaign.attachments.values_list("size", flat=True)
        check_size((campaign.html_body, campaign.text_body), sizes, ses.size_limit)
    try:
        Composer.of(campaign)
    except TemplateError as error:
        raise template_refused(error, CAMPAIGN_NAMES) from error
    except InvalidMessage as error:
        raise InvalidInput(error.message, code="invalid_message") from error


def _locked(campaign: Campaign) -> Campaign:
    rows = Campaign.objects.select_for_update(of=("self",)).select_related("tenant")
    found = rows.filter(pk=campaign.pk, status__in=EDITABLE).first()
    if found is None:
        refuse_status(campaign)
    return found


def _apply(caller: Caller, campaign: Campaign, changes: Changes) -> None:
    fields = dict(changes.fields)
    if changes.template is not None:
        template = changes.template
        texts = {"subject": template.subject, "html_body": template.html}
        fields = {"template": template, **texts, "text_body": template.text, **fields}
    for name, value in fields.items():
        setattr(campaign, name, value)
    _choose_sender(campaign, changes)
    campaign.name = campaign.name or campaign.subject[:200] or "Untitled"
    check_texts(
        subject=campaign.subject,
        html=campaign.html_body,
        text=campaign.text_body,
        names=CAMPAIGN_NAMES,
    )
    campaign.save()
    if changes.audience is not None or changes.everyone:
        rule = audience_rule(caller, changes.audience or Recipients())
        rule = {EVERYONE: True} if changes.everyone else rule
        campaign.audience.rule = rule
        campaign.audience.save(update_fields=["rule"])
    if changes.senders is not None:
        _share(campaign, changes.senders)
    if changes.subject_test is not None or changes.without_test:
        SubjectTest.objects.filter(campaign=campaign).delete()
    if changes.subject_test is not None:
        check_texts(subject=changes.subject_test.subject_b, html="", text="", names=_OF_B)
        changes.subject_test.campaign = campaign
        changes.subject_test.save(force_insert=True)
    if changes.files is not None:
        campaign.attachments.all().delete()
        _attach(campaign, make_rows(CampaignAttachment, campaign.tenant, changes.files))
    elif changes.template is not None:
        campaign.attachments.all().delete()
        kept = changes.template.attachments.all()
        _attach(campaign, copy_rows(CampaignAttachment, kept))
    _check_size(campaign)


def _check_size(campaign: Campaign) -> None:
    sizes = campaign.attachments.values_list("size", flat=True)
    check_size((campaign.html_body, campaign.text_body), sizes)


def _choose_sender(campaign: Campaign, changes: Changes) -> None:
    """One of an account, a server of its own, and the installation's."""
    if changes.account is None and changes.server is None and not changes.by_default:
        return
    server = changes.server
    campaign.account = changes.account
    campaign.smtp_host = server.host if server else ""
    campaign.smtp_port = server.port if server else None
    campaign.smtp_encryption = server.encryption if server else ""
    campaign.smtp_username = server.username if server else ""
    campaign.smtp_password = Sealed("")
    if changes.account is not None:
        campaign.sender = CampaignSender.ACCOUNT
        campaign.from_email = campaign.from_email or changes.account.email_address
    elif server is not None:
        campaign.sender = CampaignSender.SERVER
        if server.password:
            campaign.keep_smtp_password(server.password)
    else:
        campaign.sender = CampaignSender.DEFAULT


def _attach(campaign: Campaign, rows: Iterable[CampaignAttachment]) -> None:
    for row in rows:
        row.campaign = campaign
        row.save()


def _share(campaign: Campaign, shares: Sequence[SenderShare]) -> None:
    if len(shares) > MOST_SENDERS:
        raise InvalidInput.field("senders", f"Give at most {MOST_SENDERS} senders.")
    if len({share.account_id for share in shares}) < len(shares):
        raise InvalidInput.field("senders", "Give each account once, with one weight.")
    campaign.senders.all().delete()
    for share in shares:
        share.campaign = campaign
        share.save()


def copy_share(share: SenderShare) -> SenderShare:
    """The same for another campaign, or for this one anew."""
    return SenderShare(
        account=share.account,
        from_email=share.from_email,
        weight=share.weight,
        rate_per_second=share.rate_per_second,
        rate_per_hour=share.rate_per_hour,
        rate_per_day=share.rate_per_day,
    )
