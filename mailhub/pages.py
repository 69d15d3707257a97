"""Pages that belong to the house and to no app."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.core.exceptions import DisallowedHost, TooManyFieldsSent, TooManyFilesSent
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.http.multipartparser import MultiPartParserError
from django.shortcuts import render
from django.template import loader
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.caller import Caller
from accounts.models import EmailAccount, EventWebhook
from accounts.pages import PageRequest, page
from campaigns.models import ACTIVE, Campaign, CampaignStatus
from campaigns.progress import Progress, measure_progress_of
from contacts.models import Contact, ImportJob, ImportStatus
from mailboxes.models import DeadLetter, OutboxMessage, OutboxState, SyncRun, SyncState
from mailhub.api.errors import json_error, wants_json

_SHOWN = 10
_MOST_COUNTED = 1000
_NEWS_FOR = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Running:
    """What is under way for a caller, a few of each kind."""

    campaigns: list[tuple[Campaign, Progress]]
    imports: list[ImportJob]
    syncs: list[SyncRun]

    def __bool__(self) -> bool:
        return bool(self.campaigns or self.imports or self.syncs)


@require_safe
@page(scope=None)
def home(request: PageRequest) -> HttpResponse:
    """What runs now, what needs attention, and what a newcomer does next."""
    caller = request.caller
    context = {
        "running": _running(caller),
        **_needing_attention(caller),
        "steps": _first_steps(caller),
    }
    return render(request, "home.html", context)


@require_safe
@page(scope=None)
def running_now(request: PageRequest) -> HttpResponse:
    """The moving part of the home page."""
    return render(request, "running.html", {"running": _running(request.caller)})


def _running(caller: Caller) -> Running:
    campaigns: list[Campaign] = []
    imports: list[ImportJob] = []
    if caller.may("campaigns", write=False):
        active = Campaign.objects.for_caller(caller).filter(status__in=ACTIVE)
        campaigns = list(active.order_by("-pk")[:_SHOWN])
    if caller.may("contacts", write=False):
        unfinished = (ImportStatus.PENDING, ImportStatus.IN_PROGRESS)
        jobs = ImportJob.objects.for_caller(caller).filter(status__in=unfinished)
        imports = list(jobs.order_by("-pk")[:_SHOWN])
    progress = measure_progress_of(campaigns)
    syncs = SyncRun.objects.for_caller(caller).active().select_related("account")
    return Running(
        [(campaign, progress[campaign.pk]) for campaign in campaigns],
        imports,
        list(syncs.order_by("created_at")[:_SHOWN]),
    )


def _needing_attention(caller: Caller) -> dict[str, Any]:
    mine = EmailAccount.objects.for_caller(caller)
    seen = EmailAccount.objects.in_tenant_of(caller) if caller.is_admin else mine
    disabled = seen.filter(is_enabled=False).select_related("credential")
    newest = SyncRun.objects.filter(account=OuterRef("pk")).order_by("-created_at")
    not_synced = mine.filter(is_enabled=True).annotate(
        sync_state=Subquery(newest.values("state")[:1]),
        sync_error=Subquery(newest.values("error")[:1]),
    )
    return {
        "disabled_accounts": disabled.order_by("email_address")[:_SHOWN],
        "accounts_not_synced": not_synced.filter(sync_state=SyncState.FAILED)[:_SHOWN],
        "troubled_campaigns": _troubled_campaigns(caller)[:_SHOWN],
        "disabled_webhooks": _disabled_webhooks(caller)[:_SHOWN],
        **_undecided_messages(caller),
    }


def _undecided_messages(caller: Caller) -> dict[str, Any]:
    """How many messages nobody got, or nobody knows about, and the newest that nobody got."""
    letters = DeadLetter.objects.for_caller(caller)
    uncertain = OutboxMessage.objects.for_caller(caller).filter(state=OutboxState.UNCERTAIN)
    return {
        "dead_letters": letters[:_MOST_COUNTED].count(),
        "newest_dead_letter": letters.order_by("-pk").first(),
        "uncertain_messages": uncertain[:_MOST_COUNTED].count(),
        "most_counted": _MOST_COUNTED,
    }


def _disabled_webhooks(caller: Caller) -> QuerySet[EventWebhook]:
    """Those that nobody switched off."""
    webhooks = EventWebhook.objects.for_caller(caller).filter(is_enabled=False)
    if not caller.may("admin", write=False):
        return webhooks.none()
    return webhooks.exclude(disabled_reason="").order_by("-created_at")


def _troubled_campaigns(caller: Caller) -> QuerySet[Campaign]:
    campaigns = Campaign.objects.for_caller(caller)
    if not caller.may("campaigns", write=False):
        return campaigns.none()
    lately = timezone.now() - _NEWS_FOR
    failed = Q(status=CampaignStatus.FAILED, completed_at__gte=lately)
    # One that is held up is among those that run, and says so there.
    stopped = Q(status=CampaignStatus.PAUSED) & ~Q(last_error="")
    much_came_back = Q(status=CampaignStatus.COMPLETED, completed_at__gte=lately)
    warned = much_came_back & ~Q(last_error="")
    return campaigns.filter(failed | stopped | warned).order_by("-pk")


def _first_steps(caller: Caller) -> dict[str, Any]:
    """What a newcomer has done of the three first steps; `next` is the name of one that is open."""
    done = {
        "account": EmailAccount.objects.for_caller(caller).exists(),
        "contacts": Contact.objects.for_caller(caller).exists(),
        "campaign": Campaign.objects.for_caller(caller).exists(),
    }
    return {**done, "next": next((name for name, is_done in done.items() if not is_done), "")}


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400 for what no view saw, such as a host name that is not this site's."""
    if wants_json(request):
        return json_error("invalid", _what_is_wrong(exception), 400)
    return HttpResponse(loader.get_template("400.html").render(), status=400)


def _what_is_wrong(error: Exception) -> str:
    match error:
        case DisallowedHost():
            return "The host of this address is not known here; ALLOWED_HOSTS names those that are."
        case TooManyFieldsSent() | TooManyFilesSent():
            return "The request holds too many fields."
        case MultiPartParserError():
            return "The body is not valid multipart/form-data."
        case _:
            return "This request is not valid."


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404 in the API's shape under /api/, as a page elsewhere."""
    if wants_json(request):
        return json_error("not_found", "There is nothing here.", 404)
    return render(request, "404.html", status=404)


def server_error(request: HttpRequest) -> HttpResponse:
    """500 in the API's shape under /api/, as a page elsewhere, which needs no database."""
    if wants_json(request):
        return json_error("internal_error", "Something went wrong here.", 500)
    return HttpResponse(loader.get_template("500.html").render(), status=500)
