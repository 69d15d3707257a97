"""The composer: a campaign written on one page, with its preview, its checks and its audience."""

from __future__ import annotations

import copy
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from accounts.pages import PageRequest, page
from campaigns.advice import advise
from campaigns.audience import AudienceGone
from campaigns.composing import Person
from campaigns.counting import AudienceCount, count_audience
from campaigns.drafting import (
    EDITABLE,
    Changes,
    add_files,
    change_draft,
    check_ready,
    create_draft,
    delete_campaign,
    duplicate,
    launch,
)
from campaigns.files import read_attachments, uploaded
from campaigns.lifecycle import unschedule_campaign
from campaigns.models import Campaign, CampaignStatus, Template
from campaigns.page_forms import INVALID, ComposerForm, sendable_accounts, sender_choices
from campaigns.preview_pages import show_html, show_problem, show_source, show_text
from campaigns.previewing import Letter, find_person, send_trial, write_letter
from campaigns.senders import sent_as
from campaigns.variables import say_refusal, variables_of
from contacts.addresses import InvalidAddress, normalise_email
from contacts.models import ContactList, Segment
from mailhub.errors import Conflict, InvalidInput, MailhubError
from mailhub.mail.errors import MailError
from mailhub.mail.message import Attachment
from mailhub.numbers import whole_number


@require_POST
@page(scope="campaigns", writes=True)
def add_campaign(request: PageRequest) -> HttpResponse:
    """Begin a draft, from a template where one is named."""
    template = None
    if request.POST.get("template"):
        templates = Template.objects.for_caller(request.caller)
        template = get_object_or_404(templates, pk=whole_number(request.POST["template"]))
    fields = {"name": template.name[:200] if template else "Untitled"}
    campaign = create_draft(request.caller, Changes(fields=fields, template=template))
    return redirect("compose-campaign", campaign.campaign_id)


@require_http_methods(["GET", "HEAD", "POST"])
@page(scope="campaigns", writes=True)
def compose(request: PageRequest, campaign_id: str) -> HttpResponse:
    """Every button of the page saves what is typed, and then does its own part."""
    campaign = _find(request, campaign_id)
    if campaign.status not in EDITABLE:
        return redirect("campaign", campaign_id)
    if request.method != "POST":
        return _show(request, campaign, ComposerForm.of(campaign))
    form = ComposerForm.posted(request.POST)
    act = request.POST.get("act", "save")
    try:
        campaign = _save(request, campaign, form)
        done = _act(request, campaign, act)
    except (MailhubError, MailError) as refusal:
        if act == "show":
            return show_problem(say_refusal(refusal))
        return _show(request, campaign, form, problem=say_refusal(refusal))
    return done or redirect("compose-campaign", campaign_id)


@require_POST
@page(scope="campaigns", writes=True)
def send(request: PageRequest, campaign_id: str) -> HttpResponse:
    """Start it now, after the question was answered."""
    try:
        launch(_find(request, campaign_id), at_once=True)
    except MailhubError as refusal:
        messages.error(request, say_refusal(refusal))
    return redirect("campaign", campaign_id)


@require_POST
@page(scope="campaigns", writes=True)
def copy_campaign(request: PageRequest, campaign_id: str) -> HttpResponse:
    """A new draft that says the same."""
    made = duplicate(request.caller, _find(request, campaign_id))
    return redirect("compose-campaign", made.campaign_id)


@require_http_methods(["GET", "HEAD", "POST"])
@page(scope="campaigns", writes=True)
def delete(request: PageRequest, campaign_id: str) -> HttpResponse:
    """Asks once, then forgets a campaign that has written to nobody."""
    campaign = _find(request, campaign_id)
    if request.method != "POST":
        return render(request, "campaigns/compose/delete.html", {"campaign": campaign})
    try:
        delete_campaign(campaign)
    except Conflict as refusal:
        messages.error(request, refusal.message)
        return redirect("campaign", campaign_id)
    messages.success(request, f"{campaign.name} is deleted.")
    return redirect("campaigns")


def _save(request: PageRequest, campaign: Campaign, form: ComposerForm) -> Campaign:
    changes, invalid = form.changes(request.caller, campaign)
    campaign = change_draft(request.caller, campaign, changes)
    if invalid:
        campaign.audience.rule = {**campaign.audience.rule, INVALID: invalid}
        campaign.audience.save(update_fields=["rule"])
    # What only looks takes no files: they would be taken again at each look.
    if request.POST.get("act") not in ("show", "checks"):
        add_files(campaign, [uploaded(each) for each in request.FILES.getlist("files")])
    return campaign


