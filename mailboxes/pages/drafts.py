"""The list of a person's drafts."""

from __future__ import annotations

from django.db.models import Count
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.http import urlencode
from django.views.decorators.http import require_safe

from accounts.pages import PageRequest, page
from mailboxes.composing import may_compose
from mailboxes.models import Draft
from mailboxes.pages.compose_form import people_text
from mailhub.api.pagination import page_after, write_cursor

DRAFTS_A_PAGE = 50
_ORDERING = "-updated_at"


@require_safe
@page(scope="mail")
def list_drafts(request: PageRequest) -> HttpResponse:
    """Those that the person may go on with, the one changed last first."""
    caller, cursor = request.caller, request.GET.get("cursor")
    drafts = Draft.objects.for_caller(caller).sendable_by(caller).open()
    drafts = drafts.select_related("account").annotate(files=Count("attachments")).defer("html")
    rows: list[Draft] = page_after(drafts, _ORDERING, cursor, DRAFTS_A_PAGE + 1)
    older = ""
    if len(rows) > DRAFTS_A_PAGE:
        rows = rows[:DRAFTS_A_PAGE]
        older = urlencode({"cursor": write_cursor(_ORDERING, rows[-1].updated_at, rows[-1].pk)})
    context = {
        "rows": [(draft, people_text([*draft.to, *draft.cc, *draft.bcc])) for draft in rows],
        "older": older,
        "is_first_page": not cursor,
        "may_compose": may_compose(caller),
    }
    return render(request, "mailboxes/compose/drafts.html", context)