def _act(request: PageRequest, campaign: Campaign, act: str) -> HttpResponse | None:
    """What the button is for; None where the page is to be shown anew."""
    verb, _, key = act.partition(":")
    match verb:
        case "show":
            return _frame(request, campaign)
        case "checks":
            return render(request, "campaigns/compose/checks.html", _checked(request, campaign))
        case "detach":
            campaign.attachments.filter(pk=whole_number(key) or 0).delete()
        case "template":
            templates = Template.objects.for_caller(request.caller)
            wanted = whole_number(request.POST.get("template", ""))
            template = templates.filter(pk=wanted or 0).first()
            if template is None:
                raise InvalidInput.field("template", "Choose a template.")
            change_draft(request.caller, campaign, Changes(template=template))
        case "test":
            _try(request, campaign)
        case "unschedule":
            unschedule_campaign(campaign)
            messages.success(request, "It is a draft again: nothing is sent by itself.")
        case "send":
            return _ask(request, campaign)
        case "schedule":
            return _schedule(campaign)
        case _:
            messages.success(request, "Saved.")
    return None


def _ask(request: PageRequest, campaign: Campaign) -> HttpResponse:
    """The question that names how many get it."""
    check_ready(campaign)
    context = {
        "campaign": campaign,
        "counted": _count(campaign),
        "senders": [own.from_email for own in sent_as(campaign)],
    }
    return render(request, "campaigns/compose/sure.html", context)


def _schedule(campaign: Campaign) -> HttpResponse:
    if campaign.scheduled_at is None:
        raise InvalidInput.field("scheduled_at", "Give a day and a time to schedule it for.")
    if campaign.scheduled_at <= timezone.now():
        raise InvalidInput.field("scheduled_at", "That time has passed already.")
    launch(campaign)
    return redirect("campaign", campaign.campaign_id)


def _try(request: PageRequest, campaign: Campaign) -> None:
    try:
        to = normalise_email(request.POST.get("test_to", ""))
    except InvalidAddress as error:
        raise InvalidInput.field("test_to", f"Test to: {error}") from error
    own = sent_as(campaign)[0]
    if not own.from_email:
        raise InvalidInput.field("from_email", "Give the sender's address first.")
    send_trial(own, _files(campaign), _person(request), [to])
    messages.success(request, f"A test was sent to {to}.")


def _frame(request: PageRequest, campaign: Campaign) -> HttpResponse:
    files = _files(campaign)
    letter = write_letter(_sendable(campaign), files, _person(request))
    match request.POST.get("view"):
        case "text":
            return show_text(letter.preview.text)
        case "source":
            return show_source(letter.raw)
    if not letter.preview.html.strip():
        return show_text(letter.preview.text)
    return show_html(letter.preview.html, files)


def _show(
    request: PageRequest, campaign: Campaign, form: ComposerForm, problem: str = ""
) -> HttpResponse:
    caller = request.caller
    accounts = sendable_accounts(caller)
    context = {
        "campaign": campaign,
        "form": form,
        "problem": problem,
        "senders": sender_choices(form, campaign, accounts),
        "shares": [(each, form.weights.get(str(each.pk), "")) for each in accounts],
        "lists": ContactList.objects.for_caller(caller).order_by("name"),
        "segments": Segment.objects.for_caller(caller).order_by("name"),
        "templates": Template.objects.for_caller(caller).defer("html", "text").order_by("name"),
        "files": campaign.attachments.all(),
        "variables": variables_of(caller),
        "contact": request.POST.get("contact", "") or find_person(caller).email,
        "test_to": request.POST.get("test_to", "") or caller.user.email,
        "is_scheduled": campaign.status == CampaignStatus.SCHEDULED,
        **_checked(request, campaign),
    }
    template = "campaigns/compose/page.html"
    return render(request, template, context, status=400 if problem else 200)


def _checked(request: PageRequest, campaign: Campaign) -> dict[str, Any]:
    """The audience and the advice on the draft as it is stored."""
    counted: AudienceCount | None = None
    gone = ""
    try:
        counted = _count(campaign)
    except AudienceGone as error:
        gone = str(error)
    letter: Letter | None = None
    trouble = ""
    files = _files(campaign)
    try:
        letter = write_letter(_sendable(campaign), files, _person(request))
    except MailhubError as refusal:
        trouble = say_refusal(refusal)
    size = len(letter.raw) if letter else 0
    return {
        "campaign": campaign,
        "counted": counted,
        "invalid": campaign.audience.rule.get(INVALID, ()),
        "gone": gone,
        "trouble": trouble,
        "advice": advise(campaign, files, size, counted.total if counted else None),
        "shown_subject": letter.preview.subject if letter else "",
    }


def _count(campaign: Campaign) -> AudienceCount:
    return count_audience(campaign.tenant, campaign.audience.rule)


def _sendable(campaign: Campaign) -> Campaign:
    """With some sender, so that what is written can be seen before one is chosen."""
    own = copy.copy(sent_as(campaign)[0])
    own.from_email = own.from_email or "sender@example.com"
    return own


def _person(request: PageRequest) -> Person:
    return find_person(request.caller, request.POST.get("contact", "").strip())


def _files(campaign: Campaign) -> list[Attachment]:
    return read_attachments(campaign.attachments.select_related("file"))


def _find(request: PageRequest, campaign_id: str) -> Campaign:
    campaigns = Campaign.objects.for_caller(request.caller).select_related("audience", "tenant")
    return get_object_or_404(campaigns, campaign_id=campaign_id)
